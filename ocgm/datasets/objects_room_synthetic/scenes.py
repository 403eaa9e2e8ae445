"""Random choices of synthetic Objects Room: objects, colours, camera and light.

Published: the number of objects in each split, that the room is that of GQN's rooms_ring_camera,
and its size of 7x7 world units. Measured on the eight published records that we have: camera, wall
height, colours and lights. Our choice: sizes and positions of objects, within the range in those
records, and all distributions. Angles are in radians.
"""

import dataclasses
import math

import numpy as np

from ocgm.datasets.builders.generated import SceneArrays, uniform_integers
from ocgm.datasets.rendering import focal_length, room

IMAGE_SIZE = 64
MAX_OBJECTS = 6

# Fewest and most objects; published, except the fewest of the first three.
NUM_OBJECTS = {
    "train": (1, 3),
    "validation": (1, 3),
    "test": (1, 3),
    "test_empty_room": (0, 0),
    "test_six_objects": (6, 6),
    "test_identical_color": (4, 6),
}
IDENTICAL_COLOR = "test_identical_color"

SHAPES = room.SHAPES

# Smallest and largest width, depth and height in world units.
_SIZES = {
    "box": ((0.35, 0.35, 0.35), (0.6, 0.6, 0.65)),
    "sphere": ((0.45, 0.45, 0.45), (0.65, 0.65, 0.65)),
    "cylinder": ((0.3, 0.3, 0.3), (0.6, 0.6, 0.75)),
    "capsule": ((0.25, 0.25, 0.5), (0.4, 0.4, 0.8)),
    "cone": ((0.4, 0.4, 0.4), (0.6, 0.6, 0.6)),
    "icosahedron": ((0.5, 0.5, 0.5), (0.7, 0.7, 0.7)),
    "triangle": ((0.5, 0.15, 0.5), (0.65, 0.2, 0.7)),
}
_SMALLEST, _LARGEST = np.swapaxes([_SIZES[name] for name in SHAPES], 0, 1)

# Objects stand in a square around the room's middle, about as far from the camera as in the
# published images, at least `_GAP` apart and with their centres in view.
_HALF_SQUARE = 1.9
_GAP = 0.05
_NEAREST = 1.0

# Fitted to the outlines of walls and floor in eight published images, which agree to 0.3 pixels.
_RING_RADIUS = 3.41
_CAMERA_HEIGHT = 0.705
FIELD_OF_VIEW = 50.15
_FOCAL_LENGTH = focal_length(FIELD_OF_VIEW, IMAGE_SIZE)
_MOST_PITCH = math.radians(10)

# Fitted to the brightness of the floor: where the spotlight is above it.
_SPOT_HEIGHT = 6.0
_MOST_SPOT_OFFSET = 2.5

# Colours have any hue; these are the least saturation and value.
_LEAST_SATURATION = 0.75
_LEAST_VALUE = 0.9


@dataclasses.dataclass(frozen=True)
class Scenes(SceneArrays):
    """Random choices of N scenes of at most K = 6 objects; rows from `num_objects` on are zero.

    Attributes:
      num_objects: int32 [N].
      shape: int32 [N, K], 1 + index in `SHAPES`; 0 is padding.
      size: float32 [N, K, 3], width, depth and height in world units.
      position: float32 [N, K, 3], centres of the objects in world units.
      rotation: float32 [N, K], about the vertical axis.
      color: float32 [N, K, 3], hue, saturation and value in [0, 1].
      floor_color, wall_color: float32 [N, 3], likewise.
      camera: float32 [N, 5], x, y, z, yaw and pitch, as in GQN.
      light: float32 [N, 3], position of the spotlight.
    """

    num_objects: np.ndarray
    shape: np.ndarray
    size: np.ndarray
    position: np.ndarray
    rotation: np.ndarray
    color: np.ndarray
    floor_color: np.ndarray
    wall_color: np.ndarray
    camera: np.ndarray
    light: np.ndarray


def draw_scenes(rng: np.random.Generator, split: str, count: int) -> Scenes:
    """Draw scenes with uniform distributions, rejecting objects that are too close or not in view.

    Args:
      rng: source of randomness.
      split: a key of `NUM_OBJECTS`.
      count: number of scenes N.
    """
    fewest, most = NUM_OBJECTS[split]
    num_objects = fewest + uniform_integers(rng, most - fewest + 1, count)
    present = np.arange(MAX_OBJECTS) < num_objects[:, None]
    camera = _draw_cameras(rng, count)
    kind = uniform_integers(rng, len(SHAPES), (count, MAX_OBJECTS))
    size = room.draw_sizes(rng, kind, _SMALLEST, _LARGEST)
    # Round objects extend by their radius, others, which may be turned, by half a diagonal.
    radius = np.where(room.ROUND[kind], size[..., 0], np.hypot(size[..., 0], size[..., 1])) / 2
    floor = _draw_places(rng, camera, present, radius)
    position = np.concatenate([floor, size[..., 2:] / 2], axis=-1)
    color = _draw_colors(rng, (count, MAX_OBJECTS))
    if split == IDENTICAL_COLOR:
        color = np.broadcast_to(color[:, :1], color.shape)
    offset = _MOST_SPOT_OFFSET * (2 * rng.random((count, 2)) - 1)
    rotation = 2 * np.pi * rng.random((count, MAX_OBJECTS))
    per_object = present[..., None]
    return Scenes(
        num_objects=num_objects,
        shape=np.where(present, 1 + kind, 0).astype(np.int32),
        size=np.where(per_object, size, 0).astype(np.float32),
        position=np.where(per_object, position, 0).astype(np.float32),
        rotation=np.where(present, rotation, 0).astype(np.float32),
        color=np.where(per_object, color, 0).astype(np.float32),
        floor_color=_draw_colors(rng, (count,)).astype(np.float32),
        wall_color=_draw_colors(rng, (count,)).astype(np.float32),
        camera=camera.astype(np.float32),
        light=np.pad(offset, ((0, 0), (0, 1)), constant_values=_SPOT_HEIGHT).astype(np.float32),
    )


def _draw_cameras(rng: np.random.Generator, count: int) -> np.ndarray:
    heading = 2 * np.pi * rng.random(count) - np.pi
    pitch = _MOST_PITCH * (2 * rng.random(count) - 1)
    return room.ring_cameras(heading, pitch, _RING_RADIUS, _CAMERA_HEIGHT)


def _draw_places(
    rng: np.random.Generator, camera: np.ndarray, present: np.ndarray, radius: np.ndarray
) -> np.ndarray:
    """Draw x and y of the objects, [N, K, 2], whole scenes at once until none are too close."""
    count = len(camera)
    place = np.zeros((count, MAX_OBJECTS, 2))
    pairs = present[:, :, None] & present[:, None] & ~np.eye(MAX_OBJECTS, dtype=bool)
    least = np.where(pairs, radius[:, :, None] + radius[:, None] + _GAP, 0)
    pending = np.arange(count)
    while pending.size:
        place[pending] = _draw_in_view(rng, camera[pending])
        apart = place[pending, :, None] - place[pending, None]
        close = np.hypot(apart[..., 0], apart[..., 1]) < least[pending]
        pending = pending[close.any((1, 2))]
    return place


def _draw_in_view(rng: np.random.Generator, camera: np.ndarray) -> np.ndarray:
    """Draw points [N, K, 2] uniformly from the part of the square that is in view."""
    place = np.zeros((len(camera), MAX_OBJECTS, 2))
    pending = np.ones(place.shape[:2], bool)
    while pending.any():
        drawn = _HALF_SQUARE * (2 * rng.random((int(pending.sum()), 2)) - 1)
        place[pending] = drawn
        scene = np.nonzero(pending)[0]
        yaw = camera[scene, 3]
        ahead = drawn[:, 0] * np.cos(yaw) + drawn[:, 1] * np.sin(yaw) + _RING_RADIUS
        aside = drawn[:, 0] * np.sin(yaw) - drawn[:, 1] * np.cos(yaw)
        seen = (ahead > _NEAREST) & (np.abs(aside) * _FOCAL_LENGTH < ahead * IMAGE_SIZE / 2)
        pending[pending] = ~seen
    return place


def _draw_colors(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw hue, saturation and value, [*shape, 3]."""
    least = np.array([0, _LEAST_SATURATION, _LEAST_VALUE])
    return least + (1 - least) * rng.random((*shape, 3))
