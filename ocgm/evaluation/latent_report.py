"""Report on a model's latents: activeness of each dimension, traversals, and DCI scores of the codes of objects.

docs/disentanglement.md explains the measures.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from PIL import Image

from ocgm.data import eval_batches, open_builder
from ocgm.errors import InputError
from ocgm.evaluation import activeness, dci, segmentation
from ocgm.images import to_float
from ocgm.models import calls
from ocgm.models.base import Model
from ocgm.plots import figures, heat_map

_TRAVERSED_IMAGES, TRAVERSED_DIMENSIONS = 2, 6

Objects = tuple[np.ndarray, dict[str, np.ndarray]]


class Measured(NamedTuple):
    """Images and what a model infers from them.

    Attributes:
      images: uint8 [N, S, S, 3], for activeness.
      slots: their sampled latents, [N, K, D].
      objects: codes, and values of the factors, of the objects, for DCI; None for datasets without masks or factors.
    """

    images: np.ndarray
    slots: np.ndarray
    objects: Objects | None

    @property
    def ranges(self) -> np.ndarray:
        """Smallest and largest value of each dimension, [2, D]."""
        return activeness.latent_ranges(self.slots)


def measure(
    model: Model,
    variables: Mapping[str, Any],
    data: ml_collections.ConfigDict,
    *,
    split: str = "test",
    num_images: int = 100,
    dci_images: int = 320,
    min_pixels: int = 50,
    batch_size: int = 32,
    seed: int = 0,
    model_options: Mapping[str, Any] | None = None,
) -> Measured:
    """Infer latents of the first images of a split, and match slots to objects.

    Args:
      model: a model of the contract.
      variables: its variables.
      data: config.data of an experiment.
      split: split of the dataset.
      num_images: number of images for activeness.
      dci_images: number of images whose objects DCI scores.
      min_pixels: DCI leaves out objects with fewer pixels.
      batch_size: number of images per batch.
      seed: seed of the latents.
      model_options: keyword arguments of the model's call.

    Raises:
      UserError: the data cannot be read.
      InputError: latents or masks of an image are NaN or infinite.
    """
    options = calls.static_options(model_options or {})
    count = max(num_images, dci_images)
    batches = eval_batches(data, split, batch_size, count, 0, 1, extra_fields=("factors",))
    factors = open_builder(data).factors
    images, slots, objects = [], [], []
    for i, batch in enumerate(batches):
        floats = to_float(jnp.asarray(batch["image"]))
        outputs = calls.infer(model, variables, floats, jax.random.key(seed + i), options)
        images.append(batch["image"][batch["valid"]])
        slots.append(jax.device_get(outputs.slots)[batch["valid"]])
        _check_finite(slots[-1])
        if {"masks", "factors"} <= batch.keys():
            batch["valid"] &= i * batch_size + np.arange(batch_size) < dci_images
            log_masks = segmentation.resize_log_masks(
                activeness.masks_of_codes(model, variables, outputs), batch["masks"].shape[1]
            )
            codes, log_masks = jax.device_get((dci.slot_codes(outputs), log_masks))
            _check_finite(codes, log_masks.max(axis=1))  # -inf is the mask of an empty slot.
            objects.append(dci.match_objects(batch, codes, log_masks, factors, min_pixels))
    return Measured(
        np.concatenate(images)[:num_images],
        np.concatenate(slots)[:num_images],
        jax.tree.map(lambda *parts: np.concatenate(parts), *objects) if objects else None,
    )


def _check_finite(*arrays: np.ndarray) -> None:
    """Check what a model infers from a batch, since no measure of NaN means anything.

    Raises:
      InputError: a number in the arrays [B, ...] is NaN or infinite.
    """
    failed = np.any([~np.isfinite(a).reshape(len(a), -1).all(axis=1) for a in arrays], axis=0)
    if failed.any():
        raise InputError(
            f"latents or masks of {failed.sum()} of {len(failed)} images are NaN or infinite, so"
            " there is nothing to measure; take an earlier checkpoint with --step."
        )


def activeness_and_figures(
    model: Model,
    variables: Mapping[str, Any],
    measured: Measured,
    pairs: Sequence[tuple[int, int]] = (),
    *,
    seed: int = 0,
    batch_size: int = 32,
) -> tuple[np.ndarray, dict[str, Image.Image]]:
    """Measure activeness and draw it and the traversals of the most active dimensions.

    Args:
      model: a model whose latents alone describe a scene.
      variables: its variables.
      measured: of `measure`.
      pairs: image and slot of each traversal; by default the two images, with the slots that were measured, in which
        the latents are most active.
      seed: seed of the slots that are measured.
      batch_size: number of scenes to decode at a time.

    Returns:
      Mean activeness [D], and figures by file name.

    Raises:
      InputError: the model cannot decode latents alone.
    """
    slots, ranges = measured.slots, measured.ranges
    chosen = activeness.random_slots(len(slots), slots.shape[1], seed)
    active = activeness.activeness(model, variables, slots, chosen, ranges, batch_size)
    if not pairs:
        most = np.argsort(-active.sum(axis=1), kind="stable")[:_TRAVERSED_IMAGES]
        pairs = [(i, chosen[i]) for i in most]
    dimensions = by_activeness(active.mean(axis=0))[:TRAVERSED_DIMENSIONS]
    traversals = [
        activeness.traverse(model, variables, slots[i], k, dimensions, ranges, batch_size)
        for i, k in pairs
    ]
    decoded = calls.decode_slots(model, variables, slots[[i for i, _ in pairs]])
    decoded = jax.device_get(decoded)
    image, slot = np.repeat(pairs, len(dimensions), axis=0).T
    row = np.arange(len(image)) // len(dimensions)
    captions = [
        f"image {i + 1}, slot {k + 1}\nz[{d}]\n{ranges[0, d]:.2f} to {ranges[1, d]:.2f}"
        for i, k in pairs
        for d in dimensions
    ]
    traversal_figure = figures.traversal_figure(
        to_float(measured.images[image]),
        decoded.components[row, slot],
        decoded.log_masks[row, slot],
        np.concatenate(traversals),
        captions,
    )
    return active.mean(axis=0), {
        "activeness.png": heat_map.activeness_figure(active),
        "traversals.png": traversal_figure,
    }


def by_activeness(active: np.ndarray) -> np.ndarray:
    """Return the dimensions, the most active one first, of their mean activeness [D]."""
    return np.argsort(-active, kind="stable")


def dimension_records(ranges: np.ndarray, active: np.ndarray | None) -> list[dict[str, Any]]:
    """Return range and, where `active` [D] is given, activeness and rank of each dimension."""
    records = [
        {"dimension": i, "min": low, "max": high} for i, (low, high) in enumerate(ranges.T.tolist())
    ]
    if active is not None:
        for rank, i in enumerate(by_activeness(active).tolist(), 1):
            records[i] |= {"activeness": float(active[i]), "rank": rank}
    return records


def dci_record(objects: Objects | None, data: ml_collections.ConfigDict) -> dict[str, Any]:
    """Return the DCI scores of matched objects as plain data (`dci.Scores`), and the number of objects.

    Raises:
      InputError: the dataset has no masks or no factors of objects, or too few objects were matched.
      UserError: scikit-learn is not installed.
    """
    if objects is None:
        raise InputError(f"{data.name} has no masks or no factors of objects.")
    codes, values = objects
    factors = dci.with_kinds(values, open_builder(data).factors)
    scores = dataclasses.asdict(dci.dci(codes, factors))
    scores["importance"] = scores["importance"].tolist()
    return {"num_objects": len(codes), **scores}
