"""Names and layouts of PyTorch's layers; every function returns the entries of one layer."""

import numpy as np

from ocgm.interop.entries import Entry, Transform, same, transposed


def conv(torch_name: str, path: str, use_bias: bool = True) -> list[Entry]:
    """Pair convolutions."""
    kernel = transposed(f"{torch_name}.weight", f"{path}/kernel", 2, 3, 1, 0)
    return [kernel, same(f"{torch_name}.bias", f"{path}/bias")] if use_bias else [kernel]


def transposed_conv(torch_name: str, path: str) -> list[Entry]:
    """Pair transposed convolutions."""
    return [
        transposed(f"{torch_name}.weight", f"{path}/kernel", 2, 3, 0, 1),
        same(f"{torch_name}.bias", f"{path}/bias"),
    ]


def dense(torch_name: str, path: str, use_bias: bool = True) -> list[Entry]:
    """Pair affine maps."""
    kernel = transposed(f"{torch_name}.weight", f"{path}/kernel", 1, 0)
    return [kernel, same(f"{torch_name}.bias", f"{path}/bias")] if use_bias else [kernel]


def norm(torch_name: str, path: str) -> list[Entry]:
    """Pair the scale and bias of norms."""
    return [
        same(f"{torch_name}.weight", f"{path}/scale"),
        same(f"{torch_name}.bias", f"{path}/bias"),
    ]


def recurrent(torch_name: str, path: str) -> list[Entry]:
    """Pair single-layer LSTMs or GRUs, whose gates are in the same order."""
    return [
        transposed(f"{torch_name}.weight_ih_l0", f"{path}/kernel_ih", 1, 0),
        transposed(f"{torch_name}.weight_hh_l0", f"{path}/kernel_hh", 1, 0),
        same(f"{torch_name}.bias_ih_l0", f"{path}/bias_ih"),
        same(f"{torch_name}.bias_hh_l0", f"{path}/bias_hh"),
    ]


def dense_after_map(torch_name: str, path: str, channels: int, side: int) -> list[Entry]:
    """Pair affine maps of a flattened map [side, side, channels], which PyTorch flattens channels first."""
    to_last, to_first = _channels_last(channels, side)
    return [
        Entry(
            f"{torch_name}.weight",
            f"{path}/kernel",
            lambda array: to_last(array.transpose(1, 0)),
            lambda array: to_first(array).transpose(1, 0),
        ),
        same(f"{torch_name}.bias", f"{path}/bias"),
    ]


def dense_before_map(torch_name: str, path: str, channels: int, side: int) -> list[Entry]:
    """Pair affine maps to a flattened map [side, side, channels], which PyTorch flattens channels first."""
    to_last, to_first = _channels_last(channels, side)
    return [
        Entry(
            f"{torch_name}.weight",
            f"{path}/kernel",
            lambda array: to_last(array).transpose(1, 0),
            lambda array: to_first(array.transpose(1, 0)),
        ),
        Entry(f"{torch_name}.bias", f"{path}/bias", to_last, to_first),
    ]


def _channels_last(channels: int, side: int) -> tuple[Transform, Transform]:
    """Return functions that reorder the first axis from (C, H, W), PyTorch's order, to (H, W, C), and back."""

    def to_last(array: np.ndarray) -> np.ndarray:
        maps = array.reshape(channels, side, side, *array.shape[1:])
        return np.moveaxis(maps, 0, 2).reshape(array.shape)

    def to_first(array: np.ndarray) -> np.ndarray:
        maps = array.reshape(side, side, channels, *array.shape[1:])
        return np.moveaxis(maps, 2, 0).reshape(array.shape)

    return to_last, to_first
