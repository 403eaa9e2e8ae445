"""What the TFDS builders of all datasets share: their configs, the record, and writing it."""

import dataclasses
import errno
import itertools
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import tensorflow_datasets as tfds
from array_record.python import array_record_module
from ml_collections import ConfigDict

from ocgm.datasets.builders.serialization import Serializer
from ocgm.errors import UserError

SPLITS = ("train", "validation", "test")

# One record, or N records as one dict of arrays [N, ...]; `factors` is a dict of its own.
Record = dict[str, Any]
Records = dict[str, Any]

# A shard is closed when it holds this many bytes: few files, none too large to copy.
_SHARD_BYTES = 256 * 2**20


# ---- configs


@dataclasses.dataclass(eq=False)
class SceneConfig(tfds.core.BuilderConfig):
    """One form of a dataset.

    Attributes:
      variant: which of the scenes.
      protocol: whose splits and preprocessing.
      image_size: side of the stored image in pixels; 0 where it is always the native one.
      num_examples: most records of train, validation and test; () for all there are.
      sprites_path: dSprites npz file with the real sprites; '' draws them from formulas.
    """

    variant: str = ""
    protocol: str = ""
    image_size: int = 0
    num_examples: tuple[int, ...] = ()
    sprites_path: str = ""


# ---- records


@dataclasses.dataclass(frozen=True)
class Factor:
    """A quantity that is known of the objects of a scene or of the scene as a whole.

    Attributes:
      feature: its form in a record; of objects [N, ...], with zeros behind the last object.
      of: what it describes; row i of a factor of objects is the object with label i + 1.
      kind: "class" if values are equal or different only, as a code, an index or one of few colours;
        "number" if their order and distance have a meaning.
      scored: whether disentanglement is measured by it. Not so for indices, flags, and factors that follow from
        others.
    """

    feature: tfds.features.FeatureConnector
    of: Literal["object", "scene"]
    kind: Literal["class", "number"]
    scored: bool = True


def object_factor(
    kind: Literal["class", "number"],
    max_objects: int,
    dtype: type,
    *shape: int,
    scored: bool = True,
) -> Factor:
    """Return a factor of objects, an array [max_objects, *shape] of each record."""
    feature = tfds.features.Tensor(shape=(max_objects, *shape), dtype=dtype)
    return Factor(feature, "object", kind, scored)


def scene_factor(kind: Literal["class", "number"], dtype: type, *shape: int) -> Factor:
    """Return a factor of the scene, an array of this shape, or a scalar, of each record."""
    tensor = tfds.features.Tensor(shape=shape, dtype=dtype)
    return Factor(tensor if shape else tfds.features.Scalar(dtype), "scene", kind)


def _bytes(*shape: int) -> tfds.features.Tensor:
    """An image or label map: uint8, left to ArrayRecord to compress."""
    return tfds.features.Tensor(shape=shape, dtype=np.uint8, encoding=tfds.features.Encoding.BYTES)


def record_features(
    image_size: int,
    factors: Mapping[str, Factor],
    *,
    masks: bool = True,
    mask_size: int | None = None,
    background_parts: bool = False,
) -> tfds.features.FeaturesDict:
    """The record of docs/design.md for square images.

    Args:
      image_size: side of the image in pixels.
      factors: what is known of the scene and its objects.
      masks: whether there are true masks.
      mask_size: their side in pixels, if it is not that of the image.
      background_parts: whether the background is told apart in sky, floor and walls.
    """
    features: dict[str, Any] = {
        "image": _bytes(image_size, image_size, 3),
        "num_objects": tfds.features.Scalar(np.int32),
        "factors": {name: factor.feature for name, factor in factors.items()},
    }
    mask_size = mask_size or image_size
    if masks:
        features["masks"] = _bytes(mask_size, mask_size)
    if background_parts:
        features["background_parts"] = _bytes(mask_size, mask_size)
    return tfds.features.FeaturesDict(features)


# ---- builders


class SceneBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Writes records; a subclass says what they are.

    Attributes:
      HOMEPAGE: address where the dataset is described.
      VARIANTS: descriptions by name; the first is the default.
      FACTORS: what is known of the scene and its objects, by name, if it is the same for all configs.
      PROTOCOLS: whose splits and preprocessing can be had; the first is the default. () where there is one only.
      IMAGE_SIZES: sides to which images can be resized while they are written; the first is that of
        the standard configs. () where images are stored at their native side.
      SPLITS: names of the splits; `num_examples` is of the first three, and the third's number of all further ones.
      USES_SPRITES: whether `sprites_path` has a meaning.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}
    HOMEPAGE: ClassVar[str]
    VARIANTS: ClassVar[Mapping[str, str]] = {"default": "The one variant."}
    FACTORS: ClassVar[Mapping[str, Factor]] = {}
    PROTOCOLS: ClassVar[tuple[str, ...]] = ()
    IMAGE_SIZES: ClassVar[tuple[int, ...]] = ()
    SPLITS: ClassVar[tuple[str, ...]] = SPLITS
    USES_SPRITES: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        cls.BUILDER_CONFIGS = [
            SceneConfig(name=name, description=text, variant=name)
            for name, text in cls.VARIANTS.items()
        ]
        super().__init_subclass__(**kwargs)

    def __init__(self, *, file_format: str = "array_record", **kwargs: Any):
        # TFDS writes TFRecord by default, which needs TensorFlow and has no random access.
        super().__init__(file_format=file_format, **kwargs)

    # -- from the `data` part of a config to the builder's config

    @classmethod
    def config_for(cls, data_config: ConfigDict) -> str | SceneConfig:
        """Returns the builder's config for the `data` part of a config.

        Whatever differs from the standard form of a variant gives a config of another name, so that
        it is stored apart and nobody takes it for the standard one.

        Raises:
          UserError: if a field has a value that has no meaning here.
        """
        name = data_config.name
        variant = cls._variant(data_config)
        if data_config.protocol and data_config.protocol not in cls.PROTOCOLS:
            raise UserError(
                f"{name} has "
                + (f"the protocols {', '.join(cls.PROTOCOLS)}" if cls.PROTOCOLS else "one protocol")
                + f", not '{data_config.protocol}'"
            )
        if data_config.sprites_path and not cls.USES_SPRITES:
            raise UserError(
                f"sprites_path='{data_config.sprites_path}', but {name} has no sprites: leave it ''"
            )
        fields = {
            "variant": variant,
            "protocol": data_config.protocol or next(iter(cls.PROTOCOLS), ""),
            "image_size": cls._stored_size(data_config),
            "num_examples": cls._sizes(tuple(data_config.num_examples)),
            "sprites_path": data_config.sprites_path,
        }
        changes = cls._changes(**fields)
        if not changes and variant in cls.VARIANTS:
            return variant
        description = cls.VARIANTS.get(variant, variant).rstrip(".")
        return SceneConfig(
            name="_".join([variant, *changes]),
            description="; ".join([description, *changes.values()]) + ".",
            **fields,
        )

    @classmethod
    def _variant(cls, data_config: ConfigDict) -> str:
        """Which of the scenes: what is asked for, of those that there are."""
        variant = data_config.variant or next(iter(cls.VARIANTS))
        if variant not in cls.VARIANTS:
            raise UserError(
                f"{data_config.name} has the variants {', '.join(cls.VARIANTS)}, not '{variant}'"
            )
        return variant

    @classmethod
    def _stored_size(cls, data_config: ConfigDict) -> int:
        """Side of the stored image: what is asked for, of those that there are."""
        if not cls.IMAGE_SIZES:
            return 0
        if data_config.image_size not in cls.IMAGE_SIZES:
            raise UserError(
                f"image_size={data_config.image_size}, but {data_config.name} has"
                f" {' or '.join(map(str, cls.IMAGE_SIZES))}"
            )
        return data_config.image_size

    @classmethod
    def _sizes(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        if sizes and (len(sizes) != 3 or min(sizes) < 1):
            raise UserError(f"num_examples={sizes}: expected three numbers from 1 up, or ()")
        return sizes

    @classmethod
    def _changes(
        cls,
        variant: str,
        protocol: str,
        image_size: int,
        num_examples: tuple[int, ...],
        sprites_path: str,
    ) -> dict[str, str]:
        """Returns short names and descriptions of what differs from a variant's standard form."""
        changes = {}
        if protocol != next(iter(cls.PROTOCOLS), ""):
            changes[protocol] = f"protocol of {protocol}"
        if image_size != next(iter(cls.IMAGE_SIZES), 0):
            changes[str(image_size)] = f"{image_size}x{image_size} pixels"
        if sprites_path:
            changes["real"] = f"sprites {sprites_path}"
        if num_examples:
            changes["n" + "_".join(map(str, num_examples))] = f"at most {num_examples} images"
        return changes

    def _factors(self) -> dict[str, Factor]:
        """Return what is known of the scene and its objects, by name."""
        return dict(self.FACTORS)

    @property
    def factors(self) -> dict[str, Factor]:
        """Factors of a record, by name."""
        return self._factors()

    @property
    def image_size(self) -> int:
        """Side of the stored image in pixels, of datasets that have several."""
        return self.builder_config.image_size or self.IMAGE_SIZES[0]

    @property
    def protocol(self) -> str:
        """Whose splits and preprocessing, of datasets that have several."""
        return self.builder_config.protocol or self.PROTOCOLS[0]

    def most(self, split: str) -> int | None:
        """Largest number of records that a split may have; None for as many as there are."""
        sizes = self.builder_config.num_examples
        return sizes[min(self.SPLITS.index(split), 2)] if sizes else None

    # -- writing

    def _features(self) -> tfds.features.FeaturesDict:
        """Return the features of a record."""
        return record_features(self.image_size, self.factors)

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=self._features(),
            homepage=self.HOMEPAGE,
            metadata=tfds.core.MetadataDict(),
            # Keeps the order, so that the first n test images are the same for all.
            disable_shuffling=True,
        )

    def _download_and_prepare(self, dl_manager: Any, download_config: Any) -> None:
        # TFDS' own writer keeps up to 1 GB in memory, then needs TensorFlow, and sorts what was
        # written in memory once more. Here a record goes to its file as soon as it is made.
        del download_config  # Its options are about TFDS' own writer.
        splits = [
            self._write(split, examples)
            for split, examples in self._split_generators(dl_manager).items()
        ]
        self.info.set_splits(tfds.core.splits.SplitDict(splits))

    def _write(self, split: str, examples: Iterator[tuple[Any, Record]]) -> tfds.core.SplitInfo:
        serialize = Serializer(self.info.features)
        template = self._get_filename_template(split_name=split)
        parts: list[pathlib.Path] = []
        lengths: list[int] = []
        num_bytes, shard = 0, None
        try:
            for _, record in examples:
                if shard is None or shard.num_bytes > _SHARD_BYTES:
                    shard = _close(shard)
                    parts.append(pathlib.Path(self.data_dir) / f"{split}.part{len(parts)}")
                    lengths.append(0)
                    shard = _Shard(parts[-1])
                data = serialize(record)
                shard.write(data)
                lengths[-1] += 1
                num_bytes += len(data)
        finally:
            _close(shard)
        if not parts:
            raise UserError(f"{self.info.full_name}: there is no record for its split '{split}'")
        for i, part in enumerate(parts):
            part.rename(template.sharded_filepath(shard_index=i, num_shards=len(parts)))
        return tfds.core.SplitInfo(
            name=split, shard_lengths=lengths, num_bytes=num_bytes, filename_template=template
        )


class _Shard:
    """An ArrayRecord file that is being written; errors are `OSError`s."""

    def __init__(self, path: pathlib.Path):
        self._path = path
        # Compressed less than by default: a quarter faster to make, and at most an eighth larger.
        options = "group_size:1,zstd:1"
        self._writer = array_record_module.ArrayRecordWriter(os.fspath(path), options)
        self.num_bytes = 0

    def write(self, data: bytes) -> None:
        self._call(self._writer.write, data)
        self.num_bytes += len(data)

    def close(self) -> None:
        self._call(self._writer.close)

    def _call(self, function: Any, *args: bytes) -> None:
        try:
            function(*args)
        except RuntimeError as error:  # All that ArrayRecord raises, with the reason as text.
            code = next((c for c in _DISK_ERRORS if os.strerror(c) in str(error)), errno.EIO)
            raise OSError(code, os.strerror(code), os.fspath(self._path)) from error


_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.ENOENT)


def _close(shard: _Shard | None) -> None:
    if shard is not None:
        shard.close()


def rows(records: Records) -> Iterator[Record]:
    """Yields the single records of a dict of arrays [N, ...]."""
    for row in range(len(records["image"])):
        yield tfds.core.utils.map_nested(lambda array, r=row: array[r], records)


def first(records: Iterator[Record], count: int | None) -> Iterator[tuple[int, Record]]:
    """Numbers the first `count` records, or all of them."""
    return enumerate(itertools.islice(records, count))
