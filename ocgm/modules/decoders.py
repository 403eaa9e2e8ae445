"""Decoders that turn one latent vector into the picture of one slot."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ocgm.modules.layers import Conv, UpsamplingConv, coordinates, group_norm


class DeconvBroadcastDecoder(nn.Module):
    """Broadcasts latents to a small grid and upsamples it 16 times (GENESIS-V2 appendix B).

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
        """Latents [B, D] -> [B, image_size, image_size, out_features]."""
        side = self.image_size // 16
        batch, latent_size = z.shape
        grid = jnp.broadcast_to(coordinates(side, side), (batch, side, side, 2))
        x = jnp.broadcast_to(z[:, None, None], (batch, side, side, latent_size))
        x = jnp.concatenate([x, grid], axis=-1)
        for i in range(4):
            x = UpsamplingConv(self.features, dtype=self.dtype, name=f"deconv_{i}")(x)
            x = nn.relu(group_norm(self.dtype, name=f"norm_{i}")(x))
        return Conv(self.out_features, 1, dtype=self.dtype, name="output")(x)
