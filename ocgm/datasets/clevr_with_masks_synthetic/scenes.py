"""Scenes of synthetic CLEVR: the published numbers, and scenes as arrays.

Published with CLEVR's generator: numbers, sizes, shapes, colours and materials of objects, where
they may stand, the camera and its lens, the positions of the lights, and the random shifts of camera
and lights. See `draw` for the random choices and `images` for rendering.
"""

import dataclasses

import numpy as np

from ocgm.datasets.builders.generated import SceneArrays

MAX_OBJECTS = 10
# Size in pixels of the images that the published ones are cropped from.
HEIGHT, WIDTH = 240, 320

SPHERE, CYLINDER, CUBE = 1, 2, 3
RUBBER, METAL = 1, 2
# Half the height in world units, by the code of `size`: large, small.
RADIUS = np.array([0, 0.7, 0.35])
# RGB by the code of `color`: red, cyan, green, blue, brown, grey, purple, yellow.
COLORS = np.array(
    [
        [0, 0, 0],
        [173, 35, 35],
        [41, 208, 208],
        [29, 105, 20],
        [42, 75, 215],
        [129, 74, 25],
        [87, 87, 87],
        [129, 38, 192],
        [255, 238, 51],
    ]
)

CAMERA_POSITION = np.array([7.48113, -6.50764, 5.34367])
# A lens of 35 mm and a sensor 32 mm wide.
FOCAL_LENGTH = 35 / 32 * WIDTH
# Key, fill and back light.
LIGHT_POSITIONS = np.array(
    [[6.44671, -2.90517, 4.2584], [-4.67112, -4.0136, 3.01122], [-1.1685, 2.64602, 5.81574]]
)


@dataclasses.dataclass(frozen=True)
class Scenes(SceneArrays):
    """Random choices of N scenes of at most K = 10 objects; rows from `num_objects` on are zero.

    Codes are those of the published file.

    Attributes:
      num_objects: int32 [N].
      size, material, shape, color: int32 [N, K], codes.
      rotation: float32 [N, K], 0 to 360, about the vertical axis. The published generator means
        degrees, but its images show that these are radians.
      position: float32 [N, K, 3], of the objects' centres in world units.
      camera: float32 [N, 3], position; it looks at the origin.
      lights: float32 [N, 3, 3], positions of key, fill and back light.
    """

    num_objects: np.ndarray
    size: np.ndarray
    material: np.ndarray
    shape: np.ndarray
    color: np.ndarray
    rotation: np.ndarray
    position: np.ndarray
    camera: np.ndarray
    lights: np.ndarray
