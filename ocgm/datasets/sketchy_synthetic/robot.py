"""The robot of synthetic Sketchy: a red arm with a black gripper of two white fingers, and cables.

Sizes and positions of the gripper's parts and of the red column were measured in four published
frames; the links between them, mostly outside the images, are a simple arm of our own. Units and
axes are those of `workplace`.
"""

import math

import numpy as np

from ocgm.datasets.rendering import Body, Material, shapes, yaw

# Widest opening between the fingers.
WIDEST = 0.085
# Distance that the fingers extend below the point between them at which they grasp.
FINGERTIP = 0.015

_SHOULDER = np.array([-0.80, 0.0, 0.32])
_UPPER_ARM, _FOREARM = 0.40, 0.42
# Height of the wrist above the point between the fingers.
_WRIST = 0.34
_UPRIGHT = np.eye(3)

_RED = Material((0.44, 0.17, 0.10), specular=0.08, shininess=12)
_BLACK = Material((0.17, 0.18, 0.135), specular=0.08, shininess=15)
_DARK = Material((0.24, 0.255, 0.20), specular=0.05)
_WHITE = Material((0.78, 0.83, 0.63), specular=0.05)
_CABLE = Material((0.14, 0.15, 0.115))
_PLUG = Material((0.14, 0.15, 0.33))


def bodies(pinch: np.ndarray, turn: float, opening: float) -> list[Body]:
    """Create the robot.

    Args:
      pinch: [3], point between the fingers.
      turn: angle of the line through the fingers to x, in degrees.
      opening: distance between the fingers.
    """
    return [*_gripper(pinch, turn, opening), *_arm(pinch + (0, 0, _WRIST))]


def _gripper(pinch: np.ndarray, turn: float, opening: float) -> list[Body]:
    rotation = yaw(turn)

    def place(x: float, y: float, z: float) -> np.ndarray:
        return pinch + rotation @ (x, y, z)

    found = [
        _faint(shapes.box((0.115, 0.065, 0.07)), _BLACK, place(0, 0, 0.145), rotation),
        _faint(shapes.cylinder(0.037, 0.08), _DARK, place(0, 0, 0.215)),
        _faint(shapes.cylinder(0.045, 0.10), _BLACK, place(0, 0, 0.30)),
    ]
    for side in (-1, 1):
        inner = side * opening / 2
        finger = inner + side * 0.008
        tip = shapes.box((0.016, 0.022, 0.05))
        found.append(Body(tip, _WHITE, place(finger, 0, 0.025 - FINGERTIP), rotation))
        knuckle = place(inner + side * 0.018, 0, 0.055)
        found.append(Body(shapes.box((0.034, 0.030, 0.04)), _BLACK, knuckle, rotation))
        outside = place(inner + side * 0.028, 0, 0.06), place(side * 0.068, 0, 0.125)
        inside = place(inner + side * 0.008, 0, 0.06), place(side * 0.025, 0, 0.12)
        found += [_rod(*outside, 0.009, _BLACK), _rod(*inside, 0.008, _BLACK)]
    return found


def _arm(wrist: np.ndarray) -> list[Body]:
    elbow = _elbow(wrist)
    column = shapes.cylinder(0.065, 0.62)
    found = [
        _faint(column, _RED, _SHOULDER - (0, 0, 0.31)),
        _faint(shapes.sphere(0.075), _RED, _SHOULDER),
        _faint(shapes.ellipsoid((0.03, 0.06, 0.06)), _BLACK, _SHOULDER + (0.062, 0, 0)),
        _rod(_SHOULDER, elbow, 0.06, _RED),
        _faint(shapes.sphere(0.065), _BLACK, elbow),
        _rod(elbow, wrist, 0.05, _RED),
        _faint(shapes.sphere(0.06), _BLACK, wrist),
    ]
    # Cables hang from the wrist to the shoulder.
    for side, sag in ((-1, 0.22), (1, 0.30)):
        ends = wrist + (-0.05, 0.03 * side, -0.05), _SHOULDER + (0.1, 0.07 * side, 0.0)
        found += _hanging(*ends, sag)
    return found


def _elbow(wrist: np.ndarray) -> np.ndarray:
    """Compute the joint of two links from the shoulder to the wrist, bent up and to the left."""
    reach = wrist - _SHOULDER
    distance = float(np.linalg.norm(reach))
    forward = reach / distance
    along = (distance**2 + _UPPER_ARM**2 - _FOREARM**2) / (2 * distance)
    aside = math.sqrt(max(_UPPER_ARM**2 - along**2, 0.0))
    side = np.cross(forward, (0.0, -0.8, 0.6))
    return _SHOULDER + along * forward + aside * side / np.linalg.norm(side)


def _hanging(start: np.ndarray, end: np.ndarray, sag: float) -> list[Body]:
    """Create a cable of five rods along a parabola."""
    t = np.linspace(0, 1, 6)[:, None]
    points = start + t * (end - start) - 4 * sag * t * (1 - t) * (0, 0, 1)
    return [
        _rod(a, b, 0.005, _PLUG if i == 2 else _CABLE)
        for i, (a, b) in enumerate(zip(points[:-1], points[1:], strict=True))
    ]


def _rod(start: np.ndarray, end: np.ndarray, radius: float, material: Material) -> Body:
    length = float(np.linalg.norm(end - start))
    rotation = _pointing((end - start) / length)
    return _faint(shapes.cylinder(radius, length), material, (start + end) / 2, rotation)


def _faint(
    shape: shapes.Shape, material: Material, position: np.ndarray, rotation: np.ndarray = _UPRIGHT
) -> Body:
    """Create a part without a shadow: in the published frames it is too soft to be visible."""
    return Body(shape, material, position, rotation, casts_shadow=False)


def _pointing(direction: np.ndarray) -> np.ndarray:
    """Return a rotation [3, 3] that maps z to a unit vector."""
    helper = np.eye(3)[np.argmin(np.abs(direction))]
    x = np.cross(helper, direction)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(direction, x), direction], axis=1)
