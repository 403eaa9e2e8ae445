"""TFDS builder of synthetic dSprites, drawn from formulas."""

import functools

import numpy as np
import tensorflow_datasets as tfds

from ocgm.datasets.builders import base, generated
from ocgm.datasets.dsprites import dsprites_dataset_builder as published
from ocgm.datasets.sprites import sprite_scenes, sprites


class Builder(generated.GeneratedBuilder):
    """One sprite, in all its 737,280 forms; synthetic."""

    HOMEPAGE = published.Builder.HOMEPAGE
    VARIANTS = {"default": "White sprites on black, drawn from formulas."}
    FACTORS = published.Builder.FACTORS
    SIZES = (663_552, 36_864, 36_864)  # All images.
    ENDLESS = False

    def _features(self) -> tfds.features.FeaturesDict:
        return base.record_features(sprites.IMAGE_SIZE, self.factors)

    @functools.cached_property
    def _indices(self) -> dict[str, np.ndarray]:
        return published.sprite_indices()

    def block(self, split: str, index: int) -> base.Records:
        """See `GeneratedBuilder`."""
        rows = slice(index * self.BLOCK, (index + 1) * self.BLOCK)
        return published.records(self._indices[split][rows], sprite_scenes.analytic_sprites)
