"""Scenes of CLEVR: what stands where, as CLEVR's generator chooses it, and what it looks like.

Published with that generator: numbers, sizes, shapes, colours and materials of objects, where they
may stand, the camera and its lens, the places of the lights and how much camera and lights are
moved at random. Fitted to ten published pictures: brightness of lights, floor and materials,
rounding of cubes. Our choice: sharpness of shadows and of what metal mirrors; and that the visible
pixels, of which every object needs enough, are counted in a smaller picture.
"""

import dataclasses
import functools

import numpy as np

from ocgm.datasets import rendering
from ocgm.datasets.builders.generated import SceneArrays, uniform_integers
from ocgm.datasets.rendering import shapes

MAX_OBJECTS = 10
# Of the pictures that the published ones are cut out of.
HEIGHT, WIDTH = 240, 320

# ---- published

SPHERE, CYLINDER, CUBE = 1, 2, 3
RUBBER, METAL = 1, 2
# Half the height in world units, by the code of `size`: large, small.
RADIUS = np.array([0, 0.7, 0.35])
# RGB by the code of `color`: red, cyan, green, blue, brown, grey, purple, yellow.
COLORS = np.array(
    [
        [0, 0, 0],
        [173, 35, 35],
        [41, 208, 208],
        [29, 105, 20],
        [42, 75, 215],
        [129, 74, 25],
        [87, 87, 87],
        [129, 38, 192],
        [255, 238, 51],
    ]
)

CAMERA_POSITION = np.array([7.48113, -6.50764, 5.34367])
CAMERA_JITTER = 0.5
# Forward and left on the ground, unit vectors (x, y). As published scenes show, the generator means
# the directions before the camera is moved: only along these do its objects keep their margins.
_FORWARD = -CAMERA_POSITION[:2] / np.linalg.norm(CAMERA_POSITION[:2])
DIRECTIONS = np.array([_FORWARD, [-_FORWARD[1], _FORWARD[0]]])
# 35 mm before a sensor that is 32 mm wide.
FOCAL_LENGTH = 35 / 32 * WIDTH
# Key, fill and back light.
LIGHT_POSITIONS = np.array(
    [[6.44671, -2.90517, 4.2584], [-4.67112, -4.0136, 3.01122], [-1.1685, 2.64602, 5.81574]]
)
LIGHT_JITTER = 1.0

HALF_SQUARE = 3.0
LEAST_GAP = 0.25
LEAST_MARGIN = 0.4
_MOST_TRIES = 50
_LEAST_PIXELS = 200
# Visible pixels are counted in a picture this much smaller, each for the square of it.
_SHRINKING = 4

# ---- fitted to the floor, row by row, and to the colours of objects

_FLOOR = 0.65
_AMBIENT = 0.2
_LIGHTS = (0.36, 0.155, 0.115)
# Of a lamp that points down: the floor gets the inverse square of the distance.
_LIGHT_EXPONENT = 2.0
# Only mirrors show it.
_SKY = 0.03
_GAMMA = 2.2

# Rounding of edges in units of the object's radius; of cubes, fitted to their outlines.
_BEVEL = {CYLINDER: 0.06, CUBE: 0.2}

# ---- our choice

_LIGHT_RADIUS = 0.6
_REFLECTIVITY = 0.7

# Scenes whose label maps are traced together; blocks of records are multiples of it.
_BATCH = 8

# Of a cube: pairs of opposite edges.
_NUM_SLABS = 6


@dataclasses.dataclass(frozen=True)
class Scenes(SceneArrays):
    """Random choices of N scenes of at most K = 10 objects; rows from `num_objects` on are zero.

    Codes are those of the published file.

    Attributes:
      num_objects: int32 [N].
      size, material, shape, color: int32 [N, K], codes.
      rotation: float32 [N, K], 0 to 360, about the vertical axis. As the published pictures show,
        these are radians, though the generator means degrees.
      position: float32 [N, K, 3], of the objects' centres in world units.
      camera: float32 [N, 3], position; it looks at the origin.
      lights: float32 [N, 3, 3], positions of key, fill and back light.
    """

    num_objects: np.ndarray
    size: np.ndarray
    material: np.ndarray
    shape: np.ndarray
    color: np.ndarray
    rotation: np.ndarray
    position: np.ndarray
    camera: np.ndarray
    lights: np.ndarray


# ---- random choices


def draw_scenes(rng: np.random.Generator, num_objects: tuple[int, int], count: int) -> Scenes:
    """Draws scenes as CLEVR's generator does.

    Scenes in which too little is seen of an object get other objects: as many, under the same
    lights.

    Args:
      rng: source of randomness.
      num_objects: fewest and most objects; uniform in between.
      count: number of scenes N.
    """
    fewest, most = num_objects
    number = fewest + uniform_integers(rng, most - fewest + 1, count)
    camera = CAMERA_POSITION + CAMERA_JITTER * (2 * rng.random((count, 3)) - 1)
    lights = LIGHT_POSITIONS + LIGHT_JITTER * (2 * rng.random((count, 3, 3)) - 1)
    scenes = _draw_objects(rng, number, camera, lights)
    pending = np.flatnonzero(~objects_visible(scenes))
    while pending.size:
        # A whole batch: some scenes are tried several times at once, and the first good one counts.
        owner = np.resize(pending, _BATCH)
        tried = _draw_objects(rng, number[owner], camera[owner], lights[owner])
        seen = np.flatnonzero(objects_visible(tried))
        done, first = np.unique(owner[seen], return_index=True)
        for field in dataclasses.fields(Scenes):
            getattr(scenes, field.name)[done] = getattr(tried, field.name)[seen[first]]
        pending = np.setdiff1d(pending, done)
    return scenes


def _draw_objects(
    rng: np.random.Generator, number: np.ndarray, camera: np.ndarray, lights: np.ndarray
) -> Scenes:
    """Scenes with `number` objects, whatever is seen of them."""
    present = np.arange(MAX_OBJECTS) < number[:, None]

    def codes(bound: int) -> np.ndarray:
        return np.where(present, 1 + uniform_integers(rng, bound, present.shape), 0)

    size, place = _draw_places(rng, number)
    size = np.where(present, size, 0)
    return Scenes(
        num_objects=number,
        size=size.astype(np.int32),
        material=codes(2).astype(np.int32),
        shape=codes(3).astype(np.int32),
        color=codes(len(COLORS) - 1).astype(np.int32),
        rotation=np.where(present, 360 * rng.random(present.shape), 0).astype(np.float32),
        position=np.concatenate(
            [np.where(present[..., None], place, 0), RADIUS[size][..., None]], axis=-1
        ).astype(np.float32),
        camera=camera.astype(np.float32),
        lights=lights.astype(np.float32),
    )


def _draw_places(rng: np.random.Generator, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sizes [N, K], codes, and places [N, K, 2], x and y: one object after the other.

    All scenes put up their next object at the same time, at the first of 50 places where it fits;
    one that finds none starts anew.
    """
    count = len(number)
    size = 1 + uniform_integers(rng, 2, (count, MAX_OBJECTS))
    place = np.zeros((count, MAX_OBJECTS, 2))
    placed = np.zeros(count, int)
    active = np.arange(count)
    while active.size:
        tried = HALF_SQUARE * (2 * rng.random((active.size, _MOST_TRIES, 2)) - 1)
        k = placed[active]
        fits = _fits(tried, k, place[active], RADIUS[size[active]])
        found = fits.any(1)
        good, stuck = active[found], active[~found]
        place[good, placed[good]] = tried[found, fits[found].argmax(1)]
        placed[good] += 1
        placed[stuck] = 0
        size[stuck] = 1 + uniform_integers(rng, 2, (stuck.size, MAX_OBJECTS))
        active = active[placed[active] < number[active]]
    return size, place


def _fits(
    tried: np.ndarray, placed: np.ndarray, place: np.ndarray, radius: np.ndarray
) -> np.ndarray:
    """Whether the next object may stand at places.

    Args:
      tried: [N, T, 2], places for it.
      placed: int [N], objects that stand.
      place, radius: [N, K, 2] and [N, K], of all objects.

    Returns:
      bool [N, T].
    """
    fits = np.ones(tried.shape[:2], bool)
    own = np.take_along_axis(radius, placed[:, None], axis=1)
    along = np.einsum("ntx,dx->dnt", tried, DIRECTIONS)
    other_along = np.einsum("nkx,dx->dkn", place, DIRECTIONS)
    for other in range(placed.max()):
        margin = np.abs(along - other_along[:, other, :, None])
        # Both directions are at right angles.
        gap = np.hypot(*margin) - own - radius[:, other, None]
        close = (gap < LEAST_GAP) | (margin.min(0) < LEAST_MARGIN)
        fits &= ~close | (other >= placed[:, None])
    return fits


def objects_visible(scenes: Scenes) -> np.ndarray:
    """Whether enough is seen of every object in the whole picture, bool [N]."""
    cameras = [
        rendering.crop(_whole_camera(position), 0, 0, 1 / _SHRINKING) for position in scenes.camera
    ]
    labels = _render_labels(scenes, cameras, HEIGHT // _SHRINKING, WIDTH // _SHRINKING)
    numbers = np.arange(1, MAX_OBJECTS + 1)
    pixels = np.stack([(labels == number).sum((1, 2)) for number in numbers], axis=-1)
    enough = pixels * _SHRINKING**2 >= _LEAST_PIXELS
    return (enough | (numbers > scenes.num_objects[:, None])).all(1)


# ---- pictures


def pixel_coords(scenes: Scenes) -> np.ndarray:
    """Column, row (whole numbers) and depth of the objects in the whole picture, [N, K, 3]."""
    coords = np.zeros((*scenes.shape.shape, 3), np.float32)
    for i, number in enumerate(scenes.num_objects):
        camera = _whole_camera(scenes.camera[i])
        coords[i, :number] = rendering.project(camera, scenes.position[i, :number])
    coords[..., :2] = np.rint(coords[..., :2])
    return coords


def render_images(scenes: Scenes, top: int, left: int, crop_side: int, side: int) -> np.ndarray:
    """Draws square crops of the whole picture.

    Args:
      scenes: N scenes.
      top, left: first row and column of the crop.
      crop_side: its side in pixels of the whole picture.
      side: in pixels to be drawn.

    Returns:
      uint8 [N, side, side, 3].
    """
    cameras = _crop_cameras(scenes, top, left, crop_side, side)
    batch = rendering.stack_scenes(
        [_make_scene(scenes, i, camera) for i, camera in enumerate(cameras)]
    )
    return np.asarray(rendering.render(batch, side, side, mirrors=True).image)


def render_masks(scenes: Scenes, top: int, left: int, crop_side: int, side: int) -> np.ndarray:
    """Label maps of such crops, uint8 [N, side, side]: 0 background, 1 to 10 the objects."""
    cameras = _crop_cameras(scenes, top, left, crop_side, side)
    return _render_labels(scenes, cameras, side, side)


def _render_labels(
    scenes: Scenes, cameras: list[rendering.Camera], height: int, width: int
) -> np.ndarray:
    made = [_make_scene(scenes, i, camera) for i, camera in enumerate(cameras)]
    # In batches of one size, so that there is one compilation whatever the number of scenes.
    labels = [
        np.asarray(
            rendering.render_labels(rendering.stack_scenes(made[i : i + _BATCH]), height, width)
        )
        for i in range(0, len(made), _BATCH)
    ]
    return np.concatenate(labels)


def _crop_cameras(
    scenes: Scenes, top: int, left: int, crop_side: int, side: int
) -> list[rendering.Camera]:
    return [
        rendering.crop(_whole_camera(position), top, left, side / crop_side)
        for position in scenes.camera
    ]


def _whole_camera(position: np.ndarray) -> rendering.Camera:
    return rendering.look_at(position, (0, 0, 0), FOCAL_LENGTH, HEIGHT, WIDTH)


def _make_scene(scenes: Scenes, i: int, camera: rendering.Camera) -> rendering.Scene:
    floor = rendering.Material((_FLOOR,) * 3)
    bodies = [rendering.Body(shapes.ground(), floor, casts_shadow=False)]
    bodies += [_object(scenes, i, k) for k in range(scenes.num_objects[i])]
    return rendering.make_scene(
        bodies,
        lights=_lights(scenes.lights[i]),
        camera=camera,
        num_pieces=1 + MAX_OBJECTS,
        num_slabs=_NUM_SLABS,
        ambient=((_AMBIENT,) * 3,) * 2,
        sky=((_SKY,) * 3,) * 2,
        gamma=_GAMMA,
    )


def _lights(positions: np.ndarray) -> list[rendering.Light]:
    return [
        rendering.Light(
            position,
            (brightness,) * 3,
            radius=_LIGHT_RADIUS,
            spot_target=(position[0], position[1], 0.0),
            spot_exponent=_LIGHT_EXPONENT,
            # Hardly to be seen of the weakest one, the back light.
            casts_shadow=brightness > min(_LIGHTS),
        )
        for position, brightness in zip(positions, _LIGHTS, strict=True)
    ]


def _object(scenes: Scenes, i: int, k: int) -> rendering.Body:
    shape = scenes.shape[i, k]
    radius = RADIUS[scenes.size[i, k]]
    color = tuple(COLORS[scenes.color[i, k]] / 255)
    bevel = radius * _BEVEL.get(shape, 0)
    if scenes.material[i, k] == METAL:
        material = rendering.Material(
            color, specular=2.0, shininess=150, reflectivity=_REFLECTIVITY, bevel=bevel
        )
    else:
        material = rendering.Material(color, specular=0.06, shininess=10, bevel=bevel)
    return rendering.Body(
        _shape(shape, radius),
        material,
        scenes.position[i, k],
        rendering.yaw(np.degrees(scenes.rotation[i, k])),
        label=k + 1,
    )


@functools.cache
def _shape(code: int, radius: float) -> shapes.Shape:
    if code == SPHERE:
        return shapes.sphere(radius)
    if code == CYLINDER:
        return shapes.cylinder(radius, 2 * radius)
    return _rounded_cube(radius)


def _rounded_cube(radius: float) -> shapes.Shape:
    """Cube whose twelve edges are cut off where a round edge would end; the shading rounds them."""
    (cube,) = shapes.box((2 * radius,) * 3)
    normals = [np.roll([1, sign, 0], k) for k in range(3) for sign in (-1, 1)]
    rounding = radius * _BEVEL[CUBE]
    high = np.sqrt(2) * (radius - rounding) + rounding
    bounds = np.tile([-high, high], (len(normals), 1))
    return (
        dataclasses.replace(cube, slab_normals=np.array(normals) / np.sqrt(2), slab_bounds=bounds),
    )
