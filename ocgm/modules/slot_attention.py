"""Attention and pixel encoder of Slot Attention and EfficientMORL."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ocgm.modules.broadcast import position_code
from ocgm.modules.initializers import LayerInit, pytorch_init
from ocgm.modules.layers import Conv, Dense


def attend(queries: jax.Array, keys: jax.Array, values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Attend: softmax over the slots, then for each slot a weighted mean over the inputs.

    Args:
      queries: [B, K, D], scaled by D^-1/2 here.
      keys: [B, N, D].
      values: [B, N, E].

    Returns:
      Attention [B, K, N], which sums to one over the slots, and updates [B, K, E].
    """
    chex.assert_rank([queries, keys, values], 3)
    queries = queries * queries.shape[-1] ** -0.5
    attention = nn.softmax(jnp.einsum("bkd,bnd->bkn", queries, keys), axis=1)
    weights = attention + 1e-8
    weights = weights / jnp.sum(weights, axis=2, keepdims=True)
    return attention, jnp.einsum("bkn,bne->bke", weights, values)


class PixelEncoder(nn.Module):
    """Features of every pixel: convolutions, a learned projection of the position, layer norm and an MLP.

    Attributes:
      features: channels of each 5x5 convolution.
      strides: stride of each convolution.
      feature_size: C, size of the MLP; 0 means the last convolution's channels.
      epsilon: epsilon of the layer norm.
      layer_init: initialisation of all layers but the position's projection.
      position_init: initialisation of the position's projection.
      dtype: dtype of the convolutions.
    """

    features: tuple[int, ...] = (64, 64, 64, 64)
    strides: tuple[int, ...] = (1, 1, 1, 1)
    feature_size: int = 0
    epsilon: float = 1e-5
    layer_init: LayerInit = pytorch_init
    position_init: LayerInit = pytorch_init
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Encode images [B, H, W, 3] to features [B, N, C], N = H' * W' in row-major order."""
        x = images
        for i, (features, stride) in enumerate(zip(self.features, self.strides, strict=True)):
            conv = Conv(
                features,
                5,
                stride,
                padding=2,
                layer_init=self.layer_init,
                dtype=self.dtype,
                name=f"conv_{i}",
            )
            x = nn.relu(conv(x))
        batch, height, width, channels = x.shape
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        position = Dense(channels, layer_init=self.position_init, name="position")
        x = x + position(position_code(height, width))[None]
        x = x.reshape(batch, height * width, channels)
        x = nn.LayerNorm(self.epsilon, use_fast_variance=False, name="norm")(x)
        size = self.feature_size or channels
        x = nn.relu(Dense(size, layer_init=self.layer_init, name="hidden")(x))
        return Dense(size, layer_init=self.layer_init, name="output")(x)
