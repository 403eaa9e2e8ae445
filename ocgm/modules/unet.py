"""U-Net of MONet's attention network and GENESIS-V2's backbone (GENESIS-V2 appendix B)."""

import math

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ocgm.modules.layers import Conv, Dense
from ocgm.modules.norms import group_norm, instance_norm

# Channels of the blocks in units of the first block's, by number of blocks. The upward path is
# what the authors' code has; the papers' "reverse of the encoder" would differ in one block. Three
# blocks, for 16x16, are ours, by the same pattern.
_DOWN = {3: (1, 2, 2), 4: (1, 2, 2, 2), 5: (1, 1, 2, 2, 2), 6: (1, 1, 1, 2, 2, 2)}
_UP = {3: (2, 1, 1), 4: (2, 2, 1, 1), 5: (2, 2, 1, 1, 1), 6: (2, 2, 1, 1, 1, 1)}
SUPPORTED_SIDES = tuple(2 ** (blocks + 1) for blocks in _DOWN)


def down_up_blocks(image_size: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the widths of the downward and the upward blocks, in units of the first block's."""
    blocks = int(math.log2(image_size)) - 1
    return _DOWN[blocks], _UP[blocks]


class UNet(nn.Module):
    """U-Net [B, S, S, C] -> [B, S, S, features] for S in 16, 32, 64, 128.

    Every block is a 3x3 convolution without bias, a norm and ReLU. Resolution halves after each downward block but
    the last and doubles after each upward block but the last, by nearest neighbour; the bottom is a 4x4 map through a
    three-layer perceptron.

    Attributes:
      features: channels of the first block and of the output.
      norm: "group" (GENESIS-V2) or "instance" (MONet).
      dtype: dtype of the computation.
    """

    features: int
    norm: str = "group"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        chex.assert_rank(x, 4)
        down, up = down_up_blocks(x.shape[1])
        skips = []
        for i, multiple in enumerate(down):
            if i > 0:
                x = x[:, ::2, ::2]
            x = self._block(multiple, f"down_{i}")(x)
            skips.append(x)
        x = self._bottleneck(x)
        for i, multiple in enumerate(up):
            if i > 0:
                x = x.repeat(2, axis=1).repeat(2, axis=2)
            x = jnp.concatenate([x, skips[-1 - i]], axis=-1)
            x = self._block(multiple, f"up_{i}")(x)
        return x

    def _block(self, multiple: int, name: str) -> nn.Module:
        return ConvBlock(multiple * self.features, norm=self.norm, dtype=self.dtype, name=name)

    def _bottleneck(self, x: jax.Array) -> jax.Array:
        batch, height, width, channels = x.shape
        x = x.reshape(batch, height * width * channels)
        for i, features in enumerate((128, 128, height * width * channels)):
            x = nn.relu(Dense(features, dtype=self.dtype, name=f"mlp_{i}")(x))
        return x.reshape(batch, height, width, channels)


class ConvBlock(nn.Module):
    """3x3 convolution without bias, a norm ("group" or "instance"), ReLU: [B, H, W, in] -> [B, H, W, features]."""

    features: int
    norm: str = "group"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        norm = {"group": group_norm, "instance": instance_norm}[self.norm]
        x = Conv(self.features, 3, padding=1, use_bias=False, dtype=self.dtype, name="conv")(x)
        return nn.relu(norm(self.dtype, name="norm")(x))
