"""Layers against NumPy and against the textbook form; shapes and parameter counts at paper size."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ocgm.models import abstract_variables
from ocgm.models.genesis_v2 import GenesisV2
from ocgm.modules.broadcast import BroadcastConv, PositionedConv, coordinates, position_code
from ocgm.modules.gru import GRU, DualGRU
from ocgm.modules.ic_sbp import initial_kernel_sigma
from ocgm.modules.layers import Conv, Dense, TransposedConv
from ocgm.modules.lstm import LSTM
from ocgm.modules.unet import UNet


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def transposed_convolution(params, x):
    """PyTorch's ConvTranspose2d(k, stride=2, padding=(k - 1) / 2, output_padding=1), dilating the input."""
    kernel = params["kernel"]
    k = kernel.shape[0]
    p = (k - 1) // 2
    out = jax.lax.conv_general_dilated(
        x,
        kernel[::-1, ::-1],
        window_strides=(1, 1),
        padding=[(k - 1 - p, k - 1 - p + 1)] * 2,
        lhs_dilation=(2, 2),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return out + params["bias"][None, None, None]


@pytest.mark.compiles
@pytest.mark.parametrize("k,shape", [(3, (2, 4, 4, 2)), (5, (2, 4, 3, 6)), (9, (1, 5, 5, 2))])
def test_upsampling_conv(k, shape):
    layer, x = TransposedConv(3, kernel_size=k), normal(0, *shape)
    params = layer.init(jax.random.key(0), x)["params"]
    weights = normal(1, shape[0], 2 * shape[1], 2 * shape[2], 3)

    def value_and_gradients(function):
        out, backward = jax.vjp(function, params, x)
        return out, *backward(weights)

    fast = value_and_gradients(lambda p, x: layer.apply({"params": p}, x))
    plain = value_and_gradients(transposed_convolution)
    assert fast[0].shape == weights.shape
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), fast, plain)


@pytest.mark.parametrize("k,stride", [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_transposed_conv_with_same_padding(k, stride):
    """Against Flax, whose kernels run the other way."""
    x = normal(0, 2, 4, 3, 5)
    layer = TransposedConv(3, k, stride, same_padding=True)
    params = layer.init(jax.random.key(0), x)["params"]
    params["bias"] = normal(1, 3)
    flax_layer = nn.ConvTranspose(3, (k, k), (stride, stride), padding="SAME")
    flipped = {"kernel": params["kernel"][::-1, ::-1], "bias": params["bias"]}
    expected = flax_layer.apply({"params": flipped}, x)
    np.testing.assert_allclose(layer.apply({"params": params}, x), expected, rtol=1e-4, atol=1e-5)


def test_upsampling_conv_kernel_size():
    with pytest.raises(ValueError, match="got 4 and 2"):
        TransposedConv(3, kernel_size=4).init(jax.random.key(0), jnp.zeros((1, 4, 4, 2)))


@pytest.mark.compiles
@pytest.mark.parametrize("k,padding", [(3, 0), (3, 1), (5, 1), (5, 2)])
@pytest.mark.parametrize("kind", [BroadcastConv, PositionedConv])
def test_convolution_of_a_tiled_latent(kind, k, padding):
    """Value and gradients against the same convolution of the whole grid."""
    z, size = normal(0, 2, 3), 9
    layer = kind(4, size, kernel_size=k, padding=padding)
    params = layer.init(jax.random.key(0), z)["params"]
    weights = normal(1, 2, size, size, 4)

    def whole_grid(params, z):
        grid = size + k - 1 - 2 * padding
        tiled = jnp.broadcast_to(z[:, None, None], (2, grid, grid, 3))
        if kind is BroadcastConv:
            code = jnp.broadcast_to(coordinates(grid, grid), (2, grid, grid, 2))
            x = jnp.concatenate([tiled, code], axis=-1)
        else:
            position = params["position"]
            code = position_code(grid, grid) @ position["kernel"]
            x = tiled + (code + position["bias"][None, None])[None]
        conv = {"kernel": params["kernel"], "bias": params["bias"]}
        return Conv(4, k, padding=padding).apply({"params": conv}, x)

    def value_and_gradients(function):
        out, backward = jax.vjp(function, params, z)
        return out, *backward(weights)

    cheap = value_and_gradients(lambda params, z: layer.apply({"params": params}, z))
    whole = value_and_gradients(whole_grid)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), cheap, whole)


def test_position_code():
    code = position_code(3, 2)
    np.testing.assert_allclose(code[1, 1], [0.5, 1.0, 0.5, 0.0])
    np.testing.assert_allclose(code[2, 0], [1.0, 0.0, 0.0, 1.0])


def test_gru():
    """Against Flax, whose cell has one bias for r and z; so those of the state are zero here, but for n."""
    x, h = normal(0, 4, 3), normal(1, 4, 5)
    params = dict(GRU().init(jax.random.key(0), x, h)["params"])
    params["bias_hh"] = params["bias_hh"].at[:10].set(0.0)
    gates = {}
    for i, gate in enumerate("rzn"):
        part = slice(5 * i, 5 * (i + 1))
        gates[f"i{gate}"] = {
            "kernel": params["kernel_ih"][:, part],
            "bias": params["bias_ih"][part],
        }
        gates[f"h{gate}"] = {"kernel": params["kernel_hh"][:, part]}
    gates["hn"]["bias"] = params["bias_hh"][10:]
    _, expected = nn.GRUCell(5).apply({"params": gates}, h, x)
    np.testing.assert_allclose(
        GRU().apply({"params": params}, x, h), expected, rtol=1e-5, atol=1e-6
    )


def test_dual_gru_is_two_grus():
    x, mean, raw = normal(0, 4, 3), normal(1, 4, 3), normal(2, 4, 3)
    params = DualGRU().init(jax.random.key(0), x, mean, raw)["params"]
    # Drawn from N(0, 1), biases too: 72 numbers and more in each.
    sizes = [leaf.size for leaf in jax.tree.leaves(params)]
    assert sum(sizes) == 12 * 3**2 + 12 * 3
    flat = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)])
    assert abs(flat.std() - 1.0) < 0.25 and np.abs(params["bias_ih"]).max() > 0.5
    outputs = DualGRU().apply({"params": params}, x, mean, raw)
    for half, (state, output) in enumerate(zip((mean, raw), outputs, strict=True), 1):
        gates, candidate = slice(6 * (half - 1), 6 * half), slice(3 * (half - 1), 3 * half)
        single = {
            "kernel_ih": jnp.concatenate([params[f"ih_{half}"], params[f"in_{half}"]], axis=1),
            "kernel_hh": jnp.concatenate([params[f"hh_{half}"], params[f"hn_{half}"]], axis=1),
            "bias_ih": jnp.concatenate([params["bias_ih"][gates], params["bias_in"][candidate]]),
            "bias_hh": jnp.concatenate([params["bias_hh"][gates], params["bias_hn"][candidate]]),
        }
        expected = GRU().apply({"params": single}, x, state)
        np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "k,stride,padding", [(1, 1, 0), (3, 1, 1), (3, 2, 1), (5, 2, 2)], ids=lambda v: str(v)
)
def test_conv_is_a_sum_over_windows(k, stride, padding):
    x = normal(0, 2, 6, 8, 3)
    layer = Conv(4, k, stride=stride, padding=padding)
    params = layer.init(jax.random.key(0), x)["params"]
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(1, 2))
    windows = windows[:, ::stride, ::stride]
    expected = np.einsum("bhwiyx,yxio->bhwo", windows, params["kernel"])
    expected += np.asarray(params["bias"])
    np.testing.assert_allclose(layer.apply({"params": params}, x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "layer,shape,fan_in",
    [
        (Dense(256), (1, 100), 100),
        (Conv(64, 3), (1, 8, 8, 16), 16 * 9),
        # PyTorch counts the outputs of a transposed convolution.
        (TransposedConv(64), (1, 4, 4, 16), 64 * 25),
    ],
    ids=lambda value: type(value).__name__,
)
def test_initialisation(layer, shape, fan_in):
    params = layer.init(jax.random.key(0), jnp.zeros(shape))["params"]
    bound = 1 / math.sqrt(fan_in)
    for name, leaf in params.items():
        assert jnp.max(jnp.abs(leaf)) <= bound
        # The largest of n uniform values: below (1 - 10 / n) of the bound once in 20,000 seeds.
        assert jnp.max(jnp.abs(leaf)) > bound * (1 - 10 / leaf.size), name
        standard_error = bound / math.sqrt(3 * leaf.size)
        assert abs(jnp.mean(leaf)) < 4 * standard_error, name
    assert not np.array_equal(params["bias"], params["kernel"].reshape(-1)[: params["bias"].size])


def test_lstm_initialisation():
    layer = LSTM(in_features=7, hidden=64)
    params = layer.init(jax.random.key(0), jnp.zeros((1, 2, 7)), method="scan")["params"]
    assert {name: leaf.shape for name, leaf in params.items()} == {
        "kernel_ih": (7, 256),
        "kernel_hh": (64, 256),
        "bias_ih": (256,),
        "bias_hh": (256,),
    }
    for leaf in params.values():
        assert 0.9 / 8 < jnp.max(jnp.abs(leaf)) <= 1 / 8


def test_lstm_scan_equals_a_loop():
    layer, x = LSTM(in_features=3, hidden=4), normal(0, 2, 6, 3)
    params = layer.init(jax.random.key(0), x, method="scan")["params"]
    w = {name: np.asarray(leaf, np.float64) for name, leaf in params.items()}
    h = c = np.zeros((2, 4))
    expected = []
    for t in range(6):
        gates = x[:, t] @ w["kernel_ih"] + w["bias_ih"] + h @ w["kernel_hh"] + w["bias_hh"]
        i, f, g, o = np.split(gates, 4, axis=-1)
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
        expected.append(h)
    actual = layer.apply({"params": params}, x, method="scan")
    np.testing.assert_allclose(actual, np.stack(expected, axis=1), rtol=1e-5, atol=1e-6)


def test_coordinates():
    grid = np.asarray(coordinates(3, 5))
    assert grid.shape == (3, 5, 2)
    np.testing.assert_array_equal(grid[:, 2, 0], [-1, 0, 1])  # y along the rows
    np.testing.assert_array_equal(grid[1, :, 1], [-1, -0.5, 0, 0.5, 1])  # then x
    np.testing.assert_array_equal(grid[..., 0], np.repeat(grid[:, :1, 0], 5, axis=1))


@pytest.mark.parametrize("side,blocks", [(32, 4), (64, 5), (128, 6)])
def test_unet_shapes(side, blocks):
    unet = UNet(features=64)
    images = jax.ShapeDtypeStruct((2, side, side, 3), jnp.float32)
    out, variables = jax.eval_shape(unet.init_with_output, jax.random.key(0), images)
    assert out.shape == (2, side, side, 64)
    params = variables["params"]
    assert sum(name.startswith("down") for name in params) == blocks
    assert sum(name.startswith("up") for name in params) == blocks
    # The bottom is 4x4 at 128 channels, whatever the side.
    assert params["mlp_0"]["kernel"].shape == (4 * 4 * 128, 128)
    # The authors' code, not the papers' "reverse of the encoder": two wide blocks on the way up.
    widths = [params[f"up_{i}"]["conv"]["kernel"].shape[-1] for i in range(blocks)]
    assert widths == [128, 128] + [64] * (blocks - 2)


@pytest.mark.parametrize(
    "side,options,count",
    [
        (64, {}, 2_729_422),
        (128, {}, 2_840_270),
        (64, {"autoregressive_prior": False}, 2_366_798),
        (128, {"autoregressive_prior": False}, 2_477_646),
        (64, {"semi_convolutional": False}, 2_729_421),
        (64, {"kernel": "laplacian", "num_slots": 9}, 2_729_422),
        (64, {"kernel": "epanechnikov", "num_slots": 2}, 2_729_422),
    ],
)
def test_parameter_counts(side, options, count):
    model = GenesisV2(**{"num_slots": 7, "image_size": side} | options)
    variables = abstract_variables(model)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == count
    assert set(variables) == {"params"}


def test_parameters_by_part():
    """The table of the authors' modules at 64x64."""
    params = abstract_variables(GenesisV2(num_slots=7, image_size=64))["params"]
    sizes = {
        name: sum(leaf.size for leaf in jax.tree.leaves(part)) for name, part in params.items()
    }
    assert sizes == {
        "encoder": 1_836_864,
        "segmentation_head": 36_992,
        "embedding_head": 520,
        "embedding_gate": 1,
        "log_kernel_sigma": 1,
        "feature_block": 36_992,
        "feature_head": 45_312 - 36_992,
        "latent_norm": 256,
        "latent_hidden": 128 * 128 + 128,
        "latent_head": 128 * 128 + 128,
        "decoder": 413_828,
        "prior": 362_624,
    }


@pytest.mark.parametrize(
    "kernel,sigma", [("gaussian", 0.206099), ("laplacian", 0.545287), ("epanechnikov", 0.285714)]
)
def test_kernel_width_at_the_start(kernel, sigma):
    assert abs(initial_kernel_sigma(kernel, 7) - sigma) < 1e-6
