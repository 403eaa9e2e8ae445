"""Base class of the builders that read DeepMind's multi-object files: the form of records, and splits.

A file is a compressed TFRecord file. A record has `image`, a binary plane of `mask` for each entity
(entity 0 is the background; the plane of an entity that is hidden or does not exist is empty), and the
`factors` of the entities, if any.
"""

import abc
import dataclasses
import itertools
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ocgm.datasets.builders import base, from_files, tfrecord
from ocgm.datasets.builders.downloads import Download
from ocgm.datasets.builders.progress import progress

BUCKET = "https://storage.googleapis.com/multi-object-datasets"

# Decoded features of one record of a file.
Example = dict[str, Any]


# ---- the form of a file


@dataclasses.dataclass(frozen=True, kw_only=True)
class Form:
    """Form of the records of a file.

    Attributes:
      entities: number n of planes.
      height: height of the images in pixels.
      width: width of the images in pixels.
      channels: channels of the images; one channel becomes three equal ones.
      planes_last: whether masks are [H, W, n, 1] and not [n, H, W, 1].
      factors: dtype of each factor, and the shape of one entity's.
    """

    entities: int
    height: int
    width: int
    channels: int = 3
    planes_last: bool = False
    factors: Mapping[str, tfrecord.Field] = dataclasses.field(default_factory=dict)

    def fields(self) -> dict[str, tfrecord.Field]:
        """Return the features to read."""
        sides = (self.height, self.width)
        mask = (*sides, self.entities) if self.planes_last else (self.entities, *sides)
        return {
            "image": tfrecord.Field(np.uint8, (*sides, self.channels)),
            "mask": tfrecord.Field(np.uint8, (*mask, 1)),
            **{
                name: tfrecord.Field(factor.dtype, (self.entities, *factor.shape))
                for name, factor in self.factors.items()
            },
        }

    def image(self, example: Example) -> np.ndarray:
        """Return the image, uint8 [H, W, 3]."""
        image = example["image"]
        return image if self.channels == 3 else np.repeat(image, 3, axis=-1)

    def planes(self, example: Example) -> np.ndarray:
        """Return the planes, uint8 [n, H, W], 0 or 255."""
        planes = example["mask"][..., 0]
        return np.moveaxis(planes, -1, 0) if self.planes_last else planes


# ---- from entities to objects


def entity_map(planes: np.ndarray) -> np.ndarray:
    """Return the entity that each pixel belongs to.

    In the published files the planes are a partition. Otherwise a pixel in several planes belongs to the
    last of them, and one in no plane to entity 0, the background.

    Args:
      planes: uint8 [n, H, W], 0 or 255.

    Returns:
      uint8 [H, W].
    """
    entities = np.arange(len(planes), dtype=np.uint8)
    return np.minimum(planes, entities[:, None, None]).max(axis=0)


def label_map(entities: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Return uint8 [H, W]: i + 1 where the entity is `objects[i]`, 0 elsewhere.

    Args:
      entities: uint8 [H, W].
      objects: int [m], entities that are objects.
    """
    labels = np.zeros(256, np.uint8)
    labels[objects] = np.arange(1, len(objects) + 1)
    return labels[entities]


def visible(example: Example) -> np.ndarray:
    """Return int [m], the entities that exist by the factor `visibility`, without the background."""
    return np.flatnonzero(example["visibility"][1:]) + 1


def object_factors(
    example: Example, factors: Mapping[str, base.Factor], objects: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the rows of factors that belong to the objects, padded with zeros.

    Args:
      example: factors [n, ...] of n entities.
      factors: the factors to return.
      objects: int [m], entities that are objects.
    """
    rows = {}
    for name, factor in factors.items():
        rows[name] = np.zeros(factor.feature.shape, factor.feature.np_dtype)
        rows[name][: len(objects)] = example[name][objects]
    return rows


def to_bytes(color: np.ndarray) -> np.ndarray:
    """Convert colours in [0, 1] to the uint8 values of pixels of that colour."""
    # The files are truncated, not rounded as by `ocgm.images.to_uint8`.
    return (255 * color.astype(np.float64)).astype(np.uint8)


# ---- splits


@dataclasses.dataclass(frozen=True)
class Part:
    """A run of a file's records.

    Attributes:
      split: name of the split.
      scanned: number of records; None for all up to the end, or until enough are kept.
      kept: largest number of records of the variant to keep; None for all.
    """

    split: str
    scanned: int | None = None
    kept: int | None = None


# Runs of a file in their order, by protocol.
Protocols = Mapping[str, tuple[Part, ...]]

GENESIS = (Part("test", scanned=10_000), Part("validation", scanned=10_000), Part("train"))

# These papers have no validation images; here they follow the test images.
SPRITE_PROTOCOLS: Protocols = {
    "efficient_morl": (
        Part("train", scanned=60_000),
        Part("test", scanned=320),
        Part("validation", scanned=320),
    ),
    "genesis": GENESIS,
}


def _take(
    path: pathlib.Path, records: Iterator[base.Record | None], part: Part, exact: bool
) -> Iterator[base.Record]:
    """Yield the records of a part that are not None, and leave the iterator behind them.

    Raises:
      SourceError: if the file ends before the end of the part if `exact`, else before its first record.
    """
    kept = 0
    for scanned in itertools.count():
        if part.scanned == scanned or part.kept == kept:
            return
        try:
            record = next(records)
        except StopIteration:
            break
        if record is not None:
            kept += 1
            yield record
    open_ended = part.scanned is None and part.kept is None
    if not kept or (exact and not open_ended):
        raise from_files.SourceError(
            f"{path} has too few records: it ends after {kept} of split '{part.split}'. Get the "
            "whole file; or if it is meant to be a part of it, pass the numbers of train, validation "
            "and test records with num_examples"
        )


# ---- builder


class MultiObjectBuilder(from_files.FileBuilder, skip_registration=True):
    """Writes the records of one of DeepMind's files; a subclass defines them.

    The splits are runs of the file. The protocol determines where they begin, so that a record is in
    the same split for all other values of a config, with one exception: with `num_examples` each run is
    only that long, and the next one follows at once. So little of a large file has to be read, and
    a file with a few records is enough; but such a config's test records may be training records of
    the standard one.

    Attributes:
      FOLDER: directory of the bucket with the files.
      PARTS: runs of records by protocol, or at '' if there is only one protocol.
      FILTERS: whether `record` leaves records out.
    """

    HOMEPAGE = "https://github.com/google-deepmind/multi_object_datasets"
    FOLDER: ClassVar[str]
    PARTS: ClassVar[Protocols]
    FILTERS: ClassVar[bool] = False

    @property
    @abc.abstractmethod
    def forms(self) -> Mapping[str, Form]:
        """Form of the records of each file, by the name of the file."""

    @abc.abstractmethod
    def record(self, form: Form, example: Example) -> base.Record | None:
        """Return the record of a scene; None if the scene does not belong to the variant."""

    def downloads(self) -> tuple[Download, ...]:
        """See `FileBuilder`."""
        return tuple(Download(url=f"{BUCKET}/{self.FOLDER}/{name}") for name in self.forms)

    def source_files(self, folder: pathlib.Path) -> list[pathlib.Path]:
        """See `FileBuilder`."""
        return from_files.required(folder, self.forms)

    def splits(self, files: list[pathlib.Path]) -> dict[str, Iterator[base.Record]]:
        """See `FileBuilder`."""
        (path,) = files
        return self.runs(path, self.PARTS[self.protocol])

    def runs(self, path: pathlib.Path, parts: Sequence[Part]) -> dict[str, Iterator[base.Record]]:
        """Return the records of each part of a file, by split."""
        form = self.forms[path.name]
        limited = bool(self.builder_config.num_examples)
        if limited:
            parts = [Part(part.split, kept=self.most(part.split)) for part in parts]
        sizes = [part.kept or (None if self.FILTERS else part.scanned) for part in parts]
        # With known sizes, the last run ends before the end of the file.
        counted = None not in sizes
        examples = tfrecord.read_examples(
            path,
            form.fields(),
            compressed=True,
            on_corrupt=self.on_corrupt,
            label="" if counted else f"{self.info.full_name} {path.name}",
        )
        records = (example and self.record(form, example) for example in examples)
        runs = {part.split: _take(path, records, part, exact=not limited) for part in parts}
        if counted:
            for (split, run), size in zip(runs.items(), sizes, strict=True):
                runs[split] = progress(run, size, f"{self.info.full_name} {split}")
        return runs
