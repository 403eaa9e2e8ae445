"""TFDS builder of synthetic CLEVR with masks."""

import numpy as np
import tensorflow_datasets as tfds

from ocgm.datasets.builders import base, generated
from ocgm.datasets.clevr_with_masks.clevr_with_masks_dataset_builder import NUM_OBJECTS
from ocgm.datasets.clevr_with_masks.clevr_with_masks_dataset_builder import Builder as Published
from ocgm.datasets.clevr_with_masks.preprocessing import PREPROCESSING
from ocgm.datasets.clevr_with_masks_synthetic import draw as draw_lib
from ocgm.datasets.clevr_with_masks_synthetic import images as images_lib
from ocgm.datasets.clevr_with_masks_synthetic import scenes as scenes_lib


class Builder(generated.GeneratedBuilder):
    """Rendered solids on grey."""

    HOMEPAGE = Published.HOMEPAGE
    VARIANTS = Published.VARIANTS
    PROTOCOLS = Published.PROTOCOLS
    IMAGE_SIZES = Published.IMAGE_SIZES
    SIZES = (20_000, 320, 320)
    BLOCK = 32
    FACTORS = {
        **Published.FACTORS,
        "camera": base.scene_factor("number", np.float32, 3),
        "lights": base.scene_factor("number", np.float32, 3, 3),
    }

    def _features(self) -> tfds.features.FeaturesDict:
        return base.record_features(self.image_size, self.factors, mask_size=self._mask_size)

    @property
    def _mask_size(self) -> int:
        return len(PREPROCESSING[self.protocol].mask_pixels(self.image_size))

    def block(self, split: str, index: int) -> base.Records:
        """See `GeneratedBuilder`."""
        scenes = draw_lib.draw_scenes(
            self.rng(split, index), NUM_OBJECTS[self.builder_config.variant], self.BLOCK
        )
        # The papers' crops are rendered directly, without resizing.
        rows, columns = PREPROCESSING[self.protocol].box
        crop = (rows.start, columns.start, rows.stop - rows.start)
        return {
            "image": images_lib.render_images(scenes, *crop, self.image_size),
            "masks": images_lib.render_masks(scenes, *crop, self._mask_size),
            "num_objects": scenes.num_objects,
            "factors": _factors_of(scenes),
        }


def _factors_of(scenes: scenes_lib.Scenes) -> dict[str, np.ndarray]:
    x, y, z = np.moveaxis(scenes.position, -1, 0)
    return {
        "x": x,
        "y": y,
        "z": z,
        "rotation": scenes.rotation,
        "pixel_coords": images_lib.pixel_coords(scenes),
        "size": scenes.size,
        "material": scenes.material,
        "shape": scenes.shape,
        "color": scenes.color,
        "visibility": (scenes.shape > 0).astype(np.float32),
        "camera": scenes.camera,
        "lights": scenes.lights,
    }
