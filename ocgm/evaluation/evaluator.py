"""Evaluation on held-out images, of any model of the contract."""

import operator
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from PIL import Image

from ocgm import models, sharding
from ocgm.data import eval_batches, registry
from ocgm.datasets.builders import resizing
from ocgm.evaluation import segmentation
from ocgm.images import to_float
from ocgm.models import calls
from ocgm.models.base import Model, Outputs
from ocgm.plots import figures


class Evaluator:
    """Means of errors and segmentation metrics over held-out images.

    Segmentation metrics are named `ari_fg`, `msc_fg`, ... for models with one kind of masks. For models with two, the
    name has the kind that was scored: `ari_fg_attention`, `ari_fg_decoded`, ...
    Latents and seed scores are sampled, as in the papers, from keys that depend on the seed and the batch only.

    Args:
      model: any model of the contract.
      dataset: the dataset's name, for its number of labels.
      mesh: devices to run on.
      num_figure_images: number of images, from the first one, whose outputs are kept for figures.
      model_options: keyword arguments of the model's call, such as `num_slots` or `dynamic_slots`.

    Raises:
      InputError: the model has no such option.
    """

    def __init__(
        self,
        model: Model,
        dataset: str,
        mesh: jax.sharding.Mesh,
        num_figure_images: int = 8,
        model_options: Mapping[str, Any] | None = None,
    ):
        models.check_options(model, model_options or {})
        self._model = model
        self._options = calls.static_options(model_options or {})
        self._num_labels = registry.get_spec(dataset).max_objects + 1
        self._mesh = mesh
        self._num_figure_images = num_figure_images
        self._step = jax.jit(self._evaluate_batch, out_shardings=sharding.replicated(mesh))

    def run(
        self, variables: dict[str, Any], batches: Iterable[dict[str, np.ndarray]], seed: int = 0
    ) -> tuple[dict[str, float], dict[str, np.ndarray], Outputs]:
        """Evaluate a model on batches of images.

        Args:
          variables: the model's variables.
          batches: host batches with `image`, `masks` and `valid`.
          seed: seed of the latents.

        Returns:
          Mean of each metric over the valid images; the first images with their true masks; the model's outputs for
          them (host arrays). Where a metric of an image is NaN or infinite, so is the mean, and `nan_images` is the
          number of such images.
        """
        batch_sharding = sharding.batch_sharding(self._mesh)
        # Far from the keys of the training steps, which are folded in from 0 up.
        key = jax.random.fold_in(jax.random.key(seed), 2**32 - 1)
        for i, batch in enumerate(batches):
            if "masks" in batch:
                segmentation.check_labels(batch["masks"], self._num_labels)
            on_device = {
                name: jax.make_array_from_process_local_data(batch_sharding, array)
                for name, array in batch.items()
            }
            sums, figure_batch, figure_outputs = self._step(
                variables, on_device, jax.random.fold_in(key, i)
            )
            if i == 0:
                totals = sums
                # The first images are the valid ones; padding follows.
                valid = operator.itemgetter(slice(int(sums["count"])))
                figure_data = jax.device_get((figure_batch, figure_outputs))
                first, outputs = jax.tree.map(valid, figure_data)
            else:
                totals = jax.tree.map(jnp.add, totals, sums)
        totals = jax.device_get(totals)
        count, failed = int(totals.pop("count")), int(totals.pop("nan_images"))
        scores = {name: float(total / count) for name, total in totals.items()}
        if failed:
            scores["nan_images"] = failed
            if jax.process_index() == 0:
                print(f"warning: {failed} of {count} images have a metric that is NaN or infinite.")
        return scores, first, outputs

    def _evaluate_batch(self, variables, batch, key):
        # As in the train step: whole parameters, and only the batch is split.
        variables = jax.lax.with_sharding_constraint(variables, sharding.replicated(self._mesh))
        images = to_float(batch["image"])
        outputs = calls.infer(self._model, variables, images, key, self._options)
        per_image = _errors(outputs, images)
        if "masks" in batch:
            per_image |= _segmentation_scores(outputs, batch["masks"], self._num_labels)
        valid = batch["valid"]
        sums = {name: jnp.sum(jnp.where(valid, v, 0.0)) for name, v in per_image.items()}
        sums["count"] = jnp.sum(valid)
        failed = jnp.zeros_like(valid)
        for values in per_image.values():
            failed |= ~jnp.isfinite(values)
        sums["nan_images"] = jnp.sum(valid & failed)
        first = {name: batch[name] for name in ("image", "masks") if name in batch}
        return sums, *jax.tree.map(lambda x: x[: self._num_figure_images], (first, outputs))


def _errors(outputs: Outputs, images: jax.Array) -> dict[str, jax.Array]:
    """Return errors, KL divergence and number of active slots, each [B]."""
    kl_terms = (jnp.sum(term, axis=tuple(range(1, term.ndim))) for term in outputs.kl.values())
    squared = jnp.square(outputs.reconstruction - images)
    return {
        "reconstruction_error": outputs.reconstruction_error,
        "reconstruction_error_per_element": outputs.reconstruction_error / images[0].size,
        "mean_squared_error": jnp.mean(squared, axis=(1, 2, 3)),
        "kl": sum(kl_terms, start=jnp.float32(0.0)),
        "slots_used": jnp.sum(outputs.active_slots, axis=1),
    }


def _segmentation_scores(
    outputs: Outputs, true_labels: jax.Array, num_labels: int
) -> dict[str, jax.Array]:
    """Return segmentation metrics [B] of each kind of masks."""
    scores: dict[str, jax.Array] = {}
    by_origin = outputs.log_masks_by_origin
    for origin, log_masks in by_origin.items():
        suffix = f"_{origin}" if len(by_origin) > 1 else ""
        log_masks = segmentation.resize_log_masks(log_masks, true_labels.shape[1])
        metrics = segmentation.segmentation_metrics(log_masks, true_labels, num_labels)
        scores |= {f"{name}{suffix}": metric for name, metric in metrics.items()}
    return scores


def evaluate(
    model: Model,
    variables: dict[str, Any],
    data: ml_collections.ConfigDict,
    *,
    split: str = "test",
    num_images: int = 320,
    batch_size: int = 32,
    seed: int = 0,
    model_options: Mapping[str, Any] | None = None,
) -> tuple[dict[str, float], Image.Image]:
    """Evaluate a model on the first images of a split, on all devices.

    Args:
      model: a model of the contract.
      variables: its variables.
      data: config.data of an experiment.
      split: "train", "validation", "test", or another split of the dataset.
      num_images: number of images; 320 is the papers' protocol.
      batch_size: number of images per batch.
      seed: seed of the latents.
      model_options: keyword arguments of the model's call.

    Returns:
      Mean of each metric, and a figure of the first images (`evaluation_figure`).

    Raises:
      UserError: the data cannot be read, or the model has no such option.
    """
    evaluator = Evaluator(model, data.name, sharding.make_mesh(), model_options=model_options)
    batches = eval_batches(data, split, batch_size, num_images)
    scores, images, outputs = evaluator.run(variables, batches, seed)
    return scores, evaluation_figure(images, outputs)


def evaluation_figure(batch: dict[str, np.ndarray], outputs: Outputs) -> Image.Image:
    """Draw inputs beside reconstructions, true and inferred masks, and the part of each slot.

    Args:
      batch: `image` uint8 [B, H, W, 3] and, if there are true masks, `masks` [B, S, S].
      outputs: host arrays.
    """
    masks = batch.get("masks")
    if masks is not None:
        masks = resizing.nearest(masks, batch["image"].shape[1])
    return figures.reconstruction_figure(
        to_float(batch["image"]),
        outputs.reconstruction,
        outputs.log_masks,
        outputs.components,
        outputs.log_masks_by_origin,
        masks,
    )
