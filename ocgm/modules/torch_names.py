"""How the authors' PyTorch parameters map to ours, block by block.

A model lists its entries in `torch_entries`; `ocgm.convert` and the parity tests read them.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from ocgm.modules.unet import down_up_blocks

Transform = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Entry:
    """One parameter in both worlds.

    Attributes:
      torch_name: name in the PyTorch state dict.
      path: path in our parameter tree, joined by "/".
      transform: PyTorch array -> our array.
      inverse: our array -> PyTorch array.
    """

    torch_name: str
    path: str
    transform: Transform
    inverse: Transform

    def torch_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the PyTorch parameter whose counterpart here has this shape."""
        return self.inverse(np.broadcast_to(np.float32(0), shape)).shape


def same(torch_name: str, path: str) -> Entry:
    """A parameter with one layout in both worlds."""
    return Entry(torch_name, path, lambda array: array, lambda array: array)


def transposed(torch_name: str, path: str, *axes: int) -> Entry:
    """A parameter whose axes are permuted: ours = PyTorch's.transpose(axes)."""
    inverse = tuple(np.argsort(axes))
    return Entry(torch_name, path, lambda a: a.transpose(axes), lambda a: a.transpose(inverse))


def conv(torch_name: str, path: str, use_bias: bool = True) -> list[Entry]:
    kernel = transposed(f"{torch_name}.weight", f"{path}/kernel", 2, 3, 1, 0)
    return [kernel, same(f"{torch_name}.bias", f"{path}/bias")] if use_bias else [kernel]


def transposed_conv(torch_name: str, path: str) -> list[Entry]:
    return [
        transposed(f"{torch_name}.weight", f"{path}/kernel", 2, 3, 0, 1),
        same(f"{torch_name}.bias", f"{path}/bias"),
    ]


def dense(torch_name: str, path: str) -> list[Entry]:
    return [
        transposed(f"{torch_name}.weight", f"{path}/kernel", 1, 0),
        same(f"{torch_name}.bias", f"{path}/bias"),
    ]


def norm(torch_name: str, path: str) -> list[Entry]:
    return [
        same(f"{torch_name}.weight", f"{path}/scale"),
        same(f"{torch_name}.bias", f"{path}/bias"),
    ]


def conv_block(torch_name: str, path: str) -> list[Entry]:
    """3x3 convolution without bias and its norm."""
    return [
        *conv(f"{torch_name}.0", f"{path}/conv", use_bias=False),
        *norm(f"{torch_name}.1", f"{path}/norm"),
    ]


def lstm(torch_name: str, path: str) -> list[Entry]:
    """Single-layer LSTM; both worlds keep the gates in the order i, f, g, o."""
    return [
        transposed(f"{torch_name}.weight_ih_l0", f"{path}/kernel_ih", 1, 0),
        transposed(f"{torch_name}.weight_hh_l0", f"{path}/kernel_hh", 1, 0),
        same(f"{torch_name}.bias_ih_l0", f"{path}/bias_ih"),
        same(f"{torch_name}.bias_hh_l0", f"{path}/bias_hh"),
    ]


def unet(torch_name: str, path: str, image_size: int, features: int) -> list[Entry]:
    down, up = down_up_blocks(image_size)
    entries = []
    for direction, multiples in (("down", down), ("up", up)):
        for i in range(len(multiples)):
            entries += conv_block(f"{torch_name}.{direction}.{i}", f"{path}/{direction}_{i}")
    to_last, to_first = _channels_last(down[-1] * features, side=4)
    first, middle, last = (f"{torch_name}.mlp.{i}" for i in (1, 3, 5))
    return [
        *entries,
        Entry(
            f"{first}.weight",
            f"{path}/mlp_0/kernel",
            lambda array: to_last(array.transpose(1, 0)),
            lambda array: to_first(array).transpose(1, 0),
        ),
        same(f"{first}.bias", f"{path}/mlp_0/bias"),
        *dense(middle, f"{path}/mlp_1"),
        Entry(
            f"{last}.weight",
            f"{path}/mlp_2/kernel",
            lambda array: to_last(array).transpose(1, 0),
            lambda array: to_first(array.transpose(1, 0)),
        ),
        Entry(f"{last}.bias", f"{path}/mlp_2/bias", to_last, to_first),
    ]


def _channels_last(channels: int, side: int) -> tuple[Transform, Transform]:
    """Reorders the first axis of a flattened map from (C, H, W), PyTorch's order, to (H, W, C), and back."""

    def to_last(array: np.ndarray) -> np.ndarray:
        maps = array.reshape(channels, side, side, *array.shape[1:])
        return np.moveaxis(maps, 0, 2).reshape(array.shape)

    def to_first(array: np.ndarray) -> np.ndarray:
        maps = array.reshape(side, side, channels, *array.shape[1:])
        return np.moveaxis(maps, 2, 0).reshape(array.shape)

    return to_last, to_first
