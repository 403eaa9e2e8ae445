"""TFDS builder of synthetic ShapeStacks."""

import numpy as np

from ocgm.datasets.builders import base, generated
from ocgm.datasets.rendering import render, stack_scenes
from ocgm.datasets.shapestacks import shapestacks_dataset_builder as published
from ocgm.datasets.shapestacks_synthetic import scenes as scenes_lib
from ocgm.datasets.shapestacks_synthetic import towers as towers_lib

# Fraction of towers that have only cuboids.
_BLOCKS_SHARE = {"default": 0.5, "blocks_all": 1.0, "ccs_all": 0.0}
_SHAPES = ("", "cuboid", "cylinder", "lying cylinder", "sphere")
_VECTOR = base.object_factor("number", towers_lib.MAX_OBJECTS, np.float32, 3)


class Builder(generated.GeneratedBuilder):
    """Towers of two to six blocks, stable or not, from 16 sides."""

    HOMEPAGE = published.Builder.HOMEPAGE
    VARIANTS = published.Builder.VARIANTS
    IMAGE_SIZES = published.Builder.IMAGE_SIZES
    # Multiples of 16: whole towers.
    SIZES = (50_000, 1_600, 1_600)
    BLOCK = 2 * scenes_lib.NUM_CAMERAS
    FACTORS = {
        **published.Builder.FACTORS,
        "wall": base.scene_factor("class", np.int32, names=scenes_lib.WALLS),
        "floor": base.scene_factor("class", np.int32, names=scenes_lib.FLOORS),
        **dict.fromkeys(("light", "unique_colors"), base.scene_factor("class", np.int32)),
        "shape": base.object_factor("class", towers_lib.MAX_OBJECTS, np.int32, names=_SHAPES),
        "size": _VECTOR,
        "yaw": base.object_factor("number", towers_lib.MAX_OBJECTS, np.int32),
        "position": _VECTOR,
        # One of six colours.
        "color": base.object_factor("class", towers_lib.MAX_OBJECTS, np.uint8, 3),
    }

    def block(self, split: str, index: int) -> base.Records:
        """See `GeneratedBuilder`."""
        rng = self.rng(split, index)
        num_towers = self.BLOCK // scenes_lib.NUM_CAMERAS
        blocks_only = rng.random(num_towers) < _BLOCKS_SHARE[self.builder_config.variant]
        towers = towers_lib.draw_towers(rng, blocks_only)
        surroundings = scenes_lib.draw_surroundings(rng, self.BLOCK)
        tower = np.repeat(np.arange(num_towers, dtype=np.int32), scenes_lib.NUM_CAMERAS)
        viewpoint = np.tile(np.arange(1, 1 + scenes_lib.NUM_CAMERAS, dtype=np.int32), num_towers)

        bodies = [scenes_lib.blocks(towers, i) for i in range(num_towers)]
        scenes = [
            scenes_lib.scene(bodies[t], surroundings, i, number, self.image_size)
            for i, (t, number) in enumerate(zip(tower, viewpoint, strict=True))
        ]
        rendered = render(stack_scenes(scenes), self.image_size, self.image_size)
        standing = (towers.com_violation == 0) & (towers.surface_violation == 0)
        of_towers = {**vars(towers), "stable": standing.astype(np.int32)}
        return {
            "image": np.asarray(rendered.image),
            "masks": np.asarray(rendered.labels),
            "num_objects": towers.height[tower],
            "factors": {
                **{name: values[tower] for name, values in of_towers.items()},
                **vars(surroundings),
                "scene": index * num_towers + tower,
                "viewpoint": viewpoint,
            },
        }
