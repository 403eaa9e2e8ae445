"""What the builders of generated datasets share: random numbers, and records in blocks."""

import abc
import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any, ClassVar, Self

import numpy as np
import tensorflow_datasets as tfds

from ocgm.datasets.builders import base
from ocgm.datasets.builders.progress import progress
from ocgm.errors import UserError

_SEED = 0


# ---- random numbers


def block_generator(split: int, block: int) -> np.random.Generator:
    """Returns the random generator of one block of records.

    A block is always drawn whole, so that a record depends on its split and index alone and not on
    how many are asked for.

    Args:
      split: position of the split in the builder's `SPLITS`.
      block: number of the block, from 0 on.
    """
    return np.random.default_rng([_SEED, split, block])


def uniform_integers(
    rng: np.random.Generator, bound: int | np.ndarray, size: int | tuple[int, ...]
) -> np.ndarray:
    """Returns int32 of shape `size`, uniform over 0 to bound - 1; `bound` is broadcast."""
    # Not `rng.integers`: NumPy may change how it turns bits into integers, and with it the dataset.
    return (rng.random(size) * bound).astype(np.int32)


# ---- scenes


class SceneArrays:
    """Mixed into a dataclass whose fields are arrays [N, ...] of N scenes: some of them by index, slice or mask."""

    def __len__(self) -> int:
        return len(getattr(self, dataclasses.fields(self)[0].name))

    def __getitem__(self, rows: slice | np.ndarray) -> Self:
        return dataclasses.replace(
            self,
            **{field.name: getattr(self, field.name)[rows] for field in dataclasses.fields(self)},
        )


# ---- builder


class GeneratedBuilder(base.SceneBuilder, skip_registration=True):
    """Writes records that are made on the spot, in blocks; a subclass makes a block.

    Attributes:
      SIZES: standard number of train, validation and test records.
      BLOCK: records made at once: few, so that their arrays stay in the processor's cache.
      ENDLESS: whether there are as many records as one likes; else `SIZES` is the most.
    """

    SIZES: ClassVar[tuple[int, int, int]]
    BLOCK: ClassVar[int] = 256
    ENDLESS: ClassVar[bool] = True

    @abc.abstractmethod
    def block(self, split: str, index: int) -> base.Records:
        """Returns records `index * BLOCK` to `(index + 1) * BLOCK - 1` of a split."""

    def rng(self, split: str, index: int) -> np.random.Generator:
        """Returns the random generator of a block."""
        return block_generator(self.SPLITS.index(split), index)

    @classmethod
    def _sizes(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        sizes = super()._sizes(sizes)
        if sizes and not cls.ENDLESS and any(np.greater(sizes, cls.SIZES)):
            raise UserError(f"num_examples={sizes}: there are at most {cls.SIZES}")
        return () if sizes == cls.SIZES else sizes

    def most(self, split: str) -> int:
        """Number of records of a split."""
        return super().most(split) or self.SIZES[min(self.SPLITS.index(split), 2)]

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        del dl_manager  # Nothing is downloaded.
        return {split: self._generate_examples(split) for split in self.SPLITS}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        count = self.most(split)
        blocks = (self.block(split, index) for index in itertools.count())
        records = itertools.chain.from_iterable(map(base.rows, blocks))
        label = f"{self.info.full_name} {split}"
        return progress(base.first(records, count), count, label)
