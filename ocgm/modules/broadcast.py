"""Layers from a vector to a map, and the pixel positions that go with them."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ocgm.modules.initializers import LayerInit, pytorch_init, uniform_fan_in
from ocgm.modules.layers import Dense, add_bias, convolve


class _VectorToMap(nn.Module):
    """Base of layers [B, D] -> [B, side, side, features].

    Attributes:
      features: number of output channels.
      side: side of the output.
      dtype: dtype of the computation; parameters are float32.
    """

    features: int
    side: int
    dtype: DTypeLike = jnp.float32


class ExpandToMap(_VectorToMap):
    """Transposed convolution of a 1x1 map to a side x side one: [B, in] -> [B, side, side, features].

    Equal to PyTorch's ConvTranspose2d with kernel size `side`, stride 1 and no padding, as a matrix product.
    """

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        chex.assert_rank(x, 2)
        init = uniform_fan_in(self.features * self.side**2)
        kernel = self.param("kernel", init, (self.side, self.side, x.shape[-1], self.features))
        bias = self.param("bias", init, (self.features,))
        x = jnp.einsum("bi,hwio->bhwo", x.astype(self.dtype), kernel.astype(self.dtype))
        return add_bias(x, bias.astype(self.dtype))


class _BroadcastConv(_VectorToMap):
    """Convolution of a latent tiled over a grid that also carries pixel positions.

    Attributes:
      features: number of output channels.
      side: side of the output; the grid's is side + kernel_size - 1 - 2 * padding.
      kernel_size: side of the square kernel.
      padding: zeros around the grid.
      layer_init: of kernel and bias.
      dtype: dtype of the computation; parameters are float32.
    """

    kernel_size: int = 3
    padding: int = 0
    layer_init: LayerInit = pytorch_init

    @property
    def grid_side(self) -> int:
        """Side of the grid."""
        return self.side + self.kernel_size - 1 - 2 * self.padding

    def weights(self, in_features: int) -> tuple[jax.Array, jax.Array]:
        """Return kernel and bias in the dtype of the computation."""
        k = self.kernel_size
        kernel_init, bias_init = self.layer_init(in_features * k * k)
        kernel = self.param("kernel", kernel_init, (k, k, in_features, self.features))
        bias = self.param("bias", bias_init, (self.features,))
        return kernel.astype(self.dtype), bias.astype(self.dtype)

    def of_latent(self, z: jax.Array, kernel: jax.Array) -> jax.Array:
        """Convolve the tiled latent alone, [B, D] -> [B, side, side, features], at the cost of a k x k grid.

        Over constant channels all windows have the same values, except those that cross the border.
        """
        k, p = self.kernel_size, self.padding
        tiled = jnp.broadcast_to(z.astype(self.dtype)[:, None, None], (len(z), k, k, z.shape[-1]))
        x = convolve(tiled, kernel, [(p, p)] * 2)
        for axis in (1, 2):
            before, middle, after = jnp.split(x, [p, p + 1], axis)
            shape = list(middle.shape)
            shape[axis] = self.side - 2 * p
            x = jnp.concatenate([before, jnp.broadcast_to(middle, shape), after], axis)
        return x

    def of_grid(self, grid: jax.Array, kernel: jax.Array) -> jax.Array:
        """Convolve a map that all images share, [grid_side, grid_side, C] -> [1, side, side, features]."""
        return convolve(grid[None].astype(self.dtype), kernel, [(self.padding,) * 2] * 2)


class BroadcastConv(_BroadcastConv):
    """`_BroadcastConv` whose grid has two more channels, the coordinates (y, x), after the latent's."""

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        chex.assert_rank(z, 2)
        size = z.shape[-1]
        kernel, bias = self.weights(size + 2)
        grid = coordinates(self.grid_side, self.grid_side)
        x = self.of_latent(z, kernel[:, :, :size])
        return add_bias(x + self.of_grid(grid, kernel[:, :, size:]), bias)


class PositionedConv(_BroadcastConv):
    """`_BroadcastConv` that adds a learned projection of `position_code` to the tiled latent."""

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        chex.assert_rank(z, 2)
        kernel, bias = self.weights(z.shape[-1])
        code = position_code(self.grid_side, self.grid_side)
        code = Dense(z.shape[-1], layer_init=self.layer_init, name="position")(code)
        return add_bias(self.of_latent(z, kernel) + self.of_grid(code, kernel), bias)


def coordinates(height: int, width: int) -> jax.Array:
    """Return pixel coordinates [H, W, 2]: y along rows, then x along columns, each linspace(-1, 1)."""
    y, x = jnp.meshgrid(jnp.linspace(-1, 1, height), jnp.linspace(-1, 1, width), indexing="ij")
    return jnp.stack([y, x], axis=-1)


def position_code(height: int, width: int) -> jax.Array:
    """Return the position of every pixel, [H, W, 4]: (y, x, 1 - y, 1 - x), each in [0, 1] (Slot Attention)."""
    y, x = jnp.meshgrid(jnp.linspace(0, 1, height), jnp.linspace(0, 1, width), indexing="ij")
    return jnp.stack([y, x, 1 - y, 1 - x], axis=-1)
