"""Decoders that turn one latent vector into the picture of one slot."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ocgm.errors import ConfigError
from ocgm.modules.layers import (
    BroadcastConv,
    Conv,
    Dense,
    LayerInit,
    PositionedConv,
    TransposedConv,
    coordinates,
    depth_to_space,
    group_norm,
    position_code,
    pytorch_init,
)


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
    """Runs a network with the slots folded into the batch: [B, K, ...] -> [B, K, ...], at least float32.

    Unlike `over_slots` this takes batch statistics over all slots.
    """
    batch, num_slots = x.shape[:2]
    y = network(x.reshape(batch * num_slots, *x.shape[2:]))
    y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
    return y.reshape(batch, num_slots, *y.shape[1:])


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


class PositionedConvDecoder(nn.Module):
    """Tiles latents over a grid, adds a learned projection of the position, and applies convolutions.

    The grid is as much wider than the image as the convolutions take off.

    Attributes:
      image_size: side of the output.
      features: channels of the hidden layers.
      kernel_sizes: of every layer, the output's last.
      paddings: of every layer.
      out_features: channels of the output.
      activation: after every layer but the last.
      layer_init: of the convolutions.
      position_init: of the position's projection.
      dtype: dtype of the convolutions.
    """

    image_size: int
    features: int
    kernel_sizes: tuple[int, ...]
    paddings: tuple[int, ...]
    out_features: int = 4
    activation: Callable[[jax.Array], jax.Array] = nn.relu
    layer_init: LayerInit = pytorch_init
    position_init: LayerInit = pytorch_init
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        """Latents [B, D] -> [B, image_size, image_size, out_features]."""
        layers = list(zip(self.kernel_sizes, self.paddings, strict=True))
        (kernel, padding), *later = layers
        x = PositionedConv(
            self.features,
            self.image_size + sum(k - 1 - 2 * p for k, p in later),
            kernel_size=kernel,
            padding=padding,
            layer_init=self.layer_init,
            position_init=self.position_init,
            dtype=self.dtype,
            name="conv_0",
        )(z)
        for i, (kernel, padding) in enumerate(later, 1):
            features = self.out_features if i == len(later) else self.features
            conv = Conv(
                features,
                kernel,
                1,
                padding,
                layer_init=self.layer_init,
                dtype=self.dtype,
                name=f"conv_{i}",
            )
            x = conv(self.activation(x))
        return x


class PositionedDeconvDecoder(nn.Module):
    """Slot Attention's decoder: broadcast to a small grid, positions added, transposed convolutions.

    Attributes:
      image_size: side of the output, grid_side doubled some times.
      features: channels of the hidden layers.
      grid_side: side of the grid.
      output_stride: 2 for an output layer that doubles the side (a sub-pixel convolution), which leaves no hidden layer
        at full resolution.
      out_features: channels of the output.
      same_padding: pad as TensorFlow does, otherwise as PyTorch does.
      layer_init: of the convolutions.
      position_init: of the position's projection.
      dtype: dtype of the convolutions.
    """

    image_size: int
    features: int
    grid_side: int
    output_stride: int = 1
    out_features: int = 4
    same_padding: bool = False
    layer_init: LayerInit = pytorch_init
    position_init: LayerInit = pytorch_init
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        """Latents [B, D] -> [B, image_size, image_size, out_features]."""
        side = self.grid_side
        position = Dense(z.shape[-1], layer_init=self.position_init, name="position")
        x = z[:, None, None] + position(position_code(side, side))
        upsamplings = (self.image_size // self.output_stride // side).bit_length() - 1
        for i in range(upsamplings + 1):
            x = TransposedConv(
                self.features,
                stride=2 if i < upsamplings else 1,
                same_padding=self.same_padding,
                layer_init=self.layer_init,
                dtype=self.dtype,
                name=f"deconv_{i}",
            )(x)
            x = nn.relu(x)
        if self.output_stride == 1:
            output = TransposedConv(
                self.out_features,
                3,
                1,
                layer_init=self.layer_init,
                dtype=self.dtype,
                name="output",
            )
            return output(x)
        output = Conv(
            4 * self.out_features,
            3,
            padding=1,
            layer_init=self.layer_init,
            dtype=self.dtype,
            name="output",
        )
        return depth_to_space(output(x))


# Decoders of EfficientMORL and of Slot Attention by name, and the layers of those that are convolutions alone.
_CONV_DECODERS = {
    "iodine": {"kernel_sizes": (3,) * 5, "paddings": (0,) * 5, "activation": nn.elu},
    "small": {"kernel_sizes": (5, 5, 5, 3), "paddings": (1, 1, 1, 1)},
    "full": {"kernel_sizes": (5, 5, 5, 3), "paddings": (2, 2, 2, 1)},
}
POSITIONED_DECODERS = (*_CONV_DECODERS, "deconv")


def positioned_decoder(
    kind: str,
    image_size: int,
    *,
    features: int = 0,
    grid_side: int = 0,
    output_stride: int = 1,
    same_padding: bool = False,
    **settings: object,
) -> nn.Module:
    """A decoder with four channels of output.

    Args:
      kind: "iodine", "small", "full" or "deconv".
      image_size: side of the output.
      features: channels of the hidden layers; 0 means 32 of "small" and "full", 64 of the others.
      grid_side: of "deconv", image_size / 2^n; 0 means image_size / 16.
      output_stride, same_padding: of "deconv", as of `PositionedDeconvDecoder`.
      **settings: of the module.

    Raises:
      ConfigError: "deconv" cannot make this side.
    """
    features = features or (32 if kind in ("small", "full") else 64)
    if kind != "deconv":
        return PositionedConvDecoder(image_size, features, **_CONV_DECODERS[kind], **settings)
    grid_side = grid_side or image_size // 16
    factor = image_size // max(grid_side, 1)
    if factor * grid_side != image_size or factor & (factor - 1):
        raise ConfigError(
            f"decoder='deconv': image_size={image_size} is not a grid of {grid_side} pixels doubled"
            " some times."
        )
    return PositionedDeconvDecoder(
        image_size,
        features,
        grid_side,
        output_stride=output_stride,
        same_padding=same_padding,
        **settings,
    )
