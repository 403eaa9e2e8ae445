"""Shapes: tuples of convex pieces that share one description.

A piece is the intersection, in its own frame, of an axis-aligned block, one quadric and further
slabs, so that one formula serves every shape: a ray is inside a piece over an interval, the
intersection of the intervals in which it is inside each part. A shape's frame has its origin at the
shape's centre (`ground` and `wall`: on the surface) and z as its axis. Lengths are in world units.
Everything here runs on the host, in NumPy.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

Floats = Sequence[float] | np.ndarray

# A bound without effect. Finite, so that products with zero are zero.
UNBOUNDED = 1e4


@dataclasses.dataclass(frozen=True)
class Piece:
    """Convex solid: the local points x that satisfy all of its bounds.

    Attributes:
      lower, upper: [3]; lower <= x <= upper.
      quadric: [4], (a, b, c, d); a x0^2 + b x1^2 + c x2^2 + d <= 0. `upper` must cut a cone down to
        the half below its apex, which is at the origin.
      slab_normals, slab_bounds: [s, 3] of unit length and [s, 2]; low <= normal . x <= high.
      position, rotation: [3] and [3, 3], piece to shape; the piece's pose within the shape.
    """

    lower: np.ndarray
    upper: np.ndarray
    quadric: tuple[float, float, float, float] = (0.0, 0.0, 0.0, -1.0)
    slab_normals: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 3)))
    slab_bounds: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 2)))
    position: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(3))
    rotation: np.ndarray = dataclasses.field(default_factory=lambda: np.eye(3))


Shape = tuple[Piece, ...]


def sphere(radius: float) -> Shape:
    """Create a ball."""
    return ellipsoid((radius, radius, radius))


def ellipsoid(radii: Floats) -> Shape:
    """Create an ellipsoid with semi-axes `radii` along x, y and z."""
    axes = np.asarray(radii, np.float64)
    a, b, c = axes**-2.0
    return (Piece(-1.01 * axes, 1.01 * axes, (a, b, c, -1.0)),)


def box(size: Floats) -> Shape:
    """Create a block with edges `size` along x, y and z."""
    half = np.asarray(size, np.float64) / 2
    return (Piece(-half, half),)


def cylinder(radius: float, height: float) -> Shape:
    """Create a cylinder along z."""
    bound = np.array([1.01 * radius, 1.01 * radius, height / 2])
    return (Piece(-bound, bound, (radius**-2.0, radius**-2.0, 0.0, -1.0)),)


def capsule(radius: float, height: float) -> Shape:
    """Create a cylinder along z with half balls at its ends, which `height` includes: three pieces."""
    offset = np.array([0.0, 0.0, height / 2 - radius])
    ball = sphere(radius)[0]
    return (
        *cylinder(radius, height - 2 * radius),
        dataclasses.replace(ball, position=offset),
        dataclasses.replace(ball, position=-offset),
    )


def dome(radius: float, height: float) -> Shape:
    """Create a cylinder along z with a half ball on top, which `height` includes: two pieces."""
    ball = dataclasses.replace(
        sphere(radius)[0], position=np.array([0.0, 0.0, height / 2 - radius])
    )
    barrel = dataclasses.replace(
        cylinder(radius, height - radius)[0], position=np.array([0.0, 0.0, -radius / 2])
    )
    return (barrel, ball)


def cone(radius: float, height: float) -> Shape:
    """Create a cone along z, apex up, with the origin at half its height."""
    bound = 1.01 * radius
    return (
        Piece(
            lower=np.array([-bound, -bound, -height]),
            upper=np.array([bound, bound, 0.0]),
            quadric=(radius**-2.0, radius**-2.0, -(height**-2.0), 0.0),
            position=np.array([0.0, 0.0, height / 2]),
        ),
    )


def pyramid(size: tuple[float, float], height: float) -> Shape:
    """Create a four-sided pyramid, apex up, with base edges `size` along x and y: four slabs."""
    half_x, half_y = size[0] / 2, size[1] / 2
    normals = np.array(
        [[height, 0, half_x], [-height, 0, half_x], [0, height, half_y], [0, -height, half_y]]
    )
    high = np.array([half_x, half_x, half_y, half_y]) * height / 2
    return (_polyhedron(normals, high, np.array([half_x, half_y, height / 2])),)


def prism(size: tuple[float, float, float]) -> Shape:
    """Create a prism whose front is an isosceles triangle: two slabs.

    Args:
      size: extents along x, y and z; the ridge is along y.
    """
    half_x, half_z = size[0] / 2, size[2] / 2
    normals = np.array([[size[2], 0, half_x], [-size[2], 0, half_x]])
    return (
        _polyhedron(normals, np.full(2, half_x * half_z), np.array([half_x, size[1] / 2, half_z])),
    )


def triangle(width: float, height: float, thickness: float) -> Shape:
    """Create GQN's open triangle, three round bars with mitred ends in the x-z plane: three pieces.

    Args:
      width, height: of the triangle, including the bars.
      thickness: diameter of the bars.
    """
    radius = thickness / 2
    outline = np.array([[-width / 2, -height / 2], [width / 2, -height / 2], [0.0, height / 2]])
    sides = np.linalg.norm(outline - np.roll(outline, -1, axis=0), axis=1)
    inner_radius = width * height / sides.sum()
    centre = np.array([0.0, inner_radius - height / 2])
    # Shrunk about the incircle's centre, the bars' axes keep their distance from all three sides.
    corners = centre + (outline - centre) * (1 - radius / inner_radius)
    pieces = []
    for i in range(3):
        start, end = corners[i], corners[(i + 1) % 3]
        length = np.linalg.norm(end - start)
        along = (end - start) / length
        middle = (start + end) / 2
        rotation = np.array([[0, -along[1], along[0]], [-1, 0, 0], [0, along[0], along[1]]])
        normals, high = [], []
        # A mitre's plane contains the corner and the centre; the bar is on the side of its middle.
        for corner in (start, end):
            toward = corner - centre
            normal = np.array([toward[1], -toward[0]]) / np.linalg.norm(toward)
            normal *= -np.sign(normal @ (middle - corner))
            normals.append(np.array([normal[0], 0.0, normal[1]]) @ rotation)
            high.append(normal @ (corner - middle))
        bar = _polyhedron(
            np.array(normals), np.array(high), np.array([1.01 * radius, 1.01 * radius, length])
        )
        pieces.append(
            dataclasses.replace(
                bar,
                quadric=(radius**-2.0, radius**-2.0, 0.0, -1.0),
                position=np.array([middle[0], 0.0, middle[1]]),
                rotation=rotation,
            )
        )
    return tuple(pieces)


def icosahedron(radius: float) -> Shape:
    """Create a regular icosahedron with its corners at `radius` from the centre: ten slabs."""
    inner = radius * math.sqrt((5 + 2 * math.sqrt(5)) / 15)
    bounds = np.tile([-inner, inner], (10, 1))
    bound = np.full(3, 1.01 * radius)
    return (Piece(-bound, bound, slab_normals=_icosahedron_normals(), slab_bounds=bounds),)


def ground() -> Shape:
    """Create the half space z <= 0."""
    return (Piece(np.full(3, -UNBOUNDED), np.array([UNBOUNDED, UNBOUNDED, 0.0])),)


def wall(size: tuple[float, float], thickness: float = 0.1) -> Shape:
    """Create an upright block whose front, `size` along x and z, is at y = 0, its back at y > 0."""
    half = np.array([size[0] / 2, thickness, size[1] / 2])
    return (Piece(half * np.array([-1, 0, -1]), half),)


def _polyhedron(normals: np.ndarray, high: np.ndarray, half_size: np.ndarray) -> Piece:
    """Create a block of +-`half_size` cut by half spaces normal . x <= high, normals of any length."""
    lengths = np.linalg.norm(normals, axis=1)
    bounds = np.stack([np.full(len(high), -UNBOUNDED), high / lengths], axis=1)
    return Piece(-half_size, half_size, slab_normals=normals / lengths[:, None], slab_bounds=bounds)


@functools.cache
def _icosahedron_normals() -> np.ndarray:
    """Return the unit normals of ten faces, no two opposite: corners of a dodecahedron, [10, 3]."""
    golden = (1 + math.sqrt(5)) / 2
    normals = [[1.0, y, z] for y in (-1, 1) for z in (-1, 1)]
    for sign in (-1, 1):
        a, b = 1 / golden, sign * golden
        normals += [[0, a, b], [a, b, 0], [b, 0, a]]
    return np.array(normals) / math.sqrt(3)
