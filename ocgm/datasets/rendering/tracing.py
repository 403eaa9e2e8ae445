"""Intersection of rays with the pieces of one scene.

Loops over pieces keep a running minimum instead of a tensor [R, P], so that their data stay in the
cache and they only visit the pieces in use.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ocgm.datasets.rendering.scene import Pieces
from ocgm.datasets.rendering.vectors import Number, Vector, dot, numbers

# Beyond any scene; finite, so that arithmetic on it stays finite.
FAR = 1e6
_TINY = 1e-9


def nearest_hit(
    pieces: Pieces, origin: Vector, direction: Vector, start: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Find the first piece that each ray enters.

    Args:
      pieces: of one scene.
      origin: of the rays; components are arrays [R] or numbers.
      direction: of the rays; components are arrays [R].
      start: float32 [R] or [], pieces entered before this distance are ignored.

    Returns:
      distance: float32 [R], in lengths of `direction`; `FAR` where there is no piece.
      index: int32 [R], number of the piece, the first of equally near ones; -1 where there is none.
    """

    def visit(i: jax.Array, best: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        distance, index = best
        near, far = _inside(pieces, i, origin, direction)
        closer = (near < far) & (near > start) & (near < distance)
        return jnp.where(closer, near, distance), jnp.where(closer, i, index)

    rays = jnp.shape(direction.x)
    none = jnp.full(rays, FAR, jnp.float32), jnp.full(rays, -1, jnp.int32)
    return jax.lax.fori_loop(0, pieces.num_pieces, visit, none)


def is_shadowed(
    pieces: Pieces,
    origin: Vector,
    direction: Vector,
    start: jax.Array,
    end: jax.Array,
) -> jax.Array:
    """Check whether rays enter a piece that casts shadows at a distance between `start` and `end`.

    Args:
      pieces: of one scene.
      origin, direction: of the rays; components are arrays [R].
      start, end: float32 [R] or [], in lengths of `direction`.

    Returns:
      bool [R].
    """

    def visit(i: jax.Array, shadowed: jax.Array) -> jax.Array:
        near, far = _inside(pieces, i, origin, direction)
        return shadowed | ((near < far) & (near > start) & (near < end))

    return jax.lax.fori_loop(0, pieces.num_casters, visit, jnp.zeros_like(direction.x, jnp.bool_))


def _inside(
    pieces: Pieces, i: jax.Array, origin: Vector, direction: Vector
) -> tuple[jax.Array, jax.Array]:
    """Return the distances, float32 [R] each, between which rays are inside piece i.

    A ray that misses the piece has near >= far.
    """
    axes = [numbers(axis) for axis in pieces.rotation[i].T]
    origin = origin - numbers(pieces.position[i])
    origin = Vector(*(dot(axis, origin) for axis in axes))
    direction = Vector(*(dot(axis, direction) for axis in axes))
    near, far = _inside_quadric(pieces.quadric[i], origin, direction)
    for j in range(3):
        near, far = _inside_slab(
            near, far, origin[j], direction[j], pieces.lower[i, j], pieces.upper[i, j]
        )
    if pieces.slab_bounds.shape[1] == 0:
        return near, far

    def cut(s: jax.Array, interval: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        normal = numbers(pieces.slab_normals[i, s])
        low, high = pieces.slab_bounds[i, s]
        return _inside_slab(*interval, dot(normal, origin), dot(normal, direction), low, high)

    return jax.lax.fori_loop(0, pieces.num_slabs[i], cut, (near, far))


def _inside_slab(
    near: jax.Array,
    far: jax.Array,
    position: Number,
    speed: Number,
    low: jax.Array,
    high: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Cut (near, far) down to where low <= position + distance * speed <= high."""
    inverse = 1 / _nonzero(speed)
    a, b = (low - position) * inverse, (high - position) * inverse
    return jnp.maximum(near, jnp.minimum(a, b)), jnp.minimum(far, jnp.maximum(a, b))


def _inside_quadric(
    quadric: jax.Array, origin: Vector, direction: Vector
) -> tuple[jax.Array, jax.Array]:
    """Return the distances between which rays are inside a quadric; see `shapes.Piece`."""
    scales = numbers(quadric)
    scaled_direction, scaled_origin = scales * direction, scales * origin
    # Along the ray the quadric is a t^2 + 2 b t + c.
    a = _nonzero(dot(scaled_direction, direction))
    b = dot(scaled_direction, origin)
    c = dot(scaled_origin, origin) + quadric[3]
    discriminant = b * b - a * c
    # The usual formula would subtract nearly equal numbers for one of the two roots.
    root = jnp.sqrt(jnp.maximum(discriminant, 0))
    q = _nonzero(-b - jnp.where(b < 0, -root, root))
    first, second = jnp.minimum(q / a, c / q), jnp.maximum(q / a, c / q)
    near = jnp.where(discriminant < 0, FAR, first)
    far = second
    # A ray steeper than a cone is inside before the first and after the second root, one of them in
    # the half below the apex.
    steep, down = a < 0, direction.z < 0
    near = jnp.where(steep, jnp.where(down, second, -FAR), near)
    far = jnp.where(steep, jnp.where(down, FAR, first), far)
    return near, far


def _nonzero(x: Number) -> jax.Array:
    return jnp.where(jnp.abs(x) < _TINY, _TINY, x)
