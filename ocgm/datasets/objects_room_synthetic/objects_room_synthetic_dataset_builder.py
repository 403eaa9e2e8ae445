"""TFDS builder of synthetic Objects Room."""

import numpy as np
import tensorflow_datasets as tfds

from ocgm.datasets.builders import base, generated
from ocgm.datasets.objects_room.objects_room_dataset_builder import Builder as Published
from ocgm.datasets.objects_room_synthetic import images as images_lib
from ocgm.datasets.objects_room_synthetic import scenes as scenes_lib
from ocgm.datasets.rendering import room

_MAX_OBJECTS = scenes_lib.MAX_OBJECTS
_VECTOR = base.object_factor("number", _MAX_OBJECTS, np.float32, 3)


class Builder(generated.GeneratedBuilder):
    """Rooms with objects, and test sets with none, with six and with four to six of one colour."""

    HOMEPAGE = Published.HOMEPAGE
    VARIANTS = Published.VARIANTS
    SPLITS = Published.SPLITS
    SIZES = (50_000, 1_000, 1_000)
    BLOCK = 64
    FACTORS = {
        "shape": base.object_factor("class", _MAX_OBJECTS, np.int32, names=("", *room.SHAPES)),
        "size": _VECTOR,
        "position": _VECTOR,
        "rotation": base.object_factor("number", _MAX_OBJECTS, np.float32),
        "color": base.object_factor("number", _MAX_OBJECTS, np.float32, 3, space="hsv"),
        "visibility": base.object_factor("class", _MAX_OBJECTS, np.float32, scored=False),
        "floor_color": base.scene_factor("number", np.float32, 3, space="hsv"),
        "wall_color": base.scene_factor("number", np.float32, 3, space="hsv"),
        "camera": base.scene_factor("number", np.float32, room.CAMERA_SIZE),
        "light": base.scene_factor("number", np.float32, 3),
    }

    def _features(self) -> tfds.features.FeaturesDict:
        return base.record_features(scenes_lib.IMAGE_SIZE, self.factors, background_parts=True)

    def block(self, split: str, index: int) -> base.Records:
        """See `GeneratedBuilder`."""
        scenes = scenes_lib.draw_scenes(self.rng(split, index), split, self.BLOCK)
        rendered = images_lib.render_scenes(scenes)
        factors = {name: getattr(scenes, name) for name in self.FACTORS if name != "visibility"}
        labels = np.arange(1, _MAX_OBJECTS + 1)
        seen = (rendered["masks"][..., None] == labels).any((1, 2))
        return {
            **rendered,
            "num_objects": scenes.num_objects,
            "factors": {**factors, "visibility": seen.astype(np.float32)},
        }
