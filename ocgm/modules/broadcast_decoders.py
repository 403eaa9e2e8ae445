"""Spatial broadcast decoders of the GENESIS family: a latent tiled over pixel coordinates."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ocgm.modules.broadcast import BroadcastConv, coordinates
from ocgm.modules.layers import Conv, TransposedConv
from ocgm.modules.norms import group_norm


class DeconvBroadcastDecoder(nn.Module):
    """Decoder that broadcasts latents to a small grid and upsamples it 16 times (GENESIS-V2 appendix B).

    Attributes:
      image_size: side of the output, a multiple of 16.
      features: channels of the hidden layers.
      out_features: channels of the output.
      dtype: dtype of the computation.
    """

    image_size: int
    features: int
    out_features: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        """Decode latents [B, D] to maps [B, image_size, image_size, out_features]."""
        side = self.image_size // 16
        batch, latent_size = z.shape
        grid = jnp.broadcast_to(coordinates(side, side), (batch, side, side, 2))
        x = jnp.broadcast_to(z[:, None, None], (batch, side, side, latent_size))
        x = jnp.concatenate([x, grid], axis=-1)
        for i in range(4):
            x = TransposedConv(self.features, dtype=self.dtype, name=f"deconv_{i}")(x)
            x = nn.relu(group_norm(self.dtype, name=f"norm_{i}")(x))
        return Conv(self.out_features, 1, dtype=self.dtype, name="output")(x)


class SpatialBroadcastDecoder(nn.Module):
    """Decoder that tiles latents over the image and applies four convolutions (Watters et al. 2019; GENESIS).

    Attributes:
      image_size: side of the output.
      features: channels of the hidden layers.
      out_features: channels of the output.
      activation: after every hidden layer.
      dtype: dtype of the computation.
    """

    image_size: int
    features: int
    out_features: int
    activation: Callable[[jax.Array], jax.Array] = nn.elu
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        """Decode latents [B, D] to maps [B, image_size, image_size, out_features]."""
        # Each 3x3 convolution without padding removes a border of one pixel.
        x = BroadcastConv(self.features, self.image_size + 6, dtype=self.dtype, name="conv_0")(z)
        x = self.activation(x)
        for i in range(1, 4):
            x = self.activation(Conv(self.features, 3, dtype=self.dtype, name=f"conv_{i}")(x))
        return Conv(self.out_features, 1, dtype=self.dtype, name="output")(x)
