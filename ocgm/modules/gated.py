"""Gated convolutional encoder and decoder (van den Berg et al. 2018), the core of GENESIS's VAEs."""

import math

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ocgm.errors import ConfigError, check_choice
from ocgm.modules.broadcast import ExpandToMap
from ocgm.modules.layers import Conv, TransposedConv
from ocgm.modules.norms import BatchNorm, instance_norm

NORMS = ("batch", "instance", "none")
# Strides of the encoder's layers by image side; the decoder runs them backwards.
STRIDES = {
    32: (1, 2, 1, 2, 1),
    64: (1, 2, 1, 2, 1),
    128: (2, 2, 2, 1, 1),
    256: (2, 2, 2, 2, 1),
}
_ENCODER_FEATURES = (32, 32, 64, 64, 64)
_DECODER_FEATURES = (64, 32, 32, 32, 32)


# At larger sides the symmetric component VAE's last layer does not fit: the authors' code fails there.
_SYMMETRIC_SIDES = (32, 64)


def check(image_size: int, symmetric: bool, *norms: str) -> None:
    """Check the settings of a model's gated networks.

    Args:
      image_size: side of the images.
      symmetric: whether the networks are those of the symmetric component VAE.
      *norms: norms of the layers.

    Raises:
      ConfigError: the side or a norm is not supported.
    """
    sides = _SYMMETRIC_SIDES if symmetric else tuple(STRIDES)
    if image_size not in sides:
        kind = "the symmetric component VAE" if symmetric else "this model"
        raise ConfigError(
            f"image_size={image_size} is not supported by {kind}; use one of {sides}."
        )
    for norm in norms:
        check_choice("norm", norm, NORMS)


def bottom_side(image_size: int) -> int:
    """Return the side of the smallest map."""
    return image_size // math.prod(STRIDES[image_size])


class GatedUnit(nn.Module):
    """norm(h) * sigmoid(norm(g)) of the two halves h and g of the channels: [..., 2C] -> [..., C].

    Attributes:
      norm: "batch", "instance" or "none"; each half has its own.
      dtype: dtype of the computation.
    """

    norm: str = "none"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        h, g = jnp.split(x, 2, axis=-1)
        if self.norm == "batch":
            h = BatchNorm(dtype=self.dtype, name="h_norm")(h, train)
            g = BatchNorm(dtype=self.dtype, name="g_norm")(g, train)
        elif self.norm == "instance":
            h = instance_norm(self.dtype, name="h_norm")(h)
            g = instance_norm(self.dtype, name="g_norm")(g)
        return h * nn.sigmoid(g)


class GatedEncoder(nn.Module):
    """Five gated 5x5 convolutions and one that covers the whole map: [B, S, S, in] -> [B, features].

    Attributes:
      features: size of the output.
      norm: norm of all layers but the last, which has none.
      dtype: dtype of the computation.
    """

    features: int
    norm: str = "none"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        chex.assert_rank(x, 4)
        for i, (features, stride) in enumerate(
            zip(_ENCODER_FEATURES, STRIDES[x.shape[1]], strict=True)
        ):
            x = Conv(2 * features, 5, stride, padding=2, dtype=self.dtype, name=f"conv_{i}")(x)
            x = GatedUnit(self.norm, dtype=self.dtype, name=f"gate_{i}")(x, train)
        x = Conv(2 * self.features, x.shape[1], dtype=self.dtype, name="conv_5")(x)
        return GatedUnit(dtype=self.dtype, name="gate_5")(x, train)[:, 0, 0]


class GatedDecoder(nn.Module):
    """The reverse of the encoder, with transposed convolutions: [B, D] -> [B, image_size, image_size, out_features].

    Attributes:
      image_size: side of the output.
      out_features: channels of the output, a 1x1 convolution.
      norm: norm of all layers but the first, which has none.
      dtype: dtype of the computation.
    """

    image_size: int
    out_features: int
    norm: str = "none"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array, train: bool) -> jax.Array:
        chex.assert_rank(z, 2)
        side, strides = bottom_side(self.image_size), reversed(STRIDES[self.image_size])
        x = ExpandToMap(2 * 64, side, dtype=self.dtype, name="conv_0")(z)
        x = GatedUnit(dtype=self.dtype, name="gate_0")(x, train)
        for i, (features, stride) in enumerate(zip(_DECODER_FEATURES, strides, strict=True), 1):
            x = TransposedConv(2 * features, stride=stride, dtype=self.dtype, name=f"conv_{i}")(x)
            x = GatedUnit(self.norm, dtype=self.dtype, name=f"gate_{i}")(x, train)
        return Conv(self.out_features, 1, dtype=self.dtype, name="output")(x)
