"""Normalisations that compute as PyTorch's do."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ocgm.modules.layers import add_bias, over_features


class BatchNorm(nn.Module):
    """Batch normalisation as PyTorch's BatchNorm2d: [..., C] -> [..., C].

    Normalises with the batch's biased variance and keeps a running mean of the *unbiased* one, which Flax's layer does
    not. Statistics are taken over all axes but the last; under jit with a sharded batch that is the global batch.

    Attributes:
      dtype: dtype of the result; statistics and parameters are float32.
    """

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Normalise with batch statistics and update the running ones if `train`, else with the running ones."""
        features = x.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (features,))
        bias = self.param("bias", nn.initializers.zeros, (features,))
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (features,))
        running_var = self.variable("batch_stats", "var", jnp.ones, (features,))
        x = x.astype(scale.dtype)
        mean, var = running_mean.value, running_var.value
        if train:
            axes, count = tuple(range(x.ndim - 1)), x.size // features
            mean = jnp.mean(x, axes)
            var = jnp.mean(jnp.square(x - over_features(mean, x)), axes)
            if not self.is_initializing():
                unbiased = var * count / max(count - 1, 1)
                running_mean.value = 0.9 * running_mean.value + 0.1 * mean
                running_var.value = 0.9 * running_var.value + 0.1 * unbiased
        factor = jax.lax.rsqrt(var + 1e-5) * scale
        x = add_bias((x - over_features(mean, x)) * over_features(factor, x), bias)
        return x.astype(self.dtype)


def group_norm(dtype: DTypeLike, name: str | None = None) -> nn.GroupNorm:
    """Build GroupNorm with 8 groups and PyTorch's epsilon, for [B, H, W, C] with C a multiple of 8."""
    # The fast variance E[x^2] - E[x]^2 loses digits where the mean is large.
    return nn.GroupNorm(num_groups=8, epsilon=1e-5, use_fast_variance=False, dtype=dtype, name=name)


def instance_norm(dtype: DTypeLike, name: str | None = None) -> nn.GroupNorm:
    """Build instance normalisation with scale, bias and PyTorch's epsilon, for [B, H, W, C]."""
    return nn.GroupNorm(
        num_groups=None,
        group_size=1,
        epsilon=1e-5,
        use_fast_variance=False,
        dtype=dtype,
        name=name,
    )
