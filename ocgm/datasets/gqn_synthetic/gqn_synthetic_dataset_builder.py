"""TFDS builder of synthetic GQN rooms_ring_camera."""

import numpy as np

from ocgm.datasets.builders import base, generated
from ocgm.datasets.builders.resizing import nearest
from ocgm.datasets.gqn import gqn_dataset_builder as published
from ocgm.datasets.gqn_synthetic import rooms as rooms_lib
from ocgm.datasets.rendering import render, room, stack_scenes

_VECTOR = base.object_factor("number", rooms_lib.MAX_OBJECTS, np.float32, 3)


class Builder(generated.GeneratedBuilder):
    """Rooms with one to three objects, ten views each."""

    HOMEPAGE = published.Builder.HOMEPAGE
    VARIANTS = {"default": "Rooms with one to three objects."}
    IMAGE_SIZES = published.Builder.IMAGE_SIZES
    SIZES = (50_000, 1_000, 1_000)
    BLOCK = 2 * published.NUM_VIEWS  # Two rooms.
    FACTORS = {
        **published.Builder.FACTORS,
        "shape": base.object_factor(
            "class", rooms_lib.MAX_OBJECTS, np.int32, names=("", *room.SHAPES)
        ),
        "size": _VECTOR,
        "yaw": base.object_factor("number", rooms_lib.MAX_OBJECTS, np.float32),
        "position": _VECTOR,
        "color": _VECTOR,
        "wall": base.scene_factor("class", np.int32, names=rooms_lib.WALL_COLORS),
        "floor": base.scene_factor("class", np.int32, names=rooms_lib.FLOOR_COLORS),
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
            for i, camera in zip(room.tolist(), cameras, strict=True)
        ]
        rendered = render(stack_scenes(scenes), rooms_lib.SIDE, rooms_lib.SIDE)
        factors = {name: values[room] for name, values in vars(rooms).items()}
        return {
            "image": nearest(np.asarray(rendered.image), self.image_size),
            "masks": nearest(np.asarray(rendered.labels), self.image_size),
            "num_objects": factors.pop("num_objects"),
            "factors": {
                **factors,
                "scene": index * num_rooms + room,
                "view": np.tile(np.arange(num_views, dtype=np.int32), num_rooms),
                "camera": cameras,
            },
        }
