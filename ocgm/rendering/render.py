"""Ray tracer: scenes to images, label maps and part maps.

Rays go through every pixel's centre, which alone decides its label, and through every corner, which
four pixels share; a pixel's colour is half its centre's and an eighth of each corner's. That is five
samples a pixel for the price of two, and rays through a corner look at one of four spots of a large
lamp, such that each pixel's corners look at all four.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from ocgm.rendering import textures
from ocgm.rendering.camera import ray_directions
from ocgm.rendering.scene import Pieces, Scene
from ocgm.rendering.tracing import FAR, dot, is_shadowed, nearest_hit


class Rendered(NamedTuple):
    """Pictures of a batch of scenes.

    Attributes:
      image: uint8 [B, H, W, 3].
      labels: uint8 [B, H, W], label of the body at each pixel's centre; 0 where there is none.
      parts: uint8 [B, H, W], the same for `Body.part`.
    """

    image: jax.Array
    labels: jax.Array
    parts: jax.Array


def render(
    scenes: Scene,
    height: int,
    width: int,
    mirrors: bool = False,
    shadow_rays: int = 1,
    images_at_once: int | None = None,
) -> Rendered:
    """Draws a batch of scenes; the same scenes give the same pictures.

    Args:
      scenes: from `stack_scenes`, on the host or on a device.
      height, width: size of the pictures in pixels, as their cameras were made for.
      mirrors: follow rays that `reflectivity` mirrors, once; about twice the time.
      shadow_rays: rays a sample and light; more for smoother shadows of large lamps.
      images_at_once: how many images a device works on together; 1 on a CPU and 16 elsewhere if
        None.
    """
    chex.assert_rank(scenes.camera.position, 2)
    if images_at_once is None:
        images_at_once = 1 if jax.default_backend() == "cpu" else 16
    return _render(
        scenes,
        textures.atlas(),
        height=height,
        width=width,
        mirrors=mirrors,
        shadow_rays=shadow_rays,
        images_at_once=images_at_once,
    )


@functools.partial(
    jax.jit, static_argnames=("height", "width", "mirrors", "shadow_rays", "images_at_once")
)
def _render(
    scenes: Scene,
    texels: jax.Array,
    height: int,
    width: int,
    mirrors: bool,
    shadow_rays: int,
    images_at_once: int,
) -> Rendered:
    def draw(scene: Scene) -> Rendered:
        return _draw(scene, texels, height, width, mirrors, shadow_rays)

    return jax.lax.map(draw, scenes, batch_size=images_at_once if images_at_once > 1 else None)


def _draw(
    scene: Scene, texels: jax.Array, height: int, width: int, mirrors: bool, shadow_rays: int
) -> Rendered:
    """One scene; rays are ordered centres first, then corners, row by row."""
    columns, rows, spots = _sample_positions(height, width)
    pieces, camera = scene.pieces, scene.camera
    direction = ray_directions(camera, columns, rows)
    origin = camera.position[:, None]
    distance, index = nearest_hit(pieces, origin, direction, jnp.float32(0))
    color, bounce = _shade(
        scene, texels, origin, direction, distance, index, distance, spots, shadow_rays
    )
    if mirrors:
        second, second_index = nearest_hit(pieces, bounce.origin, bounce.direction, bounce.start)
        mirrored, _ = _shade(
            scene,
            texels,
            bounce.origin,
            bounce.direction,
            second,
            second_index,
            distance + second,
            spots,
            1,
        )
        color += bounce.weight * mirrored
    color = jnp.maximum(color, 0) ** (1 / scene.gamma)
    image = _average_samples(jnp.clip(color, 0, 1), height, width)

    center = index[: height * width].reshape(height, width)

    def at_centers(values: jax.Array) -> jax.Array:
        return jnp.where(center < 0, 0, values[center]).astype(jnp.uint8)

    return Rendered(
        image=jnp.round(255 * image).astype(jnp.uint8),
        labels=at_centers(pieces.label),
        parts=at_centers(pieces.part),
    )


def _sample_positions(height: int, width: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Columns and rows, float32 [R], and which spot of a lamp to look at, int32 [R], 0 to 4."""
    center_row, center_column = jnp.mgrid[:height, :width].reshape(2, -1)
    corner_row, corner_column = jnp.mgrid[: height + 1, : width + 1].reshape(2, -1)
    columns = jnp.concatenate([center_column + 0.5, corner_column]).astype(jnp.float32)
    rows = jnp.concatenate([center_row + 0.5, corner_row]).astype(jnp.float32)
    spots = jnp.concatenate(
        [jnp.zeros_like(center_row), 1 + 2 * (corner_row % 2) + corner_column % 2]
    )
    # XLA:CPU deals rays out to its threads, and leaves loops scalar, five times slower, if the
    # number of rays is not a multiple of that of threads.
    padding = -len(rows) % 64
    return tuple(jnp.pad(values, (0, padding)) for values in (columns, rows, spots))


def _average_samples(color: jax.Array, height: int, width: int) -> jax.Array:
    """Samples [3, R] to pixels [H, W, 3]."""
    center = color[:, : height * width].reshape(3, height, width)
    end = height * width + (height + 1) * (width + 1)
    corner = color[:, height * width : end].reshape(3, height + 1, width + 1)
    corners = corner[:, :-1, :-1] + corner[:, :-1, 1:] + corner[:, 1:, :-1] + corner[:, 1:, 1:]
    return jnp.moveaxis(center / 2 + corners / 8, 0, -1)


class _Bounce(NamedTuple):
    """Mirrored rays and their tint: float32 [3, R], `start` [R]."""

    origin: jax.Array
    direction: jax.Array
    start: jax.Array
    weight: jax.Array


def _shade(
    scene: Scene,
    texels: jax.Array,
    origin: jax.Array,
    direction: jax.Array,
    distance: jax.Array,
    index: jax.Array,
    path: jax.Array,
    spots: jax.Array,
    shadow_rays: int,
) -> tuple[jax.Array, _Bounce]:
    """Colour of what rays hit, without what it mirrors.

    Args:
      scene, texels: as above.
      origin, direction, distance, index: of the rays and their hits; see `nearest_hit`.
      path: float32 [R], distance from the camera.
      spots: int32 [R], as above.
      shadow_rays: as for `render`.

    Returns:
      (color, bounce): float32 [3, R] and the mirrored rays.
    """
    hit = _pick(scene.pieces, index)
    point = origin + distance * direction
    axes = jnp.moveaxis(hit.rotation, 1, 0)
    local = jnp.stack([dot(axis, point - hit.position) for axis in axes])
    local_normal = _local_normal(hit, local, jnp.maximum(hit.bevel, 1e-4 * path))
    normal = _unit(jnp.stack([dot(row, local_normal) for row in hit.rotation]))
    facing = -dot(normal, direction)
    # Rounded edges may turn away from the ray.
    normal = jnp.where(facing < 0, normal + facing * direction, normal)
    facing = jnp.maximum(facing, 0)

    # A pixel's samples are 0.7 of its width apart.
    pixel = 0.7 * path / scene.camera.focal_length / jnp.sqrt(jnp.maximum(facing, 0.1))
    u, v = _texture_position(hit, local, local_normal)
    texture = jax.lax.cond(
        jnp.any(scene.pieces.texture > 0),
        lambda: textures.sample(
            texels, hit.texture.astype(jnp.int32), u, v, pixel / hit.texture_size[0]
        ),
        lambda: jnp.ones_like(point),
    )
    albedo = hit.color * texture
    start = 1e-4 * path
    diffuse, glossy = _light(
        scene, point, normal, direction, hit.shininess, start, spots, shadow_rays
    )
    up = 0.5 + 0.5 * normal[2]
    ambient = _blend(scene.ambient, up)
    color = (1 - hit.reflectivity) * albedo * (ambient + diffuse)
    # Highlights are mirrored lamps, hence a metal's have its colour.
    color += hit.specular * glossy * (1 - hit.reflectivity * (1 - albedo))
    sky = _blend(scene.sky, 0.5 + 0.5 * direction[2])
    bounce = _Bounce(
        origin=point,
        direction=direction + 2 * facing * normal,
        start=start,
        weight=jnp.where(index < 0, 0, hit.reflectivity * albedo),
    )
    return jnp.where(index < 0, sky, color), bounce


def _light(
    scene: Scene,
    point: jax.Array,
    normal: jax.Array,
    direction: jax.Array,
    shininess: jax.Array,
    start: jax.Array,
    spots: jax.Array,
    shadow_rays: int,
) -> tuple[jax.Array, jax.Array]:
    """Light that arrives at points: (diffuse, glossy), float32 [3, R] each."""
    lights = scene.lights

    def visit(i: jax.Array, total: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        position = lights.position[i, :, None]
        directional = lights.directional[i]
        toward = jnp.where(directional, position, position - point)
        to_light = _unit(toward)
        cosine = jnp.maximum(dot(normal, to_light), 0)
        half = _unit(to_light - direction)
        highlight = jnp.maximum(dot(normal, half), 0) ** shininess
        axis_cosine = jnp.maximum(-dot(lights.spot_axis[i], to_light), 0)
        spot = jnp.where(directional, 1.0, axis_cosine ** lights.spot_exponent[i])

        def lit_share() -> jax.Array:
            # Two directions across the light's; which two does not matter for a round lamp.
            across = _unit(jnp.stack([-to_light[1], to_light[0] + 1e-6, 0 * to_light[0]]))
            other = jnp.cross(to_light, across, axis=0)
            radius = jnp.where(directional, jnp.sqrt(dot(toward, toward)), 1.0) * lights.radius[i]
            # The suns' rays go on for ever.
            end = jnp.where(directional, FAR, 1.0)

            def shadow(k: jax.Array, count: jax.Array) -> jax.Array:
                # A sunflower's seeds: each sample's own, evenly spread over the lamp.
                number = (5 * k + spots).astype(jnp.float32)
                angle = 2.399963 * number
                reach = radius * jnp.sqrt(number / (5 * shadow_rays))
                target = toward + reach * (jnp.cos(angle) * across + jnp.sin(angle) * other)
                length = jnp.sqrt(dot(target, target))
                return count + is_shadowed(scene.pieces, point, target, start / length, end)

            shadowed = jax.lax.fori_loop(0, shadow_rays, shadow, jnp.zeros_like(cosine))
            return 1 - shadowed / shadow_rays

        lit = jax.lax.cond(lights.casts_shadow[i], lit_share, lambda: jnp.ones_like(cosine))
        light = lights.color[i, :, None] * (spot * lit)
        diffuse, glossy = total
        return diffuse + light * cosine, glossy + light * jnp.where(cosine > 0, highlight, 0)

    zeros = jnp.zeros_like(point)
    return jax.lax.fori_loop(0, lights.radius.shape[0], visit, (zeros, zeros))


def _pick(pieces: Pieces, index: jax.Array) -> Pieces:
    """The values of each ray's piece, rays last: [P, ...] to [..., R]; zeros for index -1."""
    per_piece = {
        field.name: getattr(pieces, field.name)
        for field in dataclasses.fields(pieces)
        if getattr(pieces, field.name).ndim
    }
    num_pieces = pieces.label.shape[0]
    table = jnp.concatenate(
        [values.reshape(num_pieces, -1).astype(jnp.float32) for values in per_piece.values()], 1
    )
    # A product with one-hot columns takes a third of a gather's time on a CPU, and is as exact.
    one_hot = (index == jnp.arange(num_pieces)[:, None]).astype(jnp.float32)
    picked = jnp.matmul(table.T, one_hot, precision=jax.lax.Precision.HIGHEST)
    start = 0
    for name, values in per_piece.items():
        size = values[0].size
        per_piece[name] = picked[start : start + size].reshape(*values.shape[1:], len(index))
        start += size
    return pieces.replace(**per_piece)


def _local_normal(hit: Pieces, local: jax.Array, bevel: jax.Array) -> jax.Array:
    """Normals in the pieces' frames, float32 [3, R]: of the nearest side, or blended near an edge.

    Every side's normal counts the more the nearer the point is, and not at all from `bevel` on.
    """

    # Multiplied, not divided: XLA:CPU would store what each division needs and gives.
    per_bevel = 1 / bevel

    def weight(inside: jax.Array) -> jax.Array:
        return jnp.maximum(1 - inside * per_bevel, 0)

    normal = weight(hit.upper - local) - weight(local - hit.lower)
    gradient = hit.quadric[:3] * local
    per_steepness = jax.lax.rsqrt(dot(gradient, gradient) + 1e-18)
    inside = -0.5 * (dot(gradient, local) + hit.quadric[3]) * per_steepness
    normal += weight(inside) * per_steepness * gradient
    for slab_normal, (low, high) in zip(hit.slab_normals, hit.slab_bounds, strict=True):
        position = dot(slab_normal, local)
        normal += slab_normal * (weight(high - position) - weight(position - low))
    return _unit(normal)


def _texture_position(
    hit: Pieces, local: jax.Array, normal: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Where in its texture a point is, in repetitions; see `Material.texture_size`."""
    size = jnp.abs(normal)
    toward_x = (size[0] > size[1]) & (size[0] > size[2])
    toward_z = (size[2] >= size[0]) & (size[2] > size[1])
    u = jnp.where(toward_x, local[1], local[0]) / hit.texture_size[0]
    v = jnp.where(toward_z, local[1], local[2]) / hit.texture_size[1]
    return u + hit.texture_offset[0], hit.texture_offset[1] - v


def _unit(vector: jax.Array) -> jax.Array:
    return vector * jax.lax.rsqrt(jnp.maximum(dot(vector, vector), 1e-20))


def _blend(colors: jax.Array, weight: jax.Array) -> jax.Array:
    """Between two colours [2, 3], by weight [R]: float32 [3, R]."""
    return colors[0][:, None] * (1 - weight) + colors[1][:, None] * weight
