"""Scenes of the APC look-alike: one object in a bin of a shelf or in a tote, seen from 15 places.

Published: the two environments, one object a scene, empty scenes, the picture's 480 rows and 640
columns and its crop. Measured in the files of one published shelf scene: focal length and optical
centre, all 15 poses of the camera about the shelf (five azimuths, three elevations, on a sphere
that looks at one point), the bin's width, depth and floor, and the colours. Our own choice is all
about the tote, of which we know no picture but that it is red; the objects (see `objects`), how
they lie, the lamps, the neighbouring bins, and the share of empty scenes.
"""

import dataclasses
import math

import numpy as np

from ocgm.datasets.apc_synthetic.objects import PRODUCTS
from ocgm.datasets.builders.generated import uniform_integers
from ocgm.datasets.rendering import (
    Body,
    Camera,
    Light,
    Material,
    Scene,
    axis_rotation,
    crop,
    cull,
    look_at,
    make_scene,
    shapes,
    stack_scenes,
    yaw,
)

ENVIRONMENTS = ("shelf", "tote")
SHELF, TOTE = range(len(ENVIRONMENTS))
NUM_FRAMES = 15
SHARE_OF_EMPTY = 0.05

_NUM_PIECES = 48

# The published camera, for 480 rows of 640 pixels.
_HEIGHT, _WIDTH = 480, 640
_FOCAL_LENGTH, _PRINCIPAL_POINT = 615.2, (298.4, 247.5)
# Where the camera is, seen from the point it looks at: measured for the shelf. The published
# frames go to and fro from one elevation to the next.
_AZIMUTHS = (-25.0, -12.5, 0.0, 12.5, 25.0)
_ELEVATIONS = ((0.0, 10.0, 20.0), (50.0, 62.0, 74.0))
_DISTANCE = (0.36, 0.66)
# Shelf: x goes into the bin, y to the left and z up. Tote: x is its long side, away from the robot.
_TARGET = ((0.023, 0.0, 0.118), (0.0, 0.0, 0.05))

# Measured: depth of the bin and height of its floor, and how far its walls reach up.
_BIN_DEPTH, _BIN_FLOOR, _BIN_TOP = 0.44, -0.04, 0.235
_BIN_WIDTH = (0.29, 0.35)
# Inside of the tote at its floor, and its height.
_TOTE_SIZE, _TOTE_HEIGHT = (0.34, 0.46), 0.16
# Least distance of an object's bounding box from the walls.
_CLEARANCE = 0.012

_CARDBOARD = Material((1.0, 0.93, 0.97), "cardboard", (0.4, 0.4))
_DARK_METAL = Material((0.36, 0.32, 0.33), "brushed_metal", (0.5, 0.5), specular=0.3, shininess=20)
# As if it mirrored the cardboard and the lamp.
_CEILING = Material((0.70, 0.52, 0.48), "brushed_metal", (0.5, 0.5))
_BRIGHT_METAL = Material((0.98, 0.98, 1.0), "brushed_metal", (0.3, 0.1), specular=0.2)
_GAP = Material((0.75, 0.75, 0.78))
_SEAM = Material((0.10, 0.09, 0.10))
_FOAM = Material((0.40, 0.37, 0.44), "noise", (0.02, 0.02))
_RED_PLASTIC = Material((1.20, 0.20, 0.22), "plaster", (0.9, 0.9), specular=0.15, shininess=10)
_RED_RIM = Material((0.72, 0.11, 0.12), specular=0.25, shininess=20)
_TABLE = Material((0.24, 0.23, 0.25), "noise", (0.5, 0.5))

# [K, 3], edges of the products' bounding boxes.
SIZES = np.array([product.size for product in PRODUCTS], np.float32)
_NUM_POSES = np.array([len(product.poses) for product in PRODUCTS])
# [3, 3], by pose: which of an object's own axes end up along x, y and z.
_UPRIGHT_AXES = np.array([[0, 1, 2], [2, 1, 0], [0, 2, 1]])
_POSES = (np.eye(3), axis_rotation(1, 90), axis_rotation(0, 90))


@dataclasses.dataclass(frozen=True)
class Scenes:
    """Random choices of N scenes.

    Attributes:
      environment: int32 [N], index in `ENVIRONMENTS`.
      product: int32 [N], index in `PRODUCTS`; of empty scenes, what the other scenes of their
        folder would hold.
      empty: bool [N].
      pose: int32 [N], which way the object lies: 0 upright, 1 on its left side, 2 on its front.
      yaw: float32 [N], degrees by which it is then turned about z.
      position: float32 [N, 3], middle of its bounding box in metres, in the environment's frame.
      bin_width: float32 [N], metres; the tote has always the same.
      lamp: float32 [N, 3], place of the lamp relative to the usual one, each from -1 to 1.
      brightness: float32 [N], of all lamps.
      clutter: float32 [N, 2, 7], of the two neighbouring bins: size, colour and yaw of a box, all
        from 0 to 1.
    """

    environment: np.ndarray
    product: np.ndarray
    empty: np.ndarray
    pose: np.ndarray
    yaw: np.ndarray
    position: np.ndarray
    bin_width: np.ndarray
    lamp: np.ndarray
    brightness: np.ndarray
    clutter: np.ndarray


def draw_scenes(rng: np.random.Generator, count: int) -> Scenes:
    """Draws scenes.

    Environments and objects are uniform and independent, the pose is uniform among the object's.
    Where the object lies and its yaw are uniform over the places and turns at which its bounding
    box is inside the bin or tote. One scene in twenty is empty.
    """
    environment = uniform_integers(rng, len(ENVIRONMENTS), count)
    product = uniform_integers(rng, len(PRODUCTS), count)
    empty = rng.random(count) < SHARE_OF_EMPTY
    pose = np.array(
        [
            PRODUCTS[p].poses[i]
            for p, i in zip(product, uniform_integers(rng, _NUM_POSES[product], count), strict=True)
        ],
        np.int32,
    )
    low, high = _BIN_WIDTH
    bin_width = low + (high - low) * rng.random(count)
    extent = SIZES[product[:, None], _UPRIGHT_AXES[pose]]
    lower, upper = _floor_of(environment, bin_width)
    turn, place = np.zeros(count), np.zeros((count, 2))
    pending = np.arange(count)
    while pending.size:
        turn[pending] = 360 * rng.random(pending.size)
        span = upper[pending] - lower[pending]
        place[pending] = lower[pending] + span * rng.random((pending.size, 2))
        angle = np.radians(turn[pending])
        cos, sin = np.abs(np.cos(angle)), np.abs(np.sin(angle))
        x, y = extent[pending, 0], extent[pending, 1]
        half = np.stack([x * cos + y * sin, x * sin + y * cos], axis=1) / 2 + _CLEARANCE
        room = np.minimum(place[pending] - lower[pending], upper[pending] - place[pending])
        pending = pending[(half > room).any(1)]
    floor = np.where(environment == SHELF, _BIN_FLOOR, 0.0)
    return Scenes(
        environment=environment,
        product=product,
        empty=empty,
        pose=pose,
        yaw=turn.astype(np.float32),
        position=np.column_stack([place, floor + extent[:, 2] / 2]).astype(np.float32),
        bin_width=bin_width.astype(np.float32),
        lamp=(2 * rng.random((count, 3)) - 1).astype(np.float32),
        brightness=(0.85 + 0.3 * rng.random(count)).astype(np.float32),
        clutter=rng.random((count, 2, 7)).astype(np.float32),
    )


def _floor_of(environment: np.ndarray, bin_width: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners [N, 2] of the free floor."""
    half = bin_width / 2
    shelf = np.stack([0 * half, -half], 1), np.stack([0 * half + _BIN_DEPTH, half], 1)
    tote = np.array(_TOTE_SIZE) / 2
    inside = (environment == SHELF)[:, None]
    return np.where(inside, shelf[0], -tote), np.where(inside, shelf[1], tote)


def camera(environment: int, frame: int, side: int) -> Camera:
    """The camera of a frame, for the central square of its picture with side x side pixels."""
    row, place = divmod(frame, len(_AZIMUTHS))
    azimuth = math.radians(_AZIMUTHS[place if row % 2 == 0 else len(_AZIMUTHS) - 1 - place])
    elevation = math.radians(_ELEVATIONS[environment][row])
    target = np.array(_TARGET[environment])
    toward = np.array(
        [
            -math.cos(elevation) * math.cos(azimuth),
            math.cos(elevation) * math.sin(azimuth),
            math.sin(elevation),
        ]
    )
    position = target + _DISTANCE[environment] * toward
    whole = look_at(position, target, _FOCAL_LENGTH, _HEIGHT, _WIDTH)
    whole = whole.replace(principal_point=np.array(_PRINCIPAL_POINT, np.float32))
    return crop(whole, 0, (_WIDTH - _HEIGHT) / 2, side / _HEIGHT)


def views(scenes: Scenes, side: int) -> Scene:
    """All frames of N scenes, [N * 15], to be drawn with side x side pixels."""
    return stack_scenes(
        [
            _view(scenes, i, frame, side)
            for i in range(len(scenes.product))
            for frame in range(NUM_FRAMES)
        ]
    )


def _view(scenes: Scenes, i: int, frame: int, side: int) -> Scene:
    environment = int(scenes.environment[i])
    seen_by = camera(environment, frame, side)
    bodies = [] if scenes.empty[i] else _object(scenes, i)
    shift, brightness = scenes.lamp[i].astype(np.float64), float(scenes.brightness[i])
    if environment == SHELF:
        bodies += [*_shelf(scenes, i), *_bracket(seen_by)]
        lamps = [
            Light((-0.45, 0, 0.2) + shift * (0.1, 0.3, 0.05), _grey(0.74 * brightness), radius=0.05)
        ]
        ambient = _grey(0.27 * brightness), _grey(0.40 * brightness)
    else:
        bodies += _tote()
        lamps = [
            Light((0, 0, 1.2) + shift * (0.5, 0.5, 0.2), _grey(0.60 * brightness), radius=0.12)
        ]
        ambient = _grey(0.30 * brightness), _grey(0.40 * brightness)
    return cull(make_scene(bodies, lamps, seen_by, _NUM_PIECES, ambient=ambient), side, side)


def _grey(value: float) -> tuple[float, float, float]:
    return (value, value, value)


def _object(scenes: Scenes, i: int) -> list[Body]:
    rotation = yaw(float(scenes.yaw[i])) @ _POSES[scenes.pose[i]]
    return [
        Body(
            part.shape,
            part.material,
            scenes.position[i] + rotation @ part.position,
            rotation @ part.rotation,
            label=1,
        )
        for part in PRODUCTS[scenes.product[i]].parts
    ]


def _box(lower, upper, material: Material, casts_shadow: bool = False) -> Body:
    """Block between two corners."""
    lower, upper = np.array(lower), np.array(upper)
    size = upper - lower
    return Body(shapes.box(size), material, (lower + upper) / 2, casts_shadow=casts_shadow)


def _shelf(scenes: Scenes, i: int) -> list[Body]:
    """The bin, its neighbours and what is in them."""
    half = float(scenes.bin_width[i]) / 2
    far, floor, top = _BIN_DEPTH, _BIN_FLOOR, _BIN_TOP
    found = [
        _box((-0.01, -2, floor - 0.02), (0.6, 2, floor), _DARK_METAL),
        _box((-0.01, -2, top + 0.02), (0.6, 2, top + 0.04), _CEILING),
        _box((-0.015, -2, floor - 0.035), (-0.01, 2, 0.0), _BRIGHT_METAL),
        _box((-0.015, -2, top), (-0.01, 2, top + 0.07), _BRIGHT_METAL),
        _box((-0.015, -2, top - 0.004), (0.02, 2, top), _GAP),
        _box((far, -half, floor), (far + 0.01, half, 0.19), _CARDBOARD),
        _box((far + 0.03, -2, floor), (far + 0.04, 2, 0.30), _GAP),
        _box((far - 0.002, 0.05, floor), (far, 0.058, 0.19), _SEAM),
        # The shelf below, and the dark behind it.
        _box((0.3, -2, -0.6), (0.31, 2, floor - 0.02), _SEAM),
    ]
    for sign in (-1, 1):
        inner, outer = sorted((sign * half, sign * (half + 0.006)))
        found.append(_box((0.0, inner, floor), (far, outer, top - 0.02), _CARDBOARD))
        flap = sorted((sign * (half - 0.05), sign * half))
        found.append(_box((0.0, flap[0], floor), (0.035, flap[1], floor + 0.002), _CARDBOARD))
        # What is in the next bin.
        next_ = sorted((sign * (half + 0.25), sign * (half + 0.26)))
        found.append(_box((0.05, next_[0], floor), (far, next_[1], top), _CARDBOARD))
        draw = scenes.clutter[i, max(sign, 0)].astype(np.float64)
        size = 0.05 + 0.12 * draw[:3]
        place = (0.04 + size[0] / 2, sign * (half + 0.05 + size[1] / 2), floor + size[2] / 2)
        found.append(
            Body(
                shapes.box(size),
                Material(tuple(draw[3:6])),
                place,
                yaw(15 * draw[6]),
                casts_shadow=False,
            )
        )
    return found


def _bracket(camera_: Camera) -> list[Body]:
    """The two blocks of foam on the robot's hand, always at the same place in the picture."""
    found = []
    for left, right in ((-10.0, 127.0), (509.0, 700.0)):
        depth = 0.15
        corner = np.array([[left, -40.0], [right, 163.0]])
        local = (corner - np.array(_PRINCIPAL_POINT)) / _FOCAL_LENGTH * depth
        size = np.append(local[1] - local[0], 0.02)
        centre = np.append(local.mean(0), depth + 0.01)
        # A camera's rows are its axes in the world, which a shape's columns would be.
        rotation = np.asarray(camera_.rotation, np.float64).T
        position = camera_.position + rotation @ centre
        found.append(Body(shapes.box(size), _FOAM, position, rotation, casts_shadow=False))
    return found


def _tote() -> list[Body]:
    """A red tub with leaning walls and a rim, on a table."""
    half, height = np.array(_TOTE_SIZE) / 2, _TOTE_HEIGHT
    found = [
        Body(shapes.ground(), _TABLE, (0, 0, -0.02), casts_shadow=False),
        _box(
            (-half[0] - 0.02, -half[1] - 0.02, -0.01),
            (half[0] + 0.02, half[1] + 0.02, 0),
            _RED_PLASTIC,
        ),
    ]
    for side in range(4):
        across, along = half[side % 2], half[1 - side % 2]
        turn = yaw(90 * side)
        lean = turn @ axis_rotation(1, 8)
        length = 2 * along + 0.05
        middle = turn @ (across + 0.005 + 0.07 * height, 0, height / 2)
        found.append(
            Body(
                shapes.box((0.008, length, height * 1.02)),
                _RED_PLASTIC,
                middle,
                lean,
                casts_shadow=False,
            )
        )
        rim = turn @ (across + 0.16 * height + 0.012, 0, height)
        found.append(
            Body(shapes.box((0.035, length + 0.06, 0.012)), _RED_RIM, rim, turn, casts_shadow=False)
        )
    return found
