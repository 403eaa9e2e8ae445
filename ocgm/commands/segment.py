"""Segment your own images.

    ocgm segment --workdir=genesis_v2/multi_dsprites --output=segmented photo.jpg directory_of_images

Takes images of any size and mode, also those in subdirectories: each is rotated by its EXIF orientation, converted to
RGB, cropped to its central square and resized to the model's side. Figures of an earlier call are left out. Writes
NAME_masks.png (segmentation), NAME_overlay.png and NAME_components.png (every slot) for each image NAME, and
segmentation.npz for all of them.
"""

import pathlib

import jax
import numpy as np
from absl import flags as absl_flags

from ocgm import inference
from ocgm.commands import cli, flags
from ocgm.datasets.builders.image_files import load_images
from ocgm.errors import InputError
from ocgm.images import to_float
from ocgm.models.base import Outputs
from ocgm.plots import figures, palette

_WORKDIR = flags.trained_model()
_OUTPUT = absl_flags.DEFINE_string("output", "segmentation", "Directory for the results.")
_OPTIONS = flags.ModelOptions()
_SEED = flags.seed()
_STEP = flags.step()
_BATCH_SIZE = flags.batch_size(16)


def main(argv: list[str]) -> None:
    if len(argv) < 2:
        raise InputError("name at least one image or directory of images.")
    output = cli.folder(_OUTPUT.value)
    trained = inference.load(_WORKDIR.value, _STEP.value)
    names, images, originals = load_images(argv[1:], trained.config.model.image_size)
    outputs = trained.in_batches(images, _BATCH_SIZE.value, _SEED.value, **_OPTIONS.value)
    labels = np.argmax(outputs.segmentation_log_masks[..., 0], axis=1)
    _save_figures(output, names, to_float(images), outputs, labels)
    by_origin = outputs.log_masks_by_origin
    masks = {f"masks_{name}": np.exp(by_origin[name]) for name in by_origin if len(by_origin) > 1}
    arrays = {
        "names": np.array(names),
        "files": np.array([str(original.path) for original in originals]),
        "images": images,
        "labels": labels.astype(np.uint8),
        "masks": np.exp(outputs.log_masks),
        **masks,
        "reconstruction": outputs.reconstruction,
        "components": outputs.components,
        "slots": outputs.slots,
        "active_slots": outputs.active_slots,
    }
    cli.save_npz(output / "segmentation.npz", arrays)
    print(f"wrote {len(names)} segmentation(s) to {output}")


def _save_figures(
    output: pathlib.Path,
    names: list[str],
    images: np.ndarray,
    outputs: Outputs,
    labels: np.ndarray,
) -> None:
    """Write the three figures of each image, float [N, S, S, 3], with its segmentation, integers [N, S, S]."""
    maps = palette.segmentation_map(outputs.segmentation_log_masks)
    overlays = palette.overlay(images, labels, 0.5)
    for i, name in enumerate(names):
        one = jax.tree.map(lambda leaf, i=i: leaf[i : i + 1], outputs)
        components = figures.reconstruction_figure(
            images[i : i + 1],
            one.reconstruction,
            one.log_masks,
            one.components,
            one.log_masks_by_origin,
        )
        figures.save_png(output / f"{name}_masks.png", maps[i])
        figures.save_png(output / f"{name}_overlay.png", overlays[i])
        figures.save_png(output / f"{name}_components.png", components)
