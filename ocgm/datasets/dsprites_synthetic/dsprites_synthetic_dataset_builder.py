"""TFDS builder of dSprites, drawn from formulas."""

import functools

import numpy as np
import tensorflow_datasets as tfds

from ocgm.datasets.builders import base, generated
from ocgm.datasets.dsprites import dsprites_dataset_builder as published
from ocgm.datasets.sprites import sprite_scenes, sprites

VARIANTS = {"default": "White sprites on black, drawn here."}


class Builder(generated.GeneratedBuilder):
    """One sprite, in all its 737,280 forms; synthetic."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}
    HOMEPAGE = published.Builder.HOMEPAGE
    VARIANTS = VARIANTS
    BUILDER_CONFIGS = base.standard_configs(VARIANTS)
    # All there are: nine tenths, a twentieth and a twentieth.
    SIZES = (663_552, 36_864, 36_864)
    ENDLESS = False

    def _features(self) -> tfds.features.FeaturesDict:
        return base.record_features(sprites.IMAGE_SIZE, self.factors)

    def _factors(self) -> dict[str, base.Factor]:
        return dict(published.FACTORS)

    @functools.cached_property
    def _indices(self) -> dict[str, np.ndarray]:
        return published.sprite_indices()

    def block(self, split: str, index: int) -> base.Records:
        """See `GeneratedBuilder`."""
        rows = slice(index * self.BLOCK, (index + 1) * self.BLOCK)
        return published.records(self._indices[split][rows], sprite_scenes.analytic_sprites)
