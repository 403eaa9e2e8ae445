"""TFDS builder of Multi-dSprites as in the GENESIS paper, rendered on the spot."""

from collections.abc import Iterator

import tensorflow_datasets as tfds
from ml_collections import ConfigDict

from ocgm.data import generated, sprite_scenes
from ocgm.data.multi_dsprites import scenes as scenes_lib

VARIANTS = {
    "plain": "Colours are independent.",
    "unique": "All colours of an image differ.",
}

_SIZES = tuple(scenes_lib.SPLIT_SIZES.values())


def make_config(data_config: ConfigDict) -> str | generated.GeneratedConfig:
    """Returns the builder's config for the `data` part of a config, see `choose_config`."""
    return generated.choose_config(data_config, VARIANTS, _SIZES)


class Builder(generated.GeneratedBuilder):
    """Up to four coloured dSprites on a coloured background."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}
    HOMEPAGE = "https://arxiv.org/abs/1907.13052"
    BUILDER_CONFIGS = generated.standard_configs(VARIANTS, _SIZES)

    def _features(self) -> tfds.features.FeaturesDict:
        return sprite_scenes.features(scenes_lib.MAX_OBJECTS)

    def _batches(self) -> dict[str, Iterator[generated.Records]]:
        config = self.builder_config
        draw = sprite_scenes.sprite_source(config.sprites_path)
        drawn = scenes_lib.draw_scenes(config.variant == "unique", config.num_examples)
        return {split: self._render(scenes, draw) for split, scenes in drawn.items()}

    def _render(
        self, scenes: sprite_scenes.Scenes, draw: sprite_scenes.DrawSprites
    ) -> Iterator[generated.Records]:
        for start in range(0, len(scenes), generated.BLOCK):
            yield sprite_scenes.records(scenes[start : start + generated.BLOCK], draw)
