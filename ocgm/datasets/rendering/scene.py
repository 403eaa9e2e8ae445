"""Scenes as arrays: bodies, lights and a camera, packed for the renderer.

Scenes are assembled on the host, in NumPy, and drawn in batches:

    red = Material(color=(0.9, 0.1, 0.1))
    scene = make_scene(
        bodies=[Body(ground(), Material()), Body(sphere(0.5), red, (0, 0, 0.5), label=1)],
        lights=[Light((2, -3, 5))],
        camera=look_at((0, -4, 2), (0, 0, 0), 80.0, 64, 64),
        num_pieces=8,
    )
    image, labels, parts = render(stack_scenes([scene]), 64, 64)
"""

from __future__ import annotations

from collections.abc import Sequence

import flax.struct
import jax
import numpy as np

from ocgm.datasets.rendering import textures
from ocgm.datasets.rendering.bodies import Body, Color, Light
from ocgm.datasets.rendering.camera import Camera
from ocgm.images import Array


class Pieces(flax.struct.PyTreeNode):
    """Convex pieces of a scene, with capacity for P of them; see `shapes.Piece` and `Material`.

    Attributes:
      num_pieces: int32 [], pieces in use, which come first.
      num_casters: int32 [], pieces that cast shadows, which come first.
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


class Lights(flax.struct.PyTreeNode):
    """Lights of a scene, L of them; see `Light`.

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


class Scene(flax.struct.PyTreeNode):
    """Everything that an image depends on. A batch of scenes has a leading axis B on every field.

    Attributes:
      pieces: visible objects and background.
      lights: lamps and directional lights.
      camera: position, direction and lens.
      ambient: float32 [2, 3], RGB light from below and from above.
      sky: float32 [2, 3], RGB colours straight down and straight up, blended by the ray's z.
      gamma: float32 [], the image is the computed brightness to the power of 1 / gamma.
    """

    pieces: Pieces
    lights: Lights
    camera: Camera
    ambient: Array
    sky: Array
    gamma: Array | np.float32


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
    """Pack one scene into NumPy arrays.

    Scenes of one batch, and calls that share one compilation, need the same P, S and number of
    lights.

    Args:
      bodies, lights, camera, ambient, sky, gamma: see `Scene`; at least one light.
      num_pieces: P, capacity for pieces; unused capacity costs little on a CPU.
      num_slabs: S, capacity for the slabs of a piece: 2 for prisms and triangles, 4 for pyramids,
        10 for icosahedra.

    Raises:
      ValueError: if there are more pieces or slabs than capacity, or no lights.
    """
    if not lights:
        raise ValueError("The scene has no light; add one, black if it is to stay dark.")
    return Scene(
        pieces=_pack_pieces(bodies, num_pieces, num_slabs),
        lights=_pack_lights(lights),
        camera=camera,
        ambient=np.asarray(ambient, np.float32),
        sky=np.asarray(sky, np.float32),
        gamma=np.float32(gamma),
    )


def stack_scenes(scenes: Sequence[Scene]) -> Scene:
    """Stack scenes of the same capacity and number of lights into a batch, of NumPy arrays."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *scenes)


def _pack_pieces(bodies: Sequence[Body], num_pieces: int, num_slabs: int) -> Pieces:
    placed = [(body, piece) for body in bodies for piece in body.shape]
    placed.sort(key=lambda pair: not pair[0].casts_shadow)
    most_slabs = max((len(piece.slab_normals) for _, piece in placed), default=0)
    if len(placed) > num_pieces or most_slabs > num_slabs:
        raise ValueError(
            f"The scene has {len(placed)} pieces of up to {most_slabs} slabs, more than its"
            f" capacity of {num_pieces} pieces of {num_slabs} slabs."
        )
    arrays = _empty_pieces(num_pieces, num_slabs)
    arrays["num_pieces"][...] = len(placed)
    arrays["num_casters"][...] = sum(body.casts_shadow for body, _ in placed)
    for i, (body, piece) in enumerate(placed):
        slabs = len(piece.slab_normals)
        arrays["position"][i] = body.rotation @ piece.position + body.position
        arrays["rotation"][i] = body.rotation @ piece.rotation
        for name in ("lower", "upper", "quadric"):
            arrays[name][i] = getattr(piece, name)
        arrays["num_slabs"][i] = slabs
        arrays["slab_normals"][i, :slabs] = piece.slab_normals
        arrays["slab_bounds"][i, :slabs] = piece.slab_bounds
        for name in _MATERIAL_SHAPES:
            arrays[name][i] = getattr(body.material, name)
        arrays["texture"][i] = textures.NAMES.index(body.material.texture)
        arrays["label"][i], arrays["part"][i] = body.label, body.part
    return Pieces(**arrays)


# Shapes of the numbers that a piece takes from its material.
_MATERIAL_SHAPES = {
    "color": (3,),
    "texture_size": (2,),
    "texture_offset": (2,),
    **dict.fromkeys(("specular", "shininess", "reflectivity", "bevel"), ()),
}


def _empty_pieces(num_pieces: int, num_slabs: int) -> dict[str, np.ndarray]:
    """Return the arrays of `Pieces` with no piece in use."""
    shapes = {
        "position": (3,),
        "rotation": (3, 3),
        "lower": (3,),
        "upper": (3,),
        "quadric": (4,),
        "slab_normals": (num_slabs, 3),
        "slab_bounds": (num_slabs, 2),
        **_MATERIAL_SHAPES,
    }
    arrays = {name: np.zeros((num_pieces, *shape), np.float32) for name, shape in shapes.items()}
    # Slabs that are not in use bound nothing.
    arrays["slab_bounds"] += np.array([-1, 1], np.float32)
    for name in ("num_slabs", "texture", "label", "part"):
        arrays[name] = np.zeros(num_pieces, np.int32)
    for name in ("num_pieces", "num_casters"):
        arrays[name] = np.zeros((), np.int32)
    return arrays


def _pack_lights(lights: Sequence[Light]) -> Lights:
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
