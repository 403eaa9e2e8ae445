"""Scenes of synthetic ShapeStacks: a tower in its room, seen by one of sixteen cameras.

Room, lights, cameras and their lens are those of the published world files. Wall, floor and lamp are
drawn for each image; the textures are our own. Brightness was measured on two published images:
MuJoCo adds the light that casts shadows to the sum of the other four, clipped at 1, and does not
light the undersides of blocks.
"""

from __future__ import annotations

import dataclasses
import functools
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
    crop,
    focal_length,
    grey,
    look_at,
    make_scene,
    shapes,
    yaw,
)
from ocgm.datasets.shapestacks_synthetic.towers import (
    CUBOID,
    LYING_CYLINDER,
    MAX_OBJECTS,
    SPHERE,
    STANDING_CYLINDER,
    Towers,
)

# Like the published floors 1 to 6 and walls 1 to 6, of which three are the same.
FLOORS = ("chipboard", "grid_tiles", "terrazzo_tiles", "carpet", "planks", "parquet")
WALLS = ("chipboard", "grid_tiles", "terrazzo_tiles", "zigzag_panel", "plaster", "dark_brick")

# Position, pitch and heading of the cameras 1 to 16. A pitch of 0 looks straight down, a heading
# of 0 looks along y; both in degrees.
_LOW, _HIGH = 75, 45
_CAMERAS = (
    ((-7, -7, 5), _LOW, -45),
    ((-9, -2, 5), _LOW, -75),
    ((-2, -9, 5), _LOW, -15),
    ((-7, 7, 5), _LOW, 225),
    ((-9, 2, 5), _LOW, 255),
    ((-2, 9, 5), _LOW, 195),
    ((7, 7, 5), _LOW, 135),
    ((9, 2, 5), _LOW, 105),
    ((2, 9, 5), _LOW, 165),
    ((7, -7, 5), _LOW, 45),
    ((9, -2, 5), _LOW, 75),
    ((2, -9, 5), _LOW, 15),
    ((-5, -5, 9), _HIGH, -45),
    ((-5, 5, 9), _HIGH, 225),
    ((5, 5, 9), _HIGH, 135),
    ((5, -5, 9), _HIGH, 45),
)
NUM_CAMERAS = len(_CAMERAS)
_FIELD_OF_VIEW = 45.0
# Pixels of the published images, and of the square that the GENESIS papers crop.
_SIDE, _CROPPED = 224, 196
_OFFSET = (_SIDE - _CROPPED) // 2

# Directions of the lights.
_LIGHTS = ((0, 0, 20), (-9, -9, 20), (-9, 9, 20), (9, 9, 20), (9, -9, 20))
NUM_LIGHTS = len(_LIGHTS)
# MuJoCo has 0.7 for each and clips their sum. Here the sum is not clipped: instead, the floor is
# darker, and the light that casts shadows brighter, so that shadows on the floor are as dark.
_WITH_SHADOW, _WITHOUT_SHADOW = 0.95, 0.65
_FLOOR_SHADE, _WALL_SHADE = 0.5, 0.85
_SPECULAR, _SHININESS = 0.2, 64.0

_ROOM = 20.0
# From the published colour .4 .6 .8 at 45 degrees above the horizon to black at 45 below.
_SKY_COLOR = np.array([0.4, 0.6, 0.8])
_SKY = (_SKY_COLOR * (1 - math.sqrt(2)) / 2, _SKY_COLOR * (1 + math.sqrt(2)) / 2)

# Floor, two walls and the blocks.
NUM_PIECES = 3 + MAX_OBJECTS


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """What surrounds the towers in N images.

    Attributes:
      wall, floor: int32 [N], index in `WALLS` and `FLOORS`.
      light: int32 [N], which of the five lights casts shadows.
    """

    wall: np.ndarray
    floor: np.ndarray
    light: np.ndarray


def draw_surroundings(rng: np.random.Generator, count: int) -> Surroundings:
    """Draw the surroundings of `count` images, with uniform distributions."""
    return Surroundings(
        wall=uniform_integers(rng, len(WALLS), count),
        floor=uniform_integers(rng, len(FLOORS), count),
        light=uniform_integers(rng, NUM_LIGHTS, count),
    )


@functools.cache
def camera(number: int, size: int) -> Camera:
    """Create camera `number`, 1 to 16, for images of size x size pixels."""
    position, pitch, heading = _CAMERAS[number - 1]
    forward = yaw(heading) @ axis_rotation(0, pitch) @ np.array([0.0, 0.0, -1.0])
    whole = look_at(position, position + forward, focal_length(_FIELD_OF_VIEW, _SIDE), _SIDE, _SIDE)
    return crop(whole, _OFFSET, _OFFSET, size / _CROPPED)


def blocks(towers: Towers, index: int) -> list[Body]:
    """Create the blocks of a tower, labelled from the bottom up."""
    bodies = []
    for level in range(towers.height[index]):
        shape, rotation = _shape(towers.shape[index, level], towers.size[index, level])
        color = tuple(towers.color[index, level] / 255)
        bodies.append(
            Body(
                shape,
                Material(color, specular=_SPECULAR, shininess=_SHININESS),
                towers.position[index, level],
                yaw(towers.yaw[index, level]) @ rotation,
                label=level + 1,
            )
        )
    return bodies


def _shape(shape: int, size: np.ndarray) -> tuple[shapes.Shape, np.ndarray]:
    """Create the shape of a block, and its rotation in the block's own frame."""
    upright = np.eye(3)
    width, depth, height = size
    if shape == CUBOID:
        return shapes.box(size), upright
    if shape == STANDING_CYLINDER:
        return shapes.cylinder(width / 2, height), upright
    if shape == LYING_CYLINDER:
        return shapes.cylinder(width / 2, depth), axis_rotation(0, 90)
    assert shape == SPHERE
    return shapes.sphere(width / 2), upright


def scene(
    bodies: list[Body], surroundings: Surroundings, index: int, number: int, size: int
) -> Scene:
    """Create the scene of one image.

    Args:
      bodies: from `blocks`.
      surroundings: of all images.
      index: the image.
      number: of the camera, 1 to 16.
      size: side of the image in pixels.
    """
    room = _room(FLOORS[surroundings.floor[index]], WALLS[surroundings.wall[index]])
    lights = [
        Light(
            position,
            grey(_WITH_SHADOW if i == surroundings.light[index] else _WITHOUT_SHADOW),
            directional=True,
            casts_shadow=i == surroundings.light[index],
        )
        for i, position in enumerate(_LIGHTS)
    ]
    return make_scene(
        [*room, *bodies],
        lights,
        camera(number, size),
        NUM_PIECES,
        ambient=(grey(0.0), grey(0.0)),
        sky=_SKY,
    )


@functools.cache
def _room(floor: str, wall: str) -> tuple[Body, ...]:
    """Create the floor and two walls, each with one repetition of its texture."""

    def material(texture: str, shade: float) -> Material:
        return Material(
            grey(shade), texture, texture_size=(_ROOM, _ROOM), texture_offset=(0.5, 0.5)
        )

    half = _ROOM / 2
    upright = shapes.wall((_ROOM, _ROOM))
    return (
        Body(
            shapes.box((_ROOM, _ROOM, 0.1)),
            material(floor, _FLOOR_SHADE),
            (0, 0, -0.05),
            part=1,
            casts_shadow=False,
        ),
        Body(upright, material(wall, _WALL_SHADE), (0, half, half), part=2, casts_shadow=False),
        Body(
            upright,
            material(wall, _WALL_SHADE),
            (half, 0, half),
            yaw(-90),
            part=3,
            casts_shadow=False,
        ),
    )
