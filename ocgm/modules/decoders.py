"""Decoders that turn one latent vector into the picture of one slot."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ocgm.modules.layers import BroadcastConv, Conv, TransposedConv, coordinates, group_norm


def over_slots(decoder: type[nn.Module]) -> type[nn.Module]:
    """One decoder with the same weights for every slot: [B, K, D] -> [B, K, H, W, out_features]."""
    return nn.vmap(
        decoder,
        variable_axes={"params": None},
        split_rngs={"params": False},
        in_axes=1,
        out_axes=1,
    )


def fold_slots(network: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """Runs a network with the slots folded into the batch: [B, K, ...] -> float32 [B, K, ...].

    Unlike `over_slots` this takes batch statistics over all slots.
    """
    batch, num_slots = x.shape[:2]
    y = network(x.reshape(batch * num_slots, *x.shape[2:]))
    return y.reshape(batch, num_slots, *y.shape[1:]).astype(jnp.float32)


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
            x = TransposedConv(self.features, dtype=self.dtype, name=f"deconv_{i}")(x)
            x = nn.relu(group_norm(self.dtype, name=f"norm_{i}")(x))
        return Conv(self.out_features, 1, dtype=self.dtype, name="output")(x)


class SpatialBroadcastDecoder(nn.Module):
    """Tiles latents over the whole image and applies four convolutions (Watters et al. 2019; GENESIS appendix B).

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
        """Latents [B, D] -> [B, image_size, image_size, out_features]."""
        # Each 3x3 convolution without padding takes off a border of one pixel.
        x = BroadcastConv(self.features, self.image_size + 6, dtype=self.dtype, name="conv_0")(z)
        x = self.activation(x)
        for i in range(1, 4):
            x = self.activation(Conv(self.features, 3, dtype=self.dtype, name=f"conv_{i}")(x))
        return Conv(self.out_features, 1, dtype=self.dtype, name="output")(x)
