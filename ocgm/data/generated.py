"""What the builders of generated datasets share: configs, random numbers, records and their writing."""

import abc
import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from ml_collections import ConfigDict

from ocgm.data.progress import progress
from ocgm.errors import UserError

SPLITS = ("train", "validation", "test")

# Records made at once: small arrays stay in the processor's cache.
BLOCK = 256

_SEED = 0

# N records as one dict of arrays [N, ...], which may hold further dicts.
Records = dict[str, Any]


# ---- random numbers


def block_generators(split: str) -> Iterator[np.random.Generator]:
    """Yields one random generator for every `BLOCK` records of a split, for ever.

    A block is always drawn whole, so that a record depends on its split and index alone and not
    on how many are asked for.
    """
    for block in itertools.count():
        yield np.random.default_rng([_SEED, SPLITS.index(split), block])


def uniform_integers(
    rng: np.random.Generator, bound: int | np.ndarray, size: int | tuple[int, ...]
) -> np.ndarray:
    """Returns int32 of shape `size`, uniform over 0 to bound - 1; `bound` is broadcast."""
    # Not `rng.integers`: NumPy may change how it turns bits into integers, and with it the dataset.
    return (rng.random(size) * bound).astype(np.int32)


# ---- configs


@dataclasses.dataclass(eq=False)
class GeneratedConfig(tfds.core.BuilderConfig):
    """One form of a dataset.

    Attributes:
      variant: name of the variant.
      num_examples: size of train, validation and test.
      sprites_path: dSprites npz file with the real sprites; '' draws them from formulas.
    """

    variant: str = ""
    num_examples: tuple[int, int, int] = (0, 0, 0)
    sprites_path: str = ""


def standard_configs(
    variants: Mapping[str, str], sizes: tuple[int, int, int]
) -> list[GeneratedConfig]:
    """Returns the config of each variant, given its name and description, at full size."""
    return [
        GeneratedConfig(name=name, description=text, variant=name, num_examples=sizes)
        for name, text in variants.items()
    ]


def choose_config(
    data_config: ConfigDict, variants: Mapping[str, str], full: tuple[int, int, int]
) -> str | GeneratedConfig:
    """Returns the builder's config for the `data` part of a config.

    Args:
      data_config: `variant`, '' for the first; `num_examples`, the size of train, validation and
        test, () for all; `sprites_path`, '' to draw sprites from formulas.
      variants: descriptions of the variants by name.
      full: the largest `num_examples`.

    Returns:
      The name of a standard config. Other sizes and real sprites give a config of another name, so
      that it is stored apart and nobody takes it for the standard one.

    Raises:
      UserError: if a field has no meaning here.
    """
    variant = data_config.variant or next(iter(variants))
    if variant not in variants:
        raise UserError(
            f"{data_config.name} has the variants {', '.join(variants)}, not '{variant}'"
        )
    sizes = tuple(data_config.num_examples) or full
    if len(sizes) != 3 or not all(0 < n <= most for n, most in zip(sizes, full, strict=True)):
        raise UserError(f"num_examples={sizes}: expected three numbers of 1 up to {full}, or ()")
    path = data_config.sprites_path
    name = variant + ("_real" if path else "")
    name += "_n" + "_".join(map(str, sizes)) if sizes != full else ""
    if name == variant:
        return variant
    return GeneratedConfig(
        name=name,
        description=f"{variant}, {sizes} images" + (f", sprites {path}." if path else "."),
        variant=variant,
        num_examples=sizes,
        sprites_path=path,
    )


# ---- records


def _packed(*shape: int) -> tfds.features.Tensor:
    """An image or label map: uint8, compressed."""
    return tfds.features.Tensor(shape=shape, dtype=np.uint8, encoding=tfds.features.Encoding.ZLIB)


def scene_features(
    image_size: int, factors: Mapping[str, tfds.features.FeatureConnector]
) -> tfds.features.FeaturesDict:
    """The record of docs/design.md for square images."""
    return tfds.features.FeaturesDict(
        {
            "image": _packed(image_size, image_size, 3),
            "masks": _packed(image_size, image_size),
            "num_objects": tfds.features.Scalar(np.int32),
            "factors": factors,
        }
    )


class GeneratedBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Writes records that come in batches; a subclass says what they are.

    Attributes:
      HOMEPAGE: address where the dataset is described.
    """

    HOMEPAGE: ClassVar[str]

    def __init__(self, *, file_format: str = "array_record", **kwargs: Any):
        # TFDS writes TFRecord by default, which needs TensorFlow and has no random access.
        super().__init__(file_format=file_format, **kwargs)

    @abc.abstractmethod
    def _features(self) -> tfds.features.FeaturesDict:
        """Returns the form of a record."""

    @abc.abstractmethod
    def _batches(self) -> dict[str, Iterator[Records]]:
        """Returns the records of each split; what exceeds `num_examples` is not used."""

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=self._features(),
            homepage=self.HOMEPAGE,
            # Keeps the order of the draws, so that the first n test images are the same for all.
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        del dl_manager  # Nothing is downloaded.
        sizes = dict(zip(SPLITS, self.builder_config.num_examples, strict=True))
        return {
            split: progress(
                self._generate_examples(batches, sizes[split]),
                sizes[split],
                f"{self.info.full_name} {split}",
            )
            for split, batches in self._batches().items()
        }

    def _generate_examples(
        self, batches: Iterator[Records], count: int
    ) -> Iterator[tuple[int, Records]]:
        rows = itertools.chain.from_iterable(map(_rows, batches))
        return enumerate(itertools.islice(rows, count))


def _rows(records: Records) -> Iterator[Records]:
    for row in range(len(records["image"])):
        yield tfds.core.utils.map_nested(lambda array, r=row: array[r], records)
