"""Evaluate a trained model on held-out images.

    ocgm evaluate --workdir=runs/quickstart
    ocgm evaluate --workdir=genesis_v2/multi_dsprites

Prints the errors, and ARI, SC and mSC of each kind of masks for datasets with masks.
"""

import jax
from absl import flags as absl_flags

from ocgm import inference
from ocgm.commands import cli, flags
from ocgm.data.pipeline import count_images
from ocgm.evaluation.evaluator import evaluate
from ocgm.plots.figures import save_png

_WORKDIR = flags.trained_model()
_OUTPUT = flags.output("evaluation.json and evaluation.png")
_SPLIT = flags.split()
_VARIANT = absl_flags.DEFINE_string(
    "variant", "", "Variant of the dataset, such as clevr10; by default the one of training."
)
_NUM_IMAGES = flags.num_images(320, "Number of images, the first ones of the split.")
_BATCH_SIZE = flags.batch_size(32)
_STEP = flags.step()
_SEED = flags.seed()
_DATA_DIR = flags.data_dir()
_OPTIONS = flags.ModelOptions()


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    trained = inference.load(_WORKDIR.value, _STEP.value)
    data = trained.data_config(variant=_VARIANT.value, data_dir=_DATA_DIR.value)
    scores, picture = evaluate(
        trained.model,
        trained.variables,
        data,
        split=_SPLIT.value,
        num_images=_NUM_IMAGES.value,
        batch_size=_BATCH_SIZE.value,
        seed=_SEED.value,
        model_options=trained.options(_OPTIONS.value),
    )
    if jax.process_index() > 0:
        return
    num_images = count_images(data, _SPLIT.value, _NUM_IMAGES.value)
    images = f"{num_images} {_SPLIT.value} images of {data.name} {data.variant}".rstrip()
    print(f"step {trained.step:,}, {images}")
    for name, value in scores.items():
        print(f"  {name:36s} {value:.4f}")
    record = {
        "step": trained.step,
        "dataset": data.name,
        "variant": data.variant,
        "split": _SPLIT.value,
        "num_images": num_images,
        **scores,
    }
    output = flags.output_folder(_OUTPUT.value, _WORKDIR.value)
    cli.save_json(output / "evaluation.json", record)
    save_png(output / "evaluation.png", picture)
    print(f"wrote {output / 'evaluation.json'} and evaluation.png")
