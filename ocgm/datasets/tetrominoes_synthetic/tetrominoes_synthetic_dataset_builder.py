"""TFDS builder of synthetic Tetrominoes."""

import numpy as np
import tensorflow_datasets as tfds

from ocgm.datasets.builders import base, generated
from ocgm.datasets.tetrominoes.tetrominoes_dataset_builder import Builder as Published
from ocgm.datasets.tetrominoes_synthetic import scenes as scenes_lib

# Rows of cells by code.
_SHAPES = tuple(scenes_lib.SHAPES.get(code, "") for code in range(1 + max(scenes_lib.SHAPES)))


class Builder(generated.GeneratedBuilder):
    """Three tetrominoes of bright colours on black."""

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES = {"1.1.0": "Images are stored as they are.", "1.0.0": "Initial release."}
    HOMEPAGE = Published.HOMEPAGE
    VARIANTS = {"default": "Three pieces on black."}
    # Train and test are as in the EfficientMORL paper; validation is as large as test.
    SIZES = (60_000, 320, 320)
    FACTORS = {
        **{name: Published.FACTORS[name] for name in ("x", "y")},
        "shape": base.object_factor("class", scenes_lib.NUM_PIECES, np.int32, names=_SHAPES),
        "color": Published.FACTORS["color"],
    }

    def _features(self) -> tfds.features.FeaturesDict:
        return base.record_features(scenes_lib.IMAGE_SIZE, self.factors)

    def block(self, split: str, index: int) -> base.Records:
        """See `GeneratedBuilder`."""
        scenes = scenes_lib.draw_scenes(self.rng(split, index), self.BLOCK)
        return {
            **scenes_lib.render_scenes(scenes),
            "num_objects": np.full(self.BLOCK, scenes_lib.NUM_PIECES, np.int32),
            "factors": {
                "x": scenes.x,
                "y": scenes.y,
                "shape": scenes.shape,
                "color": 255 * scenes.color,
            },
        }
