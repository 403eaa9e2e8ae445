"""Decoders of EfficientMORL and Slot Attention, which add a learned projection of the position to the latent."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ocgm.errors import ConfigError
from ocgm.modules.broadcast import PositionedConv, position_code
from ocgm.modules.initializers import LayerInit, pytorch_init
from ocgm.modules.layers import Conv, Dense, TransposedConv, depth_to_space


class PositionedConvDecoder(nn.Module):
    """Decoder that tiles latents over a grid, adds a projection of the position, and applies convolutions.

    The grid is wider than the image by the border that the convolutions remove.

    Attributes:
      image_size: side of the output.
      features: channels of the hidden layers.
      kernel_sizes: kernel size of every layer, the output's last.
      paddings: padding of every layer.
      out_features: channels of the output.
      activation: function after every layer but the last.
      layer_init: initialisation of all layers, the position's projection included.
      dtype: dtype of the convolutions.
    """

    image_size: int
    features: int
    kernel_sizes: tuple[int, ...]
    paddings: tuple[int, ...]
    out_features: int = 4
    activation: Callable[[jax.Array], jax.Array] = nn.relu
    layer_init: LayerInit = pytorch_init
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        """Decode latents [B, D] to maps [B, image_size, image_size, out_features]."""
        layers = list(zip(self.kernel_sizes, self.paddings, strict=True))
        (kernel, padding), *later = layers
        x = PositionedConv(
            self.features,
            self.image_size + sum(k - 1 - 2 * p for k, p in later),
            kernel_size=kernel,
            padding=padding,
            layer_init=self.layer_init,
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
      image_size: side of the output, grid_side times a power of two.
      features: channels of the hidden layers.
      grid_side: side of the grid.
      output_stride: 2 for an output layer that doubles the side (a sub-pixel convolution), which leaves no hidden layer
        at full resolution.
      out_features: channels of the output.
      same_padding: pad as TensorFlow does, otherwise as PyTorch does.
      layer_init: initialisation of all layers, the position's projection included.
      dtype: dtype of the convolutions.
    """

    image_size: int
    features: int
    grid_side: int
    output_stride: int = 1
    out_features: int = 4
    same_padding: bool = False
    layer_init: LayerInit = pytorch_init
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        """Decode latents [B, D] to maps [B, image_size, image_size, out_features]."""
        side = self.grid_side
        position = Dense(z.shape[-1], layer_init=self.layer_init, name="position")
        x = z[:, None, None] + position(position_code(side, side))[None]
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
        phases = Conv(
            4 * self.out_features,
            3,
            padding=1,
            layer_init=self.layer_init,
            dtype=self.dtype,
            name="output",
        )
        return depth_to_space(phases(x))


# Decoders of EfficientMORL and of Slot Attention by name, and the layers of those that are convolutions alone.
_CONV_DECODERS: dict[str, dict[str, Any]] = {
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
    **settings: Any,
) -> nn.Module:
    """Build a decoder with four output channels.

    Args:
      kind: "iodine", "small", "full" or "deconv".
      image_size: side of the output.
      features: channels of the hidden layers; 0 means 32 for "small" and "full", 64 for the others.
      grid_side: only for "deconv": image_size / 2^n; 0 means image_size / 16.
      output_stride, same_padding: only for "deconv"; see `PositionedDeconvDecoder`.
      **settings: other attributes of the module.

    Raises:
      ConfigError: "deconv" cannot produce images of this side.
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
