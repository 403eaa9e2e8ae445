"""Pairs of parameter names: the authors' and ours, and how the arrays are laid out in each."""

import dataclasses
from collections.abc import Callable

import numpy as np

Transform = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Entry:
    """One parameter in two implementations.

    Attributes:
      torch_name: name in the PyTorch state dict, or of the TensorFlow variable.
      path: path in our tree of variables, joined by "/".
      transform: PyTorch array -> our array.
      inverse: our array -> PyTorch array.
      collection: collection of our variable.
    """

    torch_name: str
    path: str
    transform: Transform
    inverse: Transform
    collection: str = "params"

    @property
    def key(self) -> str:
        """Path of our variable, with its collection."""
        return f"{self.collection}/{self.path}"

    def torch_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the PyTorch parameter whose counterpart here has this shape."""
        return self.inverse(np.broadcast_to(np.float32(0), shape)).shape


def same(torch_name: str, path: str, collection: str = "params") -> Entry:
    """Pair two parameters with one layout."""
    return Entry(torch_name, path, lambda array: array, lambda array: array, collection)


def transposed(torch_name: str, path: str, *axes: int) -> Entry:
    """Pair parameters whose axes are permuted: ours = PyTorch's.transpose(axes)."""
    inverse = tuple(np.argsort(axes))
    return Entry(torch_name, path, lambda a: a.transpose(axes), lambda a: a.transpose(inverse))


def without_first_axis(torch_name: str, path: str) -> Entry:
    """Pair parameters of which the authors' has one more axis of size 1 in front."""
    return Entry(torch_name, path, lambda array: array[0], lambda array: array[None])
