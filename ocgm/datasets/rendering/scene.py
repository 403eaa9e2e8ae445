"""Scenes: what there is to see, how it is lit and from where it is seen.

Scenes are put together on the host, in NumPy, from bodies and lights, and drawn in batches:

    red = Material(color=(0.9, 0.1, 0.1))
    scene = make_scene(
        bodies=[Body(ground(), Material()), Body(sphere(0.5), red, (0, 0, 0.5), label=1)],
        lights=[Light((2, -3, 5))],
        camera=look_at((0, -4, 2), (0, 0, 0), 80.0, 64, 64),
        num_pieces=8,
    )
    image, labels, parts = render(stack_scenes([scene]), 64, 64)

Colours are RGB in [0, 1].
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import flax.struct
import jax
import numpy as np

from ocgm.datasets.rendering import textures
from ocgm.datasets.rendering.camera import Camera
from ocgm.datasets.rendering.shapes import Shape

Array = np.ndarray | jax.Array
Color = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Material:
    """Look of a surface.

    Attributes:
      color: multiplies the texture.
      texture: a name of `textures.NAMES`.
      texture_size: width and height in world units of one repetition. A texture is laid on from
        the sides of the piece's frame: by (x, z) on faces towards y, (y, z) towards x and (x, y)
        towards z, the texture's rows running down the second.
      texture_offset: in repetitions, both ways.
      specular: brightness of highlights; they have the light's colour, and the mirrored share of
        them is tinted.
      shininess: Blinn-Phong exponent, larger for smaller highlights.
      reflectivity: share of what is seen that is mirrored, tinted by `color`.
      bevel: width in world units of the rounding of edges. It bends the shading alone.
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
    """Shape of one material somewhere in the world.

    Attributes:
      shape: from `shapes`.
      material: its look.
      position: of the shape's origin.
      rotation: [3, 3], shape to world; see `yaw`.
      label: 0 to 255, in the label map; 0 is the background. Bodies may share one.
      part: 0 to 255, in the part map, which tells parts of the background apart; 0 is the sky.
      casts_shadow: whether it keeps light from others.
    """

    shape: Shape
    material: Material
    position: Sequence[float] = (0.0, 0.0, 0.0)
    rotation: np.ndarray = dataclasses.field(default_factory=lambda: np.eye(3))
    label: int = 0
    part: int = 0
    casts_shadow: bool = True


@dataclasses.dataclass(frozen=True)
class Light:
    """Lamp, or the sun.

    Attributes:
      position: of a lamp; of the sun, the direction towards it.
      color: brightness of a white surface that faces it; may exceed 1.
      directional: whether this is the sun.
      radius: of the lamp, for soft shadows; of the sun, tangent of its angular radius.
      casts_shadow: whether bodies keep its light from others.
      spot_target: where a spotlight points, [3]. Of use with `spot_exponent`.
      spot_exponent: a lamp's light falls off with this power of the cosine from the spot's axis.
    """

    position: Sequence[float]
    color: Color = (0.7, 0.7, 0.7)
    directional: bool = False
    radius: float = 0.0
    casts_shadow: bool = True
    spot_target: Sequence[float] = (0.0, 0.0, 0.0)
    spot_exponent: float = 0.0


@flax.struct.dataclass
class Pieces:
    """The convex pieces of a scene, with room for P of them; see `shapes.Piece` and `Material`.

    Attributes:
      num_pieces: int32 [], pieces in use; they come first.
      num_casters: int32 [], pieces that cast shadows; they come first.
      position: float32 [P, 3], in the world.
      rotation: float32 [P, 3, 3], piece to world.
      lower, upper: float32 [P, 3].
      quadric: float32 [P, 4].
      num_slabs: int32 [P], slabs in use.
      slab_normals, slab_bounds: float32 [P, S, 3] and [P, S, 2].
      color, texture_size, texture_offset: float32 [P, 3], [P, 2], [P, 2].
      texture: int32 [P], index into `textures.NAMES`.
      specular, shininess, reflectivity, bevel: float32 [P].
      label, part: int32 [P].
    """

    num_pieces: Array
    num_casters: Array
    position: Array
    rotation: Array
    lower: Array
    upper: Array
    quadric: Array
    num_slabs: Array
    slab_normals: Array
    slab_bounds: Array
    color: Array
    texture_size: Array
    texture_offset: Array
    texture: Array
    specular: Array
    shininess: Array
    reflectivity: Array
    bevel: Array
    label: Array
    part: Array


@flax.struct.dataclass
class Lights:
    """The L lights of a scene; see `Light`.

    Attributes:
      position, color: float32 [L, 3].
      directional, casts_shadow: bool [L].
      radius, spot_exponent: float32 [L].
      spot_axis: float32 [L, 3], unit vector from the lamp to its target.
    """

    position: Array
    color: Array
    directional: Array
    casts_shadow: Array
    radius: Array
    spot_exponent: Array
    spot_axis: Array


@flax.struct.dataclass
class Scene:
    """All that a picture depends on. A batch of scenes has a leading axis B on every field.

    Attributes:
      pieces: what there is to see.
      lights: what lights it.
      camera: who sees it.
      ambient: float32 [2, 3], light from below and from above.
      sky: float32 [2, 3], colours straight down and straight up, blended by the ray's z.
      gamma: float32 [], shown is the computed brightness to the power of 1 / gamma.
    """

    pieces: Pieces
    lights: Lights
    camera: Camera
    ambient: Array
    sky: Array
    gamma: Array


def yaw(degrees: float) -> np.ndarray:
    """Rotation [3, 3] about z, anticlockwise seen from above."""
    return axis_rotation(2, degrees)


def axis_rotation(axis: int, degrees: float) -> np.ndarray:
    """Rotation [3, 3] about x, y or z (0, 1 or 2), right-handed."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    rotation = np.eye(3)
    rotation[i, i] = rotation[j, j] = cos
    rotation[i, j], rotation[j, i] = -sin, sin
    return rotation


def make_scene(
    bodies: Sequence[Body],
    lights: Sequence[Light],
    camera: Camera,
    num_pieces: int,
    num_slabs: int = 0,
    ambient: tuple[Color, Color] = ((0.3, 0.3, 0.3), (0.3, 0.3, 0.3)),
    sky: tuple[Color, Color] = ((0.6, 0.89, 0.98), (0.6, 0.89, 0.98)),
    gamma: float = 1.0,
) -> Scene:
    """One scene, of NumPy arrays.

    Args:
      bodies, lights, camera, ambient, sky, gamma: see `Scene`. There is at least one light.
      num_pieces: P, room for pieces; unused room costs next to nothing on a CPU.
      num_slabs: S, room for slabs of a piece: 2 for prisms and triangles, 4 for pyramids, 10 for
        icosahedra. Scenes of one batch, and calls that shall share one compilation, have the same
        P, S and number of lights.

    Raises:
      ValueError: more pieces or slabs than there is room for, or no light.
    """
    if not lights:
        raise ValueError("The scene has no light; one whose colour is black is enough.")
    placed = [(body, piece) for body in bodies for piece in body.shape]
    placed.sort(key=lambda pair: not pair[0].casts_shadow)
    most_slabs = max((len(piece.slab_normals) for _, piece in placed), default=0)
    if len(placed) > num_pieces or most_slabs > num_slabs:
        raise ValueError(
            f"The scene has {len(placed)} pieces of up to {most_slabs} slabs, and room for"
            f" {num_pieces} of {num_slabs}."
        )
    arrays = _empty_pieces(num_pieces, num_slabs)
    arrays["num_pieces"][...] = len(placed)
    arrays["num_casters"][...] = sum(body.casts_shadow for body, _ in placed)
    for i, (body, piece) in enumerate(placed):
        arrays["position"][i] = body.rotation @ piece.position + body.position
        arrays["rotation"][i] = body.rotation @ piece.rotation
        for name in ("lower", "upper", "quadric"):
            arrays[name][i] = getattr(piece, name)
        arrays["num_slabs"][i] = len(piece.slab_normals)
        arrays["slab_normals"][i, : len(piece.slab_normals)] = piece.slab_normals
        arrays["slab_bounds"][i, : len(piece.slab_normals)] = piece.slab_bounds
        for name in _MATERIAL_FIELDS:
            arrays[name][i] = getattr(body.material, name)
        arrays["texture"][i] = textures.NAMES.index(body.material.texture)
        arrays["label"][i], arrays["part"][i] = body.label, body.part
    return Scene(
        pieces=Pieces(**arrays),
        lights=_make_lights(lights),
        camera=camera,
        ambient=np.asarray(ambient, np.float32),
        sky=np.asarray(sky, np.float32),
        gamma=np.float32(gamma),
    )


def stack_scenes(scenes: Sequence[Scene]) -> Scene:
    """Batch of scenes with the same room for pieces, slabs and lights; NumPy arrays."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *scenes)


_MATERIAL_FIELDS = (
    "color",
    "texture_size",
    "texture_offset",
    "specular",
    "shininess",
    "reflectivity",
    "bevel",
)


def _empty_pieces(num_pieces: int, num_slabs: int) -> dict[str, np.ndarray]:
    """Arrays of `Pieces` with none in use."""
    shapes = {
        "position": (3,),
        "rotation": (3, 3),
        "lower": (3,),
        "upper": (3,),
        "quadric": (4,),
        "slab_normals": (num_slabs, 3),
        "slab_bounds": (num_slabs, 2),
        "color": (3,),
        "texture_size": (2,),
        "texture_offset": (2,),
        **dict.fromkeys(("specular", "shininess", "reflectivity", "bevel"), ()),
    }
    arrays = {name: np.zeros((num_pieces, *shape), np.float32) for name, shape in shapes.items()}
    # The slabs not in use bound nothing.
    arrays["slab_bounds"] += np.array([-1, 1], np.float32)
    for name in ("num_slabs", "texture", "label", "part"):
        arrays[name] = np.zeros(num_pieces, np.int32)
    for name in ("num_pieces", "num_casters"):
        arrays[name] = np.zeros((), np.int32)
    return arrays


def _make_lights(lights: Sequence[Light]) -> Lights:
    position = np.array([light.position for light in lights], np.float32).reshape(-1, 3)
    axis = np.array([light.spot_target for light in lights]).reshape(-1, 3) - position
    length = np.linalg.norm(axis, axis=1, keepdims=True)
    return Lights(
        position=position,
        color=np.array([light.color for light in lights], np.float32).reshape(-1, 3),
        directional=np.array([light.directional for light in lights], bool),
        casts_shadow=np.array([light.casts_shadow for light in lights], bool),
        radius=np.array([light.radius for light in lights], np.float32),
        spot_exponent=np.array([light.spot_exponent for light in lights], np.float32),
        spot_axis=(axis / np.maximum(length, 1e-9)).astype(np.float32),
    )
