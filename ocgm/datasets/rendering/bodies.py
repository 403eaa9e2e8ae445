"""What a scene is made of: bodies, their materials, and lights.

Colours are RGB in [0, 1].
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from ocgm.datasets.rendering.shapes import Floats, Shape

Color = Floats


def grey(value: float) -> Color:
    """Return the grey of a brightness."""
    return (value, value, value)


def yaw(degrees: float) -> np.ndarray:
    """Return the rotation [3, 3] about z, anticlockwise seen from above."""
    return axis_rotation(2, degrees)


def axis_rotation(axis: int, degrees: float) -> np.ndarray:
    """Return the right-handed rotation [3, 3] about axis x, y or z (0, 1 or 2)."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    rotation = np.eye(3)
    rotation[i, i] = rotation[j, j] = cos
    rotation[i, j], rotation[j, i] = -sin, sin
    return rotation


@dataclasses.dataclass(frozen=True)
class Material:
    """Look of a surface.

    Attributes:
      color: multiplies the texture.
      texture: a name of `textures.NAMES`.
      texture_size: width and height in world units of one repetition. Faces towards y are textured
        by (x, z) of the piece's frame, faces towards x by (y, z) and faces towards z by (x, y); the
        texture's rows run down the second coordinate.
      texture_offset: shift in repetitions, along both coordinates.
      specular: brightness of highlights, which have the light's colour; the fraction
        `reflectivity` of them is tinted by `color`.
      shininess: Blinn-Phong exponent, larger for smaller highlights.
      reflectivity: fraction of the visible light that is mirrored, tinted by `color`.
      bevel: width in world units of the rounding of edges, which affects the shading only.
    """

    color: Color = (1.0, 1.0, 1.0)
    texture: str = "plain"
    texture_size: tuple[float, float] = (1.0, 1.0)
    texture_offset: tuple[float, float] = (0.0, 0.0)
    specular: float = 0.0
    shininess: float = 30.0
    reflectivity: float = 0.0
    bevel: float = 0.0


@dataclasses.dataclass(frozen=True)
class Body:
    """Shape of one material, placed in the world.

    Attributes:
      shape: see `shapes`.
      material: look of its surface.
      position: [3], place of the shape's origin in the world.
      rotation: [3, 3], shape to world; see `yaw`.
      label: value in the label map, 0 to 255; 0 is the background. Bodies may share one.
      part: value in the part map, 0 to 255, which distinguishes the parts of the background; 0 is
        the sky.
      casts_shadow: whether it blocks light.
    """

    shape: Shape
    material: Material
    position: Floats = (0.0, 0.0, 0.0)
    rotation: np.ndarray = dataclasses.field(default_factory=lambda: np.eye(3))
    label: int = 0
    part: int = 0
    casts_shadow: bool = True


@dataclasses.dataclass(frozen=True)
class Light:
    """Lamp, or directional light like the sun's.

    Attributes:
      position: [3], place of a lamp, or direction towards a directional light.
      color: brightness of a white surface that faces the light; may exceed 1.
      directional: whether the light is directional.
      radius: radius of a lamp, or tangent of a directional light's angular radius; larger for
        softer shadows.
      casts_shadow: whether bodies block the light.
      spot_target: [3], point at which a spotlight is aimed; used if `spot_exponent` is not 0.
      spot_exponent: exponent of the cosine between a lamp's axis and a ray in its brightness.
    """

    position: Floats
    color: Color = (0.7, 0.7, 0.7)
    directional: bool = False
    radius: float = 0.0
    casts_shadow: bool = True
    spot_target: Floats = (0.0, 0.0, 0.0)
    spot_exponent: float = 0.0
