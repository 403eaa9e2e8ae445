"""Grain pipelines over prepared datasets, and over scenes that are generated during training.

Batches are made from a global list of indices that depends on the seed only, and each process reads its
rows of each batch. So the global batches do not depend on the number of processes.
"""

import functools
import os
import pathlib
import sys
from collections.abc import Iterable, Iterator, Sequence

import grain
import jax
import numpy as np
import tensorflow_datasets as tfds
from ml_collections import ConfigDict

from ocgm.data.registry import get_spec
from ocgm.data.storage import damage, open_builder, prepare
from ocgm.datasets.builders import base, resizing
from ocgm.datasets.builders.base import SceneBuilder
from ocgm.datasets.builders.generated import GeneratedBuilder
from ocgm.errors import UserError, did_you_mean

Batch = dict[str, np.ndarray]

# Scenes generated on the fly: more than any training run reads, and different ones for every seed.
_SCENES_OF_A_SEED = 2**40
_SEEDS_ON_THE_FLY = 2**63 // _SCENES_OF_A_SEED
# Several images of a scene are in one block, so batches mix this many blocks; and this many are cached,
# so that none is generated twice where some threads are in one window and some in the next.
_BLOCKS_MIXED = 16
_BLOCKS_KEPT = 3 * _BLOCKS_MIXED

# Enough for a slow read now and then, few enough for the memory.
_BATCHES_AHEAD = 8


def train_iterator(
    data_config: ConfigDict,
    batch_size: int,
    seed: int,
    process_index: int | None = None,
    process_count: int | None = None,
) -> grain.DatasetIterator:
    """Return an endless iterator over the training split, in a new random order in every epoch.

    An epoch has no short last batch: the next epoch fills it up. With `on_the_fly` there are no
    epochs: all scenes are new, and those of different seeds differ.

    Args:
      data_config: the `data` part of a config.
      batch_size: images in a batch, over all processes together.
      seed: determines the order.
      process_index: this process; JAX's by default.
      process_count: number of processes; JAX's by default.

    Returns:
      Iterator of batches `{"image": uint8 [b, H, W, 3]}`, b = batch_size / process_count. Its
      `get_state` and `set_state` resume exactly; `grain.checkpoint.CheckpointSave` stores it.

    Raises:
      UserError: see `prepare`; or if sizes do not fit.
    """
    rows = _process_rows(batch_size, process_index, process_count)
    read: _SceneMaker | _Reader
    if data_config.on_the_fly:
        if seed >= _SEEDS_ON_THE_FLY:
            raise UserError(
                f"seed={seed} is too large for on_the_fly=True; use one below {_SEEDS_ON_THE_FLY:,}"
            )
        read = _SceneMaker(data_config, "train", ("image",))
        first = seed * _SCENES_OF_A_SEED
        indices = grain.MapDataset.range(first, first + _SCENES_OF_A_SEED)
        if get_spec(data_config.name).grouped:
            window = _BLOCKS_MIXED * read.block_size
            indices = grain.experimental.WindowShuffleMapDataset(
                indices, window_size=window, seed=seed
            )
    else:
        read = _Reader(data_config, "train", ("image",))
        indices = grain.MapDataset.range(read.num_records).shuffle(seed=seed)
    # Not without end: Grain's batches of one would be more than a 64-bit number of them.
    epochs = indices.repeat(2**62 // max(len(indices), 1))
    dataset = epochs.batch(batch_size).map(lambda indices: read(indices[rows]))
    return iter(dataset.to_iter_dataset(_read_options()))


def eval_batches(
    data_config: ConfigDict,
    split: str,
    batch_size: int,
    num_images: int | None = None,
    process_index: int | None = None,
    process_count: int | None = None,
    extra_fields: Sequence[str] = (),
) -> Iterator[Batch]:
    """Return an iterator that yields the first images of a split once, in order.

    Datasets with several images of a scene side by side are read in a fixed random order.

    Args:
      data_config: the `data` part of a config.
      split: 'train', 'validation', 'test', or a further split of the dataset.
      batch_size: images in a batch, over all processes together.
      num_images: number of images; None for all. Of a directory of the user's images those that there are, if they are
        fewer, which is printed once.
      process_index: this process; JAX's by default.
      process_count: number of processes; JAX's by default.
      extra_fields: further fields of the record, such as `factors`; those that it lacks are left out.

    Returns:
      Iterator of batches, dicts of arrays with b = batch_size / process_count rows: `image` uint8
      [b, H, W, 3], `masks` uint8 [b, S, S] if there are any (S is H except in protocols that score
      finer masks), `num_objects` int32 [b], `valid` bool [b]. The last batch is filled up with
      copies of the first image that are not valid, so that all processes get the same number of
      batches.

    Raises:
      UserError: see `prepare`; or if sizes do not fit.
    """
    rows = _process_rows(batch_size, process_index, process_count)
    reader = _SceneMaker if data_config.on_the_fly else _Reader
    read = reader(data_config, split, ("image", "masks", "num_objects", *extra_fields))
    count = _count(data_config, split, read.num_records, num_images)
    num_batches = -(-count // batch_size)
    order = reading_order(data_config.name, read.num_records)

    def load(indices: np.ndarray) -> Batch:
        valid = indices < count
        records = np.array([order[int(i)] for i in np.where(valid, indices, 0)])
        return read(records) | {"valid": valid}

    dataset = (
        grain.MapDataset.range(num_batches * batch_size)
        .batch(batch_size)
        .map(lambda indices: load(indices[rows]))
    )
    return iter(dataset.to_iter_dataset(_read_options()))


def reading_order(name: str, num_records: int) -> grain.MapDataset:
    """Return the records of a split in the order in which evaluation reads them."""
    order = grain.MapDataset.range(num_records)
    return order.shuffle(seed=0) if get_spec(name).grouped else order


def count_images(data_config: ConfigDict, split: str, num_images: int) -> int:
    """Return the number of images that `eval_batches` yields.

    Raises:
      UserError: as `eval_batches`.
    """
    reader = _SceneMaker if data_config.on_the_fly else _Reader
    num_records = reader(data_config, split, ("image",)).num_records
    return _count(data_config, split, num_records, num_images)


def _count(data_config: ConfigDict, split: str, available: int, wanted: int | None) -> int:
    count = available if wanted is None else wanted
    # The size of a published split is known, so fewer images are a mistake; that of the user's directory is not.
    if count > available and data_config.name == "folder":
        _print_once(
            f"{split} of {data_config.name} has fewer than {wanted} images: taking all {available}"
        )
        return available
    if not 0 < count <= available:
        raise UserError(f"num_images={wanted}, but {split} of {data_config.name} has {available}")
    return count


@functools.cache
def _print_once(text: str) -> None:
    if jax.process_index() == 0:
        print(text, file=sys.stderr)


def _process_rows(batch_size: int, index: int | None, count: int | None) -> slice:
    """Return the rows of the global batch that a process reads."""
    index = jax.process_index() if index is None else index
    count = jax.process_count() if count is None else count
    if batch_size < 1 or batch_size % count:
        raise UserError(f"batch_size={batch_size} must be a positive multiple of {count} processes")
    size = batch_size // count
    return slice(index * size, (index + 1) * size)


def _read_options() -> grain.ReadOptions:
    # Grain's 16 threads halve the rate on a small machine; half of the cores are left to the train step.
    threads = min(16, max(1, (os.cpu_count() or 1) // 2))
    ahead = max(_BATCHES_AHEAD, threads)
    return grain.ReadOptions(num_threads=threads, prefetch_buffer_size=ahead)


class _Fields:
    """Some fields of the records of a split, with images of a given side.

    Attributes:
      num_records: size of the split.
    """

    num_records: int

    def __init__(
        self,
        data_config: ConfigDict,
        split: str,
        fields: Sequence[str],
        builder: SceneBuilder,
        splits: Iterable[str],
    ):
        if split not in splits:
            near = did_you_mean(split, splits)
            raise UserError(f"no split '{split}' in {data_config.name}: {list(splits)}{near}")
        features = builder.info.features
        native, size = features["image"].shape[0], data_config.image_size
        if not 0 < size <= native:
            raise UserError(f"image_size={size}, but {data_config.name} has 1 to {native}")
        # Decoding only these fields triples the rate of the training split.
        self._features = tfds.features.FeaturesDict(
            {field: features[field] for field in fields if field in features.keys()}
        )
        self._resized = ("image", "masks") if size < native else ()
        self._size = size

    def _batch(self, records: base.Records) -> Batch:
        """Resize images and label maps by nearest pixels, and convert all fields to their declared types."""
        for field in self._resized:
            if field in records:
                records[field] = resizing.nearest(records[field], self._size)
        return jax.tree.map(
            lambda dtype, array: np.asarray(array, dtype), self._features.np_dtype, records
        )


class _Reader(_Fields):
    """Reader of records of a prepared dataset."""

    def __init__(self, data_config: ConfigDict, split: str, fields: Sequence[str]):
        builder = prepare(data_config)
        super().__init__(data_config, split, fields, builder, builder.info.splits)
        self._folder = pathlib.Path(builder.data_path)
        self._source = builder.as_data_source(
            split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
        )
        self.num_records = len(self._source)

    def __call__(self, indices: np.ndarray) -> Batch:
        """Return the records of an index array [B] as one dict of arrays [B, ...]."""
        with damage(self._folder):
            raw = self._source.__getitems__(indices.tolist())
            records = [self._features.deserialize_example_np(record) for record in raw]
        return self._batch(jax.tree.map(lambda *rows: np.stack(rows), *records))


class _SceneMaker(_Fields):
    """Generator of records as they are read; nothing is written to disk.

    Attributes:
      block_size: number of records that are generated at once.
    """

    def __init__(self, data_config: ConfigDict, split: str, fields: Sequence[str]):
        builder = open_builder(data_config)
        if not (isinstance(builder, GeneratedBuilder) and builder.ENDLESS):
            raise UserError(
                f"on_the_fly=True, but {data_config.name} is not a dataset with an endless supply of"
                " generated scenes; `ocgm data list` prints all datasets"
            )
        super().__init__(data_config, split, fields, builder, builder.SPLITS)
        self.num_records = builder.most(split)
        self.block_size = builder.BLOCK
        # Neighbours are in the same block, which is generated whole.
        self._block = functools.lru_cache(_BLOCKS_KEPT)(functools.partial(builder.block, split))

    def __call__(self, indices: np.ndarray) -> Batch:
        """Return the records of an index array [B] as one dict of arrays [B, ...]."""
        numbers, rows = np.divmod(indices, self.block_size)
        parts = [
            jax.tree.map(lambda array, r=rows[numbers == number]: array[r], self._of_block(number))
            for number in np.unique(numbers)
        ]
        # In the order of `indices`: blocks are in the order of their numbers.
        order = np.argsort(np.argsort(numbers, kind="stable"), kind="stable")
        return self._batch(jax.tree.map(lambda *p: np.concatenate(p)[order], *parts))

    def _of_block(self, number: int) -> base.Records:
        records = self._block(int(number))
        return {field: records[field] for field in self._features.keys()}
