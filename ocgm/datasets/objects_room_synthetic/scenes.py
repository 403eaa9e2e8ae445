"""Scenes of Objects Room: what stands where in the room, and what it looks like.

Documented by DeepMind: the number of objects of each split, that it is the room of GQN's
rooms_ring_camera, and the room's 7x7 world units. Measured on the eight published records that we
have: camera, wall height, colours and lights (see the constants). Our choice: sizes and places of
objects, within what is seen there, and all distributions. Angles are in radians.
"""

import colorsys
import dataclasses
import math

import numpy as np

from ocgm.datasets import rendering
from ocgm.datasets.builders.generated import SceneArrays, uniform_integers
from ocgm.datasets.rendering import shapes

IMAGE_SIZE = 64
MAX_OBJECTS = 6

# Fewest and most objects; documented but for the fewest of the first three.
NUM_OBJECTS = {
    "train": (1, 3),
    "validation": (1, 3),
    "test": (1, 3),
    "test_empty_room": (0, 0),
    "test_six_objects": (6, 6),
    "test_identical_color": (4, 6),
}
IDENTICAL_COLOR = "test_identical_color"

# The seven shapes of GQN; codes start at 1.
SHAPES = ("box", "sphere", "cylinder", "capsule", "cone", "icosahedron", "triangle")

# Smallest and largest width, depth and height in world units. Shapes that are round from above
# have the depth of their width, and balls the height.
_SIZES = {
    "box": ((0.35, 0.35, 0.35), (0.6, 0.6, 0.65)),
    "sphere": ((0.45, 0.45, 0.45), (0.65, 0.65, 0.65)),
    "cylinder": ((0.3, 0.3, 0.3), (0.6, 0.6, 0.75)),
    "capsule": ((0.25, 0.25, 0.5), (0.4, 0.4, 0.8)),
    "cone": ((0.4, 0.4, 0.4), (0.6, 0.6, 0.6)),
    "icosahedron": ((0.5, 0.5, 0.5), (0.7, 0.7, 0.7)),
    "triangle": ((0.5, 0.15, 0.5), (0.65, 0.2, 0.7)),
}
_LOWER, _UPPER = np.swapaxes([_SIZES[name] for name in SHAPES], 0, 1)
_ROUND = np.isin(SHAPES, ("sphere", "cylinder", "capsule", "cone", "icosahedron"))
_BALLS = np.isin(SHAPES, ("sphere", "icosahedron"))

# Objects stand in this square about the room's centre, about as far from the camera as in the
# published pictures, at least `_GAP` apart and with their middle in view.
_HALF_SQUARE = 1.9
_GAP = 0.05
_NEAREST = 1.0

# Fitted to the outlines of walls and floor in eight published pictures, which all agree to 0.3
# pixels: a camera on a ring that faces the room's axis and is tilted up or down.
HALF_ROOM = 3.5
_WALL_HEIGHT = 1.97
_RING_RADIUS = 3.41
_CAMERA_HEIGHT = 0.705
_FIELD_OF_VIEW = 50.15
_FOCAL_LENGTH = rendering.focal_length(_FIELD_OF_VIEW, IMAGE_SIZE)
_MOST_PITCH = math.radians(10)

# Measured in the same way: walls are lit by a lamp at the camera, the floor by a spot above it that
# points down. Where over the floor it is was fitted, too; at most about 2.5 units off each axis.
_AMBIENT = 0.39
_HEADLIGHT = 0.65
_SPOT = 0.8
_SPOT_HEIGHT = 6.0
_SPOT_EXPONENT = 10.0
_MOST_SPOT_OFFSET = 2.5
_SPOT_RADIUS = 0.25

# Colours are of any hue, and saturated; smallest saturation and value.
_LEAST_SATURATION = 0.75
_LEAST_VALUE = 0.9

# Parts of the rendered picture: what `background_parts` are made from. Walls count on from there.
_FLOOR_PART = 1
_WALL_PART = 2
_OBJECT_PART = 6

# Floor, two walls and objects.
_NUM_PIECES = 3 + 3 * MAX_OBJECTS
_NUM_SLABS = 10


@dataclasses.dataclass(frozen=True)
class Scenes(SceneArrays):
    """Random choices of N scenes of at most K = 6 objects; rows from `num_objects` on are zero.

    Attributes:
      num_objects: int32 [N].
      shape: int32 [N, K], 1 + index into `SHAPES`; 0 is padding.
      size: float32 [N, K, 3], width, depth and height in world units.
      position: float32 [N, K, 3], of the objects' centres; the room's middle is 0.
      rotation: float32 [N, K], about the vertical axis.
      color: float32 [N, K, 3], hue, saturation and value in [0, 1].
      floor_color, wall_color: float32 [N, 3], the same.
      camera: float32 [N, 5], x, y, z, yaw and pitch, as in GQN.
      light: float32 [N, 3], place of the spotlight.
    """

    num_objects: np.ndarray
    shape: np.ndarray
    size: np.ndarray
    position: np.ndarray
    rotation: np.ndarray
    color: np.ndarray
    floor_color: np.ndarray
    wall_color: np.ndarray
    camera: np.ndarray
    light: np.ndarray


# ---- random choices


def draw_scenes(rng: np.random.Generator, split: str, count: int) -> Scenes:
    """Draws `count` scenes: everything uniform, but that objects keep apart and in view."""
    fewest, most = NUM_OBJECTS[split]
    num_objects = fewest + uniform_integers(rng, most - fewest + 1, count)
    present = np.arange(MAX_OBJECTS) < num_objects[:, None]
    camera = _draw_cameras(rng, count)
    kind = uniform_integers(rng, len(SHAPES), (count, MAX_OBJECTS))
    size = _draw_sizes(rng, kind)
    # Round objects reach as far as their radius, others, as they may be turned, half a diagonal.
    reach = np.where(_ROUND[kind], size[..., 0], np.hypot(size[..., 0], size[..., 1])) / 2
    floor = _draw_places(rng, camera, present, reach)
    position = np.concatenate([floor, size[..., 2:] / 2], axis=-1)
    color = _draw_colors(rng, (count, MAX_OBJECTS))
    if split == IDENTICAL_COLOR:
        color = np.broadcast_to(color[:, :1], color.shape)
    offset = _MOST_SPOT_OFFSET * (2 * rng.random((count, 2)) - 1)
    rotation = 2 * np.pi * rng.random((count, MAX_OBJECTS))
    per_object = present[..., None]
    return Scenes(
        num_objects=num_objects,
        shape=np.where(present, 1 + kind, 0).astype(np.int32),
        size=np.where(per_object, size, 0).astype(np.float32),
        position=np.where(per_object, position, 0).astype(np.float32),
        rotation=np.where(present, rotation, 0).astype(np.float32),
        color=np.where(per_object, color, 0).astype(np.float32),
        floor_color=_draw_colors(rng, (count,)).astype(np.float32),
        wall_color=_draw_colors(rng, (count,)).astype(np.float32),
        camera=camera.astype(np.float32),
        light=np.pad(offset, ((0, 0), (0, 1)), constant_values=_SPOT_HEIGHT).astype(np.float32),
    )


def _draw_cameras(rng: np.random.Generator, count: int) -> np.ndarray:
    """[N, 5], x, y, z, yaw and pitch."""
    yaw = 2 * np.pi * rng.random(count) - np.pi
    pitch = _MOST_PITCH * (2 * rng.random(count) - 1)
    place = -_RING_RADIUS * np.stack([np.cos(yaw), np.sin(yaw)])
    return np.stack([*place, np.full(count, _CAMERA_HEIGHT), yaw, pitch], axis=-1)


def _draw_sizes(rng: np.random.Generator, kind: np.ndarray) -> np.ndarray:
    """[N, K, 3] of shapes [N, K]."""
    size = _LOWER[kind] + rng.random((*kind.shape, 3)) * (_UPPER - _LOWER)[kind]
    size[..., 1] = np.where(_ROUND[kind], size[..., 0], size[..., 1])
    size[..., 2] = np.where(_BALLS[kind], size[..., 0], size[..., 2])
    return size


def _draw_places(
    rng: np.random.Generator, camera: np.ndarray, present: np.ndarray, reach: np.ndarray
) -> np.ndarray:
    """[N, K, 2], x and y of the objects, by drawing whole scenes until no two are too close."""
    count = len(camera)
    place = np.zeros((count, MAX_OBJECTS, 2))
    pairs = present[:, :, None] & present[:, None] & ~np.eye(MAX_OBJECTS, dtype=bool)
    least = np.where(pairs, reach[:, :, None] + reach[:, None] + _GAP, 0)
    pending = np.arange(count)
    while pending.size:
        place[pending] = _draw_in_view(rng, camera[pending])
        apart = place[pending, :, None] - place[pending, None]
        close = np.hypot(apart[..., 0], apart[..., 1]) < least[pending]
        pending = pending[close.any((1, 2))]
    return place


def _draw_in_view(rng: np.random.Generator, camera: np.ndarray) -> np.ndarray:
    """[N, K, 2], uniform over the part of the square that the camera sees."""
    place = np.zeros((len(camera), MAX_OBJECTS, 2))
    pending = np.ones(place.shape[:2], bool)
    while pending.any():
        drawn = _HALF_SQUARE * (2 * rng.random((int(pending.sum()), 2)) - 1)
        place[pending] = drawn
        scene = np.nonzero(pending)[0]
        yaw = camera[scene, 3]
        ahead = drawn[:, 0] * np.cos(yaw) + drawn[:, 1] * np.sin(yaw) + _RING_RADIUS
        aside = drawn[:, 0] * np.sin(yaw) - drawn[:, 1] * np.cos(yaw)
        seen = (ahead > _NEAREST) & (np.abs(aside) * _FOCAL_LENGTH < ahead * IMAGE_SIZE / 2)
        pending[pending] = ~seen
    return place


def _draw_colors(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Hue, saturation and value, [*shape, 3]."""
    least = np.array([0, _LEAST_SATURATION, _LEAST_VALUE])
    return least + (1 - least) * rng.random((*shape, 3))


# ---- pictures


def render_scenes(scenes: Scenes) -> dict[str, np.ndarray]:
    """Draws scenes.

    Returns:
      `image` uint8 [N, 64, 64, 3]; `masks` uint8 [N, 64, 64], 0 is background and 1 to 6 the
      objects; `background_parts` uint8 [N, 64, 64], 0 object, 1 sky, 2 floor, 3 and 4 walls.
    """
    batch = rendering.stack_scenes([_make_scene(scenes, i) for i in range(len(scenes))])
    rendered = rendering.render(batch, IMAGE_SIZE, IMAGE_SIZE)
    return {
        "image": np.asarray(rendered.image),
        "masks": np.asarray(rendered.labels),
        "background_parts": number_parts(np.asarray(rendered.parts)),
    }


def number_parts(parts: np.ndarray) -> np.ndarray:
    """Brings rendered parts to the numbers of a record.

    As in the published files the walls in view are numbered on without a gap, in their order about
    the room. At most two are in view, and now and then only one.

    Args:
      parts: uint8 [N, H, W], 0 sky, 1 floor, 2 to 5 walls, 6 objects.

    Returns:
      uint8 [N, H, W], 0 objects, 1 sky, 2 floor, 3 and 4 walls.
    """
    numbered = np.zeros_like(parts)
    numbered[parts == 0] = 1
    numbered[parts == _FLOOR_PART] = 2
    walls = np.arange(_WALL_PART, _OBJECT_PART)
    in_view = (parts[..., None] == walls).any((1, 2))
    number = 2 + np.cumsum(in_view, axis=1)
    scene, row, column = np.nonzero((parts >= _WALL_PART) & (parts < _OBJECT_PART))
    wall = parts[scene, row, column] - _WALL_PART
    numbered[scene, row, column] = number[scene, wall]
    return numbered


def _make_scene(scenes: Scenes, i: int) -> rendering.Scene:
    x, y, z, yaw, pitch = map(float, scenes.camera[i])
    forward = np.array([math.cos(yaw), math.sin(yaw), math.tan(pitch)])
    light = scenes.light[i]
    return rendering.make_scene(
        bodies=[*_room(scenes, i), *_objects(scenes, i)],
        lights=[
            rendering.Light(-forward, (_HEADLIGHT,) * 3, directional=True, casts_shadow=False),
            rendering.Light(
                light,
                (_SPOT,) * 3,
                radius=_SPOT_RADIUS,
                spot_target=(light[0], light[1], 0.0),
                spot_exponent=_SPOT_EXPONENT,
            ),
        ],
        camera=rendering.look_at(
            (x, y, z), forward + (x, y, z), _FOCAL_LENGTH, IMAGE_SIZE, IMAGE_SIZE
        ),
        num_pieces=_NUM_PIECES,
        num_slabs=_NUM_SLABS,
        ambient=((_AMBIENT,) * 3,) * 2,
        sky=((0.6, 226 / 255, 249 / 255),) * 2,
    )


def _room(scenes: Scenes, i: int) -> list[rendering.Body]:
    floor = rendering.Material(_rgb(scenes.floor_color[i]), "hexagons", texture_size=(1.2, 1.2))
    bodies = [rendering.Body(shapes.ground(), floor, part=_FLOOR_PART, casts_shadow=False)]
    # Some blotches a wall, of the size of the published ones.
    wall = rendering.Material(
        _rgb(scenes.wall_color[i]), "blotches", texture_size=(HALF_ROOM, HALF_ROOM)
    )
    yaw = scenes.camera[i, 3]
    for k in range(4):
        turn = rendering.yaw(90 * k)
        # The other two are behind the camera or beside it.
        if turn[:2, 1] @ (np.cos(yaw), np.sin(yaw)) <= 0:
            continue
        bodies.append(
            rendering.Body(
                shapes.wall((2 * HALF_ROOM, _WALL_HEIGHT)),
                wall,
                turn @ (0, HALF_ROOM, _WALL_HEIGHT / 2),
                turn,
                part=_WALL_PART + k,
                casts_shadow=False,
            )
        )
    return bodies


def _objects(scenes: Scenes, i: int) -> list[rendering.Body]:
    return [
        rendering.Body(
            _shape(SHAPES[scenes.shape[i, k] - 1], scenes.size[i, k]),
            rendering.Material(_rgb(scenes.color[i, k]), specular=0.2, shininess=15),
            scenes.position[i, k],
            rendering.yaw(math.degrees(scenes.rotation[i, k])),
            label=k + 1,
            part=_OBJECT_PART,
        )
        for k in range(scenes.num_objects[i])
    ]


def _shape(name: str, size: np.ndarray) -> shapes.Shape:
    width, depth, height = map(float, size)
    match name:
        case "box":
            return shapes.box((width, depth, height))
        case "sphere":
            return shapes.sphere(width / 2)
        case "icosahedron":
            return shapes.icosahedron(width / 2)
        case "triangle":
            return shapes.triangle(width, height, depth)
        case "cylinder":
            return shapes.cylinder(width / 2, height)
        case "capsule":
            return shapes.capsule(width / 2, height)
        case "cone":
            return shapes.cone(width / 2, height)
    raise ValueError(name)


def _rgb(color: np.ndarray) -> tuple[float, float, float]:
    return colorsys.hsv_to_rgb(*map(float, color))
