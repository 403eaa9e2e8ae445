"""TFDS builder of dSprites, from DeepMind's file."""

import pathlib
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds

from ocgm.datasets.builders import base, from_files
from ocgm.datasets.builders.downloads import Download
from ocgm.datasets.builders.progress import progress
from ocgm.datasets.sprites import sprite_scenes, sprites

_NUMBER = base.object_factor("number", 1, np.float32)

_STEM = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64"
_BLOCK = 256
_HELD_OUT = 0.05  # Fraction of the images in validation, and in test.


# `tfds.load` keeps finding TFDS' own builder of this name.
class Builder(from_files.FileBuilder, skip_registration=True):
    """One sprite, in all its 737,280 forms."""

    HOMEPAGE = "https://github.com/google-deepmind/dsprites-dataset"
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Get {_STEM}.npz (or .hdf5, which needs h5py) from {HOMEPAGE}."
    VARIANTS = {"default": "White sprites on black."}
    FACTORS = {
        "sprite": base.object_factor("class", 1, np.int32, scored=False),
        "shape": base.object_factor("class", 1, np.int32, names=sprite_scenes.SHAPE_NAMES),
        **dict.fromkeys(("scale", "orientation", "x", "y"), _NUMBER),
        "classes": base.object_factor("class", 1, np.int32, 5, scored=False),
    }

    def _features(self) -> tfds.features.FeaturesDict:
        return base.record_features(sprites.IMAGE_SIZE, self.factors)

    def downloads(self) -> tuple[Download, ...]:
        """See `FileBuilder`."""
        return (Download(url=f"{self.HOMEPAGE}/raw/master/{_STEM}.npz"),)

    def source_files(self, folder: pathlib.Path) -> list[pathlib.Path]:
        """See `FileBuilder`."""
        hdf5 = folder / f"{_STEM}.hdf5"
        return [hdf5] if hdf5.is_file() else from_files.required(folder, [f"{_STEM}.npz"])

    def splits(self, files: list[pathlib.Path]) -> dict[str, Iterator[base.Record]]:
        """See `FileBuilder`."""
        (path,) = files
        draw = sprite_scenes.real_sprites(path)
        return {
            split: self._records(split, index, draw) for split, index in sprite_indices().items()
        }

    def _records(
        self, split: str, index: np.ndarray, draw: sprite_scenes.DrawSprites
    ) -> Iterator[base.Record]:
        count = self.most(split) or len(index)
        starts = range(0, min(count, len(index)), _BLOCK)
        blocks = (records(index[start : start + _BLOCK], draw) for start in starts)
        single = (record for block in blocks for record in base.rows(block))
        return progress(single, min(count, len(index)), f"{self.info.full_name} {split}")


def sprite_indices() -> dict[str, np.ndarray]:
    """Return the positions in the dSprites file of the images of each split, in order."""
    held_out = round(_HELD_OUT * sprites.NUM_SPRITES)
    test, validation, train = np.split(_shuffled(sprites.NUM_SPRITES), [held_out, 2 * held_out])
    return {"train": train, "validation": validation, "test": test}


def _shuffled(count: int) -> np.ndarray:
    """Return 0 to count - 1 in an order that never changes."""
    # NumPy's generators may change; sort by a hash (splitmix64) instead.
    bits = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return np.argsort(bits ^ (bits >> np.uint64(31)), kind="stable")


def records(index: np.ndarray, draw: sprite_scenes.DrawSprites) -> base.Records:
    """Return the records of dSprites images, a dict of arrays [N, ...]."""
    masks = draw(index).astype(np.uint8)
    factors = sprites.factors_from_index(index)._asdict()
    return {
        "image": np.repeat(255 * masks[..., None], 3, axis=-1),
        "masks": masks,
        "num_objects": np.ones(len(index), np.int32),
        "factors": {
            "sprite": index.astype(np.int32)[:, None],
            **{name: values.astype(np.float32)[:, None] for name, values in factors.items()},
            # As in the file's `latents_values`: 1 square, 2 ellipse, 3 heart.
            "shape": factors["shape"][:, None] + 1,
            "classes": sprites.classes_from_index(index)[:, None],
        },
    }
