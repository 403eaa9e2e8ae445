"""TFDS builder of Multi-dSprites as in the GENESIS paper."""

import functools

import tensorflow_datasets as tfds

from ocgm.datasets.builders import base, generated
from ocgm.datasets.multi_dsprites import scenes as scenes_lib
from ocgm.datasets.sprites import sprite_scenes, sprites


class Builder(generated.GeneratedBuilder):
    """Up to four coloured dSprites on a coloured background."""

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES = {"1.1.0": "Images are stored as they are.", "1.0.0": "Initial release."}
    HOMEPAGE = "https://arxiv.org/abs/1907.13052"
    VARIANTS = {
        "plain": "Colours are independent.",
        "unique": "All colours of an image differ.",
        "vivid": "All colours differ, with channels of 0 or 255, on mid-grey; not in the paper.",
    }
    SIZES = tuple(scenes_lib.SPLIT_SIZES.values())
    ENDLESS = False  # The authors' scenes are one sequence of random draws.
    USES_SPRITES = True

    def _features(self) -> tfds.features.FeaturesDict:
        return base.record_features(sprites.IMAGE_SIZE, self.factors)

    def _factors(self) -> dict[str, base.Factor]:
        color: base.FactorKind = "class" if self.builder_config.variant == "vivid" else "number"
        return sprite_scenes.factors(scenes_lib.MAX_OBJECTS, color)

    @functools.cached_property
    def _scenes(self) -> dict[str, sprite_scenes.Scenes]:
        sizes = tuple(map(self.most, self.SPLITS))
        return scenes_lib.draw_scenes(self.builder_config.variant, sizes)

    @functools.cached_property
    def _draw(self) -> sprite_scenes.DrawSprites:
        return sprite_scenes.sprite_source(self.builder_config.sprites_path)

    def block(self, split: str, index: int) -> base.Records:
        """See `GeneratedBuilder`."""
        rows = slice(index * self.BLOCK, (index + 1) * self.BLOCK)
        return sprite_scenes.records(self._scenes[split][rows], self._draw)
