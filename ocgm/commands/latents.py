"""What a model's latents mean: python -m ocgm.latents --workdir=DIR.

Measures how active each latent dimension is, shows the most active ones, and scores codes by DCI (disentanglement,
completeness, informativeness) where the data set tells factors of objects. docs/disentanglement.md explains it all.
"""

import dataclasses
import json
import re
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import app, flags
from ml_collections import ConfigDict
from PIL import Image

from ocgm import inference
from ocgm.commands import cli
from ocgm.data import eval_batches, open_builder
from ocgm.errors import InputError, UserError
from ocgm.evaluation import activeness, dci, segmentation
from ocgm.files import write_atomically
from ocgm.images import to_float
from ocgm.plots import figures

_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of a run or an export; 'pretrained' or 'pretrained:slot_attention'."
)
_OUTPUT = flags.DEFINE_string(
    "output",
    "",
    "Folder for latents.json, activeness.png and traversals.png; --workdir by default.",
)
_SPLIT = flags.DEFINE_string(
    "split", "test", "Part of the data: train, validation, test, or a further one that it has."
)
_NUM_IMAGES = flags.DEFINE_integer("num_images", 100, "Images to measure activeness on.", 1)
_DCI_IMAGES = flags.DEFINE_integer("dci_images", 320, "Images whose objects DCI is about.", 1)
_MIN_PIXELS = flags.DEFINE_integer("min_pixels", 50, "DCI leaves smaller objects out.", 1)
_TRAVERSE = flags.DEFINE_multi_string(
    "traverse",
    [],
    "IMAGE,SLOT to show, counted from 1; may be repeated. By default two slots that matter most.",
)
_SEED = flags.DEFINE_integer("seed", 0, "Of latents, seed scores and the slots that are changed.")
_NUM_SLOTS = flags.DEFINE_integer("num_slots", None, "Slots, if not as many as in training.", 2)
_OPTIONS = flags.DEFINE_multi_string(
    "option", [], "Option of the model's call, such as refinement_steps=3; may be repeated."
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Images, or decoded scenes, at a time.", 1)
_STEP = flags.DEFINE_integer("step", None, "Checkpoint to use; the newest sound one by default.")
_DATA_DIR = flags.DEFINE_string("data_dir", "", "Where the data is, if not where the run had it.")

_TRAVERSED_IMAGES, _TRAVERSED_DIMENSIONS = 2, 6


class _Measured(NamedTuple):
    """What the model made of the images.

    Attributes:
      images: uint8 [N, S, S, 3], those for activeness.
      slots: sampled latents of these, [N, K, D].
      objects: codes and factors of the objects for DCI; None where the data set has no masks or no factors.
    """

    images: np.ndarray
    slots: np.ndarray
    objects: tuple[np.ndarray, dict[str, np.ndarray]] | None


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    workdir = cli.model_folder(_WORKDIR.value)
    trained = inference.load(workdir, _STEP.value)
    if jax.process_index() > 0:  # No work here is split over processes.
        return
    data = trained.config.data
    if _DATA_DIR.value:
        data.data_dir = _DATA_DIR.value
    measured = _measure(trained)
    pairs = [_pair(text, measured.slots.shape) for text in _TRAVERSE.value]
    ranges = activeness.latent_ranges(measured.slots)
    dimensions = [
        {"dimension": i, "min": low, "max": high} for i, (low, high) in enumerate(ranges.T.tolist())
    ]
    record = {"step": trained.step, "split": _SPLIT.value, "num_images": _NUM_IMAGES.value}
    record |= {"dimensions": dimensions, "dci": None}
    pictures = {}
    print(f"step {trained.step:,}, {_SPLIT.value} images of {data.name}")

    try:
        active, pictures = _activeness(trained, measured, ranges, pairs)
    except InputError as error:
        print(f"no activeness and no traversals: {error}")
    else:
        order = np.argsort(-active, kind="stable")
        for rank, i in enumerate(order.tolist(), 1):
            dimensions[i] |= {"activeness": float(active[i]), "rank": rank}
        for i in order[:_TRAVERSED_DIMENSIONS]:
            low, high = ranges[:, i]
            print(f"  z[{i}]".ljust(38), f"{active[i]:.3g}  in [{low:.2f}, {high:.2f}]")

    try:
        record["dci"] = _dci(measured.objects, data)
    except UserError as error:
        print(f"no DCI: {error}")

    output = cli.output_folder(_OUTPUT.value, workdir)
    write_atomically(output / "latents.json", (json.dumps(record, indent=2) + "\n").encode())
    for name, picture in pictures.items():
        figures.save_png(output / name, picture)
    print("wrote", ", ".join([str(output / "latents.json"), *pictures]))


def _measure(trained: inference.TrainedModel) -> _Measured:
    """Runs the model on all images."""
    options = cli.parse_options(_OPTIONS.value)
    if _NUM_SLOTS.value:
        options["num_slots"] = _NUM_SLOTS.value
    size = _BATCH_SIZE.value
    count = max(_NUM_IMAGES.value, _DCI_IMAGES.value)
    batches = eval_batches(
        trained.config.data, _SPLIT.value, size, count, 0, 1, extra_fields=("factors",)
    )
    factors = open_builder(trained.config.data).factors
    images, slots, objects = [], [], []
    for i, batch in enumerate(batches):
        outputs = trained(batch["image"], _SEED.value + i, **options)
        images.append(batch["image"])
        slots.append(jax.device_get(outputs.slots))
        if {"masks", "factors"} <= batch.keys():
            batch["valid"] &= i * size + np.arange(size) < _DCI_IMAGES.value
            log_masks = segmentation.resize_log_masks(
                activeness.masks_of_codes(trained, outputs), batch["masks"].shape[1]
            )
            codes, log_masks = jax.device_get((dci.slot_codes(outputs), log_masks))
            objects.append(dci.match_objects(batch, codes, log_masks, factors, _MIN_PIXELS.value))
    return _Measured(
        np.concatenate(images)[: _NUM_IMAGES.value],
        np.concatenate(slots)[: _NUM_IMAGES.value],
        jax.tree.map(lambda *parts: np.concatenate(parts), *objects) if objects else None,
    )


def _pair(text: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """ "3,1" -> (2, 0), if there are as many images and slots, [N, K, D].

    Raises:
      InputError: something else.
    """
    match = re.fullmatch(r"(\d+),(\d+)", text)
    image, slot = map(int, match.groups()) if match else (0, 0)
    if not (1 <= image <= shape[0] and 1 <= slot <= shape[1]):
        raise InputError(
            f"--traverse={text} is not IMAGE,SLOT, from 1,1 to {shape[0]},{shape[1]} here."
        )
    return image - 1, slot - 1


def _activeness(
    trained: inference.TrainedModel,
    measured: _Measured,
    ranges: np.ndarray,
    pairs: list[tuple[int, int]],
) -> tuple[np.ndarray, dict[str, Image.Image]]:
    """Mean activeness [D] and the pictures, of these images and slots or of those that matter most."""
    slots = measured.slots
    chosen = activeness.random_slots(*slots.shape[:2], _SEED.value)
    active = activeness.activeness(trained, slots, chosen, ranges, _BATCH_SIZE.value)
    if not pairs:
        most = np.argsort(-active.sum(axis=1), kind="stable")[:_TRAVERSED_IMAGES]
        pairs = [(i, chosen[i]) for i in most]
    dimensions = np.argsort(-active.mean(axis=0), kind="stable")[:_TRAVERSED_DIMENSIONS]
    image, slot = np.repeat(pairs, len(dimensions), axis=0).T
    decoded = jax.device_get(activeness.decode(trained, slots[[i for i, _ in pairs]]))
    row = np.arange(len(image)) // len(dimensions)
    traversals = [
        activeness.traverse(trained, slots[i], k, dimensions, ranges, _BATCH_SIZE.value)
        for i, k in pairs
    ]
    picture = figures.traversal_figure(
        to_float(measured.images[image]),
        decoded.components[row, slot],
        decoded.log_masks[row, slot],
        np.concatenate(traversals),
        [
            f"image {i + 1}, slot {k + 1}\nz[{d}]\n{ranges[0, d]:.2f} to {ranges[1, d]:.2f}"
            for i, k in pairs
            for d in dimensions
        ],
    )
    heat = figures.activeness_figure(active)
    return active.mean(axis=0), {"activeness.png": heat, "traversals.png": picture}


def _dci(
    objects: tuple[np.ndarray, dict[str, np.ndarray]] | None, data: ConfigDict
) -> dict[str, Any]:
    """Scores of matched objects, which are also printed.

    Raises:
      UserError: there is nothing to score, or scikit-learn is missing.
    """
    if objects is None:
        raise InputError(f"{data.name} has no masks or no factors of objects.")
    codes, values = objects
    factors = dci.with_kinds(values, open_builder(data).factors)
    scores = dataclasses.asdict(dci.dci(codes, factors))
    print(f"DCI of {len(codes)} objects in {_DCI_IMAGES.value} images")
    for name, value in scores.items():
        if isinstance(value, float):
            print(f"  {name:36s} {value:.4f}")
    for name, value in scores["informativeness"].items():
        print(f"    {name:34s} {value:.4f}")
    scores["importance"] = scores["importance"].tolist()
    return {"num_images": _DCI_IMAGES.value, "num_objects": len(codes), **scores}


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    cli.run(main)
