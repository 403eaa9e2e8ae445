"""TFDS builder of GQN's rooms_ring_camera, from the published TFRecord files."""

import itertools
import pathlib
import re
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow_datasets as tfds

from ocgm.datasets.builders import base, from_files, pictures
from ocgm.datasets.builders.from_files import SourceError
from ocgm.datasets.builders.progress import progress
from ocgm.datasets.builders.resizing import nearest_pixels, pick
from ocgm.datasets.builders.tfrecord import Field, read_examples

NUM_VIEWS = 10
# A camera: x, y, z, yaw, pitch.
CAMERA_SIZE = 5

_SIDE = 64
_FIELDS = {
    "frames": Field(bytes, (NUM_VIEWS,)),
    "cameras": Field(np.float32, (NUM_VIEWS, CAMERA_SIZE)),
}
_TRAIN_FILE = re.compile(r"(\d{4})-of-2160\.tfrecord")
_TEST_FILE = re.compile(r"(\d{3})-of-240\.tfrecord")
# GENESIS validates on the last sixtieth of the training files, from this number on.
_FIRST_VALIDATION_FILE = 2125
_SCENES_PER_FILE = 5000
# Files of each split, at least one of which is needed.
_NEEDED = {
    "train": "train/0001-of-2160.tfrecord to train/2124-of-2160.tfrecord",
    "validation": "train/2125-of-2160.tfrecord to train/2160-of-2160.tfrecord",
    "test": "test/001-of-240.tfrecord to test/240-of-240.tfrecord",
}


class Builder(from_files.FileBuilder):
    """Rooms with one to three objects, ten views each."""

    HOMEPAGE = "https://github.com/google-deepmind/gqn-datasets"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put files of gs://gqn-dataset/rooms_ring_camera into the folder, at least one of each of "
        f"{', '.join(_NEEDED.values())}."
    )
    VARIANTS = {"default": "Rooms of rooms_ring_camera, from the files that are present."}
    IMAGE_SIZES = (64, 32)
    FACTORS = {
        "scene": base.scene_factor("class", np.int32),
        "view": base.scene_factor("class", np.int32),
        "camera": base.scene_factor("number", np.float32, CAMERA_SIZE),
    }

    def _features(self) -> tfds.features.FeaturesDict:
        return base.record_features(self.image_size, self.factors, masks=False)

    def source_files(self, folder: pathlib.Path) -> list[pathlib.Path]:
        """Return the files of all splits, by number."""
        top = folder / "rooms_ring_camera"
        top = top if top.is_dir() else folder
        files = [file for part in ("train", "test") for file in sorted((top / part).glob("*"))]
        files = [file for file in files if _split_of(file) and file.is_file()]
        found = {_split_of(file) for file in files}
        missing = [needed for split, needed in _NEEDED.items() if split not in found]
        if missing:
            raise SourceError(
                f"{top} needs at least one of {', and one of '.join(missing)}: download them from "
                "gs://gqn-dataset/rooms_ring_camera"
            )
        return files

    def splits(self, files: list[pathlib.Path]) -> dict[str, Iterator[base.Record]]:
        """See `FileBuilder`."""
        return {
            split: self._records(split, [file for file in files if _split_of(file) == split])
            for split in self.SPLITS
        }

    def _records(self, split: str, files: Sequence[pathlib.Path]) -> Iterator[base.Record]:
        scenes = itertools.count()
        records = itertools.chain.from_iterable(self._read_file(file, scenes) for file in files)
        count = NUM_VIEWS * _SCENES_PER_FILE * len(files)
        label = f"{self.info.full_name} {split}"
        return progress(records, min(count, self.most(split) or count), label)

    def _read_file(self, file: pathlib.Path, scenes: Iterator[int]) -> Iterator[base.Record]:
        examples = read_examples(file, _FIELDS, compressed=False, on_corrupt=self.on_corrupt)
        # Corrupt records are numbered too, so that numbers do not depend on them.
        for index, (example, scene) in enumerate(zip(examples, scenes, strict=False)):
            if example is None:
                continue
            for view, (frame, camera) in enumerate(
                zip(example["frames"], example["cameras"], strict=True)
            ):
                name = f"{file}: record {index}, frame {view}"
                try:
                    image = np.asarray(pictures.decode(frame, name, (_SIDE, _SIDE), "RGB"))
                except SourceError as error:
                    self.on_corrupt(error)
                    continue
                if self.image_size != _SIDE:
                    image = pick(image, nearest_pixels(_SIDE, self.image_size))
                yield {
                    "image": image,
                    "num_objects": 0,
                    "factors": {"scene": scene, "view": view, "camera": camera},
                }


def _split_of(file: pathlib.Path) -> str:
    """Return the split of a file, or '' for other files."""
    if file.parent.name == "test":
        return "test" if _TEST_FILE.fullmatch(file.name) else ""
    match = _TRAIN_FILE.fullmatch(file.name)
    if not match:
        return ""
    return "train" if int(match[1]) < _FIRST_VALIDATION_FILE else "validation"
