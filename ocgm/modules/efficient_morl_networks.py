"""Networks of EfficientMORL (conditional prior, refinement network) and the posteriors that they process."""

import functools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from ocgm import losses
from ocgm.modules.distributions import variance_sigma
from ocgm.modules.gru import GRU
from ocgm.modules.initializers import small_normal_init
from ocgm.modules.layers import Dense

_HIDDEN = 128

# Layers that the authors' initialiser reaches: N(0, 0.02^2 * 2 / (fan_in + fan_out)) and zero biases.
SmallDense = functools.partial(Dense, layer_init=small_normal_init)
LayerNorm = functools.partial(nn.LayerNorm, epsilon=1e-5, use_fast_variance=False)


class Gaussian(NamedTuple):
    """Parameters of slots' posteriors, each [B, K, D]; `variance_sigma(raw)` is the standard deviation."""

    mean: jax.Array
    raw: jax.Array

    def sample(self, noise: jax.Array) -> jax.Array:
        """Return the sample that N(0, I) noise [B, K, D] gives."""
        return self.mean + variance_sigma(self.raw) * noise

    def kl(self, prior_mean: jax.Array | float, prior_sigma: jax.Array | float) -> jax.Array:
        """Return the divergence from a prior, [B, K] nats."""
        return losses.gaussian_kl(self.mean, variance_sigma(self.raw), prior_mean, prior_sigma)


class ConditionalPrior(nn.Module):
    """Prior p(z^l | u) of a stochastic layer given a sample u of its neighbour; all layers share it."""

    @nn.compact
    def __call__(self, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return mean and standard deviation, each [B, K, D], given u [B, K, D]."""
        hidden = nn.elu(SmallDense(_HIDDEN, name="hidden")(u))
        raw = SmallDense(u.shape[-1], name="scale")(hidden)
        return SmallDense(u.shape[-1], name="mean")(hidden), variance_sigma(raw)


class Refiner(nn.Module):
    """One refinement step: the posterior and the loss's gradient -> an additive update (Algorithm 1, stage 2)."""

    @nn.compact
    def __call__(
        self, posterior: Gaussian, gradient: Gaussian, state: jax.Array
    ) -> tuple[Gaussian, jax.Array]:
        """Return the new posterior and the recurrent state [B, K, D]."""
        size = state.shape[-1]
        norm = LayerNorm(use_scale=False, use_bias=False)
        gradient = jax.tree.map(norm, gradient)
        x = jnp.concatenate([*posterior, *jax.lax.stop_gradient(gradient)], axis=-1)
        x = SmallDense(size, name="encoding")(nn.elu(SmallDense(_HIDDEN, name="hidden")(x)))
        state = GRU(name="gru")(x, state)
        update = Gaussian(
            SmallDense(size, name="mean")(state), SmallDense(size, name="scale")(state)
        )
        return jax.tree.map(jnp.add, posterior, update), state
