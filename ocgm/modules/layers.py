"""Layers that compute and initialise as PyTorch's do, in the form that XLA runs fastest.

Most reported results of this field were obtained with PyTorch's default initialisation, which draws weights *and
biases* from U(-1/sqrt(fan_in), 1/sqrt(fan_in)), and with symmetric padding, which differs from "SAME" for strided
convolutions. Other initialisations are passed as `layer_init`. Kernels are stored as [height, width, in, out].
"""

import math
from collections.abc import Callable

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

Initializer = Callable[..., jax.Array]
# From a layer's fan_in: how to initialise its kernel and its bias.
LayerInit = Callable[[int], tuple[Initializer, Initializer]]


def uniform_fan_in(fan_in: int) -> Initializer:
    """Initialiser U(-1/sqrt(fan_in), 1/sqrt(fan_in)), PyTorch's default for weights and biases."""
    bound = 1.0 / math.sqrt(fan_in)

    def init(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def pytorch_init(fan_in: int) -> tuple[Initializer, Initializer]:
    """PyTorch's default for linear and convolutional layers."""
    return uniform_fan_in(fan_in), uniform_fan_in(fan_in)


def glorot_init(fan_in: int) -> tuple[Initializer, Initializer]:
    """Keras' default: Glorot-uniform kernels and zero biases."""
    del fan_in
    return nn.initializers.glorot_uniform(), nn.initializers.zeros


def small_normal_init(fan_in: int) -> tuple[Initializer, Initializer]:
    """EfficientMORL's: Xavier-normal kernels with gain 0.02 and zero biases."""
    del fan_in
    return nn.initializers.variance_scaling(0.02**2, "fan_avg", "normal"), nn.initializers.zeros


def sonnet_init(fan_in: int) -> tuple[Initializer, Initializer]:
    """Sonnet 1's default: kernels ~ N(0, 1 / fan_in) cut off at two standard deviations, and zero biases."""
    return nn.initializers.truncated_normal(fan_in**-0.5), nn.initializers.zeros


def zeros_and_ones(
    key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
) -> jax.Array:
    """Zeros in the first half of the last axis, ones in the second: a Gaussian's parameters (EfficientMORL)."""
    del key
    half = (*shape[:-1], shape[-1] // 2)
    return jnp.concatenate([jnp.zeros(half, dtype), jnp.ones(half, dtype)], axis=-1)


class Dense(nn.Module):
    """Affine map of the last axis: [..., in] -> [..., features].

    Attributes:
      features: size of the output's last axis.
      use_bias: whether to add a bias.
      layer_init: of kernel and bias.
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
            x = x + self.param("bias", bias_init, (self.features,)).astype(dtype)
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
      layer_init: of kernel and bias.
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
            padding = self.padding
            if isinstance(padding, int):
                padding = [(padding, padding)] * 2
            x = _convolve(x, kernel, padding, self.stride)
        if self.use_bias:
            x = x + self.param("bias", bias_init, (self.features,)).astype(self.dtype)
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
      layer_init, dtype: as of `Conv`.
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
            return _convolve(x, kernel, padding=[((k - 1) // 2,) * 2] * 2) + bias
        return self._interleaved_phases(x, kernel) + bias

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
            _convolve(x, kernel[taps[row], taps[column]], (padding[row], padding[column]))
            for row in (0, 1)
            for column in (0, 1)
        ]
        return depth_to_space(jnp.concatenate(phases, axis=-1))


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
        return self.side + self.kernel_size - 1 - 2 * self.padding

    def weights(self, in_features: int) -> tuple[jax.Array, jax.Array]:
        """Kernel and bias, in the dtype of the computation."""
        k = self.kernel_size
        kernel_init, bias_init = self.layer_init(in_features * k * k)
        kernel = self.param("kernel", kernel_init, (k, k, in_features, self.features))
        bias = self.param("bias", bias_init, (self.features,))
        return kernel.astype(self.dtype), bias.astype(self.dtype)

    def of_latent(self, z: jax.Array, kernel: jax.Array) -> jax.Array:
        """The convolution of z alone, [B, D] -> [B, side, side, features], at the price of a k x k grid.

        Over constant channels all windows see the same values, but those that hang over the border.
        """
        k, p = self.kernel_size, self.padding
        tiled = jnp.broadcast_to(z.astype(self.dtype)[:, None, None], (len(z), k, k, z.shape[-1]))
        x = _convolve(tiled, kernel, [(p, p)] * 2)
        for axis in (1, 2):
            before, middle, after = jnp.split(x, [p, p + 1], axis)
            shape = list(middle.shape)
            shape[axis] = self.side - 2 * p
            x = jnp.concatenate([before, jnp.broadcast_to(middle, shape), after], axis)
        return x

    def of_grid(self, grid: jax.Array, kernel: jax.Array) -> jax.Array:
        """The convolution of a map [grid_side, grid_side, C], the same for all images: [1, side, side, features]."""
        return _convolve(grid[None].astype(self.dtype), kernel, [(self.padding,) * 2] * 2)


class BroadcastConv(_BroadcastConv):
    """`_BroadcastConv` whose grid has two more channels, the coordinates (y, x), after the latent's."""

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        chex.assert_rank(z, 2)
        size = z.shape[-1]
        kernel, bias = self.weights(size + 2)
        grid = coordinates(self.grid_side, self.grid_side)
        x = self.of_latent(z, kernel[:, :, :size])
        return x + self.of_grid(grid, kernel[:, :, size:]) + bias


class PositionedConv(_BroadcastConv):
    """`_BroadcastConv` that adds a learned projection of `position_code` to the tiled latent."""

    position_init: LayerInit = pytorch_init

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        chex.assert_rank(z, 2)
        kernel, bias = self.weights(z.shape[-1])
        code = position_code(self.grid_side, self.grid_side)
        code = Dense(z.shape[-1], layer_init=self.position_init, name="position")(code)
        return self.of_latent(z, kernel) + self.of_grid(code, kernel) + bias


def _convolve(x: jax.Array, kernel: jax.Array, padding, stride: int = 1) -> jax.Array:
    """Convolution of [B, H, W, in] with [k, k, in, out]; padding by axis or "SAME"."""
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


def depth_to_space(x: jax.Array) -> jax.Array:
    """Interleaves 2x2 phases (row, then column, then channel): [B, H, W, 4 C] -> [B, 2 H, 2 W, C]."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height, width, 2, 2, channels // 4).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, 2 * height, 2 * width, channels // 4)


def coordinates(height: int, width: int) -> jax.Array:
    """Pixel coordinates [H, W, 2]: y along rows, then x along columns, each linspace(-1, 1)."""
    y, x = jnp.meshgrid(jnp.linspace(-1, 1, height), jnp.linspace(-1, 1, width), indexing="ij")
    return jnp.stack([y, x], axis=-1)


def position_code(height: int, width: int) -> jax.Array:
    """Position of every pixel, [H, W, 4]: (y, x, 1 - y, 1 - x), each in [0, 1] (Slot Attention)."""
    y, x = jnp.meshgrid(jnp.linspace(0, 1, height), jnp.linspace(0, 1, width), indexing="ij")
    return jnp.stack([y, x, 1 - y, 1 - x], axis=-1)
