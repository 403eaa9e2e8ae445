"""Names and layouts of Keras' layers; every function returns the entries of one layer."""

import numpy as np

from ocgm.interop.entries import Entry, same, transposed


def layer(name: str, path: str, use_bias: bool = True) -> list[Entry]:
    """Pair convolutions or affine maps, whose kernels have our layout."""
    kernel = same(f"{name}/kernel", f"{path}/kernel")
    return [kernel, same(f"{name}/bias", f"{path}/bias")] if use_bias else [kernel]


def transposed_conv(name: str, path: str) -> list[Entry]:
    """Pair transposed convolutions; Keras' kernels are [height, width, out, in] and, like ours, applied flipped."""
    return [
        transposed(f"{name}/kernel", f"{path}/kernel", 0, 1, 3, 2),
        same(f"{name}/bias", f"{path}/bias"),
    ]


def norm(name: str, path: str) -> list[Entry]:
    """Pair the scale and bias of norms."""
    return [same(f"{name}/gamma", f"{path}/scale"), same(f"{name}/beta", f"{path}/bias")]


def gru(name: str, path: str) -> list[Entry]:
    """Pair GRUs; Keras' has `reset_after`, and its gates are in the order z, r, h."""
    names = {
        "kernel": "kernel_ih",
        "recurrent_kernel": "kernel_hh",
        "bias_input": "bias_ih",
        "bias_recurrent": "bias_hh",
    }
    return [
        Entry(f"{name}/{theirs}", f"{path}/{ours}", _swap_gates, _swap_gates)
        for theirs, ours in names.items()
    ]


def _swap_gates(array: np.ndarray) -> np.ndarray:
    """Reorder columns z, r, h to r, z, h, and back."""
    first, second, candidate = np.split(array, 3, axis=-1)
    return np.concatenate([second, first, candidate], axis=-1)
