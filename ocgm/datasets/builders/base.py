"""Base class of the TFDS builders of all datasets: configs, records and factors, and writing them."""

import dataclasses
import itertools
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import tensorflow_datasets as tfds
from ml_collections import ConfigDict

from ocgm.datasets.builders.serialization import Serializer
from ocgm.datasets.builders.shards import write_shards
from ocgm.errors import UserError, did_you_mean

SPLITS = ("train", "validation", "test")

# One record, or N records as one dict of arrays [N, ...]; `factors` is a dict of its own.
Record = dict[str, Any]
Records = dict[str, Any]


# ---- configs


@dataclasses.dataclass(eq=False)
class SceneConfig(tfds.core.BuilderConfig):
    """One form of a dataset.

    Attributes:
      variant: name of a kind of scenes.
      protocol: name of the paper whose splits and preprocessing are used.
      image_size: side of the stored image in pixels; 0 if it is always the native one.
      num_examples: largest numbers of train, validation and test records; () for all.
      sprites_path: dSprites npz file with the real sprites; '' draws them from formulas.
    """

    variant: str = ""
    protocol: str = ""
    image_size: int = 0
    num_examples: tuple[int, ...] = ()
    sprites_path: str = ""


# ---- records


FactorKind = Literal["class", "number"]


@dataclasses.dataclass(frozen=True)
class Factor:
    """A known property of the objects of a scene, or of the scene as a whole.

    Attributes:
      feature: its form in a record: for objects [N, ...], with zeros behind the last object.
      of: "object" if row i describes the object with label i + 1, otherwise "scene".
      kind: "class" for codes, indices and colours of a small palette, which can only be equal or
        different; "number" if order and distance have a meaning.
      scored: whether measures of disentanglement use it; False for indices, flags, and factors that follow
        from others.
      names: names of a class by its code, '' for codes without a meaning; () if codes have no names.
      space: colour space of a colour; hue, saturation and value are in [0, 1].
    """

    feature: tfds.features.FeatureConnector
    of: Literal["object", "scene"]
    kind: FactorKind
    scored: bool = True
    names: tuple[str, ...] = ()
    space: Literal["rgb", "hsv"] = "rgb"


def object_factor(
    kind: FactorKind, max_objects: int, dtype: type, *shape: int, **more: Any
) -> Factor:
    """Return a factor of objects, an array [max_objects, *shape] of each record; `more` are fields of `Factor`."""
    feature = tfds.features.Tensor(shape=(max_objects, *shape), dtype=dtype)
    return Factor(feature, "object", kind, **more)


def scene_factor(kind: FactorKind, dtype: type, *shape: int, **more: Any) -> Factor:
    """Return a factor of the scene, an array of this shape, or a scalar, of each record, as `object_factor`."""
    tensor = tfds.features.Tensor(shape=shape, dtype=dtype)
    return Factor(tensor if shape else tfds.features.Scalar(dtype), "scene", kind, **more)


def _bytes(*shape: int, dtype: type = np.uint8) -> tfds.features.Tensor:
    """Return the feature of an image or label map, compressed by ArrayRecord alone."""
    return tfds.features.Tensor(shape=shape, dtype=dtype, encoding=tfds.features.Encoding.BYTES)


def record_features(
    image_size: int,
    factors: Mapping[str, Factor],
    *,
    masks: bool = True,
    mask_size: int | None = None,
    void: bool = False,
    background_parts: bool = False,
) -> tfds.features.FeaturesDict:
    """Return the form of a record with a square image, as docs/design.md describes it.

    Args:
      image_size: side of the image in pixels.
      factors: factors of the scene and its objects, by name.
      masks: whether there are true masks.
      mask_size: side of the masks in pixels, if it is not that of the image.
      void: whether masks are signed and have -1 for pixels that do not count.
      background_parts: whether there is a label map of the background's sky, floor and walls.
    """
    features: dict[str, Any] = {
        "image": _bytes(image_size, image_size, 3),
        "num_objects": tfds.features.Scalar(np.int32),
        "factors": {name: factor.feature for name, factor in factors.items()},
    }
    mask_size = mask_size or image_size
    if masks:
        features["masks"] = _bytes(mask_size, mask_size, dtype=np.int8 if void else np.uint8)
    if background_parts:
        features["background_parts"] = _bytes(mask_size, mask_size)
    return tfds.features.FeaturesDict(features)


# ---- builders


class SceneBuilder(  # type: ignore[call-arg]  # TFDS ships no types.
    tfds.core.GeneratorBasedBuilder, skip_registration=True
):
    """Writes records; a subclass defines them.

    Attributes:
      HOMEPAGE: address where the dataset is described.
      VARIANTS: descriptions by name; the first is the default.
      FACTORS: factors of the scene and its objects, by name, if they are the same for all configs.
      PROTOCOLS: papers whose splits and preprocessing are available; the first is the default. () if there is only
        one protocol.
      IMAGE_SIZES: sides to which images can be resized while they are written; the first is that of
        the standard configs. () if images are stored at their native side.
      SPLITS: names of the splits; `num_examples` holds for the first three, its last number also for further ones.
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
        """Return the builder's config for the `data` part of a config.

        A form that differs from the standard one of its variant gets a config of another name, so that
        it is stored elsewhere and not taken for the standard one.

        Raises:
          UserError: if a field has a value that has no meaning for this dataset.
        """
        name = data_config.name
        variant = cls._variant(data_config)
        if data_config.protocol and data_config.protocol not in cls.PROTOCOLS:
            raise UserError(
                f"{name} has "
                + (f"the protocols {', '.join(cls.PROTOCOLS)}" if cls.PROTOCOLS else "one protocol")
                + f", not '{data_config.protocol}'{did_you_mean(data_config.protocol, cls.PROTOCOLS)}"
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
        """Return the variant that a config names, or the default one."""
        variant = data_config.variant or next(iter(cls.VARIANTS))
        if variant not in cls.VARIANTS:
            raise UserError(
                f"{data_config.name} has the variants {', '.join(cls.VARIANTS)}, not"
                f" '{variant}'{did_you_mean(variant, cls.VARIANTS)}"
            )
        return variant

    @classmethod
    def _stored_size(cls, data_config: ConfigDict) -> int:
        """Return the side of the stored image in a config, if the dataset has it."""
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
        """Return short names and descriptions of the differences from a variant's standard form."""
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
        """Return the factors of the scene and its objects, by name."""
        return dict(self.FACTORS)

    @property
    def factors(self) -> dict[str, Factor]:
        """Factors of a record, by name."""
        return self._factors()

    @property
    def image_size(self) -> int:
        """Side of the stored image in pixels, for datasets that have several."""
        return self.builder_config.image_size or self.IMAGE_SIZES[0]

    @property
    def protocol(self) -> str:
        """Paper whose splits and preprocessing are used, for datasets that have several."""
        return self.builder_config.protocol or self.PROTOCOLS[0]

    def most(self, split: str) -> int | None:
        """Return the largest number of records of a split; None for all that there are."""
        sizes = self.builder_config.num_examples
        return sizes[min(self.SPLITS.index(split), 2)] if sizes else None

    # -- writing

    def _features(self) -> tfds.features.FeaturesDict:
        """Return the form of a record."""
        return record_features(self.image_size, self._factors())

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=self._features(),
            homepage=self.HOMEPAGE,
            metadata=tfds.core.MetadataDict(),
            # Keeps the order, so that the first n test images are always the same.
            disable_shuffling=True,
        )

    def _download_and_prepare(self, dl_manager: Any, download_config: Any) -> None:
        # TFDS' own writer keeps up to 1 GB in memory, then needs TensorFlow, and sorts the records
        # in memory again. Here a record is written to its file as soon as it is made.
        del download_config  # Options of TFDS' own writer.
        splits = [
            self._write(split, examples)
            for split, examples in self._split_generators(dl_manager).items()
        ]
        self.info.set_splits(tfds.core.splits.SplitDict(splits))

    def _write(self, split: str, examples: Iterator[tuple[Any, Record]]) -> tfds.core.SplitInfo:
        serialize = Serializer(self.info.features)
        template = self._get_filename_template(split_name=split)
        data = (serialize(record) for _, record in examples)
        shards = write_shards(data, pathlib.Path(self.data_dir) / split)
        if not shards:
            raise UserError(f"{self.info.full_name}: there is no record for its split '{split}'")
        for i, shard in enumerate(shards):
            shard.path.rename(template.sharded_filepath(shard_index=i, num_shards=len(shards)))
        return tfds.core.SplitInfo(
            name=split,
            shard_lengths=[shard.num_records for shard in shards],
            num_bytes=sum(shard.num_bytes for shard in shards),
            filename_template=template,
        )


def rows(records: Records) -> Iterator[Record]:
    """Yield the single records of a dict of arrays [N, ...]."""
    for row in range(len(records["image"])):
        yield tfds.core.utils.map_nested(lambda array, r=row: array[r], records)


def first(records: Iterator[Record], count: int | None) -> Iterator[tuple[int, Record]]:
    """Yield the first `count` records, or all of them, with their numbers."""
    return enumerate(itertools.islice(records, count))
