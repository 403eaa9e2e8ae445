"""TFDS builder of synthetic Sketchy."""

import numpy as np

from ocgm.datasets.builders import base, generated
from ocgm.datasets.rendering import render
from ocgm.datasets.sketchy.sketchy_dataset_builder import Builder as Published
from ocgm.datasets.sketchy_synthetic import scenes as scenes_lib

_OBJECTS = scenes_lib.NUM_OBJECTS
_VIEWS = (scenes_lib.NUM_STEPS, scenes_lib.NUM_CAMERAS, scenes_lib.NUM_CROPS)


class Builder(generated.GeneratedBuilder):
    """A robot arm that moves coloured objects, seen by two cameras; synthetic."""

    HOMEPAGE = Published.HOMEPAGE
    VARIANTS = {"default": "A robot arm over three objects in a basket, rendered."}
    IMAGE_SIZES = Published.IMAGE_SIZES
    # Whole episodes: 360, 20 and 20.
    SIZES = (20_160, 1_120, 1_120)
    BLOCK = int(np.prod(_VIEWS))  # One episode.
    FACTORS = {
        **Published.FACTORS,
        "task": base.scene_factor("class", np.int32, names=scenes_lib.TASKS),
        "gripper": base.scene_factor("number", np.float32, 3),
        "gripper_yaw": base.scene_factor("number", np.float32),
        "gripper_opening": base.scene_factor("number", np.float32),
        "shape": base.object_factor("class", _OBJECTS, np.int32, names=scenes_lib.SHAPES),
        "size": base.object_factor("number", _OBJECTS, np.float32, 3),
        "position": base.object_factor("number", _OBJECTS, np.float32, 3),
        "yaw": base.object_factor("number", _OBJECTS, np.float32),
    }

    def block(self, split: str, index: int) -> base.Records:
        """See `GeneratedBuilder`."""
        episode = scenes_lib.draw_episode(self.rng(split, index))
        side = self.image_size
        rendered = render(scenes_lib.views(episode, side), side, side)
        step, camera, crop = np.indices(_VIEWS, np.int32).reshape(3, -1)
        return {
            "image": np.asarray(rendered.image),
            "masks": np.asarray(rendered.labels),
            "num_objects": np.full(self.BLOCK, _OBJECTS, np.int32),
            "factors": {
                "episode": np.full(self.BLOCK, index, np.int32),
                "step": step,
                "camera": camera,
                "crop": crop,
                "task": np.full(self.BLOCK, episode.task, np.int32),
                "gripper": episode.gripper[step],
                "gripper_yaw": episode.gripper_yaw[step],
                "gripper_opening": episode.gripper_opening[step],
                "shape": np.tile(episode.shape, (self.BLOCK, 1)),
                "size": np.tile(episode.size, (self.BLOCK, 1, 1)),
                "position": episode.position[step],
                "yaw": np.tile(episode.yaw, (self.BLOCK, 1)),
            },
        }
