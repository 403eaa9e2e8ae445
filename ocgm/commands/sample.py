"""Sample scenes from a model's prior.

ocgm sample --workdir=runs/quickstart --num_slots=7
"""

import jax
import numpy as np

from ocgm import inference
from ocgm.commands import cli, flags
from ocgm.plots import figures

_WORKDIR = flags.trained_model()
_OUTPUT = flags.output("samples.png and samples.npz")
_NUM_IMAGES = flags.num_images(8, "Number of scenes, which are drawn at once.", 1_000)
_NUM_SLOTS = flags.num_slots()
_SEED = flags.seed()
_STEP = flags.step()


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    trained = inference.load(_WORKDIR.value, _STEP.value)
    drawn = trained.sample(_NUM_IMAGES.value, _SEED.value, _NUM_SLOTS.value or 0)
    drawn = jax.device_get(drawn)
    output = flags.output_folder(_OUTPUT.value, _WORKDIR.value)
    figures.save_png(
        output / "samples.png",
        figures.sample_figure(drawn.images, drawn.components, drawn.log_masks),
    )
    cli.save_npz(
        output / "samples.npz",
        {"images": drawn.images, "components": drawn.components, "masks": np.exp(drawn.log_masks)},
    )
    print(f"wrote {output / 'samples.png'} and samples.npz ({_NUM_IMAGES.value} scenes)")
