"""Pinhole camera: lens, pose and projection.

World axes are right-handed with z up. Image positions are (column, row) in pixels from the image's
top left corner; pixel [r, c] spans columns c to c + 1 and rows r to r + 1, so that its centre is at
(c + 0.5, r + 0.5).
"""

from __future__ import annotations

import math

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from ocgm.datasets.rendering.shapes import Floats
from ocgm.images import Array


class Camera(flax.struct.PyTreeNode):
    """Pinhole camera without lens distortion.

    Attributes:
      position: float32 [3], in world units.
      rotation: float32 [3, 3], world to camera; its rows are the camera's right, down and forward
        axes in the world.
      focal_length: float32 [], in pixels.
      principal_point: float32 [2], (column, row) of the optical axis, in pixels.
    """

    position: Array
    rotation: Array
    focal_length: Array | np.float32
    principal_point: Array


def focal_length(vertical_fov: float, height: int) -> float:
    """Return the focal length in pixels of a vertical field of view in degrees.

    Args:
      vertical_fov: field of view in degrees.
      height: height of the image in pixels.
    """
    return 0.5 * height / math.tan(math.radians(vertical_fov) / 2)


def look_at(
    position: Floats,
    target: Floats,
    focal_length: float,
    height: int,
    width: int,
    up: Floats = (0.0, 0.0, 1.0),
) -> Camera:
    """Create the camera that has `target` at the image's centre and `up` pointing upwards.

    Args:
      position, target: [3], in world units.
      focal_length: in pixels.
      height, width: size of the image in pixels.
      up: [3], a direction that is not parallel to the line of sight.
    """
    position = np.asarray(position, np.float64)
    forward = np.asarray(target, np.float64) - position
    right = np.cross(forward, up)
    down = np.cross(forward, right)
    rotation = np.stack([right, down, forward])
    rotation /= np.linalg.norm(rotation, axis=1, keepdims=True)
    return Camera(
        position=position.astype(np.float32),
        rotation=rotation.astype(np.float32),
        focal_length=np.float32(focal_length),
        principal_point=np.array([width / 2, height / 2], np.float32),
    )


def crop(camera: Camera, top: float, left: float, scale: float) -> Camera:
    """Create the camera of a crop, whose image begins at (left, top) and is enlarged by `scale`.

    CLEVR's rows 29:221 and columns 64:256 of 240x320 pixels, resized to 128x128, are
    `crop(camera, 29, 64, 128 / 192)` rendered at 128x128.

    Args:
      camera: one camera, not a batch.
      top, left: first row and column of the crop, in pixels of the camera.
      scale: pixels of the result per pixel of the camera.
    """
    corner = np.array([left, top], np.float32)
    return camera.replace(
        focal_length=np.float32(camera.focal_length * scale),
        principal_point=((camera.principal_point - corner) * scale).astype(np.float32),
    )


def project(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Project points of the world into the image, on the host.

    Args:
      camera: one camera, not a batch.
      points: float [..., 3], in world units.

    Returns:
      float [..., 3]: (column, row) in pixels and depth along the line of sight in world units.
    """
    local = (np.asarray(points) - camera.position) @ np.asarray(camera.rotation).T
    depth = local[..., 2:]
    pixels = camera.focal_length * local[..., :2] / depth + camera.principal_point
    return np.concatenate([pixels, depth], axis=-1)


def ray_directions(camera: Camera, columns: jax.Array, rows: jax.Array) -> jax.Array:
    """Return the unit directions, in the world, of the rays through image positions.

    Args:
      camera: one camera, not a batch.
      columns, rows: float32 [R], in pixels.

    Returns:
      float32 [3, R].
    """
    x = (columns - camera.principal_point[0]) / camera.focal_length
    y = (rows - camera.principal_point[1]) / camera.focal_length
    right, down, forward = camera.rotation[..., None]
    direction = right * x[None] + down * y[None] + forward
    return direction * jax.lax.rsqrt(x * x + y * y + jnp.float32(1))[None]
