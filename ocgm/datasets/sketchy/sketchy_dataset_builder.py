"""TFDS builder of Sketchy's demonstrations, from the unpacked archives."""

import pathlib
import re
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from ocgm.datasets.builders import base, from_files, pictures
from ocgm.datasets.builders.from_files import SourceError
from ocgm.datasets.builders.progress import bytes_bar
from ocgm.datasets.builders.resizing import pillow
from ocgm.datasets.builders.splits import tenths
from ocgm.datasets.builders.tfrecord import Field, read_examples

_ARCHIVES = "lift_green__demos and stack_green_on_red__demos (two .tar.bz2 archives each)"
_EPISODE = re.compile(r"\d+_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WIDTH, _HEIGHT = 960, 600

# First row, by camera, of the 448x672 pixels that the GENESIS-V2 authors use.
_FIRST_ROW = {"pixels/basket_front_left": 71, "pixels/basket_front_right": 91}
_FIRST_COLUMN = 144
# Square crops of it: left and upper edge and side in pixels. The first has the whole height.
CROPS = (
    (112, 0, 448),
    *((left, upper, 352) for upper in (0, 96) for left in (0, 160, 320)),
)


class Builder(from_files.FileBuilder):
    """A robot arm that moves coloured blocks, seen by two cameras."""

    HOMEPAGE = "https://github.com/google-deepmind/deepmind-research/tree/master/sketchy"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Unpack {_ARCHIVES} of https://storage.googleapis.com/sketchy-data/ into the folder."
    )
    VARIANTS = {"default": "Demonstrations of lift_green and stack_green_on_red."}
    IMAGE_SIZES = (128, 64)
    FACTORS = {
        **dict.fromkeys(("episode", "crop"), base.scene_factor("class", np.int32)),
        "camera": base.scene_factor("class", np.int32, names=("left", "right")),
        "step": base.scene_factor("number", np.int32),
    }

    def _features(self) -> tfds.features.FeaturesDict:
        return base.record_features(self.image_size, self.factors, masks=False)

    def source_files(self, folder: pathlib.Path) -> list[pathlib.Path]:
        """Return the episodes below the folder, in the order of their names."""
        found = [path for path in folder.rglob("*") if _EPISODE.fullmatch(path.name)]
        episodes = sorted(
            (path for path in found if path.is_file()), key=lambda path: (path.name, path)
        )
        if len(episodes) < len(self.SPLITS):
            raise SourceError(
                f"{folder} has {len(episodes)} episodes (files with names like 10000313341320364033"
                "_b615a417-ce34-41a8-8411-2a1ce3f3bd07), and each of train, validation and test "
                f"needs one: unpack {_ARCHIVES} into it"
            )
        return episodes

    def splits(self, files: list[pathlib.Path]) -> dict[str, Iterator[base.Record]]:
        """See `FileBuilder`."""
        parts = tenths(range(len(files)))
        return {split: self._records(split, part, files) for split, part in parts.items()}

    def _records(
        self, split: str, numbers: Sequence[int], files: Sequence[pathlib.Path]
    ) -> Iterator[base.Record]:
        sizes = {number: files[number].stat().st_size for number in numbers}
        with bytes_bar(f"{self.info.full_name} {split}", sum(sizes.values())) as bar:
            for number, size in sizes.items():
                yield from self._read_episode(number, files[number])
                bar.update(size)

    def _read_episode(self, number: int, file: pathlib.Path) -> Iterator[base.Record]:
        fields = {name: Field(bytes, (1,)) for name in _FIRST_ROW}
        steps = read_examples(file, fields, compressed=False, on_corrupt=self.on_corrupt)
        for step, example in enumerate(steps):
            if example is None:
                continue
            for camera, (name, row) in enumerate(_FIRST_ROW.items()):
                try:
                    image = pictures.decode(
                        example[name][0],
                        f"{file}: record {step}, {name}",
                        (_WIDTH, _HEIGHT),
                        "RGB",
                    )
                except SourceError as error:
                    self.on_corrupt(error)
                    continue
                for crop, pixels in enumerate(self._crops(image, row)):
                    factors = {"episode": number, "step": step, "camera": camera, "crop": crop}
                    yield {"image": pixels, "num_objects": 0, "factors": factors}

    def _crops(self, image: Image.Image, row: int) -> Iterator[np.ndarray]:
        pixels = np.asarray(image)[row:, _FIRST_COLUMN:]
        for left, upper, side in CROPS:
            square = pixels[upper : upper + side, left : left + side]
            yield pillow(square, self.image_size, Image.Resampling.BILINEAR)
