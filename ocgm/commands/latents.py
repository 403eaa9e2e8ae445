"""Measure and draw what the dimensions of a model's latents do.

    ocgm latents --workdir=runs/tetrominoes

Measures how active each dimension is, draws traversals of the most active ones, and scores the codes by DCI
(disentanglement, completeness, informativeness) for datasets with factors of objects. docs/disentanglement.md explains
the measures.
"""

import re

import jax
import numpy as np
from absl import flags as absl_flags
from PIL import Image

from ocgm import inference
from ocgm.commands import cli, flags
from ocgm.errors import InputError, UserError
from ocgm.evaluation import latent_report
from ocgm.plots.figures import save_png

_WORKDIR = flags.trained_model()
_OUTPUT = flags.output("latents.json, activeness.png and traversals.png")
_SPLIT = flags.split()
_NUM_IMAGES = flags.num_images(100, "Number of images on which activeness is measured.")
_DCI_IMAGES = absl_flags.DEFINE_integer(
    "dci_images", 320, "Number of images whose objects DCI scores.", 1
)
_MIN_PIXELS = absl_flags.DEFINE_integer(
    "min_pixels", 50, "DCI leaves out objects with fewer pixels.", 1
)
_TRAVERSE = absl_flags.DEFINE_multi_string(
    "traverse",
    [],
    "IMAGE,SLOT of a traversal, counted from 1; may be repeated. By default two slots in which the"
    " latents are most active.",
)
_SEED = flags.seed()
_OPTIONS = flags.ModelOptions()
_BATCH_SIZE = flags.batch_size(32)
_STEP = flags.step()
_DATA_DIR = flags.data_dir()


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    trained = inference.load(_WORKDIR.value, _STEP.value)
    if jax.process_index() > 0:  # The work is not split over processes.
        return
    data = trained.data_config(data_dir=_DATA_DIR.value)
    measured = latent_report.measure(
        trained.model,
        trained.variables,
        data,
        split=_SPLIT.value,
        num_images=_NUM_IMAGES.value,
        dci_images=_DCI_IMAGES.value,
        min_pixels=_MIN_PIXELS.value,
        batch_size=_BATCH_SIZE.value,
        seed=_SEED.value,
        model_options=trained.options(_OPTIONS.value),
    )
    pairs = [_pair(text, measured.slots.shape) for text in _TRAVERSE.value]
    print(f"step {trained.step:,}, {_SPLIT.value} images of {data.name}")

    active: np.ndarray | None = None
    pictures: dict[str, Image.Image] = {}
    try:
        active, pictures = latent_report.activeness_and_figures(
            trained.model,
            trained.variables,
            measured,
            pairs,
            seed=_SEED.value,
            batch_size=_BATCH_SIZE.value,
        )
    except InputError as error:
        print(f"no activeness and no traversals: {error}")
    dimensions = latent_report.dimension_records(measured.ranges, active)
    if active is not None:
        _print_dimensions(dimensions)

    scores = None
    try:
        scores = latent_report.dci_record(measured.objects, data)
    except UserError as error:
        print(f"no DCI: {error}")
    else:
        _print_scores(scores)
        scores = {"num_images": _DCI_IMAGES.value, **scores}

    output = flags.output_folder(_OUTPUT.value, _WORKDIR.value)
    num_images = len(measured.images)
    record = {"step": trained.step, "split": _SPLIT.value, "num_images": num_images}
    cli.save_json(output / "latents.json", record | {"dimensions": dimensions, "dci": scores})
    for name, picture in pictures.items():
        save_png(output / name, picture)
    print("wrote", ", ".join([str(output / "latents.json"), *pictures]))


def _pair(text: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return image and slot, counted from 0, of IMAGE,SLOT, if latents [N, K, D] have them.

    Raises:
      InputError: they do not.
    """
    match = re.fullmatch(r"(\d+),(\d+)", text)
    image, slot = map(int, match.groups()) if match else (0, 0)
    if not (1 <= image <= shape[0] and 1 <= slot <= shape[1]):
        raise InputError(f"--traverse={text} is not IMAGE,SLOT from 1,1 to {shape[0]},{shape[1]}.")
    return image - 1, slot - 1


def _print_dimensions(dimensions: list[dict]) -> None:
    """Print the most active dimensions."""
    for entry in sorted(dimensions, key=lambda entry: entry["rank"])[
        : latent_report.TRAVERSED_DIMENSIONS
    ]:
        name = f"  z[{entry['dimension']}]".ljust(38)
        print(name, f"{entry['activeness']:.3g}  in [{entry['min']:.2f}, {entry['max']:.2f}]")


def _print_scores(scores: dict) -> None:
    """Print DCI scores, and below them the informativeness about each factor."""
    print(f"DCI of {scores['num_objects']} objects in {_DCI_IMAGES.value} images")
    for name, value in scores.items():
        if isinstance(value, float):
            print(f"  {name:36s} {value:.4f}")
    for name, value in scores["informativeness"].items():
        print(f"    {name:34s} {value:.4f}")
