"""TFDS builder of a look-alike of GQN's rooms_ring_camera, rendered on the spot."""

import numpy as np
import tensorflow_datasets as tfds

from ocgm.datasets.builders import base, generated
from ocgm.datasets.builders.resizing import nearest
from ocgm.datasets.gqn import gqn_dataset_builder as published
from ocgm.datasets.gqn_synthetic import rooms as rooms_lib
from ocgm.datasets.rendering import render, stack_scenes

VARIANTS = {"default": "Rooms with one to three objects."}


class Builder(generated.GeneratedBuilder):
    """Rooms with one to three objects, ten views each."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}
    HOMEPAGE = published.Builder.HOMEPAGE
    VARIANTS = VARIANTS
    BUILDER_CONFIGS = base.standard_configs(VARIANTS)
    IMAGE_SIZES = published.Builder.IMAGE_SIZES
    SIZES = (50_000, 1_000, 1_000)
    # Two rooms.
    BLOCK = 2 * published.NUM_VIEWS

    def _features(self) -> tfds.features.FeaturesDict:
        return base.record_features(self.image_size, self.factors)

    def _factors(self) -> dict[str, base.Factor]:
        vector = base.object_factor("number", rooms_lib.MAX_OBJECTS, np.float32, 3)
        return {
            **published.FACTORS,
            "shape": base.object_factor("class", rooms_lib.MAX_OBJECTS, np.int32),
            "size": vector,
            "yaw": base.object_factor("number", rooms_lib.MAX_OBJECTS, np.float32),
            "position": vector,
            "color": vector,
            "wall": base.scene_factor("class", np.int32),
            "floor": base.scene_factor("class", np.int32),
            "lamp": base.scene_factor("number", np.float32, 3),
            "target": base.scene_factor("number", np.float32, 3),
        }

    def block(self, split: str, index: int) -> base.Records:
        """See `GeneratedBuilder`."""
        rng, num_views = self.rng(split, index), published.NUM_VIEWS
        num_rooms = self.BLOCK // num_views
        rooms = rooms_lib.draw_rooms(rng, num_rooms)
        cameras = rooms_lib.draw_cameras(rng, self.BLOCK)
        room = np.repeat(np.arange(num_rooms, dtype=np.int32), num_views)
        objects = [rooms_lib.objects(rooms, i) for i in range(num_rooms)]
        scenes = [
            rooms_lib.scene(objects[i], rooms, i, camera)
            for i, camera in zip(room, cameras, strict=True)
        ]
        pictures = render(stack_scenes(scenes), rooms_lib.SIDE, rooms_lib.SIDE)
        factors = {name: values[room] for name, values in vars(rooms).items()}
        return {
            "image": nearest(np.asarray(pictures.image), self.image_size),
            "masks": nearest(np.asarray(pictures.labels), self.image_size),
            "num_objects": factors.pop("num_objects"),
            "factors": {
                **factors,
                "scene": index * num_rooms + room,
                "view": np.tile(np.arange(num_views, dtype=np.int32), num_rooms),
                "camera": cameras,
            },
        }
