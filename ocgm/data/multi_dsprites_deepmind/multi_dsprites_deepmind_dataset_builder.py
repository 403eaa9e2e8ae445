"""TFDS builder of Multi-dSprites as in DeepMind's multi-object datasets, rendered on the spot."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds
from ml_collections import ConfigDict

from ocgm.data import generated, sprite_scenes, sprites
from ocgm.data.multi_dsprites_deepmind import scenes as scenes_lib
from ocgm.data.multi_dsprites_deepmind import textures as textures_lib

VARIANTS = {name: variant.description for name, variant in scenes_lib.VARIANTS.items()}
# Train and test as in the EfficientMORL paper; validation is as large as test.
SIZES = (60_000, 320, 320)


def make_config(data_config: ConfigDict) -> str | generated.GeneratedConfig:
    """Returns the builder's config for the `data` part of a config, see `choose_config`."""
    return generated.choose_config(data_config, VARIANTS, SIZES)


class Builder(generated.GeneratedBuilder):
    """Up to five dSprites, flat or patterned."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}
    HOMEPAGE = "https://github.com/google-deepmind/multi_object_datasets"
    BUILDER_CONFIGS = generated.standard_configs(VARIANTS, SIZES)

    def _features(self) -> tfds.features.FeaturesDict:
        more = {"texture": _texture_features()} if self.builder_config.variant == "textured" else {}
        return sprite_scenes.features(scenes_lib.MAX_OBJECTS, **more)

    def _batches(self) -> dict[str, Iterator[generated.Records]]:
        config = self.builder_config
        draw = sprite_scenes.sprite_source(config.sprites_path)
        return {split: _records(split, config.variant, draw) for split in generated.SPLITS}


def _texture_features() -> dict[str, tfds.features.Tensor]:
    def per_entity(dtype: type, *shape: int) -> tfds.features.Tensor:
        return tfds.features.Tensor(shape=(1 + scenes_lib.MAX_OBJECTS, *shape), dtype=dtype)

    return {
        "pattern": per_entity(np.int32),
        "period": per_entity(np.float32),
        "angle": per_entity(np.float32),
        "phase": per_entity(np.float32, 2),
        "color": per_entity(np.uint8, textures_lib.NUM_COLORS, 3),
    }


def _records(
    split: str, variant: str, draw: sprite_scenes.DrawSprites
) -> Iterator[generated.Records]:
    for rng in generated.block_generators(split):
        scenes = scenes_lib.draw_scenes(rng, variant, generated.BLOCK)
        records = sprite_scenes.records(scenes, draw)
        factors = records["factors"]
        # Padding has no shape, but its angle is 0 and stays so.
        factors["orientation"] = sprites.reduced_orientation(
            factors["shape"] - 1, factors["orientation"]
        )
        if variant == "textured":
            textures = textures_lib.draw_textures(rng, scenes.palette)
            records["image"] = textures_lib.paint(records["masks"], textures)
            factors["texture"] = dataclasses.asdict(textures)
        yield records
