"""Initialisers of the libraries that the published models were written in."""

import functools
import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

Initializer = Callable[..., jax.Array]
# From a layer's fan_in: how to initialise its kernel and its bias.
LayerInit = Callable[[int], tuple[Initializer, Initializer]]


def uniform_fan_in(fan_in: int) -> Initializer:
    """Return an initialiser U(-1/sqrt(fan_in), 1/sqrt(fan_in)), PyTorch's default for weights and biases."""
    bound = 1.0 / math.sqrt(fan_in)

    def init(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def pytorch_init(fan_in: int) -> tuple[Initializer, Initializer]:
    """Return PyTorch's defaults for linear and convolutional layers."""
    return uniform_fan_in(fan_in), uniform_fan_in(fan_in)


def glorot_init(fan_in: int) -> tuple[Initializer, Initializer]:
    """Return Keras' defaults: Glorot-uniform kernels and zero biases."""
    del fan_in
    return nn.initializers.glorot_uniform(), nn.initializers.zeros


def small_normal_init(fan_in: int) -> tuple[Initializer, Initializer]:
    """Return EfficientMORL's initialisers: Xavier-normal kernels with gain 0.02 and zero biases."""
    del fan_in
    return nn.initializers.variance_scaling(0.02**2, "fan_avg", "normal"), nn.initializers.zeros


def sonnet_init(fan_in: int) -> tuple[Initializer, Initializer]:
    """Return Sonnet 1's defaults: kernels ~ N(0, 1 / fan_in) truncated at two standard deviations, and zero biases."""
    return nn.initializers.truncated_normal(fan_in**-0.5), nn.initializers.zeros


def zeros_and_ones(
    key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
) -> jax.Array:
    """Return zeros in the first half of the last axis and ones in the second, a Gaussian's parameters."""
    del key
    half = (*shape[:-1], shape[-1] // 2)
    return jnp.concatenate([jnp.zeros(half, dtype), jnp.ones(half, dtype)], axis=-1)


def vector_init(size: int) -> Initializer:
    """Return TensorFlow's default for a vector: Glorot-uniform with its size as fan-in and fan-out."""
    bound = math.sqrt(3.0 / size)
    return functools.partial(jax.random.uniform, minval=-bound, maxval=bound)
