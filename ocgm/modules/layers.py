"""Affine maps and convolutions that compute as PyTorch's do, in the form that XLA runs fastest.

Most reported results of this field were obtained with PyTorch's default initialisation, which draws weights *and
biases* from U(-1/sqrt(fan_in), 1/sqrt(fan_in)), and with symmetric padding, which differs from "SAME" for strided
convolutions. Other initialisations are passed as `layer_init`. Kernels are stored as [height, width, in, out].
"""

from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ocgm.modules.initializers import LayerInit, pytorch_init


def over_features(vector: jax.Array, x: jax.Array) -> jax.Array:
    """Return a vector [C] with the rank of x [..., C]: implicit rank promotion is an error in tests."""
    return jnp.expand_dims(vector, tuple(range(x.ndim - 1)))


def add_bias(x: jax.Array, bias: jax.Array) -> jax.Array:
    """Return x [..., C] + bias [C]."""
    return x + over_features(bias, x)


class Dense(nn.Module):
    """Affine map of the last axis: [..., in] -> [..., features].

    Attributes:
      features: size of the output's last axis.
      use_bias: whether to add a bias.
      layer_init: initialisation of kernel and bias.
      dtype: dtype of the computation, by default that of input and parameters together; parameters are float32.
    """

    features: int
    use_bias: bool = True
    layer_init: LayerInit = pytorch_init
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel_init, bias_init = self.layer_init(x.shape[-1])
        kernel = self.param("kernel", kernel_init, (x.shape[-1], self.features))
        dtype = self.dtype or jnp.promote_types(x.dtype, kernel.dtype)
        x = x.astype(dtype) @ kernel.astype(dtype)
        if self.use_bias:
            x = add_bias(x, self.param("bias", bias_init, (self.features,)).astype(dtype))
        return x


class Conv(nn.Module):
    """2-D convolution: [B, H, W, in] -> [B, H', W', features].

    Attributes:
      features: number of output channels.
      kernel_size: side of the square kernel.
      stride: step in both directions.
      padding: zeros added on every side, or "SAME" as TensorFlow pads: to a side of ceil(side / stride), with the odd
        pixel below and on the right.
      use_bias: whether to add a bias.
      layer_init: initialisation of kernel and bias.
      dtype: dtype of the computation; parameters are float32.
    """

    features: int
    kernel_size: int
    stride: int = 1
    padding: int | str = 0
    use_bias: bool = True
    layer_init: LayerInit = pytorch_init
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        chex.assert_rank(x, 4)
        k, in_features = self.kernel_size, x.shape[-1]
        kernel_init, bias_init = self.layer_init(in_features * k * k)
        shape = (k, k, in_features, self.features)
        kernel = self.param("kernel", kernel_init, shape).astype(self.dtype)
        x = x.astype(self.dtype)
        # XLA:CPU runs a matrix product more than twice as fast as the convolution that equals it.
        if k == 1 and self.stride == 1 and self.padding == 0:
            x = x @ kernel[0, 0]
        elif x.shape[1:3] == (k, k) and self.padding == 0:
            x = jnp.tensordot(x, kernel, axes=3)[:, None, None]
        else:
            padding: Any = self.padding
            if isinstance(padding, int):
                padding = [(padding, padding)] * 2
            x = convolve(x, kernel, padding, self.stride)
        if self.use_bias:
            bias = self.param("bias", bias_init, (self.features,))
            x = add_bias(x, bias.astype(self.dtype))
        return x


class TransposedConv(nn.Module):
    """Transposed convolution: [B, H, W, in] -> [B, stride * H, stride * W, features].

    Equal to PyTorch's ConvTranspose2d with padding (kernel_size - 1) / 2 and output padding stride - 1; with
    `same_padding` to TensorFlow's and Flax's "SAME", which for stride 2 lies one pixel further down and right. With
    stride 2, each of the 2x2 output phases is a stride-1 convolution with the taps that reach it, and the phases are
    interleaved (depth-to-space). On XLA:CPU the weight gradient of the dilated form is 15 to 75 times slower, and one
    convolution to all phases at once, which needs zero taps, 1.5 times.

    Attributes:
      features: number of output channels.
      kernel_size: side of the square kernel; odd.
      stride: 1 or 2.
      same_padding: pad as TensorFlow does.
      layer_init, dtype: see `Conv`.
    """

    features: int
    kernel_size: int = 5
    stride: int = 2
    layer_init: LayerInit = pytorch_init
    same_padding: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        chex.assert_rank(x, 4)
        k, in_features = self.kernel_size, x.shape[-1]
        if k % 2 == 0 or self.stride not in (1, 2):
            raise ValueError(
                f"TransposedConv: kernel_size must be odd and stride 1 or 2; got {k} and"
                f" {self.stride}."
            )
        # PyTorch's fan_in of a transposed convolution counts the *output* channels.
        kernel_init, bias_init = self.layer_init(self.features * k * k)
        shape = (k, k, in_features, self.features)
        kernel = self.param("kernel", kernel_init, shape).astype(self.dtype)
        bias = self.param("bias", bias_init, (self.features,)).astype(self.dtype)
        x, kernel = x.astype(self.dtype), kernel[::-1, ::-1]
        if self.stride == 1:
            return add_bias(convolve(x, kernel, padding=[((k - 1) // 2,) * 2] * 2), bias)
        return add_bias(self._interleaved_phases(x, kernel), bias)

    def _interleaved_phases(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        # Output pixel 2j + r takes input pixel i through tap 2 (i - j) + p - r of the flipped kernel,
        # where p pixels are padded before: every other tap, from (p - r) mod 2 on.
        before = (self.kernel_size - 1) // 2 + self.same_padding
        taps, padding = [], []
        for phase in (0, 1):
            taps.append(slice((before - phase) % 2, None, 2))
            reach = (before - phase) // 2
            padding.append((reach, len(range(self.kernel_size)[taps[phase]]) - 1 - reach))
        phases = [
            convolve(x, kernel[taps[row], taps[column]], (padding[row], padding[column]))
            for row in (0, 1)
            for column in (0, 1)
        ]
        return depth_to_space(jnp.concatenate(phases, axis=-1))


def depth_to_space(x: jax.Array) -> jax.Array:
    """Interleave 2x2 phases (row, then column, then channel): [B, H, W, 4 C] -> [B, 2 H, 2 W, C]."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height, width, 2, 2, channels // 4).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, 2 * height, 2 * width, channels // 4)


def convolve(x: jax.Array, kernel: jax.Array, padding, stride: int = 1) -> jax.Array:
    """Convolve maps [B, H, W, in] with a kernel [k, k, in, out]; padding by axis, or "SAME"."""
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
