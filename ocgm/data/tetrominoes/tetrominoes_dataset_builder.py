"""TFDS builder of Tetrominoes, rendered on the spot."""

from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds
from ml_collections import ConfigDict

from ocgm.data import generated
from ocgm.data.tetrominoes import scenes as scenes_lib
from ocgm.errors import UserError

VARIANTS = {"default": "Three pieces on black."}
# Train and test as in the EfficientMORL paper; validation is as large as test.
SIZES = (60_000, 320, 320)


def make_config(data_config: ConfigDict) -> str | generated.GeneratedConfig:
    """Returns the builder's config for the `data` part of a config, see `choose_config`."""
    if data_config.sprites_path:
        raise UserError(
            f"sprites_path='{data_config.sprites_path}', but tetrominoes has no sprites: leave it ''"
        )
    return generated.choose_config(data_config, VARIANTS, SIZES)


class Builder(generated.GeneratedBuilder):
    """Three tetrominoes of bright colours on black."""

    BUILDER_CONFIGS = generated.standard_configs(VARIANTS, SIZES)
    HOMEPAGE = "https://github.com/google-deepmind/multi_object_datasets"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}

    def _features(self) -> tfds.features.FeaturesDict:
        pieces = scenes_lib.NUM_PIECES
        per_piece = tfds.features.Tensor(shape=(pieces,), dtype=np.int32)
        color = tfds.features.Tensor(shape=(pieces, 3), dtype=np.uint8)
        factors = {"x": per_piece, "y": per_piece, "shape": per_piece, "color": color}
        return generated.scene_features(scenes_lib.IMAGE_SIZE, factors)

    def _batches(self) -> dict[str, Iterator[generated.Records]]:
        return {split: _records(split) for split in generated.SPLITS}


def _records(split: str) -> Iterator[generated.Records]:
    for rng in generated.block_generators(split):
        scenes = scenes_lib.draw_scenes(rng, generated.BLOCK)
        yield {
            **scenes_lib.render_scenes(scenes),
            "num_objects": np.full(generated.BLOCK, scenes_lib.NUM_PIECES, np.int32),
            "factors": {
                "x": scenes.x,
                "y": scenes.y,
                "shape": scenes.shape,
                "color": 255 * scenes.color,
            },
        }
