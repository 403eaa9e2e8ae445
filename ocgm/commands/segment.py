"""Segment your own pictures: python -m ocgm.segment --workdir=DIR IMAGE_OR_FOLDER ...

Any size and mode: the picture is turned upright, made RGB, cropped to its central square and resized to the model's
side. Written for each picture NAME: NAME_masks.png (segmentation), NAME_overlay.png, NAME_components.png (every slot),
and for all together segmentation.npz.
"""

import jax
import numpy as np
from absl import flags

from ocgm import inference
from ocgm.commands import cli
from ocgm.datasets.builders.image_files import load_images
from ocgm.errors import InputError
from ocgm.images import to_float
from ocgm.plots import figures

_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of a run or an export; 'pretrained' or 'pretrained:slot_attention'."
)
_OUTPUT = flags.DEFINE_string("output", "segmentation", "Folder for the results.")
_NUM_SLOTS = flags.DEFINE_integer("num_slots", None, "Slots, if not as many as in training.", 2)
_DYNAMIC_SLOTS = flags.DEFINE_bool(
    "dynamic_slots", False, "Stop adding slots where nothing is left (GENESIS-V2)."
)
_SEED = flags.DEFINE_integer("seed", 0, "Of latents and seed scores.")
_STEP = flags.DEFINE_integer("step", None, "Checkpoint to use; the newest sound one by default.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 16, "Images at a time.", 1)


def main(argv: list[str]) -> None:
    if len(argv) < 2:
        raise InputError("name at least one image or folder of images.")
    workdir, output = cli.model_folder(_WORKDIR.value), cli.folder(_OUTPUT.value)
    trained = inference.load(workdir, _STEP.value)
    names, images, _ = load_images(argv[1:], trained.config.model.image_size)
    options = {"dynamic_slots": True} if _DYNAMIC_SLOTS.value else {}
    if _NUM_SLOTS.value:
        options["num_slots"] = _NUM_SLOTS.value
    outputs = trained.in_batches(images, _BATCH_SIZE.value, _SEED.value, **options)
    floats = to_float(images)
    labels = np.argmax(outputs.segmentation_log_masks[..., 0], axis=1)
    maps, overlays = (
        figures.segmentation_map(outputs.segmentation_log_masks),
        figures.overlay(floats, labels, 0.5),
    )
    for i, name in enumerate(names):
        one = jax.tree.map(lambda leaf, i=i: leaf[i : i + 1], outputs)
        figures.save_png(output / f"{name}_masks.png", maps[i])
        figures.save_png(output / f"{name}_overlay.png", overlays[i])
        figures.save_png(
            output / f"{name}_components.png",
            figures.reconstruction_figure(
                floats[i : i + 1],
                one.reconstruction,
                one.log_masks,
                one.components,
                one.log_masks_by_origin,
            ),
        )
    arrays = {
        "names": np.array(names),
        "images": images,
        "labels": labels.astype(np.uint8),
        **{
            name if name == "masks" else f"masks_{name}": np.exp(log_masks)
            for name, log_masks in outputs.log_masks_by_origin.items()
        },
        "reconstruction": outputs.reconstruction,
        "components": outputs.components,
        "slots": outputs.slots,
        "active_slots": outputs.active_slots,
    }
    cli.save_npz(output / "segmentation.npz", arrays)
    print(f"wrote {len(names)} segmentation(s) to {output}")


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    cli.run(main)
