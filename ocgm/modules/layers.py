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
        # XLA:CPU runs a matrix product more than twice as fast as the convolution that equals it.
        if k == 1 and self.stride == 1 and self.padding == 0:
            x = x @ kernel[0, 0]
        elif x.shape[1:3] == (k, k) and self.padding == 0:
            x = jnp.tensordot(x, kernel, axes=3)[:, None, None]
        else:
            x = _convolve(x, kernel, [(self.padding, self.padding)] * 2, self.stride)
        if self.use_bias:
            x = x + self.param("bias", init, (self.features,)).astype(self.dtype)
        return x


class TransposedConv(nn.Module):
    """Transposed convolution: [B, H, W, in] -> [B, stride * H, stride * W, features].

    Equal to PyTorch's ConvTranspose2d with padding (kernel_size - 1) / 2 and output padding stride - 1. With stride 2,
    each of the 2x2 output phases is a stride-1 convolution with the taps that reach it, and the phases are interleaved
    (depth-to-space). On XLA:CPU the weight gradient of the dilated form is 15 to 75 times slower, and one convolution
    to all phases at once, which needs zero taps, 1.5 times.

    Attributes:
      features: number of output channels.
      kernel_size: side of the square kernel; 5, 9, ...
      stride: 1 or 2.
      dtype: dtype of the computation; parameters are float32.
    """

    features: int
    kernel_size: int = 5
    stride: int = 2
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        chex.assert_rank(x, 4)
        k, in_features = self.kernel_size, x.shape[-1]
        if k % 4 != 1 or k < 5 or self.stride not in (1, 2):
            raise ValueError(
                f"TransposedConv: kernel_size must be 5, 9, ... and stride 1 or 2; got {k} and"
                f" {self.stride}."
            )
        # PyTorch's fan_in of a transposed convolution counts the *output* channels.
        init = uniform_fan_in(self.features * k * k)
        kernel = self.param("kernel", init, (k, k, in_features, self.features)).astype(self.dtype)
        bias = self.param("bias", init, (self.features,)).astype(self.dtype)
        x, kernel = x.astype(self.dtype), kernel[::-1, ::-1]
        if self.stride == 1:
            return _convolve(x, kernel, padding=[((k - 1) // 2,) * 2] * 2) + bias
        return self._interleaved_phases(x, kernel) + bias

    def _interleaved_phases(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        # Output pixel 2j + r takes input pixel i through tap 2j + r - 2i + p with p = (k - 1) / 2
        # even: the taps of phase r have its parity and run backwards as i grows.
        batch, height, width, _ = x.shape
        reach = (self.kernel_size - 1) // 4
        padding = ((reach, reach), (reach - 1, reach))
        phases = [
            _convolve(x, kernel[row::2, column::2], (padding[row], padding[column]))
            for row in (0, 1)
            for column in (0, 1)
        ]
        x = jnp.stack(phases, axis=3).reshape(batch, height, width, 2, 2, self.features)
        return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, 2 * height, 2 * width, self.features)


class _VectorToMap(nn.Module):
    """Layers [B, D] -> [B, side, side, features].

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
        return x + bias.astype(self.dtype)


class BroadcastConv(_VectorToMap):
    """3x3 convolution, without padding, of a latent tiled over a grid: [B, D] -> [B, side, side, features].

    The grid is side + 2 pixels wide and has two more channels, the coordinates, after the latent's. Over the constant
    channels every window sees the same values, so their part is one matrix product instead of a convolution.
    """

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        chex.assert_rank(z, 2)
        size, grid = z.shape[-1], coordinates(self.side + 2, self.side + 2)
        init = uniform_fan_in((size + 2) * 9)
        kernel = self.param("kernel", init, (3, 3, size + 2, self.features)).astype(self.dtype)
        bias = self.param("bias", init, (self.features,)).astype(self.dtype)
        of_latent = z.astype(self.dtype) @ jnp.sum(kernel[:, :, :size], axis=(0, 1))
        of_grid = _convolve(grid[None].astype(self.dtype), kernel[:, :, size:], [(0, 0)] * 2)
        return of_latent[:, None, None] + of_grid + bias


def _convolve(x: jax.Array, kernel: jax.Array, padding, stride: int = 1) -> jax.Array:
    """Convolution of [B, H, W, in] with [k, k, in, out]; padding by axis: ((top, bottom), (left, right))."""
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


class BatchNorm(nn.Module):
    """Batch normalisation as PyTorch's BatchNorm2d: [..., C] -> [..., C].

    Normalises with the batch's biased variance and keeps a running mean of the *unbiased* one, which Flax's layer does
    not. Statistics are taken over all axes but the last; under jit with a sharded batch that is the global batch.

    Attributes:
      dtype: dtype of the result; statistics and parameters are float32.
    """

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Uses and updates (collection `batch_stats`) batch statistics if `train`, else running ones."""
        features = x.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (features,))
        bias = self.param("bias", nn.initializers.zeros, (features,))
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (features,))
        running_var = self.variable("batch_stats", "var", jnp.ones, (features,))
        x = x.astype(scale.dtype)
        mean, var = running_mean.value, running_var.value
        if train:
            axes, count = tuple(range(x.ndim - 1)), x.size // features
            mean = jnp.mean(x, axes)
            var = jnp.mean(jnp.square(x - mean), axes)
            if not self.is_initializing():
                unbiased = var * count / max(count - 1, 1)
                running_mean.value = 0.9 * running_mean.value + 0.1 * mean
                running_var.value = 0.9 * running_var.value + 0.1 * unbiased
        x = (x - mean) * (jax.lax.rsqrt(var + 1e-5) * scale) + bias
        return x.astype(self.dtype)


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


def instance_norm(dtype: DTypeLike, name: str | None = None) -> nn.GroupNorm:
    """Instance normalisation with scale, bias and PyTorch's epsilon, for [B, H, W, C]."""
    return nn.GroupNorm(
        num_groups=None,
        group_size=1,
        epsilon=1e-5,
        use_fast_variance=False,
        dtype=dtype,
        name=name,
    )


def coordinates(height: int, width: int) -> jax.Array:
    """Pixel coordinates [H, W, 2]: y along rows, then x along columns, each linspace(-1, 1)."""
    y, x = jnp.meshgrid(jnp.linspace(-1, 1, height), jnp.linspace(-1, 1, width), indexing="ij")
    return jnp.stack([y, x], axis=-1)
