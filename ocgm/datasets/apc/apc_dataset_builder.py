"""TFDS builder of APC 2016's training set, from the unpacked archive."""

import dataclasses
import pathlib
import random
import re
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from ocgm.datasets.builders import base, from_files, pictures
from ocgm.datasets.builders.downloads import Download
from ocgm.datasets.builders.from_files import SourceError
from ocgm.datasets.builders.progress import progress
from ocgm.datasets.builders.splits import tenths

_ARCHIVE = "http://3dvision.princeton.edu/projects/2016/apc/downloads/training.zip"
_FRAME = re.compile(r"frame-(\d+)\.color\.png")
_EMPTY = "scene-empty"
_WIDTH, _HEIGHT = 640, 480
# Value of an object's pixels in a mask.
_OBJECT = 255


class Builder(from_files.FileBuilder):
    """Objects of a warehouse, one at a time, on a shelf or in a tote."""

    HOMEPAGE = "http://apc.cs.princeton.edu"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Unpack {_ARCHIVE} into the folder, which then has training/ENVIRONMENT/OBJECT/scene-NNNN."
    )
    VARIANTS = {"default": "Shelf and tote, split by scene."}
    IMAGE_SIZES = (128, 64)
    FACTORS = {
        **dict.fromkeys(("environment", "object", "scene"), base.scene_factor("class", np.int32)),
        "frame": base.scene_factor("number", np.int32),
    }

    @property
    def factors(self) -> dict[str, base.Factor]:
        """See `SceneBuilder`; once the dataset is prepared, with the names of environments and objects."""
        factors, lists = super().factors, self.info.metadata
        for name in ("environment", "object"):
            names = tuple(lists.get(f"{name}s", ()))
            factors[name] = dataclasses.replace(factors[name], names=names)
        return factors

    def downloads(self) -> tuple[Download, ...]:
        """See `FileBuilder`."""
        return (Download(url=_ARCHIVE, unpack=True),)

    def source_files(self, folder: pathlib.Path) -> list[pathlib.Path]:
        """Return the folders of the scenes, in the order of their paths."""
        top = folder / "training" if (folder / "training").is_dir() else folder
        scenes = sorted(
            (path for path in top.glob("*/*/scene-*") if path.is_dir()), key=pathlib.Path.as_posix
        )
        if len(scenes) < len(self.SPLITS):
            raise SourceError(
                f"found {len(scenes)} folders {top}/ENVIRONMENT/OBJECT/scene-NNNN, but each of train, "
                f"validation and test needs one: unpack training.zip into {folder}"
            )
        return scenes

    def splits(self, files: list[pathlib.Path]) -> dict[str, Iterator[base.Record]]:
        """See `FileBuilder`."""
        names = self.info.metadata
        names["environments"] = sorted({scene.parts[-3] for scene in files})
        names["objects"] = sorted({scene.parts[-2] for scene in files})
        scenes = list(files)
        # The shuffle of the GENESIS-V2 authors: Python's generator with seed 0.
        random.Random(0).shuffle(scenes)
        return {split: self._records(split, part) for split, part in tenths(scenes).items()}

    def _records(self, split: str, scenes: Sequence[pathlib.Path]) -> Iterator[base.Record]:
        frames = []
        for number, scene in enumerate(scenes):
            found = [(number, file) for file in sorted(scene.iterdir()) if _FRAME.match(file.name)]
            if not found:
                self.on_corrupt(SourceError(f"no frame-NNNNNN.color.png in {scene}"))
            frames += found
        count = min(len(frames), self.most(split) or len(frames))
        label = f"{self.info.full_name} {split}"
        yield from progress(self._read_all(frames), count, label)

    def _read_all(self, frames: Sequence[tuple[int, pathlib.Path]]) -> Iterator[base.Record]:
        for number, file in frames:
            try:
                yield self._record(number, file)
            except SourceError as error:
                self.on_corrupt(error)

    def _record(self, number: int, file: pathlib.Path) -> base.Record:
        scene = file.parent
        (frame,) = _FRAME.findall(file.name)
        picture = pictures.decode(file, str(file), (_WIDTH, _HEIGHT), "RGB")
        labels = np.zeros((self.image_size, self.image_size), np.uint8)
        if scene.name != _EMPTY:
            mask = scene / "masks" / f"frame-{frame}.mask.png"
            labels = self._small(_read_mask(mask), Image.Resampling.NEAREST)
        names = self.info.metadata
        return {
            "image": self._small(picture, Image.Resampling.BILINEAR),
            "masks": labels,
            "num_objects": int(scene.name != _EMPTY),
            "factors": {
                "environment": names["environments"].index(scene.parts[-3]),
                "object": names["objects"].index(scene.parts[-2]),
                "scene": number,
                "frame": int(frame),
            },
        }

    def _small(self, image: Image.Image, filter_: Image.Resampling) -> np.ndarray:
        """Resize the height to the stored side and crop the centre, as GENESIS-V2 does."""
        side = self.image_size
        width = side * _WIDTH // _HEIGHT
        left = (width - side) // 2
        resized = image.resize((width, side), filter_)
        return np.asarray(resized.crop((left, 0, left + side, side)))


def _read_mask(path: pathlib.Path) -> Image.Image:
    """Read a mask: 1 where it has its largest value, 0 elsewhere."""
    mask = pictures.decode(path, str(path), (_WIDTH, _HEIGHT))
    if mask.mode.startswith("I"):
        raise SourceError(f"{path} has 16 bits a pixel; the masks of the training set have 8")
    return Image.fromarray((np.asarray(mask.convert("L")) == _OBJECT).astype(np.uint8))
