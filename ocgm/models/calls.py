"""Compiled calls of models; evaluation, inference and commands all use these.

Each is compiled once for each model, shape of its arrays and set of options.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax

from ocgm.models.base import Model, Outputs, Sample, stream_keys

Options = tuple[tuple[str, Any], ...]


def static_options(options: Mapping[str, Any]) -> Options:
    """Return keyword arguments as a sorted tuple, which can be a static argument of a compiled function."""
    return tuple(sorted(options.items()))


@functools.partial(jax.jit, static_argnames=("model", "options"))
def infer(
    model: Model,
    variables: Mapping[str, Any],
    images: jax.Array,
    key: jax.Array,
    options: Options = (),
) -> Outputs:
    """Return the outputs of a model in evaluation mode.

    Args:
      model: a model of the contract (`ocgm.models.base.Model`).
      variables: its variables.
      images: float32 [B, S, S, 3] in [0, 1].
      key: key of the random streams.
      options: keyword arguments of the model's call, as `static_options` returns them.
    """
    result: Any = model.apply(
        variables, images, train=False, rngs=stream_keys(key), **dict(options)
    )
    return result


@functools.partial(jax.jit, static_argnames=("model", "batch_size", "num_slots"))
def sample(
    model: Model,
    variables: Mapping[str, Any],
    key: jax.Array,
    batch_size: int,
    num_slots: int = 0,
) -> Sample:
    """Return scenes drawn from a model's prior, with the configured number of slots if `num_slots` is 0."""
    result: Any = model.apply(
        variables, batch_size, num_slots, method="sample", rngs=stream_keys(key)
    )
    return result


@functools.partial(jax.jit, static_argnames="model")
def decode_slots(model: Model, variables: Mapping[str, Any], slots: jax.Array) -> Sample:
    """Return the scenes that latents [B, K, D] describe.

    Raises:
      InputError: the model cannot decode latents alone.
    """
    result: Any = model.apply(variables, slots, method="decode_slots")
    return result


@functools.partial(jax.jit, static_argnames="model")
def features(
    model: Model, variables: Mapping[str, Any], images: jax.Array, key: jax.Array
) -> jax.Array:
    """Return vectors [B, F] for downstream use, of float32 images [B, S, S, 3] in [0, 1]."""
    result: Any = model.apply(variables, images, method="features", rngs=stream_keys(key))
    return result
