"""Deterministic weights that the reference implementations were run with, by official parameter name."""

import zlib

import numpy as np


def fixture_weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Weights of the fixtures in tests/models/fixtures/parity (its README gives the recipe)."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        value = 0.5 + random.random_sample(shape)
    elif name.endswith("running_mean"):
        value = 0.2 * (2 * random.random_sample(shape) - 1)
    elif shape == ():
        value = 0.3 * (2 * random.random_sample() - 1)
    elif len(shape) == 1:
        value = float(name.endswith("weight")) + 0.2 * (2 * random.random_sample(shape) - 1)
    else:
        value = (2 * random.random_sample(shape) - 1) / np.sqrt(np.prod(shape[1:]))
    return np.asarray(value, np.float32)


def hashed_uniform(n: int, salt: int = 0) -> np.ndarray:
    """n values in [0, 1) of the integer hash behind the golden tables, float64."""
    mask = np.uint64(0xFFFFFFFF)
    h = (np.arange(1, n + 1, dtype=np.uint64) + np.uint64(7919 * n + 104729 * salt)) & mask
    for _ in range(2):
        h = ((h ^ (h >> np.uint64(16))) * np.uint64(0x45D9F3B)) & mask
    return (h ^ (h >> np.uint64(16))).astype(np.float64) / 2**32


def golden_weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Weights of the golden tables; running statistics are a fresh layer's."""
    if name.endswith(("running_mean", "running_var")):
        return np.full(shape, float(name.endswith("running_var")))
    salt = sum((i + 1) * ord(c) for i, c in enumerate(name))
    w = 2 * hashed_uniform(int(np.prod(shape)), salt).reshape(shape) - 1
    if len(shape) >= 2:
        return w * np.sqrt(6 / np.prod(shape[1:]))
    return 0.1 * w if "bias" in name.split(".")[-1] else 1 + 0.1 * w


# Layer norms of EfficientMORL and of its repository's Slot Attention.
_LAYER_NORMS = (
    "norm_slots",
    "norm_mu_pre_ff",
    "norm_softplus_pre_ff",
    "norm_pre_ff",
    "encoder_pt_2.0",
)


def sine_weight(n: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Weights of EfficientMORL's cases: parameter number n of the official order, float64."""
    value = 0.25 * np.sin(0.9 * n + 0.37 * np.arange(int(np.prod(shape)))).reshape(shape)
    is_norm = name.endswith(tuple(f"{norm}.weight" for norm in _LAYER_NORMS))
    return value + 1.0 if is_norm else value
