"""Gaussians from the outputs of networks (GENESIS family: bounded prior, softplus posterior)."""

import flax.linen as nn
import jax
import jax.numpy as jnp


def posterior_parameters(raw: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return mean and standard deviation, each [..., D], of a posterior from raw outputs [..., 2D]."""
    mean, raw_sigma = jnp.split(raw, 2, axis=-1)
    return mean, posterior_sigma(raw_sigma)


def posterior_sigma(raw: jax.Array) -> jax.Array:
    """Return softplus(x + 0.5) + 1e-8; the offset is in the authors' code and not in the papers."""
    return jax.nn.softplus(raw + 0.5) + 1e-8


def variance_sigma(raw: jax.Array) -> jax.Array:
    """Return sqrt(softplus(min(x, 80)) + 1e-5), EfficientMORL's scale: the softplus is the variance."""
    return jnp.sqrt(jax.nn.softplus(jnp.minimum(raw, 80.0)) + 1e-5)


def prior_parameters(raw: jax.Array, bounded_mean: bool = True) -> tuple[jax.Array, jax.Array]:
    """Return mean tanh(.) and standard deviation sigmoid(. + 4) + 1e-4 of a learned prior from [..., 2D].

    The bounds are in the authors' code and not in the papers. `bounded_mean=False` omits the tanh.
    """
    mean, raw_sigma = jnp.split(raw, 2, axis=-1)
    return jnp.tanh(mean) if bounded_mean else mean, jax.nn.sigmoid(raw_sigma + 4.0) + 1e-4


def standard_normal(
    module: nn.Module, shape: tuple[int, ...], deterministic: bool = False
) -> jax.Array:
    """Draw noise ~ N(0, I) from the module's `latent` stream; if `deterministic`, return zeros without a draw."""
    if deterministic:
        return jnp.zeros(shape)
    return jax.random.normal(module.make_rng("latent"), shape)


def sample_gaussian(
    module: nn.Module, mean: jax.Array, sigma: jax.Array, deterministic: bool = False
) -> jax.Array:
    """Return the reparameterised sample mean + sigma * noise, with noise from `standard_normal`."""
    return mean + sigma * standard_normal(module, mean.shape, deterministic)


def clip_straight_through(x: jax.Array, low: float, high: float) -> jax.Array:
    """Return clip(x, low, high), with the identity as its gradient."""
    return x + jax.lax.stop_gradient(jnp.clip(x, low, high) - x)
