"""Pictures of what a model sees and makes: NumPy arrays in, uint8 arrays and PIL images out.

Slot k has the same colour in every picture. Arrays follow the model contract: images and components
float in [0, 1], masks as logarithms.
"""

import io
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ocgm.files import write_atomically
from ocgm.images import to_float, to_uint8

# Okabe and Ito, "Color universal design" (2008), without black; then the five that keep the largest
# Lab distance from all before them, also under simulated protan-, deuter- and tritanopia.
_PALETTE = np.array(
    [
        (230, 159, 0),
        (86, 180, 233),
        (0, 158, 115),
        (240, 228, 66),
        (0, 114, 178),
        (213, 94, 0),
        (204, 121, 167),
        (102, 17, 0),
        (51, 34, 136),
        (221, 221, 221),
        (136, 34, 85),
        (17, 119, 51),
    ],
    np.uint8,
)
_PALETTE_DIMMING = 0.6

_BACKGROUND_COLOR = (38, 38, 38)
PAPER_COLOR = (255, 255, 255)
INK_COLOR = (34, 34, 34)
_CHECKER_GRAYS = (188, 212)
# Of heat maps, from nothing to most: the palette's two blues, since lightness falls all along.
_HEAT_COLORS = np.array([PAPER_COLOR, _PALETTE[4], _PALETTE[8]], np.float32)

# Pixels.
_MIN_TILE = 96
_FRAME = 4
_GAP = 6
_MARGIN = 12
_FONT_SIZE = 13
_LINE_HEIGHT = 16
_HEAT_CELL_WIDTH = 6
_HEAT_MIN_WIDTH = 480
_HEAT_LEGEND_WIDTH = 120


def mask_colors(num_colors: int) -> np.ndarray:
    """Distinct colours for slots or objects, the most different ones first.

    Args:
      num_colors: how many; beyond 12 the palette repeats in darker shades.

    Returns:
      uint8 [num_colors, 3].
    """
    index = np.arange(num_colors)
    dimming = _PALETTE_DIMMING ** (index // len(_PALETTE))
    return np.round(_PALETTE[index % len(_PALETTE)] * dimming[:, None]).astype(np.uint8)


def segmentation_map(log_masks: np.ndarray) -> np.ndarray:
    """Colours every pixel by the slot with the largest mask.

    Args:
      log_masks: [B, K, H, W, 1].

    Returns:
      uint8 [B, H, W, 3].
    """
    _check_rank("log_masks", log_masks, 5)
    labels = np.argmax(np.asarray(log_masks)[..., 0], axis=1)
    return mask_colors(log_masks.shape[1])[labels]


def label_map(labels: np.ndarray) -> np.ndarray:
    """Colours label maps: the background (0) black, object 1 in the first colour.

    Args:
      labels: integers [..., H, W].

    Returns:
      uint8 [..., H, W, 3].
    """
    num_objects = int(np.max(labels, initial=0))
    return np.concatenate([np.array([_BACKGROUND_COLOR], np.uint8), mask_colors(num_objects)])[
        labels
    ]


def overlay(images: np.ndarray, labels: np.ndarray, alpha: float) -> np.ndarray:
    """Lays the label colours over the images.

    Args:
      images: float [B, H, W, 3] in [0, 1].
      labels: integers [B, H, W], e.g. the argmax over slots.
      alpha: weight of the colours, 0 (image only) to 1 (colours only).

    Returns:
      uint8 [B, H, W, 3].
    """
    _check_rank("images", images, 4)
    if images.shape[:3] != labels.shape:
        raise ValueError(f"labels have shape {labels.shape}, but images {images.shape}.")
    colors = to_float(mask_colors(int(np.max(labels, initial=0)) + 1)[labels])
    return to_uint8((1 - alpha) * np.asarray(images) + alpha * colors)


def reconstruction_figure(
    images: np.ndarray,
    reconstruction: np.ndarray,
    log_masks: np.ndarray,
    components: np.ndarray,
    segmentations: Mapping[str, np.ndarray] | None = None,
    true_labels: np.ndarray | None = None,
) -> Image.Image:
    """A row an image: input, reconstruction, segmentations, and every slot's part of the picture.

    A slot is shown where the mask that mixes the reconstruction is, on a checkerboard, framed in the colour that the
    slot has in the segmentation: the slots' parts add up to the reconstruction.

    Args:
      images: float [B, H, W, 3] in [0, 1].
      reconstruction: float [B, H, W, 3].
      log_masks: log mixing weights of the reconstruction, [B, K, H, W, 1].
      components: component means, [B, K, H, W, 3].
      segmentations: log-masks [B, K, H, W, 1] to segment by, by origin (`Outputs.log_masks_by_origin`); None means
        `log_masks` alone.
      true_labels: integers [B, H, W], drawn with the background (0) in black.

    Returns:
      RGB image; tiles are enlarged by a whole factor to at least 96 pixels.

    Raises:
      ValueError: wrong rank.
    """
    _check_rank("images", images, 4)
    _check_rank("components", components, 5)
    columns = [
        _Column("input", to_uint8(images)),
        _Column("reconstruction", to_uint8(reconstruction)),
    ]
    if true_labels is not None:
        columns.append(_Column("true masks", label_map(true_labels)))
    segmentations = segmentations or {"masks": log_masks}
    for origin, masks in segmentations.items():
        caption = "segmentation" if len(segmentations) == 1 else f"segmentation\n({origin})"
        columns.append(_Column(caption, segmentation_map(masks)))
    return _grid(columns + _slot_columns(components, log_masks))


def sample_figure(images: np.ndarray, components: np.ndarray, log_masks: np.ndarray) -> Image.Image:
    """A row a sample from the prior: the sample, its segmentation, and every slot's part of it.

    Args:
      images: float [B, H, W, 3] in [0, 1].
      components: [B, K, H, W, 3].
      log_masks: [B, K, H, W, 1].

    Returns:
      RGB image, as `reconstruction_figure`.

    Raises:
      ValueError: wrong rank.
    """
    _check_rank("images", images, 4)
    _check_rank("components", components, 5)
    columns = [
        _Column("sample", to_uint8(images)),
        _Column("segmentation", segmentation_map(log_masks)),
    ]
    return _grid(columns + _slot_columns(components, log_masks))


def traversal_figure(
    images: np.ndarray,
    components: np.ndarray,
    log_masks: np.ndarray,
    traversals: np.ndarray,
    captions: Sequence[str],
) -> Image.Image:
    """A row a latent dimension: input, the slot that is changed, and pictures from end to end of the range.

    Args:
      images: inputs, float [R, H, W, 3] in [0, 1].
      components: component means of the slots, [R, H, W, 3].
      log_masks: masks of the slots, [R, H, W, 1].
      traversals: float [R, V, H, W, 3], evenly spaced values of the dimension.
      captions: R texts to stand beside the rows.

    Returns:
      RGB image, as `reconstruction_figure`.

    Raises:
      ValueError: wrong rank.
    """
    _check_rank("traversals", traversals, 5)
    _check_rank("images", images, 4)
    last = traversals.shape[1] - 1
    heads = ["smallest", *(f"{i}/{last}" for i in range(1, last)), "largest"]
    columns = [
        _Column("input", to_uint8(images)),
        _Column("slot", to_uint8(_on_checkerboard(components, log_masks))),
        *(_Column(head, to_uint8(traversals[:, i])) for i, head in enumerate(heads)),
    ]
    return _grid(columns, captions)


def activeness_figure(activeness: np.ndarray) -> Image.Image:
    """A heat map: a row a latent dimension, the most active one on top, and a column an image.

    Args:
      activeness: variance of pixels, float [N, D], as of `ocgm.evaluation.evaluator.activeness.activeness`.

    Returns:
      RGB image; the mean of each row stands beside it.

    Raises:
      ValueError: wrong rank.
    """
    _check_rank("activeness", activeness, 2)
    num_images, num_dimensions = activeness.shape
    means = activeness.mean(axis=0)
    order = np.argsort(-means, kind="stable")
    # Few dimensions act much more than the rest; the root keeps those visible.
    heat = np.sqrt(activeness.T[order])
    cell_width = max(_HEAT_CELL_WIDTH, _HEAT_MIN_WIDTH // num_images)
    largest = float(heat.max())
    cells = _heat_colors(heat / max(largest, 1e-30))
    cells = cells.repeat(_LINE_HEIGHT, axis=0).repeat(cell_width, axis=1)

    font = ImageFont.load_default(_FONT_SIZE)
    labels = [f"z[{dimension}]" for dimension in order]
    numbers = [f"{mean:.2g}" for mean in means[order]]
    left, right = (
        _text_width(font, texts) for texts in (["dimension", *labels], ["mean", *numbers])
    )
    left, top = _MARGIN + left + _GAP, _MARGIN + _LINE_HEIGHT + _GAP
    size = (left + cells.shape[1] + _GAP + right + _MARGIN, top + len(cells) + 3 * _MARGIN)
    figure = Image.new("RGB", size, PAPER_COLOR)
    figure.paste(Image.fromarray(cells), (left, top))
    draw = ImageDraw.Draw(figure)

    def write(x: float, y: float, text: str, anchor: str) -> None:
        draw.text((x, y), text, fill=INK_COLOR, font=font, anchor=anchor)

    beside = left + cells.shape[1] + _GAP
    write(left - _GAP, _MARGIN + _LINE_HEIGHT, "dimension", "rd")
    write(left, _MARGIN + _LINE_HEIGHT, f"{num_images} images", "ld")
    write(beside, _MARGIN + _LINE_HEIGHT, "mean", "ld")
    for row, (label, number) in enumerate(zip(labels, numbers, strict=True)):
        middle = top + (row + 0.5) * _LINE_HEIGHT
        write(left - _GAP, middle, label, "rm")
        write(beside, middle, number, "lm")

    # The scale: text, a bar from nothing to most, text.
    middle = top + len(cells) + _MARGIN + _LINE_HEIGHT / 2
    caption = "standard deviation of pixels  0"
    bar_left = left + _text_width(font, [caption]) + _GAP
    bar = _heat_colors(np.linspace(0, 1, _HEAT_LEGEND_WIDTH))[None].repeat(_LINE_HEIGHT, axis=0)
    figure.paste(Image.fromarray(bar), (bar_left, top + len(cells) + _MARGIN))
    write(left, middle, caption, "lm")
    write(bar_left + _HEAT_LEGEND_WIDTH + _GAP, middle, f"{largest:.2g}", "lm")
    return figure


def encode_png(image: Image.Image | np.ndarray) -> bytes:
    """The bytes of a PNG file.

    Args:
      image: PIL image, or uint8 [H, W, 3] or [H, W].
    """
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def save_png(path: str | os.PathLike[str], image: Image.Image | np.ndarray) -> None:
    """Writes a PNG in one piece; arguments as in `files.write_atomically` and `encode_png`."""
    write_atomically(path, encode_png(image))


class _Column(NamedTuple):
    caption: str
    tiles: np.ndarray  # uint8 [B, H, W, 3].
    frame_color: tuple[int, ...] = PAPER_COLOR


def _slot_columns(components: np.ndarray, log_masks: np.ndarray) -> list[_Column]:
    """A column a slot: its component where its mask is, a checkerboard elsewhere."""
    visible = _on_checkerboard(components, log_masks)
    return [
        _Column(f"slot {slot + 1}", to_uint8(visible[:, slot]), tuple(color))
        for slot, color in enumerate(mask_colors(components.shape[1]).tolist())
    ]


def _on_checkerboard(components: np.ndarray, log_masks: np.ndarray) -> np.ndarray:
    """Components [..., H, W, 3] where masks [..., H, W, 1] are, a checkerboard elsewhere."""
    masks = np.exp(np.asarray(log_masks, np.float32))
    return masks * components + (1 - masks) * _checkerboard(*components.shape[-3:-1])


def _heat_colors(values: np.ndarray) -> np.ndarray:
    """Values [...] in [0, 1] as colours, uint8 [..., 3]."""
    steps = np.linspace(0, 1, len(_HEAT_COLORS))
    channels = [np.interp(values, steps, channel) for channel in _HEAT_COLORS.T]
    return np.round(np.stack(channels, axis=-1)).astype(np.uint8)


def _checkerboard(height: int, width: int) -> np.ndarray:
    """Eight squares along the shorter side, float [H, W, 1]."""
    square = max(1, min(height, width) // 8)
    row, column = np.mgrid[:height, :width] // square
    return np.where((row + column) % 2, *_CHECKER_GRAYS)[..., None] / 255


def _grid(columns: Sequence[_Column], row_captions: Sequence[str] = ()) -> Image.Image:
    """Lays out captions over columns of enlarged tiles, and beside the rows if there are any for these."""
    num_rows, height, width, _ = columns[0].tiles.shape
    factor = max(1, -(-_MIN_TILE // min(height, width)))
    cell_width, cell_height = (factor * side + 2 * _FRAME for side in (width, height))
    font = ImageFont.load_default(_FONT_SIZE)
    lines = [line for caption in row_captions for line in caption.split("\n")]
    margin = _MARGIN + (_text_width(font, lines) + _GAP if lines else 0)
    head = _LINE_HEIGHT * max(1 + column.caption.count("\n") for column in columns) + _GAP
    figure = Image.new(
        "RGB",
        (
            margin + _MARGIN + len(columns) * (cell_width + _GAP) - _GAP,
            2 * _MARGIN + head + num_rows * (cell_height + _GAP) - _GAP,
        ),
        PAPER_COLOR,
    )
    draw = ImageDraw.Draw(figure)
    for j, caption in enumerate(row_captions):
        draw.multiline_text(
            (margin - _GAP, _MARGIN + head + j * (cell_height + _GAP) + cell_height / 2),
            caption,
            fill=INK_COLOR,
            font=font,
            anchor="rm",
            align="right",
        )
    for i, column in enumerate(columns):
        left = margin + i * (cell_width + _GAP)
        draw.multiline_text(
            (left + cell_width / 2, _MARGIN + head - _GAP),
            column.caption,
            fill=INK_COLOR,
            font=font,
            anchor="md",
            align="center",
        )
        for j, tile in enumerate(column.tiles):
            top = _MARGIN + head + j * (cell_height + _GAP)
            cell = (left, top, left + cell_width - 1, top + cell_height - 1)
            draw.rectangle(cell, fill=column.frame_color)
            enlarged = Image.fromarray(tile.repeat(factor, axis=0).repeat(factor, axis=1))
            figure.paste(enlarged, (left + _FRAME, top + _FRAME))
    return figure


def _text_width(font: ImageFont.FreeTypeFont, lines: Sequence[str]) -> int:
    """Width of the longest line in pixels."""
    return max(-int(-font.getlength(line) // 1) for line in lines)


def _check_rank(name: str, array: np.ndarray, rank: int) -> None:
    if array.ndim != rank:
        raise ValueError(f"{name} must have {rank} axes, but has shape {array.shape}.")
