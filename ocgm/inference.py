"""Trained models from disk, ready to use; what the commands and notebooks build on."""

import dataclasses
import functools
import io
import pathlib
from typing import Any

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from ocgm import models, run_dir, sharding
from ocgm.errors import CheckpointError, InputError
from ocgm.files import write_atomically
from ocgm.images import to_float
from ocgm.models.base import Outputs, Sample, stream_keys
from ocgm.training.checkpoint import CheckpointStore
from ocgm.training.step import abstract_inference_state

# Small models that ship with the package: GENESIS-V2 on Multi-dSprites, Slot Attention on Tetrominoes.
PRETRAINED = pathlib.Path(__file__).parent / "pretrained" / "genesis_v2_multi_dsprites"
PRETRAINED_SLOT_ATTENTION = PRETRAINED.with_name("slot_attention_tetrominoes")
_EXPORT = "variables.npz"


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A model with its weights.

    Attributes:
      config: the experiment that made it.
      model: the module.
      variables: its variables.
      step: number of updates that made them.
    """

    config: ml_collections.ConfigDict
    model: nn.Module
    variables: dict[str, Any]
    step: int

    def __call__(self, images: np.ndarray, seed: int = 0, **options: Any) -> Outputs:
        """Infer slots and reconstruct.

        Args:
          images: [B, S, S, 3], uint8, or float in [0, 1].
          seed: of latents and seed scores.
          **options: of the model's call, such as `num_slots`, `dynamic_slots`, `deterministic`; where the experiment
            evaluates with options of its own (config.evaluation.model_options) those are the defaults.

        Raises:
          InputError: wrong rank, channels, size, dtype or range.
        """
        options = {**self.config.evaluation.model_options, **options}
        models.check_options(self.model, options)
        images = check_images(images, self.config.model.image_size)
        static = tuple(sorted(options.items()))
        return _infer(self.model, self.variables, images, jax.random.key(seed), static)

    def in_batches(
        self, images: np.ndarray, batch_size: int, seed: int = 0, **options: Any
    ) -> Outputs:
        """As a call, for any number of images [N, S, S, 3]: host arrays, computed in batches of one shape."""
        padding = np.zeros((-len(images) % batch_size, *images.shape[1:]), images.dtype)
        padded = np.concatenate([images, padding])
        parts = [
            jax.device_get(self(padded[i : i + batch_size], seed + i, **options))
            for i in range(0, len(padded), batch_size)
        ]
        return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(images)], *parts)

    def sample(self, batch_size: int, seed: int = 0, num_slots: int = 0) -> Sample:
        """Draw scenes from the prior, with another number of slots if `num_slots` is not 0."""
        return _sample(self.model, self.variables, jax.random.key(seed), batch_size, num_slots)


# Compiled once for each model, shape and set of options, not once a call.
@functools.partial(jax.jit, static_argnames=("model", "options"))
def _infer(model, variables, images, key, options):
    return model.apply(variables, images, train=False, rngs=stream_keys(key), **dict(options))


@functools.partial(jax.jit, static_argnames=("model", "batch_size", "num_slots"))
def _sample(model, variables, key, batch_size, num_slots):
    return model.apply(variables, batch_size, num_slots, method="sample", rngs=stream_keys(key))


def check_images(images: np.ndarray, image_size: int) -> jax.Array:
    """float32 [B, S, S, 3] in [0, 1] from uint8 or float images.

    Raises:
      InputError: wrong rank, channels, size, dtype or range.
    """
    images = np.asarray(images)
    expected = f"[B, {image_size}, {image_size}, 3]"
    if images.ndim != 4 or images.shape[-1] != 3:
        raise InputError(f"images have shape {list(images.shape)}; expected {expected}.")
    if images.shape[1:3] != (image_size, image_size):
        raise InputError(
            f"images are {images.shape[1]}x{images.shape[2]}; this model takes {expected}. Crop and"
            " resize them, or use `python -m ocgm.segment`, which does."
        )
    if not len(images):
        raise InputError(f"there is no image in {list(images.shape)}; expected {expected}.")
    if images.dtype == np.uint8:
        return to_float(jnp.asarray(images))
    if not np.issubdtype(images.dtype, np.floating):
        raise InputError(f"images are {images.dtype}; expected uint8, or float in [0, 1].")
    if not np.isfinite(images).all():
        raise InputError("images hold NaN or infinite values.")
    if images.min() < 0.0 or images.max() > 1.0:
        raise InputError(
            f"float images must be in [0, 1]; these are in [{images.min():.4g}, {images.max():.4g}]."
            " Divide 8-bit values by 255, or pass them as uint8."
        )
    return jnp.asarray(images, jnp.float32)


def load(workdir: pathlib.Path, step: int | None = None) -> TrainedModel:
    """The model of a run, or of an exported folder.

    Args:
      workdir: folder of a run, of an export, or `PRETRAINED`.
      step: a step that the run saved; its newest sound checkpoint by default.

    Raises:
      UserError: there is no checkpoint, or it is damaged.
    """
    config = run_dir.load(workdir)
    model = models.build(config.model)
    if (workdir / _EXPORT).exists():
        return _load_export(workdir, config, model)
    if not (workdir / "checkpoints").is_dir():
        raise CheckpointError(f"{workdir} holds no checkpoint yet.")
    with CheckpointStore(workdir) as checkpoints:
        abstract = abstract_inference_state(model, sharding.make_mesh())
        restored = checkpoints.restore(abstract, step=step)
    if restored is None:
        raise CheckpointError(f"{workdir} holds no checkpoint yet.")
    for problem in restored.problems:
        print(f"warning: {problem}", flush=True)
    return TrainedModel(config, model, restored.state.variables, restored.step)


def export(trained: TrainedModel, folder: pathlib.Path) -> None:
    """Write config.json and the variables alone, without optimiser state, as one npz."""
    flat = flax.traverse_util.flatten_dict(jax.device_get(trained.variables), sep="/")
    write_atomically(folder / "config.json", run_dir.to_json(trained.config).encode())
    buffer = io.BytesIO()
    np.savez(buffer, step=trained.step, **flat)
    write_atomically(folder / _EXPORT, buffer.getvalue())


def _load_export(
    folder: pathlib.Path, config: ml_collections.ConfigDict, model: nn.Module
) -> TrainedModel:
    try:
        with np.load(folder / _EXPORT) as arrays:
            flat = {name: arrays[name] for name in arrays.files}
    except Exception as error:  # zipfile and NumPy raise several kinds for a damaged file.
        raise CheckpointError(f"{folder / _EXPORT} cannot be read ({error}).") from error
    step = int(flat.pop("step"))
    return TrainedModel(config, model, flax.traverse_util.unflatten_dict(flat, sep="/"), step)
