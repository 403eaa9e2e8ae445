"""Grain pipelines over prepared datasets.

Batches are made from a global list of indices that depends on the seed only; a process reads its
rows of each batch. So any number of processes sees the same global batches.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import grain
import jax
import numpy as np
import tensorflow_datasets as tfds
from ml_collections import ConfigDict

from ocgm.data.storage import prepare
from ocgm.errors import UserError

Batch = dict[str, np.ndarray]

# Enough to ride out a slow read, few enough not to matter in memory.
_BATCHES_AHEAD = 8


def train_iterator(
    data_config: ConfigDict,
    batch_size: int,
    seed: int,
    process_index: int | None = None,
    process_count: int | None = None,
) -> grain.DatasetIterator:
    """Iterates over the training split for ever, in a new random order every epoch.

    An epoch has no short last batch: the next epoch fills it up.

    Args:
      data_config: fields of `prepare` and `image_size`.
      batch_size: images in a batch, over all processes together.
      seed: the order depends on it alone.
      process_index: this process; JAX's by default.
      process_count: number of processes; JAX's by default.

    Returns:
      Iterator of batches `{"image": uint8 [b, H, W, 3]}`, b = batch_size / process_count. Its
      `get_state` and `set_state` resume exactly; `grain.checkpoint.CheckpointSave` stores it.

    Raises:
      UserError: see `prepare`; or if sizes do not fit.
    """
    rows = _process_rows(batch_size, process_index, process_count)
    read = _Reader(data_config, "train", ("image",))
    dataset = (
        grain.MapDataset.range(read.num_records)
        .shuffle(seed=seed)
        .repeat()
        .batch(batch_size)
        .map(lambda indices: read(indices[rows]))
    )
    return iter(dataset.to_iter_dataset(_read_options()))


def stacked_train_iterator(
    data_config: ConfigDict, batch_size: int, seeds: Sequence[int]
) -> grain.DatasetIterator:
    """The `train_iterator` of one seed, or those of N seeds in step: batches `{"image": uint8 [N, b, H, W, 3]}`."""
    iterators = [train_iterator(data_config, batch_size, seed) for seed in seeds]
    return iterators[0] if len(iterators) == 1 else _StackedIterator(iterators)


class _StackedIterator(grain.DatasetIterator):
    """Stacks the batches of several iterators on a new first axis; its state is all of theirs."""

    def __next__(self) -> Batch:
        return jax.tree.map(lambda *rows: np.stack(rows), *map(next, self._parents))

    def get_state(self) -> dict[str, Any]:
        """Returns the states of the iterators, in order."""
        return {"seeds": [iterator.get_state() for iterator in self._parents]}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes to a position that `get_state` gave."""
        for iterator, position in zip(self._parents, state["seeds"], strict=True):
            iterator.set_state(position)


def eval_batches(
    data_config: ConfigDict,
    split: str,
    batch_size: int,
    num_images: int | None = None,
    process_index: int | None = None,
    process_count: int | None = None,
    extra_fields: Sequence[str] = (),
) -> Iterator[Batch]:
    """Iterates once over the first images of a split, in order.

    Args:
      data_config: fields of `prepare` and `image_size`.
      split: 'train', 'validation' or 'test'.
      batch_size: images in a batch, over all processes together.
      num_images: how many images; None for all.
      process_index: this process; JAX's by default.
      process_count: number of processes; JAX's by default.
      extra_fields: more fields of the record, such as `factors`; those that the dataset lacks are left out.

    Returns:
      Iterator of batches, dicts of arrays with b = batch_size / process_count rows: `image` uint8
      [b, H, W, 3], `masks` uint8 [b, H, W], `num_objects` int32 [b], `valid` bool [b]. The last
      batch is filled up with copies of the first image that are not valid, so that all processes
      get the same number of batches.

    Raises:
      UserError: see `prepare`; or if sizes do not fit.
    """
    rows = _process_rows(batch_size, process_index, process_count)
    read = _Reader(data_config, split, ("image", "masks", "num_objects"), extra_fields)
    count = read.num_records if num_images is None else num_images
    if not 0 < count <= read.num_records:
        raise UserError(
            f"num_images={num_images}, but {split} of {data_config.name} has {read.num_records}"
        )
    num_batches = -(-count // batch_size)

    def load(indices: np.ndarray) -> Batch:
        valid = indices < count
        return read(np.where(valid, indices, 0)) | {"valid": valid}

    dataset = (
        grain.MapDataset.range(num_batches * batch_size)
        .batch(batch_size)
        .map(lambda indices: load(indices[rows]))
    )
    return iter(dataset.to_iter_dataset(_read_options()))


def _process_rows(batch_size: int, index: int | None, count: int | None) -> slice:
    """Returns the rows of the global batch that a process reads."""
    index = jax.process_index() if index is None else index
    count = jax.process_count() if count is None else count
    if batch_size < 1 or batch_size % count:
        raise UserError(f"batch_size={batch_size} must be a positive multiple of {count} processes")
    size = batch_size // count
    return slice(index * size, (index + 1) * size)


def _read_options() -> grain.ReadOptions:
    # Grain's 16 threads halve the rate on a small machine; leave half of the cores to the step.
    threads = min(16, max(1, (os.cpu_count() or 1) // 2))
    ahead = max(_BATCHES_AHEAD, threads)
    return grain.ReadOptions(num_threads=threads, prefetch_buffer_size=ahead)


class _Reader:
    """Reads some fields of the records of a split.

    Attributes:
      num_records: size of the split.
    """

    def __init__(
        self,
        data_config: ConfigDict,
        split: str,
        fields: Sequence[str],
        extra_fields: Sequence[str] = (),
    ):
        builder = prepare(data_config)
        if split not in builder.info.splits:
            raise UserError(
                f"no split '{split}' in {data_config.name}: {list(builder.info.splits)}"
            )
        features = builder.info.features
        native, size = features["image"].shape[0], data_config.image_size
        if not 0 < size <= native:
            raise UserError(f"image_size={size}, but {data_config.name} has 1 to {native}")
        self._pixels = np.arange(size) * native // size if size < native else None
        # Decoding only these fields triples the rate of the training split.
        fields = (*fields, *(field for field in extra_fields if field in features.keys()))
        self._features = tfds.features.FeaturesDict({field: features[field] for field in fields})
        self._source = builder.as_data_source(
            split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
        )
        self.num_records = len(self._source)

    def __call__(self, indices: np.ndarray) -> Batch:
        """Returns the records of an index array [B] as one dict of arrays [B, ...]."""
        raw = self._source.__getitems__(indices.tolist())
        records = [self._resize(self._features.deserialize_example_np(record)) for record in raw]
        return jax.tree.map(
            lambda dtype, *rows: np.stack(rows, dtype=dtype), self._features.np_dtype, *records
        )

    def _resize(self, record: dict[str, Any]) -> dict[str, Any]:
        """Takes the nearest pixels of the image and the label map; leaves everything else as it is."""
        if self._pixels is None:
            return record
        maps = {field: record[field] for field in ("image", "masks") if field in record}
        return record | {
            field: value[self._pixels[:, None], self._pixels] for field, value in maps.items()
        }
