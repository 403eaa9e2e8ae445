"""Surroundings of the object in synthetic APC: a shelf's bin, or a tote on a table.

Lengths are in metres. Shelf: x points into the bin, y to the left and z up; the bin's depth and floor
were measured in the files of one published scene. Tote: x points along its long side, away from the
robot; we know no image of it, only that it is red.
"""

import numpy as np

from ocgm.datasets.rendering import Body, Camera, Material, axis_rotation, shapes, yaw

# Measured: depth of the bin, height of its floor, and upper edge of its walls.
BIN_DEPTH, BIN_FLOOR, _BIN_TOP = 0.44, -0.04, 0.235
# Inside of the tote at its floor, and its height.
TOTE_SIZE, _TOTE_HEIGHT = (0.34, 0.46), 0.16

_CARDBOARD = Material((1.0, 0.93, 0.97), "cardboard", (0.4, 0.4))
_DARK_METAL = Material((0.36, 0.32, 0.33), "brushed_metal", (0.5, 0.5), specular=0.3, shininess=20)
# The colour of a mirror image of the cardboard and the lamp.
_CEILING = Material((0.70, 0.52, 0.48), "brushed_metal", (0.5, 0.5))
_BRIGHT_METAL = Material((0.98, 0.98, 1.0), "brushed_metal", (0.3, 0.1), specular=0.2)
_GAP = Material((0.75, 0.75, 0.78))
_SEAM = Material((0.10, 0.09, 0.10))
_FOAM = Material((0.40, 0.37, 0.44), "noise", (0.02, 0.02))
_RED_PLASTIC = Material((1.20, 0.20, 0.22), "plaster", (0.9, 0.9), specular=0.15, shininess=10)
_RED_RIM = Material((0.72, 0.11, 0.12), specular=0.25, shininess=20)
_TABLE = Material((0.24, 0.23, 0.25), "noise", (0.5, 0.5))


def shelf(width: float, clutter: np.ndarray) -> list[Body]:
    """Create a bin, its neighbours and the boxes in them.

    Args:
      width: of the bin.
      clutter: float [2, 7] in [0, 1], size, colour and yaw of the boxes to the right and left.
    """
    half, floor, top = width / 2, BIN_FLOOR, _BIN_TOP
    far = BIN_DEPTH
    return [
        _box((-0.01, -2, floor - 0.02), (0.6, 2, floor), _DARK_METAL),
        _box((-0.01, -2, top + 0.02), (0.6, 2, top + 0.04), _CEILING),
        _box((-0.015, -2, floor - 0.035), (-0.01, 2, 0.0), _BRIGHT_METAL),
        _box((-0.015, -2, top), (-0.01, 2, top + 0.07), _BRIGHT_METAL),
        _box((-0.015, -2, top - 0.004), (0.02, 2, top), _GAP),
        _box((far, -half, floor), (far + 0.01, half, 0.19), _CARDBOARD),
        _box((far + 0.03, -2, floor), (far + 0.04, 2, 0.30), _GAP),
        _box((far - 0.002, 0.05, floor), (far, 0.058, 0.19), _SEAM),
        # The shelf below, and the dark space behind it.
        _box((0.3, -2, -0.6), (0.31, 2, floor - 0.02), _SEAM),
        *_side_of_bin(-1, half, clutter[0]),
        *_side_of_bin(1, half, clutter[1]),
    ]


def _side_of_bin(sign: int, half: float, clutter: np.ndarray) -> list[Body]:
    """Create the right (-1) or left (1) wall of a bin `2 * half` wide, and the next bin."""
    far, floor, top = BIN_DEPTH, BIN_FLOOR, _BIN_TOP
    inner, outer = sorted((sign * half, sign * (half + 0.006)))
    flap = sorted((sign * (half - 0.05), sign * half))
    next_wall = sorted((sign * (half + 0.25), sign * (half + 0.26)))
    size = 0.05 + 0.12 * clutter[:3]
    place = (0.04 + size[0] / 2, sign * (half + 0.05 + size[1] / 2), floor + size[2] / 2)
    material, rotation = Material(tuple(clutter[3:6])), yaw(15 * clutter[6])
    return [
        _box((0.0, inner, floor), (far, outer, top - 0.02), _CARDBOARD),
        _box((0.0, flap[0], floor), (0.035, flap[1], floor + 0.002), _CARDBOARD),
        _box((0.05, next_wall[0], floor), (far, next_wall[1], top), _CARDBOARD),
        Body(shapes.box(size), material, place, rotation, casts_shadow=False),
    ]


def foam(camera: Camera, focal_length: float, principal_point: tuple[float, float]) -> list[Body]:
    """Create the two blocks of foam on the robot's hand, fixed to the camera.

    Args:
      camera: the camera, cropped or not.
      focal_length, principal_point: of the uncropped camera, in pixels.
    """
    depth, thickness = 0.15, 0.02
    # A camera's rows are its axes in the world, whereas a shape's columns are.
    rotation = np.asarray(camera.rotation, np.float64).T
    found = []
    # First and last column of the blocks in the uncropped image.
    for left, right in ((-10.0, 127.0), (509.0, 700.0)):
        corners = np.array([[left, -40.0], [right, 163.0]])
        local = (corners - np.array(principal_point)) / focal_length * depth
        size = np.append(local[1] - local[0], thickness)
        centre = np.append(local.mean(0), depth + 0.01)
        position = camera.position + rotation @ centre
        found.append(Body(shapes.box(size), _FOAM, position, rotation, casts_shadow=False))
    return found


def tote() -> list[Body]:
    """Create a red tub with leaning walls and a rim, on a table."""
    half = np.array(TOTE_SIZE) / 2
    base = (half[0] + 0.02, half[1] + 0.02)
    found = [
        Body(shapes.ground(), _TABLE, (0, 0, -0.02), casts_shadow=False),
        _box((-base[0], -base[1], -0.01), (*base, 0), _RED_PLASTIC),
    ]
    for side in range(4):
        found += _side_of_tote(yaw(90 * side), half[side % 2], 2 * half[1 - side % 2] + 0.05)
    return found


def _side_of_tote(turn: np.ndarray, distance: float, length: float) -> list[Body]:
    """Create a wall of the tote and its rim, at a distance from the middle."""
    height = _TOTE_HEIGHT
    wall, rim = (
        shapes.box((0.008, length, height * 1.02)),
        shapes.box((0.035, length + 0.06, 0.012)),
    )
    middle = turn @ (distance + 0.005 + 0.07 * height, 0, height / 2)
    edge = turn @ (distance + 0.16 * height + 0.012, 0, height)
    lean = turn @ axis_rotation(1, 8)
    return [
        Body(wall, _RED_PLASTIC, middle, lean, casts_shadow=False),
        Body(rim, _RED_RIM, edge, turn, casts_shadow=False),
    ]


def _box(lower: tuple, upper: tuple, material: Material) -> Body:
    """Create a block between two corners, which casts no shadow."""
    size, middle = np.subtract(upper, lower), np.add(lower, upper) / 2
    return Body(shapes.box(size), material, middle, casts_shadow=False)
