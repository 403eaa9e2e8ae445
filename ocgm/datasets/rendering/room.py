"""The square room that GQN's rooms_ring_camera and Objects Room share.

The room has a floor, four walls without a ceiling, and a camera on a ring around its middle. The
origin is the middle of the floor. Lengths are in world units, of which the published room has 7 by 7.
"""

from __future__ import annotations

import numpy as np

from ocgm.datasets.rendering import shapes
from ocgm.datasets.rendering.bodies import Body, Light, Material, grey, yaw
from ocgm.datasets.rendering.camera import Camera, focal_length, look_at

SIDE = 7.0
# Number of values of a camera: x, y, z, yaw and pitch.
CAMERA_SIZE = 5

# Values of the part map; walls count up from WALL_PART.
FLOOR_PART, WALL_PART, OBJECT_PART = 1, 2, 6

# Shapes of the objects, and which of them are round from above.
SHAPES = ("box", "sphere", "cylinder", "capsule", "cone", "icosahedron", "triangle")
ROUND = np.isin(SHAPES, ("sphere", "cylinder", "capsule", "cone", "icosahedron"))
_BALL = np.isin(SHAPES, ("sphere", "icosahedron"))
# Pieces of a triangle, which has the most, and slabs of an icosahedron.
PIECES_PER_OBJECT, NUM_SLABS = 3, 10

_TURNS = [yaw(90 * k) for k in range(4)]
# [4, 2], unit vectors on the ground from the middle to each wall.
WALL_DIRECTIONS = np.array([turn[:2, 1] for turn in _TURNS])


# ---- random choices


def draw_sizes(
    rng: np.random.Generator, shape: np.ndarray, smallest: np.ndarray, largest: np.ndarray
) -> np.ndarray:
    """Draw sizes of objects, uniformly.

    Args:
      rng: source of randomness.
      shape: int [...], indices in `SHAPES`.
      smallest, largest: [7, 3], bounds of width, depth and height of each shape.

    Returns:
      float64 [..., 3]. Shapes that are round from above are as deep as wide, balls also as high.
    """
    size = smallest[shape] + (largest - smallest)[shape] * rng.random((*shape.shape, 3))
    size[..., 1] = np.where(ROUND[shape], size[..., 0], size[..., 1])
    size[..., 2] = np.where(_BALL[shape], size[..., 0], size[..., 2])
    return size


def ring_cameras(yaw: np.ndarray, pitch: np.ndarray, radius: float, height: float) -> np.ndarray:
    """Place cameras on a ring around the room's middle, facing its axis.

    Args:
      yaw: [N], direction of sight in radians: 0 is along x, anticlockwise seen from above.
      pitch: [N], radians by which the cameras look up.
      radius, height: of the ring.

    Returns:
      float64 [N, 5]: x, y, z, yaw and pitch.
    """
    x, y = -radius * np.cos(yaw), -radius * np.sin(yaw)
    return np.stack([x, y, np.full(len(yaw), height), yaw, pitch], axis=1)


# ---- scenes


def view(camera: np.ndarray, vertical_fov: float, side: int) -> Camera:
    """Create the renderer's camera for images of side x side pixels.

    Args:
      camera: [5], one of `ring_cameras`.
      vertical_fov: field of view in degrees.
      side: of the image in pixels.
    """
    position = camera[:3].astype(np.float64)
    return look_at(
        position, position + forward(camera), focal_length(vertical_fov, side), side, side
    )


def forward(camera: np.ndarray) -> np.ndarray:
    """Return the direction [3] in which one of `ring_cameras` looks, not of unit length."""
    heading, pitch = camera[3:]
    return np.array([np.cos(heading), np.sin(heading), np.tan(pitch)])


def headlight(toward: np.ndarray, brightness: float) -> Light:
    """Create a directional light; from the camera's direction, as its shadows are then hidden."""
    return Light(toward, grey(brightness), directional=True, casts_shadow=False)


def floor_and_walls(
    floor: Material, wall: Material, wall_height: float, shown: np.ndarray
) -> list[Body]:
    """Create the floor and those walls for which `shown`, bool [4], is true."""
    bodies = [Body(shapes.ground(), floor, part=FLOOR_PART, casts_shadow=False)]
    upright = shapes.wall((SIDE, wall_height))
    for k in np.flatnonzero(shown).tolist():
        place = _TURNS[k] @ (0, SIDE / 2, wall_height / 2)
        bodies.append(Body(upright, wall, place, _TURNS[k], part=WALL_PART + k, casts_shadow=False))
    return bodies


def solid(name: str, size: np.ndarray) -> shapes.Shape:
    """Create the solid of a shape of `SHAPES`, [3] = (width, depth, height) large."""
    width, depth, height = size
    match name:
        case "box":
            return shapes.box(size)
        case "sphere":
            return shapes.sphere(width / 2)
        case "icosahedron":
            return shapes.icosahedron(width / 2)
        case "triangle":
            return shapes.triangle(width, height, depth)
    return {"cylinder": shapes.cylinder, "capsule": shapes.capsule, "cone": shapes.cone}[name](
        width / 2, height
    )
