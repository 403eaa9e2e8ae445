"""Figures of what a model infers and generates: NumPy arrays in, PIL images out.

Arrays follow the model contract: images and components float in [0, 1], masks as logarithms.
"""

import io
import os
from collections.abc import Mapping, Sequence

import chex
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ocgm.files import write_atomically
from ocgm.images import FIGURE_MARK, Array, to_uint8
from ocgm.plots.layout import Column, grid
from ocgm.plots.palette import label_map, mask_colors, on_checkerboard, segmentation_map


def reconstruction_figure(
    images: Array,
    reconstruction: Array,
    log_masks: Array,
    components: Array,
    segmentations: Mapping[str, Array] | None = None,
    true_labels: np.ndarray | None = None,
) -> Image.Image:
    """Draw a row per image: input, reconstruction, segmentations, and the part of each slot.

    The part of a slot is its component, weighted by the mask that mixes the reconstruction, on a checkerboard, in a
    frame of the color that the slot has in the segmentation. The parts add up to the reconstruction.

    Args:
      images: float [B, H, W, 3] in [0, 1].
      reconstruction: float [B, H, W, 3].
      log_masks: log mixing weights of the reconstruction, [B, K, H, W, 1].
      components: component means, [B, K, H, W, 3].
      segmentations: log-masks [B, K, H, W, 1] to segment by, by origin (`Outputs.log_masks_by_origin`); None means
        `log_masks` alone.
      true_labels: integers [B, H, W], drawn with the background (0) in black.

    Returns:
      RGB image; tiles are enlarged by an integer factor to at least 96 pixels.

    Raises:
      AssertionError: wrong rank.
    """
    chex.assert_rank(images, 4)
    chex.assert_rank(components, 5)
    columns = [
        Column("input", to_uint8(images)),
        Column("reconstruction", to_uint8(reconstruction)),
    ]
    if true_labels is not None:
        columns.append(Column("true masks", label_map(true_labels)))
    segmentations = segmentations or {"masks": log_masks}
    for origin, masks in segmentations.items():
        caption = "segmentation" if len(segmentations) == 1 else f"segmentation\n({origin})"
        columns.append(Column(caption, segmentation_map(masks)))
    return grid(columns + _slot_columns(components, log_masks))


def sample_figure(images: Array, components: Array, log_masks: Array) -> Image.Image:
    """Draw a row per sample from the prior: the sample, its segmentation, and the part of each slot.

    Args:
      images: float [B, H, W, 3] in [0, 1].
      components: [B, K, H, W, 3].
      log_masks: [B, K, H, W, 1].

    Returns:
      RGB image, as `reconstruction_figure`.

    Raises:
      AssertionError: wrong rank.
    """
    chex.assert_rank(images, 4)
    chex.assert_rank(components, 5)
    columns = [
        Column("sample", to_uint8(images)),
        Column("segmentation", segmentation_map(log_masks)),
    ]
    return grid(columns + _slot_columns(components, log_masks))


def traversal_figure(
    images: Array,
    components: Array,
    log_masks: Array,
    traversals: Array,
    captions: Sequence[str],
) -> Image.Image:
    """Draw a row per latent dimension: input, the changed slot, and images from one end of the range to the other.

    Args:
      images: inputs, float [R, H, W, 3] in [0, 1].
      components: component means of the slots, [R, H, W, 3].
      log_masks: masks of the slots, [R, H, W, 1].
      traversals: float [R, V, H, W, 3], evenly spaced values of the dimension.
      captions: R texts beside the rows.

    Returns:
      RGB image, as `reconstruction_figure`.

    Raises:
      AssertionError: wrong rank.
    """
    chex.assert_rank(traversals, 5)
    chex.assert_rank(images, 4)
    last = traversals.shape[1] - 1
    heads = ["smallest", *(f"{i}/{last}" for i in range(1, last)), "largest"]
    columns = [
        Column("input", to_uint8(images)),
        Column("slot", to_uint8(on_checkerboard(components, log_masks))),
        *(Column(head, to_uint8(traversals[:, i])) for i, head in enumerate(heads)),
    ]
    return grid(columns, captions)


def encode_png(image: Image.Image | np.ndarray) -> bytes:
    """Return the bytes of a PNG file with `images.FIGURE_MARK`.

    Args:
      image: PIL image, or uint8 [H, W, 3] or [H, W].
    """
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    mark = PngInfo()
    mark.add_text(*FIGURE_MARK)
    image.save(buffer, format="PNG", pnginfo=mark)
    return buffer.getvalue()


def save_png(path: str | os.PathLike[str], image: Image.Image | np.ndarray) -> None:
    """Write a PNG file atomically; arguments as in `files.write_atomically` and `encode_png`."""
    write_atomically(path, encode_png(image))


def _slot_columns(components: Array, log_masks: Array) -> list[Column]:
    """Return a column per slot: its component where its mask is one, a checkerboard where it is zero."""
    visible = on_checkerboard(components, log_masks)
    return [
        Column(f"slot {slot + 1}", to_uint8(visible[:, slot]), tuple(color))
        for slot, color in enumerate(mask_colors(components.shape[1]).tolist())
    ]
