"""TFDS builder of synthetic APC 2016."""

from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds

from ocgm.datasets.apc.apc_dataset_builder import Builder as Published
from ocgm.datasets.apc_synthetic import scenes as scenes_lib
from ocgm.datasets.apc_synthetic.objects import PRODUCTS
from ocgm.datasets.builders import base, generated
from ocgm.datasets.rendering import render

_SCENES, _FRAMES = 4, scenes_lib.NUM_FRAMES
_OBJECTS = tuple(product.name for product in PRODUCTS)
_POSES = ("upright", "on its left side", "on its front")


class Builder(generated.GeneratedBuilder):
    """Objects of a warehouse, one at a time, on a shelf or in a tote; synthetic."""

    HOMEPAGE = Published.HOMEPAGE
    VARIANTS = {"default": "One object, on a shelf or in a tote, rendered."}
    IMAGE_SIZES = Published.IMAGE_SIZES
    # Whole scenes: 2,000, 80 and 80.
    SIZES = (30_000, 1_200, 1_200)
    BLOCK = _SCENES * _FRAMES
    FACTORS = {
        **Published.FACTORS,
        "environment": base.scene_factor("class", np.int32, names=scenes_lib.ENVIRONMENTS),
        "object": base.scene_factor("class", np.int32, names=_OBJECTS),
        # The possible poses depend on the object.
        "pose": base.object_factor("class", 1, np.int32, scored=False, names=_POSES),
        "yaw": base.object_factor("number", 1, np.float32),
        "position": base.object_factor("number", 1, np.float32, 3),
        "size": base.object_factor("number", 1, np.float32, 3),
    }

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        names = self.info.metadata
        names["environments"] = list(scenes_lib.ENVIRONMENTS)
        names["objects"] = list(_OBJECTS)
        return super()._split_generators(dl_manager)

    def block(self, split: str, index: int) -> base.Records:
        """See `GeneratedBuilder`."""
        scenes = scenes_lib.draw_scenes(self.rng(split, index), _SCENES)
        side = self.image_size
        rendered = render(scenes_lib.views(scenes, side), side, side)
        scene, frame = np.indices((_SCENES, _FRAMES), np.int32).reshape(2, -1)
        there = ~scenes.empty[scene]

        def of_object(values: np.ndarray) -> np.ndarray:
            """Repeat values of scenes [4, ...] for images [60, 1, ...]; zeros in empty scenes."""
            return np.where(
                there.reshape(-1, *[1] * values.ndim), values[scene][:, None], 0
            ).astype(values.dtype)

        return {
            "image": np.asarray(rendered.image),
            "masks": np.asarray(rendered.labels),
            "num_objects": there.astype(np.int32),
            "factors": {
                "environment": scenes.environment[scene],
                "object": scenes.product[scene],
                "scene": _SCENES * index + scene,
                "frame": frame,
                "pose": of_object(scenes.pose),
                "yaw": of_object(scenes.yaw),
                "position": of_object(scenes.position),
                "size": of_object(scenes_lib.SIZES[scenes.product]),
            },
        }
