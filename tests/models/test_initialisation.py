"""Mean, standard deviation and range of every parameter's initialisation, by the rules of the authors' libraries.

The rules are written here from the papers' code, by the parameters' names, and know nothing of the modules.
"""

import math
import re
from collections.abc import Callable

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from tiny_models import MODELS

from ocgm import models
from ocgm.models.base import stream_keys

pytestmark = pytest.mark.compiles

Check = Callable[
    [np.ndarray, int, int], None
]  # of a parameter, and of its layer the fan-in and fan-out
_SIGMAS = (
    5.0  # Deviations of sample statistics that chance may explain, with some thousand comparisons.
)


def constant(value: float) -> Check:
    return lambda x, fan_in, fan_out: np.testing.assert_allclose(x, value, rtol=1e-6)


def check_moments(x: np.ndarray, sigma: float, kurtosis: float) -> None:
    """Check the mean to be 0 and the standard deviation, whose sampling error the fourth moment sets."""
    assert abs(x.mean()) < _SIGMAS * sigma / math.sqrt(x.size)
    if x.size > 50:
        error = _SIGMAS * math.sqrt((kurtosis - 1) / (4 * x.size))
        assert abs(x.std() / sigma - 1) < error


def uniform(bound: Callable[[int, int], float]) -> Check:
    def check(x, fan_in, fan_out):
        b = bound(fan_in, fan_out)
        # The largest of n uniform values is below (1 - 12 / n) of the bound once in 160,000 draws.
        assert b * (1 - 12 / x.size) < np.abs(x).max() <= b * (1 + 1e-6)
        check_moments(x, b / math.sqrt(3), kurtosis=1.8)

    return check


def normal(sigma: Callable[[int, int], float]) -> Check:
    return lambda x, fan_in, fan_out: check_moments(x, sigma(fan_in, fan_out), kurtosis=3.0)


def truncated_normal(x: np.ndarray, fan_in: int, fan_out: int) -> None:
    sigma = fan_in**-0.5
    assert np.abs(x).max() <= 2 * sigma
    check_moments(x, 0.8796 * sigma, kurtosis=2.4)  # Moments after cutting off at two deviations.


def orthogonal(x: np.ndarray, fan_in: int, fan_out: int) -> None:
    np.testing.assert_allclose(x @ x.T, np.eye(len(x)), atol=1e-5)


def zeros_then_ones(x: np.ndarray, fan_in: int, fan_out: int) -> None:
    np.testing.assert_array_equal(x.reshape(2, -1), [[0], [1]] * np.ones((2, x.size // 2)))


def square_root_of_fan_in(fan_in: int, fan_out: int) -> float:
    return fan_in**-0.5


TORCH = uniform(
    square_root_of_fan_in
)  # kernels and biases of linear layers, convolutions, LSTMs and GRUs
KERAS = uniform(lambda fan_in, fan_out: math.sqrt(6 / (fan_in + fan_out)))
SMALL = normal(lambda fan_in, fan_out: 0.02 * math.sqrt(2 / (fan_in + fan_out)))
NORMS = {
    r"norm\w*/(bias|mean)$": constant(0),
    r"norm\w*/(scale|var)$": constant(1),
}
SMALL_LAYERS = {r"bias$": constant(0), r"kernel$": SMALL}
GENESIS = {
    **NORMS,
    r"embedding_gate": constant(0),
    r"log_kernel_sigma": constant(math.log(1 / (3 * math.log(2)))),  # at K = 3
    r"": TORCH,
}
EFFICIENT_MORL = {
    **NORMS,
    r"encoder/position|refiner/gru": TORCH,
    r"^params/gru": normal(lambda fan_in, fan_out: 1.0),
    r"initial_posterior": zeros_then_ones,
    **SMALL_LAYERS,
}
SLOTS = {
    **NORMS,
    r"slots_(mean|log_sigma)": KERAS,
    r"gru/kernel_hh": orthogonal,
    r"bias": constant(0),
    r"": KERAS,
}
RULES = {
    "efficient_morl": EFFICIENT_MORL,
    "efficient_morl_one_gru": {r"^params/gru/": TORCH, **EFFICIENT_MORL},
    "efficient_morl_deconv": EFFICIENT_MORL,
    "iodine": {
        **NORMS,
        # TensorFlow's default for a vector: its size is both fans.
        r"initial_posterior": uniform(lambda fan_in, fan_out: math.sqrt(3 / fan_out)),
        r"lstm/": truncated_normal,
        r"bias$": constant(0),
        r"": truncated_normal,
    },
    "slot_attention": SLOTS,
    "slot_mlp": SLOTS,
    "slot_attention_of_efficient_morl": {
        **NORMS,
        r"initial_slots": zeros_then_ones,
        **{f"image_decoder/.*{name}": check for name, check in SMALL_LAYERS.items()},
        r"": TORCH,
    },
}
VARIANTS = {
    **MODELS,
    "efficient_morl_one_gru": {**MODELS["efficient_morl"], "dual_gru": False},
    "efficient_morl_deconv": {**MODELS["efficient_morl"], "decoder": "deconv"},
    "slot_attention_of_efficient_morl": {
        "name": "slot_attention",
        "num_slots": 3,
        "latent_size": 8,
        "variant": "efficient_morl",
        "decoder": "small",
    },
}


def fans(path: str, shapes: dict[str, tuple[int, ...]]) -> tuple[int, int]:
    """Return the fan-in and fan-out of a parameter's layer, as the authors' libraries count them."""
    layer = path.rpartition("/")[0]
    if (
        f"{layer}/kernel_hh" in shapes
    ):  # PyTorch's bound is the hidden size's for all tensors of a recurrent layer.
        return shapes[f"{layer}/kernel_hh"]
    shape = shapes.get(f"{layer}/kernel", shapes[path])
    if len(shape) < 2:
        return 1, math.prod(shape)
    *window, fan_in, fan_out = shape
    if window and window[0] >= 5 and re.search(r"(?<!image_)decoder/", path):
        fan_in = fan_out  # PyTorch takes the outputs of transposed convolutions for inputs.
    return fan_in * math.prod(window), fan_out * math.prod(window)


@pytest.mark.parametrize("name", VARIANTS)
def test_initialisation(name):
    model = models.build(ConfigDict({"image_size": 32, **VARIANTS[name]}))
    keys = {"params": jax.random.key(0), **stream_keys(jax.random.key(1))}
    images = jnp.zeros((1, 32, 32, 3))
    variables = jax.jit(lambda: model.init(keys, images, train=False))()
    flat = flax.traverse_util.flatten_dict(jax.device_get(variables), sep="/")
    shapes = {path: leaf.shape for path, leaf in flat.items()}
    rules = RULES.get(name, GENESIS)
    for path, leaf in flat.items():
        check = next(check for pattern, check in rules.items() if re.search(pattern, path))
        try:
            check(np.asarray(leaf, np.float64), *fans(path, shapes))
        except AssertionError as error:
            pytest.fail(f"{path} {leaf.shape}: {error}")
