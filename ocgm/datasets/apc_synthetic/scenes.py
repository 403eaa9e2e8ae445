"""Scenes of synthetic APC: one object in a bin of a shelf or in a tote, seen from 15 places.

Published: the two environments, one object a scene, empty scenes, images of 480x640 pixels and their
crop. Measured in the files of one published shelf scene: focal length and optical centre, all 15
poses of the camera around the shelf (five azimuths, three elevations, on a sphere around the point
at the image's centre), the bin's size, and the colours. Our choice: everything about the tote except
that it is red, the objects (see `objects`) and how they lie, the lamps, the neighbouring bins, and
the fraction of empty scenes.
"""

import dataclasses
import math

import numpy as np

from ocgm.datasets.apc_synthetic import surroundings
from ocgm.datasets.apc_synthetic.objects import PRODUCTS
from ocgm.datasets.builders.generated import uniform_integers
from ocgm.datasets.rendering import (
    Body,
    Camera,
    Light,
    Scene,
    axis_rotation,
    crop,
    cull,
    grey,
    look_at,
    make_scene,
    stack_scenes,
    yaw,
)

ENVIRONMENTS = ("shelf", "tote")
SHELF, TOTE = range(len(ENVIRONMENTS))
NUM_FRAMES = 15
SHARE_OF_EMPTY = 0.05

_NUM_PIECES = 48

# Measured: the camera, for images of 480x640 pixels.
_HEIGHT, _WIDTH = 480, 640
_FOCAL_LENGTH, _PRINCIPAL_POINT = 615.2, (298.4, 247.5)
# Azimuths, elevations and distance of the camera from the point it looks at; measured for the
# shelf. The published frames alternate between left to right and right to left.
_AZIMUTHS = (-25.0, -12.5, 0.0, 12.5, 25.0)
_ELEVATIONS = ((0.0, 10.0, 20.0), (50.0, 62.0, 74.0))
_DISTANCE = (0.36, 0.66)
_TARGET = ((0.023, 0.0, 0.118), (0.0, 0.0, 0.05))

_BIN_WIDTH = (0.29, 0.35)
# Least distance of an object's bounding box from the walls.
_CLEARANCE = 0.012

# [K, 3], edges of the products' bounding boxes in metres.
SIZES = np.array([product.size for product in PRODUCTS], np.float32)
_NUM_POSES = np.array([len(product.poses) for product in PRODUCTS])
# [3, 3], by pose: the object's own axes that are then along x, y and z.
_UPRIGHT_AXES = np.array([[0, 1, 2], [2, 1, 0], [0, 2, 1]])
_POSES = (np.eye(3), axis_rotation(1, 90), axis_rotation(0, 90))


@dataclasses.dataclass(frozen=True)
class Scenes:
    """Random choices of N scenes.

    Attributes:
      environment: int32 [N], index in `ENVIRONMENTS`.
      product: int32 [N], index in `PRODUCTS`; of an empty scene, the product in other scenes of its
        folder.
      empty: bool [N].
      pose: int32 [N], 0 upright, 1 on its left side, 2 on its front.
      yaw: float32 [N], degrees by which the object is then turned about z.
      position: float32 [N, 3], centre of its bounding box in metres, in the environment's frame.
      bin_width: float32 [N], in metres; totes are all the same.
      lamp: float32 [N, 3], offset of the lamp in [-1, 1] of the largest along each axis.
      brightness: float32 [N], factor of all lamps.
      clutter: float32 [N, 2, 7] in [0, 1], size, colour and yaw of a box in each neighbouring bin.
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
    """Draw scenes.

    Environments and objects are uniform and independent, poses are uniform over those of the object.
    Place and yaw are uniform over those at which the object's bounding box is inside the bin or tote.
    One scene in twenty is empty.
    """
    environment = uniform_integers(rng, len(ENVIRONMENTS), count)
    product = uniform_integers(rng, len(PRODUCTS), count)
    empty = rng.random(count) < SHARE_OF_EMPTY
    choice = uniform_integers(rng, _NUM_POSES[product], count)
    pose = [PRODUCTS[p].poses[i] for p, i in zip(product, choice, strict=True)]
    low, high = _BIN_WIDTH
    bin_width = low + (high - low) * rng.random(count)
    extent = SIZES[product[:, None], _UPRIGHT_AXES[pose]]
    turn, place = _draw_places(rng, extent, *_floor_of(environment, bin_width))
    floor = np.where(environment == SHELF, surroundings.BIN_FLOOR, 0.0)
    return Scenes(
        environment=environment,
        product=product,
        empty=empty,
        pose=np.array(pose, np.int32),
        yaw=turn.astype(np.float32),
        position=np.column_stack([place, floor + extent[:, 2] / 2]).astype(np.float32),
        bin_width=bin_width.astype(np.float32),
        lamp=(2 * rng.random((count, 3)) - 1).astype(np.float32),
        brightness=(0.85 + 0.3 * rng.random(count)).astype(np.float32),
        clutter=rng.random((count, 2, 7)).astype(np.float32),
    )


def _draw_places(
    rng: np.random.Generator, extent: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Draw degrees [N] and places [N, 2] of objects [N, 3] large that lie between corners [N, 2]."""
    count = len(extent)
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
    return turn, place


def _floor_of(environment: np.ndarray, bin_width: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper corners, [N, 2] each, of the free floor."""
    half = bin_width / 2
    shelf = np.stack([0 * half, -half], 1), np.stack([0 * half + surroundings.BIN_DEPTH, half], 1)
    tote = np.array(surroundings.TOTE_SIZE) / 2
    inside = (environment == SHELF)[:, None]
    return np.where(inside, shelf[0], -tote), np.where(inside, shelf[1], tote)


def camera(environment: int, frame: int, side: int) -> Camera:
    """Create the camera of a frame, for the central square of its image at side x side pixels."""
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
    """Create all frames of N scenes, [N * 15], for images of side x side pixels."""
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
        width, clutter = float(scenes.bin_width[i]), scenes.clutter[i].astype(np.float64)
        bodies += surroundings.shelf(width, clutter)
        bodies += surroundings.foam(seen_by, _FOCAL_LENGTH, _PRINCIPAL_POINT)
        place = (-0.45, 0, 0.2) + shift * (0.1, 0.3, 0.05)
        lamp = Light(place, grey(0.74 * brightness), radius=0.05)
        ambient = grey(0.27 * brightness), grey(0.40 * brightness)
    else:
        bodies += surroundings.tote()
        place = (0, 0, 1.2) + shift * (0.5, 0.5, 0.2)
        lamp = Light(place, grey(0.60 * brightness), radius=0.12)
        ambient = grey(0.30 * brightness), grey(0.40 * brightness)
    return cull(make_scene(bodies, [lamp], seen_by, _NUM_PIECES, ambient=ambient), side, side)


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
