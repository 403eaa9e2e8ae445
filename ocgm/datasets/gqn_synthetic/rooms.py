"""Rooms of the synthetic GQN dataset: random choices, lights and views.

The authors published what rooms are composed of, but neither the generator nor numbers. Numbers
marked "measured" were read off 36 published images, in which the upper edges of walls were fitted to
0.2 pixels; all others, and all distributions, are our choice.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from ocgm.datasets import rendering
from ocgm.datasets.builders.colors import hsv_to_rgb
from ocgm.datasets.builders.generated import uniform_integers
from ocgm.datasets.rendering import room, shapes

MAX_OBJECTS = 3
SHAPES = room.SHAPES
WALL_COLORS = ("red", "green", "cerise", "orange", "yellow")
FLOOR_COLORS = ("yellow", "white", "blue")
WALLS = tuple(f"gqn_wall_{name}" for name in WALL_COLORS)
FLOORS = tuple(f"gqn_floor_{name}" for name in FLOOR_COLORS)
SIDE = 64

# The lens is MuJoCo's default; given that, the other numbers were measured. The camera may be
# outside the room, the walls of which are only visible from their fronts.
_WALL_HEIGHT = 2.0
_FIELD_OF_VIEW = 45.0
RING, CAMERA_HEIGHT = 4.1, 0.7
# Cameras look at this height in the middle of the room, 0.3 degrees above the horizontal.
_LOOKED_AT = 0.72
PITCH = math.atan((_LOOKED_AT - CAMERA_HEIGHT) / RING)

# Smallest and largest width, depth and height. Measured roughly; cones, icosahedra and triangles
# have one size in all images.
_SIZES = {
    "box": ((0.25, 0.25, 0.35), (0.9, 0.9, 1.1)),
    "sphere": ((0.3, 0.3, 0.3), (1.0, 1.0, 1.0)),
    "cylinder": ((0.22, 0.22, 0.35), (1.0, 1.0, 1.1)),
    "capsule": ((0.35, 0.35, 0.7), (0.95, 0.95, 1.4)),
    "cone": ((0.65, 0.65, 0.72), (0.65, 0.65, 0.72)),
    "icosahedron": ((0.9, 0.9, 0.9), (0.9, 0.9, 0.9)),
    "triangle": ((1.15, 0.24, 1.15), (1.15, 0.24, 1.15)),
}
_SMALLEST, _LARGEST = np.swapaxes([_SIZES[name] for name in SHAPES], 0, 1)
# Largest distance of an object's centre from the middle, along both walls.
REACH = 1.9
# Smallest gap between objects.
GAP = 0.1

# Measured: saturations of objects where they are lit.
_LEAST_SATURATION, _MOST_SATURATION = 0.65, 0.9
_SKY = (169 / 255, 225 / 255, 247 / 255)

# A spotlight somewhere above the room, aimed at somewhere on the floor.
_LAMP_REACH, _TARGET_REACH = 2.5, 2.0
_LOWEST_LAMP, _HIGHEST_LAMP = 4.0, 7.0
_LAMP_EXPONENT, _LAMP_RADIUS = 5.0, 0.15
_LAMP_BRIGHTNESS, _HEADLIGHT, _AMBIENT = 0.8, 0.45, 0.4

# Floor, four walls and objects.
_NUM_PIECES = 5 + room.PIECES_PER_OBJECT * MAX_OBJECTS


@dataclasses.dataclass(frozen=True)
class Rooms:
    """Random choices of N rooms of at most 3 objects; rows from `num_objects` on are zero.

    Attributes:
      num_objects: int32 [N].
      shape: int32 [N, 3], 1 + index in `SHAPES`.
      size: float32 [N, 3, 3], width, depth and height.
      yaw: float32 [N, 3], degrees, anticlockwise seen from above.
      position: float32 [N, 3, 3], centre.
      color: float32 [N, 3, 3], RGB in [0, 1].
      wall, floor: int32 [N], index in `WALLS` and `FLOORS`.
      lamp, target: float32 [N, 3], where the spotlight is and where it is aimed.
    """

    num_objects: np.ndarray
    shape: np.ndarray
    size: np.ndarray
    yaw: np.ndarray
    position: np.ndarray
    color: np.ndarray
    wall: np.ndarray
    floor: np.ndarray
    lamp: np.ndarray
    target: np.ndarray


def draw_rooms(rng: np.random.Generator, count: int) -> Rooms:
    """Draw rooms, with uniform distributions."""
    num_objects = 1 + uniform_integers(rng, MAX_OBJECTS, count)
    present = np.arange(MAX_OBJECTS) < num_objects[:, None]
    shape = uniform_integers(rng, len(SHAPES), present.shape)
    size = room.draw_sizes(rng, shape, _SMALLEST, _LARGEST)
    ground = np.stack([_draw_places(rng, *objects) for objects in zip(size, present, strict=True)])
    hue, saturation, angle = np.moveaxis(rng.random((*present.shape, 3)), -1, 0)
    saturation = _LEAST_SATURATION + (_MOST_SATURATION - _LEAST_SATURATION) * saturation
    lamp, target = rng.random((2, count, 3))
    height = _LOWEST_LAMP + (_HIGHEST_LAMP - _LOWEST_LAMP) * lamp[:, 2:]
    there = present[..., None]
    return Rooms(
        num_objects=num_objects,
        shape=np.where(present, 1 + shape, 0).astype(np.int32),
        size=(size * there).astype(np.float32),
        yaw=(360 * angle * present).astype(np.float32),
        position=(np.concatenate([ground, size[..., 2:] / 2], axis=-1) * there).astype(np.float32),
        color=(hsv_to_rgb(hue, saturation, np.ones_like(hue)) * there).astype(np.float32),
        wall=uniform_integers(rng, len(WALLS), count),
        floor=uniform_integers(rng, len(FLOORS), count),
        lamp=np.concatenate([_LAMP_REACH * (2 * lamp[:, :2] - 1), height], axis=1).astype(
            np.float32
        ),
        target=(_TARGET_REACH * (2 * target - 1) * [1, 1, 0]).astype(np.float32),
    )


def draw_cameras(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw cameras on the ring, float32 [count, 5]: x, y, z, yaw (0 to 2 pi) and pitch."""
    heading = 2 * np.pi * rng.random(count)
    cameras = room.ring_cameras(heading, np.full(count, PITCH), RING, CAMERA_HEIGHT)
    return cameras.astype(np.float32)


def _draw_places(rng: np.random.Generator, size: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Draw the centres [3, 2] of a room's objects, which do not intersect."""
    # The radii of upright cylinders that contain the objects; absent ones are never too close.
    radius = np.where(present, np.hypot(size[:, 0], size[:, 1]) / 2, -room.SIDE)
    apart = radius[:, None] + radius + GAP
    np.fill_diagonal(apart, -1)
    while True:
        places = REACH * (2 * rng.random((MAX_OBJECTS, 2)) - 1)
        distance = np.linalg.norm(places[:, None] - places, axis=-1)
        if np.all(distance >= apart):
            return places


def objects(rooms: Rooms, index: int) -> list[rendering.Body]:
    """Create the objects of a room, labelled from 1 on."""
    bodies = []
    for i in range(rooms.num_objects[index]):
        name, size = SHAPES[rooms.shape[index, i] - 1], rooms.size[index, i]
        # Capsules have their lower halves in the floor in the published images.
        shape = shapes.dome(size[0] / 2, size[2]) if name == "capsule" else room.solid(name, size)
        rotation = rendering.yaw(rooms.yaw[index, i]) @ _upright(name)
        material = rendering.Material(tuple(rooms.color[index, i]))
        bodies.append(
            rendering.Body(shape, material, rooms.position[index, i], rotation, label=i + 1)
        )
    return bodies


def scene(
    bodies: list[rendering.Body], rooms: Rooms, index: int, camera: np.ndarray
) -> rendering.Scene:
    """Create the scene of one view, for an image of `SIDE` x `SIDE` pixels.

    Args:
      bodies: from `objects`.
      rooms: all rooms.
      index: the room.
      camera: float32 [5], one of `draw_cameras`.
    """
    view = view_of(camera)
    wall = rendering.Material(
        texture=WALLS[rooms.wall[index]], texture_size=(room.SIDE / 3, _WALL_HEIGHT)
    )
    floor = rendering.Material(
        texture=FLOORS[rooms.floor[index]], texture_size=(room.SIDE / 2,) * 2
    )
    # Walls are one-sided: the camera may be outside and look over them.
    inside = room.WALL_DIRECTIONS @ camera[:2] < room.SIDE / 2
    lamp = rendering.Light(
        rooms.lamp[index],
        rendering.grey(_LAMP_BRIGHTNESS),
        radius=_LAMP_RADIUS,
        spot_target=rooms.target[index],
        spot_exponent=_LAMP_EXPONENT,
    )
    return rendering.make_scene(
        [*room.floor_and_walls(floor, wall, _WALL_HEIGHT, inside), *bodies],
        [lamp, room.headlight(-np.asarray(view.rotation)[2], _HEADLIGHT)],
        view,
        _NUM_PIECES,
        room.NUM_SLABS,
        ambient=(rendering.grey(_AMBIENT),) * 2,
        sky=(_SKY, _SKY),
    )


def view_of(camera: np.ndarray) -> rendering.Camera:
    """Create the renderer's camera for one of `draw_cameras`."""
    return room.view(camera, _FIELD_OF_VIEW, SIDE)


def _upright(name: str) -> np.ndarray:
    """Return the rotation that puts an icosahedron onto a corner, as in the published images."""
    golden = (1 + math.sqrt(5)) / 2
    return rendering.axis_rotation(
        1, -math.degrees(math.atan(1 / golden)) * (name == "icosahedron")
    )
