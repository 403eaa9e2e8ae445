"""Images and label maps of synthetic CLEVR.

Fitted to ten published images: brightness of lights, floor and materials, rounding of cubes. Our
choice: sharpness of shadows and of mirror images.
"""

import dataclasses
import functools

import numpy as np

from ocgm.datasets import rendering
from ocgm.datasets.clevr_with_masks_synthetic.scenes import (
    COLORS,
    CUBE,
    CYLINDER,
    FOCAL_LENGTH,
    HEIGHT,
    MAX_OBJECTS,
    METAL,
    RADIUS,
    SPHERE,
    WIDTH,
    Scenes,
)
from ocgm.datasets.rendering import shapes

# Fitted to the floor, row by row, and to the colours of objects.
_FLOOR = 0.65
_AMBIENT = 0.2
_LIGHTS = (0.36, 0.155, 0.115)
# With lamps that point down, the floor's brightness follows the inverse square of the distance.
_LIGHT_EXPONENT = 2.0
# Visible only in mirrors.
_SKY = 0.03
_GAMMA = 2.2

# Rounding of edges in units of the object's radius; fitted to the outlines of cubes.
_BEVEL = {CYLINDER: 0.06, CUBE: 0.2}

# Our choice.
_LIGHT_RADIUS = 0.6
_REFLECTIVITY = 0.7

# Scenes of which label maps are rendered together; blocks of records are multiples of it.
BATCH = 8

# Pairs of opposite edges of a cube.
_NUM_SLABS = 6

# Fewest visible pixels of an object: published. Our choice: they are counted in an image that is
# smaller by a factor, so that each counts for its square.
_LEAST_PIXELS = 200
_SHRINKING = 4


def objects_visible(scenes: Scenes) -> np.ndarray:
    """Check whether enough pixels of every object are visible in the uncropped image, bool [N]."""
    cameras = [
        rendering.crop(_whole_camera(position), 0, 0, 1 / _SHRINKING) for position in scenes.camera
    ]
    labels = _render_labels(scenes, cameras, HEIGHT // _SHRINKING, WIDTH // _SHRINKING)
    numbers = np.arange(1, MAX_OBJECTS + 1)
    pixels = np.stack([(labels == number).sum((1, 2)) for number in numbers], axis=-1)
    enough = pixels * _SHRINKING**2 >= _LEAST_PIXELS
    return np.all(enough | (numbers > scenes.num_objects[:, None]), axis=1)


def pixel_coords(scenes: Scenes) -> np.ndarray:
    """Return column and row (integers) and depth of the objects in the uncropped image, [N, K, 3]."""
    coords = np.zeros((*scenes.shape.shape, 3), np.float32)
    for i, number in enumerate(scenes.num_objects):
        camera = _whole_camera(scenes.camera[i])
        coords[i, :number] = rendering.project(camera, scenes.position[i, :number])
    coords[..., :2] = np.rint(coords[..., :2])
    return coords


def render_images(scenes: Scenes, top: int, left: int, crop_side: int, side: int) -> np.ndarray:
    """Render square crops of the images.

    Args:
      scenes: N scenes.
      top, left: first row and column of the crop.
      crop_side: its side in pixels of the uncropped image.
      side: of the result in pixels.

    Returns:
      uint8 [N, side, side, 3].
    """
    cameras = _crop_cameras(scenes, top, left, crop_side, side)
    batch = rendering.stack_scenes(
        [_make_scene(scenes, i, camera) for i, camera in enumerate(cameras)]
    )
    return np.asarray(rendering.render(batch, side, side, mirrors=True).image)


def render_masks(scenes: Scenes, top: int, left: int, crop_side: int, side: int) -> np.ndarray:
    """Render the label maps of such crops, uint8 [N, side, side]: 0 background, 1 to 10 objects."""
    cameras = _crop_cameras(scenes, top, left, crop_side, side)
    return _render_labels(scenes, cameras, side, side)


def _render_labels(
    scenes: Scenes, cameras: list[rendering.Camera], height: int, width: int
) -> np.ndarray:
    made = [_make_scene(scenes, i, camera) for i, camera in enumerate(cameras)]
    # Batches of one size share one compilation.
    labels = [
        np.asarray(
            rendering.render_labels(rendering.stack_scenes(made[i : i + BATCH]), height, width)
        )
        for i in range(0, len(made), BATCH)
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
    floor = rendering.Material(rendering.grey(_FLOOR))
    bodies = [rendering.Body(shapes.ground(), floor, casts_shadow=False)]
    bodies += [_object(scenes, i, k) for k in range(scenes.num_objects[i])]
    return rendering.make_scene(
        bodies,
        lights=_lights(scenes.lights[i]),
        camera=camera,
        num_pieces=1 + MAX_OBJECTS,
        num_slabs=_NUM_SLABS,
        ambient=(rendering.grey(_AMBIENT),) * 2,
        sky=(rendering.grey(_SKY),) * 2,
        gamma=_GAMMA,
    )


def _lights(positions: np.ndarray) -> list[rendering.Light]:
    return [
        rendering.Light(
            position,
            rendering.grey(brightness),
            radius=_LIGHT_RADIUS,
            spot_target=(position[0], position[1], 0.0),
            spot_exponent=_LIGHT_EXPONENT,
            # Shadows of the weakest light, the back light, are barely visible.
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
    """Create a cube with its twelve edges cut off to the depth of a round edge; shading rounds them."""
    (cube,) = shapes.box((2 * radius,) * 3)
    normals = [np.roll([1, sign, 0], k) for k in range(3) for sign in (-1, 1)]
    rounding = radius * _BEVEL[CUBE]
    high = np.sqrt(2) * (radius - rounding) + rounding
    bounds = np.tile([-high, high], (len(normals), 1))
    return (
        dataclasses.replace(cube, slab_normals=np.array(normals) / np.sqrt(2), slab_bounds=bounds),
    )
