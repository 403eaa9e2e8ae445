"""Draw scenes from a model's prior: python -m ocgm.sample --workdir=DIR."""

import jax
import numpy as np
from absl import app, flags

from ocgm import inference
from ocgm.commands import cli
from ocgm.plots import figures

_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of a run or an export; 'pretrained' or 'pretrained:slot_attention'."
)
_NUM_IMAGES = flags.DEFINE_integer("num_images", 8, "How many scenes.", 1)
_NUM_SLOTS = flags.DEFINE_integer("num_slots", None, "Slots, if not as many as in training.", 2)
_SEED = flags.DEFINE_integer("seed", 0, "Of the latents.")
_STEP = flags.DEFINE_integer("step", None, "Checkpoint to use; the newest sound one by default.")
_OUTPUT = flags.DEFINE_string(
    "output", "", "Folder for samples.png and .npz; --workdir by default."
)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    workdir = cli.model_folder(_WORKDIR.value)
    output = cli.output_folder(_OUTPUT.value, workdir)
    trained = inference.load(workdir, _STEP.value)
    drawn = trained.sample(_NUM_IMAGES.value, _SEED.value, _NUM_SLOTS.value or 0)
    drawn = jax.device_get(drawn)
    figures.save_png(
        output / "samples.png",
        figures.sample_figure(drawn.images, drawn.components, drawn.log_masks),
    )
    cli.save_npz(
        output / "samples.npz",
        {"images": drawn.images, "components": drawn.components, "masks": np.exp(drawn.log_masks)},
    )
    print(f"wrote {output / 'samples.png'} and samples.npz ({_NUM_IMAGES.value} scenes)")


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    cli.run(main)
