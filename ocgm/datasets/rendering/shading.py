"""Colours of the points that rays hit in one scene: texture, light, shadows, highlights."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ocgm.datasets.rendering import textures
from ocgm.datasets.rendering.scene import Pieces, Scene
from ocgm.datasets.rendering.tracing import FAR, is_shadowed
from ocgm.datasets.rendering.vectors import Number, Vector, cross, dot, numbers, power, unit
from ocgm.images import Array


class Bounce(NamedTuple):
    """Mirrored rays.

    Attributes:
      origin, direction: of the rays.
      start: float32 [R], distance from the origin before which hits are ignored.
      weight: RGB factor of what the rays hit.
    """

    origin: Vector
    direction: Vector
    start: jax.Array
    weight: Vector


def shade(
    scene: Scene,
    texels: jax.Array,
    origin: Vector,
    direction: Vector,
    distance: jax.Array,
    index: jax.Array,
    path: jax.Array,
    lamp: jax.Array,
) -> tuple[Vector, Bounce]:
    """Compute the colours of the points that rays hit, without mirrored light.

    Args:
      scene: one scene.
      texels: `textures.atlas()`.
      origin, direction, distance, index: of the rays and their hits; see `nearest_hit`.
      path: float32 [R], length of the light's path to the camera.
      lamp: float32 [shadow_rays, 2, R], where on a lamp, a disc of radius 1, shadow rays end.

    Returns:
      RGB colours, and the mirrored rays.
    """
    hit = _pick(scene.pieces, index)
    point = origin + direction * distance
    rotation = [Vector(*row) for row in hit.rotation]
    offset = point - Vector(*hit.position)
    local = rotation[0] * offset.x + rotation[1] * offset.y + rotation[2] * offset.z
    local_normal = _local_normal(
        scene.pieces, index, hit, local, jnp.maximum(hit.bevel, 1e-4 * path)
    )
    normal = unit(Vector(*(dot(row, local_normal) for row in rotation)))
    facing = -dot(normal, direction)
    # Rounded edges may turn away from the ray.
    normal = (normal + direction * facing).where(facing < 0, normal)
    facing = jnp.maximum(facing, 0)

    # A pixel's samples are 0.7 of its width apart.
    pixel = 0.7 * path / scene.camera.focal_length / jnp.sqrt(jnp.maximum(facing, 0.1))
    texture = _texture_color(scene.pieces, texels, hit, local, local_normal, pixel)
    albedo = Vector(*hit.color) * texture
    start = 1e-4 * path
    diffuse, glossy = _light(scene, point, normal, direction, hit.shininess, start, lamp)
    ambient = _blend(scene.ambient, 0.5 + 0.5 * normal.z)
    color = albedo * (ambient + diffuse) * (1 - hit.reflectivity)
    # Highlights are mirrored lamps, hence a metal's have its colour.
    tint = (albedo - 1) * hit.reflectivity + 1
    color += glossy * tint * hit.specular
    sky = _blend(scene.sky, 0.5 + 0.5 * direction.z)
    bounce = Bounce(
        origin=point,
        direction=direction + normal * (2 * facing),
        start=start,
        weight=albedo * jnp.where(index < 0, 0, hit.reflectivity),
    )
    return sky.where(index < 0, color), bounce


def _light(
    scene: Scene,
    point: Vector,
    normal: Vector,
    direction: Vector,
    shininess: Array,
    start: jax.Array,
    lamp: jax.Array,
) -> tuple[Vector, Vector]:
    """Sum the light that arrives at points: (diffuse, glossy)."""
    lights = scene.lights

    def visit(i: jax.Array, total: tuple[Vector, Vector]) -> tuple[Vector, Vector]:
        position = numbers(lights.position[i])
        directional = lights.directional[i]
        # Directional lights are infinitely far away.
        toward = position - point * jnp.where(directional, 0.0, 1.0)
        end = jnp.where(directional, FAR, 1.0)
        to_light = unit(toward)
        cosine = jnp.maximum(dot(normal, to_light), 0)
        highlight = power(jnp.maximum(dot(normal, unit(to_light - direction)), 0), shininess)
        axis_cosine = jnp.maximum(-dot(numbers(lights.spot_axis[i]), to_light), 0)
        spot = power(axis_cosine, jnp.where(directional, 0.0, lights.spot_exponent[i]))

        def lit_share() -> jax.Array:
            # Two directions perpendicular to the light's, any two, as lamps are round.
            across = unit(Vector(-to_light.y, to_light.x + 1e-6, 0 * to_light.z))
            other = cross(to_light, across)
            radius = jnp.where(directional, jnp.sqrt(dot(toward, toward)), 1.0) * lights.radius[i]

            def shadow(k: jax.Array, count: jax.Array) -> jax.Array:
                target = toward + (across * lamp[k, 0] + other * lamp[k, 1]) * radius
                length = jnp.sqrt(dot(target, target))
                return count + is_shadowed(scene.pieces, point, target, start / length, end)

            shadowed = jax.lax.fori_loop(0, len(lamp), shadow, jnp.zeros_like(cosine))
            return 1 - shadowed / len(lamp)

        lit = jax.lax.cond(lights.casts_shadow[i], lit_share, lambda: jnp.ones_like(cosine))
        light = spot * lit
        color = numbers(lights.color[i])
        diffuse, glossy = total
        return (
            diffuse + color * (light * cosine),
            glossy + color * (light * jnp.where(cosine > 0, highlight, 0)),
        )

    none = Vector(*(jnp.zeros_like(start) for _ in range(3)))
    return jax.lax.fori_loop(0, lights.radius.shape[0], visit, (none, none))


def _pick(pieces: Pieces, index: jax.Array) -> Pieces:
    """Select the values of each ray's piece, [P, ...] to [..., R]; zeros for index -1.

    Slabs are left as they are.
    """
    per_piece = {
        field.name: getattr(pieces, field.name)
        for field in dataclasses.fields(pieces)
        if getattr(pieces, field.name).ndim and "slab" not in field.name
    }
    picked = _pick_rows(list(per_piece.values()), index)
    return pieces.replace(**dict(zip(per_piece, picked, strict=True)))


def _pick_rows(values: Sequence[Array], index: jax.Array) -> list[jax.Array]:
    """Select rows [index] of arrays [P, ...], float32 [..., R]; zeros for index -1."""
    num_pieces = len(values[0])
    table = jnp.concatenate([v.reshape(num_pieces, -1).astype(jnp.float32) for v in values], 1)
    # A product with one-hot columns is exact, and takes a third of a gather's time on a CPU.
    one_hot = (index[None] == jnp.arange(num_pieces)[:, None]).astype(jnp.float32)
    picked = jnp.matmul(table.T, one_hot, precision=jax.lax.Precision.HIGHEST)
    parts, start = [], 0
    for v in values:
        size = v[0].size
        parts.append(picked[start : start + size].reshape(*v.shape[1:], len(index)))
        start += size
    return parts


def _local_normal(
    pieces: Pieces, index: jax.Array, hit: Pieces, local: Vector, bevel: jax.Array
) -> Vector:
    """Return normals in the pieces' frames: of the nearest side, or blended near an edge.

    A side's weight decreases with the distance of the point and is 0 from `bevel` on.
    """

    # Multiplied, not divided: XLA:CPU would store the operands and the result of each division.
    per_bevel = 1 / bevel

    def weight(inside: jax.Array) -> jax.Array:
        return jnp.maximum(1 - inside * per_bevel, 0)

    normal = Vector(
        *(
            weight(high - x) - weight(x - low)
            for x, low, high in zip(local, hit.lower, hit.upper, strict=True)
        )
    )
    gradient = Vector(*hit.quadric[:3]) * local
    per_steepness = jax.lax.rsqrt(dot(gradient, gradient) + 1e-18)
    inside = -0.5 * (dot(gradient, local) + hit.quadric[3]) * per_steepness
    normal += gradient * (weight(inside) * per_steepness)

    def add_slab(s: jax.Array, normal: Vector) -> Vector:
        direction, (low, high) = _pick_rows(
            [pieces.slab_normals[:, s], pieces.slab_bounds[:, s]], index
        )
        slab = Vector(*direction)
        position = dot(slab, local)
        return normal + slab * (weight(high - position) - weight(position - low))

    if pieces.slab_bounds.shape[1]:
        # In a loop: all slabs of all rays would not fit into the cache.
        normal = jax.lax.fori_loop(0, jnp.max(pieces.num_slabs), add_slab, normal)
    return unit(normal)


def _texture_color(
    pieces: Pieces, texels: jax.Array, hit: Pieces, local: Vector, normal: Vector, pixel: jax.Array
) -> Vector:
    """Sample the pieces' textures, whose pixels are [R] wide; white if no piece has a texture."""
    u, v = _texture_position(hit, local, normal)
    return jax.lax.cond(
        jnp.any(pieces.texture > 0),
        lambda: textures.sample(
            texels, hit.texture.astype(jnp.int32), u, v, pixel / hit.texture_size[0]
        ),
        lambda: Vector(*(jnp.ones_like(pixel) for _ in range(3))),
    )


def _texture_position(hit: Pieces, local: Vector, normal: Vector) -> tuple[jax.Array, jax.Array]:
    """Return the positions of points in their texture, in repetitions; see `Material`."""
    size = Vector(*map(jnp.abs, normal))
    toward_x = (size.x > size.y) & (size.x > size.z)
    toward_z = (size.z >= size.x) & (size.z > size.y)
    u = jnp.where(toward_x, local.y, local.x) / hit.texture_size[0]
    v = jnp.where(toward_z, local.y, local.z) / hit.texture_size[1]
    return u + hit.texture_offset[0], hit.texture_offset[1] - v


def _blend(colors: Array, weight: Number) -> Vector:
    """Blend two colours [2, 3] by weight [R]."""
    return numbers(colors[0]) * (1 - weight) + numbers(colors[1]) * weight
