"""TFDS builder of synthetic Multi-dSprites as published by DeepMind."""

import dataclasses
import functools

import numpy as np
import tensorflow_datasets as tfds

from ocgm.datasets.builders import base, generated
from ocgm.datasets.multi_dsprites_deepmind.multi_dsprites_deepmind_dataset_builder import (
    Builder as Published,
)
from ocgm.datasets.multi_dsprites_deepmind_synthetic import scenes as scenes_lib
from ocgm.datasets.multi_dsprites_deepmind_synthetic import textures as textures_lib
from ocgm.datasets.sprites import sprite_scenes, sprites


class Builder(generated.GeneratedBuilder):
    """Up to five dSprites, flat or patterned."""

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES = {"1.1.0": "Images are stored as they are.", "1.0.0": "Initial release."}
    HOMEPAGE = Published.HOMEPAGE
    VARIANTS = {name: variant.description for name, variant in scenes_lib.VARIANTS.items()}
    # Train and test are as in the EfficientMORL paper; validation is as large as test.
    SIZES = (60_000, 320, 320)
    USES_SPRITES = True

    def _features(self) -> tfds.features.FeaturesDict:
        return base.record_features(sprites.IMAGE_SIZE, self.factors)

    def _factors(self) -> dict[str, base.Factor]:
        variant = self.builder_config.variant
        color: base.FactorKind = "class" if variant == "binarized" else "number"
        factors = sprite_scenes.factors(scenes_lib.MAX_OBJECTS, color)
        if variant == "textured":
            # The first row is the background.
            factors["texture"] = base.Factor(_texture_features(), "scene", "number")
        return factors

    @functools.cached_property
    def _draw(self) -> sprite_scenes.DrawSprites:
        return sprite_scenes.sprite_source(self.builder_config.sprites_path)

    def block(self, split: str, index: int) -> base.Records:
        """See `GeneratedBuilder`."""
        rng, variant = self.rng(split, index), self.builder_config.variant
        scenes = scenes_lib.draw_scenes(rng, variant, self.BLOCK)
        records = sprite_scenes.records(scenes, self._draw)
        factors = records["factors"]
        # Padding has shape -1 here; its angle is 0 and remains 0.
        factors["orientation"] = sprites.reduced_orientation(
            factors["shape"] - 1, factors["orientation"]
        )
        if variant == "textured":
            textures = textures_lib.draw_textures(rng, scenes.palette)
            records["image"] = textures_lib.paint(records["masks"], textures)
            factors["texture"] = dataclasses.asdict(textures)
        return records


def _texture_features() -> tfds.features.FeaturesDict:
    def per_entity(dtype: type, *shape: int) -> tfds.features.Tensor:
        return tfds.features.Tensor(shape=(1 + scenes_lib.MAX_OBJECTS, *shape), dtype=dtype)

    return tfds.features.FeaturesDict(
        {
            "pattern": per_entity(np.int32),
            "period": per_entity(np.float32),
            "angle": per_entity(np.float32),
            "phase": per_entity(np.float32, 2),
            "color": per_entity(np.uint8, textures_lib.NUM_COLORS, 3),
        }
    )
