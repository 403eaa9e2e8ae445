"""Evaluate a trained model: python -m ocgm.evaluate --workdir=DIR."""

import json

import jax
from absl import app, flags

from ocgm import inference
from ocgm.commands import cli
from ocgm.evaluation.evaluator import evaluate
from ocgm.files import write_atomically
from ocgm.plots import figures

_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of a run or an export; 'pretrained' or 'pretrained:slot_attention'."
)
_SPLIT = flags.DEFINE_string(
    "split", "test", "Part of the data: train, validation, test, or a further one that it has."
)
_VARIANT = flags.DEFINE_string(
    "variant", "", "Variant of the dataset, if not the one of training, such as clevr10."
)
_NUM_IMAGES = flags.DEFINE_integer("num_images", 320, "How many of its first images.", 1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Images at a time.", 1)
_STEP = flags.DEFINE_integer("step", None, "Checkpoint to use; the newest sound one by default.")
_SEED = flags.DEFINE_integer("seed", 0, "Of latents and seed scores.")
_DATA_DIR = flags.DEFINE_string("data_dir", "", "Where the data is, if not where the run had it.")
_NUM_SLOTS = flags.DEFINE_integer("num_slots", None, "Slots, if not as many as in training.", 2)
_DYNAMIC_SLOTS = flags.DEFINE_bool(
    "dynamic_slots", False, "Stop adding slots where nothing is left (GENESIS-V2)."
)
_OPTIONS = flags.DEFINE_multi_string(
    "option", [], "Option of the model's call, such as refinement_steps=3; may be repeated."
)
_OUTPUT = flags.DEFINE_string(
    "output", "", "Folder for evaluation.json and .png; --workdir by default."
)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    workdir = cli.model_folder(_WORKDIR.value)
    trained = inference.load(workdir, _STEP.value)
    if _DATA_DIR.value:
        trained.config.data.data_dir = _DATA_DIR.value
    if _VARIANT.value:
        trained.config.data.variant = _VARIANT.value
    options = dict(trained.config.evaluation.model_options)
    options |= cli.parse_options(_OPTIONS.value)
    if _NUM_SLOTS.value:
        options["num_slots"] = _NUM_SLOTS.value
    if _DYNAMIC_SLOTS.value:
        options["dynamic_slots"] = True
    scores, picture = evaluate(
        trained.model,
        trained.variables,
        trained.config.data,
        split=_SPLIT.value,
        num_images=_NUM_IMAGES.value,
        batch_size=_BATCH_SIZE.value,
        seed=_SEED.value,
        model_options=options,
    )
    if jax.process_index() > 0:
        return
    print(
        f"step {trained.step:,}, {_NUM_IMAGES.value} {_SPLIT.value} images of "
        f"{trained.config.data.name} {trained.config.data.variant}".rstrip()
    )
    for name, value in scores.items():
        print(f"  {name:36s} {value:.4f}")
    output = cli.output_folder(_OUTPUT.value, workdir)
    record = {
        "step": trained.step,
        "dataset": trained.config.data.name,
        "variant": trained.config.data.variant,
        "split": _SPLIT.value,
        "num_images": _NUM_IMAGES.value,
        **scores,
    }
    write_atomically(output / "evaluation.json", (json.dumps(record, indent=2) + "\n").encode())
    figures.save_png(output / "evaluation.png", picture)
    print(f"wrote {output / 'evaluation.json'} and evaluation.png")


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    cli.run(main)
