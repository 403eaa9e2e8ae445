"""TFDS builder of Multi-dSprites as in the GENESIS paper, rendered on the spot."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from ml_collections import ConfigDict

from ocgm.data import sprites
from ocgm.data.multi_dsprites import scenes as scenes_lib
from ocgm.data.progress import progress
from ocgm.errors import UserError

VARIANTS = ("plain", "unique")

# Scenes rendered at once: small arrays stay in the processor's cache.
_CHUNK = 256


@dataclasses.dataclass(eq=False)
class MultiDSpritesConfig(tfds.core.BuilderConfig):
    """One form of the dataset.

    Attributes:
      unique: whether the colours of an image, background included, are all different.
      num_examples: size of train, validation and test.
      sprites_path: dSprites npz file with the real sprites; '' draws them from formulas.
    """

    unique: bool = False
    num_examples: tuple[int, int, int] = tuple(scenes_lib.SPLIT_SIZES.values())
    sprites_path: str = ""


def make_config(data_config: ConfigDict) -> str | MultiDSpritesConfig:
    """Returns the builder's config for the `data` part of a config.

    Args:
      data_config: `variant` 'plain' or 'unique', '' for the first; `num_examples`, the size of
        train, validation and test, () for all; `sprites_path`, '' to draw sprites from formulas.

    Returns:
      The name of a standard config. Other sizes and real sprites give a config of another name, so
      that it is stored apart and nobody takes it for the standard one.

    Raises:
      UserError: if a field has no meaning here.
    """
    variant = data_config.variant or VARIANTS[0]
    if variant not in VARIANTS:
        raise UserError(f"multi_dsprites has the variants {', '.join(VARIANTS)}, not '{variant}'")
    full = tuple(scenes_lib.SPLIT_SIZES.values())
    sizes = tuple(data_config.num_examples) or full
    if len(sizes) != 3 or not all(0 < n <= most for n, most in zip(sizes, full, strict=True)):
        raise UserError(f"num_examples={sizes}: expected three numbers of 1 up to {full}, or ()")
    path = data_config.sprites_path
    name = variant + ("_real" if path else "")
    name += "_n" + "_".join(map(str, sizes)) if sizes != full else ""
    if name == variant:
        return variant
    return MultiDSpritesConfig(
        name=name,
        description=f"{variant}, {sizes} images, sprites {path or 'drawn from formulas'}.",
        unique=variant == "unique",
        num_examples=sizes,
        sprites_path=path,
    )


class Builder(tfds.core.GeneratorBasedBuilder):
    """Up to four coloured dSprites on a coloured background."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}
    BUILDER_CONFIGS = [
        MultiDSpritesConfig(name="plain", description="Colours are independent."),
        MultiDSpritesConfig(
            name="unique", description="All colours of an image differ.", unique=True
        ),
    ]

    def __init__(self, *, file_format: str = "array_record", **kwargs: Any):
        # TFDS writes TFRecord by default, which needs TensorFlow and has no random access.
        super().__init__(file_format=file_format, **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        def packed(*shape: int) -> tfds.features.Tensor:
            encoding = tfds.features.Encoding.ZLIB
            return tfds.features.Tensor(shape=shape, dtype=np.uint8, encoding=encoding)

        def per_object(dtype: type, *shape: int) -> tfds.features.Tensor:
            return tfds.features.Tensor(shape=(scenes_lib.MAX_OBJECTS, *shape), dtype=dtype)

        size = sprites.IMAGE_SIZE
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": packed(size, size, 3),
                    "masks": packed(size, size),
                    "num_objects": tfds.features.Scalar(np.int32),
                    "factors": {
                        "sprite": per_object(np.int32),
                        "shape": per_object(np.int32),
                        "scale": per_object(np.float32),
                        "orientation": per_object(np.float32),
                        "x": per_object(np.float32),
                        "y": per_object(np.float32),
                        "color": per_object(np.uint8, 3),
                        "visibility": per_object(np.float32),
                        "background_color": tfds.features.Tensor(shape=(3,), dtype=np.uint8),
                    },
                }
            ),
            homepage="https://arxiv.org/abs/1907.13052",
            # Keeps the order of the draws, so that the first n test images are the same for all.
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        del dl_manager  # Nothing is downloaded.
        config = self.builder_config
        draw = (
            scenes_lib.real_sprites(config.sprites_path)
            if config.sprites_path
            else scenes_lib.analytic_sprites
        )
        drawn = scenes_lib.draw_scenes(config.unique, config.num_examples)
        return {
            split: progress(
                self._generate_examples(scenes, draw), len(scenes), f"{self.info.full_name} {split}"
            )
            for split, scenes in drawn.items()
        }

    def _generate_examples(
        self, scenes: scenes_lib.Scenes, draw: Callable[[np.ndarray], np.ndarray]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for start in range(0, len(scenes), _CHUNK):
            chunk = scenes[start : start + _CHUNK]
            records = _records(chunk, draw)
            for row in range(len(chunk)):
                yield start + row, tfds.core.utils.map_nested(lambda a, r=row: a[r], records)


def _records(scenes: scenes_lib.Scenes, draw: Callable[[np.ndarray], np.ndarray]) -> dict[str, Any]:
    """Returns N records as one dict of arrays [N, ...]."""
    rendered = scenes_lib.render_scenes(scenes, draw)
    present = scenes.sprite >= 0
    flat = sprites.factors_from_index(np.where(present, scenes.sprite, 0).ravel())
    factors = {
        name: np.where(present, values.reshape(present.shape), 0).astype(np.float32)
        for name, values in flat._asdict().items()
    }
    # As in DeepMind's Multi-dSprites: 1 square, 2 ellipse, 3 heart, 0 padding.
    factors["shape"] = np.where(present, factors["shape"] + 1, 0).astype(np.int32)
    return {
        "image": rendered["image"],
        "masks": rendered["masks"],
        "num_objects": scenes.num_objects,
        "factors": {
            **factors,
            "sprite": scenes.sprite,
            "color": scenes.color,
            "visibility": rendered["visibility"],
            "background_color": scenes.background,
        },
    }
