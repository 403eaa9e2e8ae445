"""Layers that compute and initialise as PyTorch's do, in the form that XLA runs fastest.

The reported results of this model family were all obtained with PyTorch's default initialisation, which draws weights
*and biases* from U(-1/sqrt(fan_in), 1/sqrt(fan_in)), and with symmetric padding, which differs from "SAME" for strided
convolutions. Kernels are stored as [height, width, in, out].
"""

import math
from collections.abc import Callable

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

Initializer = Callable[..., jax.Array]


def uniform_fan_in(fan_in: int) -> Initializer:
    """Initialiser U(-1/sqrt(fan_in), 1/sqrt(fan_in)), PyTorch's default for weights and biases."""
    bound = 1.0 / math.sqrt(fan_in)

    def init(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


class Dense(nn.Module):
    """Affine map of the last axis: [..., in] -> [..., features].

    Attributes:
      features: size of the output's last axis.
      dtype: dtype of the computation; parameters are float32.
    """

    features: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        init = uniform_fan_in(x.shape[-1])
        kernel = self.param("kernel", init, (x.shape[-1], self.features))
        bias = self.param("bias", init, (self.features,))
        return x.astype(self.dtype) @ kernel.astype(self.dtype) + bias.astype(self.dtype)


class Conv(nn.Module):
    """2-D convolution with symmetric padding: [B, H, W, in] -> [B, H', W', features].

    Attributes:
      features: number of output channels.
      kernel_size: side of the square kernel.
      stride: step in both directions.
      padding: zeros added on every side.
      use_bias: whether to add a bias.
      dtype: dtype of the computation; parameters are float32.
    """

    features: int
    kernel_size: int
    stride: int = 1
    padding: int = 0
    use_bias: bool = True
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        chex.assert_rank(x, 4)
        k, in_features = self.kernel_size, x.shape[-1]
        init = uniform_fan_in(in_features * k * k)
        kernel = self.param("kernel", init, (k, k, in_features, self.features)).astype(self.dtype)
        x = x.astype(self.dtype)
        if k == 1 and self.stride == 1 and self.padding == 0:
            x = x @ kernel[0, 0]  # XLA:CPU runs a matrix product more than twice as fast.
        else:
            x = jax.lax.conv_general_dilated(
                x,
                kernel,
                window_strides=(self.stride, self.stride),
                padding=[(self.padding, self.padding)] * 2,
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
        if self.use_bias:
            x = x + self.param("bias", init, (self.features,)).astype(self.dtype)
        return x


class UpsamplingConv(nn.Module):
    """Transposed convolution that doubles the side: [B, H, W, in] -> [B, 2H, 2W, features].

    Equal to PyTorch's ConvTranspose2d with stride 2, padding (kernel_size - 1) / 2 and output padding 1. Each of the
    2x2 output phases is a stride-1 convolution with the taps that reach it, and the phases are interleaved
    (depth-to-space). On XLA:CPU the weight gradient of the dilated form is 15 to 75 times slower, and one convolution
    to all phases at once, which needs zero taps, 1.5 times.

    Attributes:
      features: number of output channels.
      kernel_size: side of the square kernel; 5, 9, ...
      dtype: dtype of the computation; parameters are float32.
    """

    features: int
    kernel_size: int = 5
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        chex.assert_rank(x, 4)
        k, (batch, height, width, in_features) = self.kernel_size, x.shape
        if k % 4 != 1 or k < 5:
            raise ValueError(f"UpsamplingConv: kernel_size must be 5, 9, ...; got {k}.")
        # PyTorch's fan_in of a transposed convolution counts the *output* channels.
        init = uniform_fan_in(self.features * k * k)
        kernel = self.param("kernel", init, (k, k, in_features, self.features)).astype(self.dtype)
        bias = self.param("bias", init, (self.features,))
        x = x.astype(self.dtype)
        # Output pixel 2j + r takes input pixel i through tap 2j + r - 2i + p with p = (k - 1) / 2
        # even: the taps of phase r have its parity and run backwards as i grows.
        reach = (k - 1) // 4
        kernel, padding = kernel[::-1, ::-1], ((reach, reach), (reach - 1, reach))
        phases = [
            jax.lax.conv_general_dilated(
                x,
                kernel[row::2, column::2],
                window_strides=(1, 1),
                padding=(padding[row], padding[column]),
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
            for row in (0, 1)
            for column in (0, 1)
        ]
        x = jnp.stack(phases, axis=3).reshape(batch, height, width, 2, 2, self.features)
        x = x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, 2 * height, 2 * width, self.features)
        return x + bias.astype(self.dtype)


def group_norm(dtype: DTypeLike, name: str | None = None) -> nn.GroupNorm:
    """GroupNorm with 8 groups and PyTorch's epsilon, for [B, H, W, C] with C a multiple of 8."""
    # The fast variance E[x^2] - E[x]^2 loses digits where the mean is large.
    return nn.GroupNorm(num_groups=8, epsilon=1e-5, use_fast_variance=False, dtype=dtype, name=name)


class LSTM(nn.Module):
    """LSTM cell with PyTorch's parameters (two biases, gates in the order i, f, g, o).

    Flax's cells have one bias; with two, parameter counts, initial values and Adam's steps are PyTorch's. The
    parameters are made in `setup`, and `step` is free of parameter access, so that it can run under `jax.lax.scan`.

    Attributes:
      in_features: size of the inputs.
      hidden: size of the state.
    """

    in_features: int
    hidden: int

    def setup(self) -> None:
        init = uniform_fan_in(self.hidden)
        self.kernel_ih = self.param("kernel_ih", init, (self.in_features, 4 * self.hidden))
        self.kernel_hh = self.param("kernel_hh", init, (self.hidden, 4 * self.hidden))
        self.bias_ih = self.param("bias_ih", init, (4 * self.hidden,))
        self.bias_hh = self.param("bias_hh", init, (4 * self.hidden,))

    def initial_state(self, batch_size: int) -> tuple[jax.Array, jax.Array]:
        """Zero state (h, c), each [B, hidden]."""
        zeros = jnp.zeros((batch_size, self.hidden))
        return zeros, zeros

    def scan(self, inputs: jax.Array) -> jax.Array:
        """Outputs h_t [B, T, hidden] for inputs [B, T, in_features], from a zero state."""
        state = self.initial_state(inputs.shape[0])
        step = self.step_function()
        _, outputs = jax.lax.scan(step, state, inputs.swapaxes(0, 1))
        return outputs.swapaxes(0, 1)

    def step_function(self) -> Callable:
        """Pure function (state, input [B, in_features]) -> (state, output [B, hidden])."""
        kernel_ih, kernel_hh, bias = self.kernel_ih, self.kernel_hh, self.bias_ih + self.bias_hh

        def step(state, x):
            h, c = state
            gates = x @ kernel_ih + h @ kernel_hh + bias
            i, f, g, o = jnp.split(gates, 4, axis=-1)
            c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
            h = nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        return step


def coordinates(height: int, width: int) -> jax.Array:
    """Pixel coordinates [H, W, 2]: y along rows, then x along columns, each linspace(-1, 1)."""
    y, x = jnp.meshgrid(jnp.linspace(-1, 1, height), jnp.linspace(-1, 1, width), indexing="ij")
    return jnp.stack([y, x], axis=-1)
