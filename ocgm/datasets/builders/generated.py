"""Base class of the builders of generated datasets: random numbers, and records in blocks."""

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
    """Return the random generator of one block of records.

    A block is always drawn whole, so that a record depends on its split and index alone, and not on
    the number of records.

    Args:
      split: position of the split in the builder's `SPLITS`.
      block: number of the block, from 0.
    """
    return np.random.default_rng([_SEED, split, block])


def uniform_integers(
    rng: np.random.Generator, bound: int | np.ndarray, size: int | tuple[int, ...]
) -> np.ndarray:
    """Return int32 of shape `size`, uniform over 0 to bound - 1; `bound` is broadcast."""
    # Not `rng.integers`: NumPy may change how it converts bits to integers, and with it the dataset.
    return (rng.random(size) * bound).astype(np.int32)


# ---- scenes


@dataclasses.dataclass(frozen=True)
class SceneArrays:
    """Base of dataclasses whose fields are arrays [N, ...] of N scenes: `scenes[rows]` selects some of them."""

    def __len__(self) -> int:
        return len(getattr(self, dataclasses.fields(self)[0].name))

    def __getitem__(self, rows: slice | np.ndarray) -> Self:
        return dataclasses.replace(
            self,
            **{field.name: getattr(self, field.name)[rows] for field in dataclasses.fields(self)},
        )


# ---- builder


class GeneratedBuilder(base.SceneBuilder, skip_registration=True):
    """Writes records that are generated in blocks; a subclass generates a block.

    Attributes:
      SIZES: standard numbers of train, validation and test records.
      BLOCK: records generated at once: few, so that their arrays stay in the processor's cache.
      ENDLESS: whether the number of records has no bound; otherwise `SIZES` is the bound.
    """

    SIZES: ClassVar[tuple[int, ...]]
    BLOCK: ClassVar[int] = 256
    ENDLESS: ClassVar[bool] = True

    @abc.abstractmethod
    def block(self, split: str, index: int) -> base.Records:
        """Return records `index * BLOCK` to `(index + 1) * BLOCK - 1` of a split."""

    def generate(self, split: str) -> Iterator[base.Record]:
        """Yield the records of a split, generating them block by block."""
        blocks = (self.block(split, index) for index in itertools.count())
        records = itertools.chain.from_iterable(map(base.rows, blocks))
        return itertools.islice(records, self.most(split))

    def rng(self, split: str, index: int) -> np.random.Generator:
        """Return the random generator of a block."""
        return block_generator(self.SPLITS.index(split), index)

    @classmethod
    def _sizes(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        sizes = super()._sizes(sizes)
        if sizes and not cls.ENDLESS and any(np.greater(sizes, cls.SIZES)):
            raise UserError(f"num_examples={sizes}: there are at most {cls.SIZES}")
        return () if sizes == cls.SIZES else sizes

    def most(self, split: str) -> int:
        """Return the number of records of a split."""
        return super().most(split) or self.SIZES[min(self.SPLITS.index(split), 2)]

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        del dl_manager  # Nothing is downloaded.
        return {split: self._generate_examples(split) for split in self.SPLITS}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        records = enumerate(self.generate(split))
        return progress(records, self.most(split), f"{self.info.full_name} {split}")
