"""How networks parameterise Gaussians (genesis family: bounded prior, softplus posterior)."""

import jax
import jax.numpy as jnp


def posterior_parameters(raw: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and standard deviation of a posterior from raw outputs [..., 2D].

    The first half is the mean; the second goes through softplus(x + 0.5) + 1e-8. The offset is in the authors' code and
    not in the papers.
    """
    mean, raw_sigma = jnp.split(raw, 2, axis=-1)
    return mean, jax.nn.softplus(raw_sigma + 0.5) + 1e-8


def prior_parameters(raw: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean tanh(.) and standard deviation sigmoid(. + 4) + 1e-4 of a learned prior from [..., 2D].

    The bounds are in the authors' code and not in the papers.
    """
    mean, raw_sigma = jnp.split(raw, 2, axis=-1)
    return jnp.tanh(mean), jax.nn.sigmoid(raw_sigma + 4.0) + 1e-4


def sample_gaussian(key: jax.Array, mean: jax.Array, sigma: jax.Array) -> jax.Array:
    """Reparameterised sample mean + sigma * epsilon, of the shape of `mean`."""
    return mean + sigma * jax.random.normal(key, mean.shape, mean.dtype)


def clip_straight_through(x: jax.Array, low: float, high: float) -> jax.Array:
    """clip(x, low, high) whose gradient is the identity."""
    return x + jax.lax.stop_gradient(jnp.clip(x, low, high) - x)
