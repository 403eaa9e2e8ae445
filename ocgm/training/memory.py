"""The memory that a training step needs, estimated before anything is compiled."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from ocgm import models
from ocgm.errors import ConfigError
from ocgm.losses import LossWeights
from ocgm.models.base import stream_keys
from ocgm.training.step import InferenceState, make_loss_function
from ocgm.training.writers import say

# Slots times pixels of a device's part of the batch. A batch of the papers has fewer: tracing it would take longer
# than the estimate is worth.
_LEAST_TO_ESTIMATE = 2**20
# Loops over slots are unrolled, and tracing hundreds takes minutes: beyond this number the memory is extrapolated.
_MOST_SLOTS_TRACED = 8
# So many that the parameters, which are kept once, do not count.
_IMAGES_TRACED = 4096


def warn(config: ml_collections.ConfigDict, mesh: jax.sharding.Mesh) -> None:
    """Print how much memory a step needs if that may be more than a device has."""
    images = config.batch_size // mesh.size
    slots = config.model.get("num_slots", 1)
    if images * slots * config.model.image_size**2 < _LEAST_TO_ESTIMATE:
        return
    needed, present = images * bytes_per_image(config.model), _bytes_of_a_device()
    if needed < present / 2:
        return
    remedy = "lower config.batch_size" + " or config.model.num_slots" * (slots > 1)
    say(
        f"warning: a step needs about {needed / 2**30:,.0f} GiB for {images:,} images on each device, which has"
        f" {present / 2**30:,.0f} GiB; {remedy} if memory runs out."
    )


def bytes_per_image(config: ml_collections.ConfigDict) -> int:
    """Return the bytes that the gradient keeps of the forward pass of an image; XLA may need fewer.

    Args:
      config: config.model.
    """
    slots = config.get("num_slots", 1)
    if slots <= _MOST_SLOTS_TRACED:
        return _traced_bytes({**config})
    few, many = (
        _traced_bytes({**config, "num_slots": number})
        for number in (_MOST_SLOTS_TRACED // 2, _MOST_SLOTS_TRACED)
    )
    of_a_slot = (many - few) / (_MOST_SLOTS_TRACED // 2)
    return many + round((slots - _MOST_SLOTS_TRACED) * of_a_slot)


def _traced_bytes(settings: dict[str, Any]) -> int:
    model = models.build(ml_collections.ConfigDict(settings))
    model_state = dict(models.abstract_variables(model))
    params = model_state.pop("params")

    def kept(params, model_state, images):
        weights = LossWeights(jnp.float32(1.0), jnp.float32(1.0))
        state = InferenceState(params, model_state, weights)
        rngs = stream_keys(jax.random.key(0))
        loss_function = make_loss_function(model, state, images, rngs, {})
        return jax.vjp(loss_function, params, has_aux=True)[1]

    side = model.image_size
    images = jax.ShapeDtypeStruct((_IMAGES_TRACED, side, side, 3), jnp.float32)
    leaves = jax.tree.leaves(jax.eval_shape(kept, params, model_state, images))
    return sum(leaf.size * np.dtype(leaf.dtype).itemsize for leaf in leaves) // _IMAGES_TRACED


def _bytes_of_a_device() -> int:
    device = jax.local_devices()[0]
    if stats := device.memory_stats():
        return stats["bytes_limit"]
    # Devices of a CPU share its memory.
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // jax.local_device_count()


@contextlib.contextmanager
def exhaustion_explained(config: ml_collections.ConfigDict) -> Iterator[None]:
    """Turn JAX's errors on exhausted memory into one line.

    Raises:
      ConfigError: in place of such an error.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise ConfigError(
            f"The devices' memory does not suffice for config.batch_size={config.batch_size}: lower it or"
            " config.model.num_slots, or use more devices."
        ) from error
