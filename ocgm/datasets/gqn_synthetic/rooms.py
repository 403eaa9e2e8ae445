"""Rooms of the GQN look-alike: what stands where, how it is lit and from where it is seen.

The authors published what rooms are made of, but neither generator nor numbers. Numbers marked
`measured` were read off 36 published pictures, whose walls' upper edges were fitted to 0.2 pixels;
all others, and all distributions, are ocgm's choice.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from ocgm.datasets.builders.generated import uniform_integers
from ocgm.datasets.rendering import (
    Body,
    Camera,
    Light,
    Material,
    Scene,
    axis_rotation,
    focal_length,
    look_at,
    make_scene,
    shapes,
    yaw,
)

MAX_OBJECTS = 3
SHAPES = ("box", "sphere", "cylinder", "capsule", "cone", "icosahedron", "triangle")
WALLS = (
    "gqn_wall_red",
    "gqn_wall_green",
    "gqn_wall_cerise",
    "gqn_wall_orange",
    "gqn_wall_yellow",
)
FLOORS = ("gqn_floor_yellow", "gqn_floor_white", "gqn_floor_blue")
SIDE = 64

# Published: 7 x 7 units. The lens is MuJoCo's usual one; given that, the others were measured. The
# camera may be outside of the room, whose walls are seen from their fronts alone.
ROOM, _WALL_HEIGHT = 7.0, 2.0
_FIELD_OF_VIEW = 45.0
RING, CAMERA_HEIGHT = 4.1, 0.7
# Cameras look at this height in the middle of the room: just above their own, by 0.3 degrees.
_LOOKED_AT = 0.72
PITCH = math.atan((_LOOKED_AT - CAMERA_HEIGHT) / RING)

# Width, depth and height: smallest and largest. Measured roughly; cones, icosahedra and triangles
# always have one size in the pictures. Width and depth differ in boxes alone.
_SIZES = np.array(
    [
        [[0.25, 0.25, 0.35], [0.9, 0.9, 1.1]],
        [[0.3, 0.3, 0.3], [1.0, 1.0, 1.0]],
        [[0.22, 0.22, 0.35], [1.0, 1.0, 1.1]],
        [[0.35, 0.35, 0.7], [0.95, 0.95, 1.4]],
        [[0.65, 0.65, 0.72], [0.65, 0.65, 0.72]],
        [[0.9, 0.9, 0.9], [0.9, 0.9, 0.9]],
        [[1.15, 0.24, 1.15], [1.15, 0.24, 1.15]],
    ]
)
# Shapes whose depth is their width, and whose height is, too.
_ROUND = (1, 2, 3)
_BALL = 1
# Objects' centres are within this of the middle, along both walls.
REACH = 1.9
# Free space between objects.
GAP = 0.1

# Measured: colours have saturations of about 0.65 to 0.9 where they are lit.
_LEAST_SATURATION, _MOST_SATURATION = 0.65, 0.9
_SKY = (169 / 255, 225 / 255, 247 / 255)

# A spotlight somewhere above the room that points at somewhere on the floor.
_LAMP_REACH, _TARGET_REACH = 2.5, 2.0
_LOWEST_LAMP, _HIGHEST_LAMP = 4.0, 7.0
_LAMP_EXPONENT, _LAMP_RADIUS = 5.0, 0.15
_LAMP_BRIGHTNESS, _HEADLIGHT, _AMBIENT = 0.8, 0.45, 0.4

# Floor, four walls, and three pieces a triangle; slabs of an icosahedron.
_NUM_PIECES = 5 + 3 * MAX_OBJECTS
_NUM_SLABS = 10


@dataclasses.dataclass(frozen=True)
class Rooms:
    """N rooms; rows of objects that are not there are zeros.

    Attributes:
      num_objects: int32 [N].
      shape: int32 [N, 3], 1 + index in `SHAPES`.
      size: float32 [N, 3, 3], width, depth and height.
      yaw: float32 [N, 3], degrees, anticlockwise seen from above.
      position: float32 [N, 3, 3], centre.
      color: float32 [N, 3, 3], RGB in [0, 1].
      wall, floor: int32 [N], index in `WALLS` and `FLOORS`.
      lamp, target: float32 [N, 3], where the spotlight is and where it points.
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
    """Draws rooms, everything uniform."""
    num_objects = 1 + uniform_integers(rng, MAX_OBJECTS, count)
    present = np.arange(MAX_OBJECTS) < num_objects[:, None]
    shape = uniform_integers(rng, len(SHAPES), present.shape)
    size = _draw_sizes(rng, shape)
    ground = np.stack([_draw_places(rng, *room) for room in zip(size, present, strict=True)])
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
        color=(_hue_to_rgb(hue, saturation) * there).astype(np.float32),
        wall=uniform_integers(rng, len(WALLS), count),
        floor=uniform_integers(rng, len(FLOORS), count),
        lamp=np.concatenate([_LAMP_REACH * (2 * lamp[:, :2] - 1), height], axis=1).astype(
            np.float32
        ),
        target=(_TARGET_REACH * (2 * target - 1) * [1, 1, 0]).astype(np.float32),
    )


def draw_cameras(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draws places on the ring.

    Returns:
      float32 [count, 5]: x, y, z in units of the room, yaw and pitch in radians. Yaw 0 looks along
      x, and grows anticlockwise seen from above, up to 2 pi; a pitch above 0 looks up.
    """
    yaw = 2 * np.pi * rng.random(count)
    cameras = np.stack(
        [
            -RING * np.cos(yaw),
            -RING * np.sin(yaw),
            np.full(count, CAMERA_HEIGHT),
            yaw,
            np.full(count, PITCH),
        ],
        axis=1,
    )
    return cameras.astype(np.float32)


def _draw_sizes(rng: np.random.Generator, shape: np.ndarray) -> np.ndarray:
    smallest, largest = np.moveaxis(_SIZES[shape], -2, 0)
    share = rng.random((*shape.shape, 3))
    size = smallest + (largest - smallest) * share
    size[..., 1] = np.where(np.isin(shape, _ROUND), size[..., 0], size[..., 1])
    size[..., 2] = np.where(shape == _BALL, size[..., 0], size[..., 2])
    return size


def _draw_places(rng: np.random.Generator, size: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Centres [3, 2] of a room's objects, none in another one."""
    radius = np.where(present, _radii(size), -ROOM)
    apart = radius[:, None] + radius + GAP
    np.fill_diagonal(apart, -1)
    while True:
        places = REACH * (2 * rng.random((MAX_OBJECTS, 2)) - 1)
        distance = np.linalg.norm(places[:, None] - places, axis=-1)
        if np.all(distance >= apart):
            return places


def _radii(size: np.ndarray) -> np.ndarray:
    """Radii of upright cylinders that hold the objects, of sizes [..., 3]."""
    return np.hypot(size[..., 0], size[..., 1]) / 2


def _hue_to_rgb(hue: np.ndarray, saturation: np.ndarray) -> np.ndarray:
    """Colours of value 1; all numbers are in [0, 1], and the result has a new last axis of 3."""
    # Each channel is a trapezoid over the circle of hues, a third of a turn from the next one.
    sixth = (np.array([5, 3, 1]) + 6 * hue[..., None]) % 6
    return 1 - saturation[..., None] * np.clip(np.minimum(sixth, 4 - sixth), 0, 1)


def objects(rooms: Rooms, index: int) -> list[Body]:
    """Objects of a room, labelled from 1 up."""
    return [
        Body(
            _shape(SHAPES[rooms.shape[index, i] - 1], rooms.size[index, i]),
            Material(tuple(rooms.color[index, i])),
            rooms.position[index, i],
            yaw(rooms.yaw[index, i]) @ _upright(SHAPES[rooms.shape[index, i] - 1]),
            label=i + 1,
        )
        for i in range(rooms.num_objects[index])
    ]


def scene(bodies: list[Body], rooms: Rooms, index: int, camera: np.ndarray) -> Scene:
    """A room seen by a camera, for a picture of `SIDE` x `SIDE` pixels.

    Args:
      bodies: from `objects`.
      rooms: all rooms.
      index: which one of them.
      camera: one of `draw_cameras`.
    """
    view = view_of(camera)
    room = _walls(WALLS[rooms.wall[index]], FLOORS[rooms.floor[index]], camera)
    lamp = Light(
        rooms.lamp[index],
        color=(_LAMP_BRIGHTNESS,) * 3,
        radius=_LAMP_RADIUS,
        spot_target=rooms.target[index],
        spot_exponent=_LAMP_EXPONENT,
    )
    # Its light comes from where the camera looks from, so that its shadows are not seen.
    headlight = Light(
        -view.rotation[2], color=(_HEADLIGHT,) * 3, directional=True, casts_shadow=False
    )
    return make_scene(
        [*room, *bodies],
        [lamp, headlight],
        view,
        _NUM_PIECES,
        _NUM_SLABS,
        ambient=((_AMBIENT,) * 3, (_AMBIENT,) * 3),
        sky=(_SKY, _SKY),
    )


def view_of(camera: np.ndarray) -> Camera:
    """Camera of the renderer for one of `draw_cameras`."""
    position, (heading, pitch) = camera[:3].astype(np.float64), camera[3:]
    forward = np.array([np.cos(heading), np.sin(heading), np.tan(pitch)])
    return look_at(position, position + forward, focal_length(_FIELD_OF_VIEW, SIDE), SIDE, SIDE)


def _shape(name: str, size: np.ndarray) -> shapes.Shape:
    width, _, height = size
    if name == "box":
        return shapes.box(size)
    if name == "triangle":
        return shapes.triangle(width, height, size[1])
    if name == "sphere":
        return shapes.sphere(width / 2)
    if name == "icosahedron":
        return shapes.icosahedron(width / 2)
    # Capsules have their lower halves in the floor in the published pictures.
    solid = {"cylinder": shapes.cylinder, "capsule": shapes.dome, "cone": shapes.cone}[name]
    return solid(width / 2, height)


def _upright(name: str) -> np.ndarray:
    """Rotation that puts an icosahedron onto a corner, as in the published pictures."""
    golden = (1 + math.sqrt(5)) / 2
    return axis_rotation(1, -math.degrees(math.atan(1 / golden)) * (name == "icosahedron"))


def _walls(wall: str, floor: str, camera: np.ndarray) -> list[Body]:
    """The floor and those walls whose fronts are towards the camera."""
    half = ROOM / 2
    on_walls = Material(texture=wall, texture_size=(ROOM / 3, _WALL_HEIGHT))
    on_floor = Material(texture=floor, texture_size=(ROOM / 2, ROOM / 2))
    bodies = [Body(shapes.ground(), on_floor, part=1, casts_shadow=False)]
    for i in range(4):
        turn = yaw(90 * i)
        place = turn @ np.array([0, half, _WALL_HEIGHT / 2])
        outward = place[:2] / half
        if outward @ camera[:2] < half:
            bodies.append(
                Body(
                    shapes.wall((ROOM, _WALL_HEIGHT)),
                    on_walls,
                    place,
                    turn,
                    part=2 + i,
                    casts_shadow=False,
                )
            )
    return bodies
