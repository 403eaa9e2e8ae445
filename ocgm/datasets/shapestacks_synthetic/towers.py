"""Towers of blocks: how they are built, and whether they are stable.

A tower is built from the top down by the rules that the authors of ShapeStacks published: each block
is placed below the centre of mass of the blocks above it, shifted a little in a stable tower, and
far enough for them to tip in an unstable one. `violations` checks stability independently, from the
positions of the blocks.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ocgm.datasets.builders.generated import uniform_integers

MAX_OBJECTS = 6
MIN_OBJECTS = 2

CUBOID, STANDING_CYLINDER, LYING_CYLINDER, SPHERE = 1, 2, 3, 4

# Published. The number of blocks, the violated rule and the violating block are our choice, uniform.
_SMALLEST, _LARGEST = 0.5, 1.0
_MOST_BESIDE = 0.5
_BEYOND = 0.05
_SHIFT = 2.0
COLORS = np.array(
    [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [0, 255, 255], [255, 0, 255]], np.uint8
)

# For comparisons of centres of mass, in world units; blocks are half a unit large or larger.
_TOLERANCE = 1e-6
_VOLUME = {
    CUBOID: 1.0,
    STANDING_CYLINDER: np.pi / 4,
    LYING_CYLINDER: np.pi / 4,
    SPHERE: np.pi / 6,
}


@dataclasses.dataclass(frozen=True)
class Towers:
    """T towers of up to six blocks, from the bottom up; rows above the top are zeros.

    Attributes:
      height: int32 [T], number of blocks.
      com_violation: int32 [T], number, from 1 on, of the block with the centre of mass of all above it
        outside its top; 0 for none.
      surface_violation: int32 [T], number of the block that supports others on a round surface; 0
        for none.
      shape: int32 [T, 6], 1 cuboid, 2 standing cylinder, 3 lying cylinder, 4 sphere.
      size: float32 [T, 6, 3], extents along the block's own axes; a lying cylinder's axis is its y.
      yaw: int32 [T, 6], degrees by which the block's axes are turned about z, anticlockwise.
      position: float32 [T, 6, 3], centre.
      color: uint8 [T, 6, 3], RGB.
      unique_colors: int32 [T], 1 where colours were drawn without repetition.
    """

    height: np.ndarray
    com_violation: np.ndarray
    surface_violation: np.ndarray
    shape: np.ndarray
    size: np.ndarray
    yaw: np.ndarray
    position: np.ndarray
    color: np.ndarray
    unique_colors: np.ndarray


def draw_towers(rng: np.random.Generator, blocks_only: np.ndarray) -> Towers:
    """Draw towers, half of them stable.

    Args:
      rng: source of randomness.
      blocks_only: bool [T], whether a tower has only cuboids. Such a tower is unstable by its centre
        of mass, others as often by a round surface.
    """
    count = len(blocks_only)
    height = MIN_OBJECTS + uniform_integers(rng, MAX_OBJECTS - MIN_OBJECTS + 1, count)
    unstable, by_surface = rng.random((2, count)) < 0.5
    by_surface &= ~blocks_only
    # Any block that supports another one.
    violator = 1 + uniform_integers(rng, height - 1, count)
    com_violation = np.where(unstable & ~by_surface, violator, 0).astype(np.int32)
    surface_violation = np.where(unstable & by_surface, violator, 0).astype(np.int32)

    number = 1 + np.arange(MAX_OBJECTS)
    present = number <= height[:, None]
    shape = _draw_shapes(rng, number == height[:, None], number == surface_violation[:, None])
    shape = np.where(blocks_only[:, None], CUBOID, shape) * present
    size = _draw_sizes(rng, shape) * present[..., None]
    turned = (shape == CUBOID) | (shape == LYING_CYLINDER)
    yaw = uniform_integers(rng, 360, shape.shape) * turned
    offset = _draw_offsets(rng, shape, size, number == com_violation[:, None])
    unique_colors, color = _draw_colors(rng, count)
    return Towers(
        height=height,
        com_violation=com_violation,
        surface_violation=surface_violation,
        shape=shape,
        size=size.astype(np.float32),
        yaw=yaw,
        position=_pile_up(rng, shape, size, yaw, offset),
        color=color * present[..., None].astype(np.uint8),
        unique_colors=unique_colors,
    )


def _draw_shapes(rng: np.random.Generator, top: np.ndarray, round_: np.ndarray) -> np.ndarray:
    """Draw shapes: any for the top block, flat ones below, a round one for the violator."""
    flat_shape = np.where(uniform_integers(rng, 2, top.shape), CUBOID, STANDING_CYLINDER)
    round_shape = np.where(uniform_integers(rng, 2, top.shape), LYING_CYLINDER, SPHERE)
    any_shape = 1 + uniform_integers(rng, 4, top.shape)
    return np.select([top, round_], [any_shape, round_shape], flat_shape).astype(np.int32)


def _draw_sizes(rng: np.random.Generator, shape: np.ndarray) -> np.ndarray:
    """Draw extents [T, 6, 3], equal for a sphere and across a cylinder."""
    size = _SMALLEST + (_LARGEST - _SMALLEST) * rng.random((*shape.shape, 3))
    equal = np.array([[0, 0, 0], [0, 1, 2], [0, 0, 2], [0, 1, 0], [0, 0, 0]])
    return np.take_along_axis(size, equal[shape], axis=-1)


def _draw_offsets(
    rng: np.random.Generator, shape: np.ndarray, size: np.ndarray, violator: np.ndarray
) -> np.ndarray:
    """Draw each block's offset, along its axes, from the centre of mass above it, [T, 6, 2]."""
    share, within = rng.random((2, *shape.shape, 2))
    sign = 1 - 2 * uniform_integers(rng, 2, (*shape.shape, 2))
    # The extents of the published generator.
    extent = size[..., :2] * np.array([[0, 0], [1, 1], [0.5, 0.5], [0, 1], [0, 0]])[shape]
    stable = sign * share * _MOST_BESIDE * extent / 2
    # Outside in x, in y or in both. The published rule has half the distance for cylinders, by which
    # the centre of mass would still be above the cylinder.
    axes = uniform_integers(rng, 3, shape.shape)[..., None]
    outside = (axes == np.arange(2)) | (axes == 2)
    beyond = np.where(
        outside, sign * (size[..., :2] / 2 + _BEYOND), (2 * within - 1) * size[..., :2] / 2
    )
    return np.where(violator[..., None], beyond, stable)


def _draw_colors(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw whether colours are unique in a tower, int32 [T], and colours, uint8 [T, 6, 3]."""
    unique = uniform_integers(rng, 2, count)
    order = np.argsort(rng.random((count, MAX_OBJECTS)), axis=1)
    independent = uniform_integers(rng, len(COLORS), (count, MAX_OBJECTS))
    return unique, COLORS[np.where(unique[:, None], order, independent)]


def _pile_up(
    rng: np.random.Generator,
    shape: np.ndarray,
    size: np.ndarray,
    yaw: np.ndarray,
    offset: np.ndarray,
) -> np.ndarray:
    """Compute the centres of the blocks, float32 [T, 6, 3], from their offsets."""
    count = len(shape)
    mass = _masses(shape, size)
    offset = _rotated(offset, yaw)
    position = np.zeros((count, MAX_OBJECTS, 3))
    center, total = np.zeros((count, 2)), np.zeros((count, 1))
    for level in reversed(range(MAX_OBJECTS)):
        # The top block has nothing above it and stays at the origin.
        below = center + np.where(total > 0, offset[:, level], 0)
        position[:, level, :2] = below
        new = total + mass[:, level, None]
        center = np.where(
            new > 0, (center * total + below * mass[:, level, None]) / np.maximum(new, 1e-9), center
        )
        total = new
    position[..., 2] = np.cumsum(size[..., 2], axis=1) - size[..., 2] / 2
    position[..., :2] += _SHIFT * (2 * rng.random((count, 1, 2)) - 1)
    return (position * (shape > 0)[..., None]).astype(np.float32)


def violations(towers: Towers) -> tuple[np.ndarray, np.ndarray]:
    """Find the violations of stability, from the positions of the blocks.

    Args:
      towers: of which shapes, sizes, yaws and positions are read.

    Returns:
      com: bool [T, 6], whether the blocks above have their centre of mass outside the support of a
        block: its flat top, the ridge of a lying cylinder, the highest point of a sphere.
      surface: bool [T, 6], whether a block supports others on a round surface.
    """
    mass = _masses(towers.shape, towers.size)
    com = np.zeros(towers.shape.shape, bool)
    surface = np.zeros(towers.shape.shape, bool)
    for level in range(MAX_OBJECTS - 1):
        above = mass[:, level + 1 :, None]
        bears = towers.shape[:, level + 1] > 0
        weight = np.maximum(above.sum(axis=1), 1e-9)
        center = (above * towers.position[:, level + 1 :, :2]).sum(axis=1) / weight
        beside = _rotated(center - towers.position[:, level, :2], -towers.yaw[:, level])
        com[:, level] = bears & _is_outside(towers.shape[:, level], towers.size[:, level], beside)
        round_ = (towers.shape[:, level] == LYING_CYLINDER) | (towers.shape[:, level] == SPHERE)
        surface[:, level] = bears & round_
    return com, surface


def _is_outside(shape: np.ndarray, size: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Check whether points [T, 2] of the blocks' frames are outside the blocks' support."""
    reach = np.abs(point)
    radius = np.hypot(point[:, 0], point[:, 1])
    half = size[:, :2] / 2 + _TOLERANCE
    return np.select(
        [shape == CUBOID, shape == STANDING_CYLINDER, shape == LYING_CYLINDER],
        [
            (reach > half).any(axis=-1),
            radius > half[:, 0],
            (reach[:, 0] > _TOLERANCE) | (reach[:, 1] > half[:, 1]),
        ],
        radius > _TOLERANCE,
    )


def _masses(shape: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Compute the masses [T, 6] of blocks of equal density; 0 where there is none."""
    filled = np.array([0.0, *(_VOLUME[i] for i in range(1, 5))])
    return filled[shape] * size.astype(np.float64).prod(axis=-1)


def _rotated(vector: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Rotate vectors [..., 2] anticlockwise."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    x, y = vector[..., 0], vector[..., 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
