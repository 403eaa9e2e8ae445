"""Ray tracer: scenes to images, label maps and part maps.

Rays go through every pixel's centre, which alone decides its label, and through every corner, which
four pixels share; a pixel's colour is half its centre's and an eighth of each corner's. That is five
samples a pixel for the price of two, and rays through a corner look at one of four spots of a large
lamp, such that each pixel's corners look at all four.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from ocgm.datasets.rendering import textures
from ocgm.datasets.rendering.camera import ray_directions
from ocgm.datasets.rendering.scene import Scene
from ocgm.datasets.rendering.shading import shade
from ocgm.datasets.rendering.tracing import nearest_hit
from ocgm.datasets.rendering.vectors import Vector, numbers, power


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


@functools.partial(jax.jit, static_argnames=("height", "width"))
def render_labels(scenes: Scene, height: int, width: int) -> jax.Array:
    """The labels of `render` alone, uint8 [B, H, W], in a fraction of its time."""
    rows, columns = (jnp.mgrid[:height, :width] + 0.5).reshape(2, -1)

    def draw(scene: Scene) -> jax.Array:
        direction = Vector(*ray_directions(scene.camera, columns, rows))
        origin = numbers(scene.camera.position)
        _, index = nearest_hit(scene.pieces, origin, direction, jnp.float32(0))
        return _at(index, scene.pieces.label).reshape(height, width)

    return jax.lax.map(draw, scenes)


def _draw(
    scene: Scene, texels: jax.Array, height: int, width: int, mirrors: bool, shadow_rays: int
) -> Rendered:
    """One scene; rays are ordered centres first, then corners, row by row."""
    columns, rows, spots = _sample_positions(height, width)
    direction = Vector(*ray_directions(scene.camera, columns, rows))
    origin = numbers(scene.camera.position)
    distance, index = nearest_hit(scene.pieces, origin, direction, jnp.float32(0))
    lamp = _lamp_positions(spots, shadow_rays)
    color, bounce = shade(scene, texels, origin, direction, distance, index, distance, lamp)
    if mirrors:
        second, second_index = nearest_hit(
            scene.pieces, bounce.origin, bounce.direction, bounce.start
        )
        mirrored, _ = shade(
            scene,
            texels,
            bounce.origin,
            bounce.direction,
            second,
            second_index,
            distance + second,
            _lamp_positions(spots, 1),
        )
        color += bounce.weight * mirrored
    # Also keeps XLA from shading every sample anew for each of the pixels that share it, which
    # `optimization_barrier` does not.
    shown = jax.lax.cond(
        scene.gamma == 1,
        lambda: [jnp.clip(band, 0, 1) for band in color],
        lambda: [power(jnp.minimum(band, 1), 1 / scene.gamma) for band in color],
    )
    image = jnp.stack([_average_samples(band, height, width) for band in shown], axis=-1)

    center = index[: height * width].reshape(height, width)
    return Rendered(
        image=jnp.round(255 * image).astype(jnp.uint8),
        labels=_at(center, scene.pieces.label),
        parts=_at(center, scene.pieces.part),
    )


def _at(index: jax.Array, values: jax.Array) -> jax.Array:
    """Values [P] by index, uint8; 0 for index -1."""
    return jnp.where(index < 0, 0, values[index]).astype(jnp.uint8)


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


def _lamp_positions(spots: jax.Array, shadow_rays: int) -> jax.Array:
    """Where on a lamp, a disc of radius 1, each sample's shadow rays end: [shadow_rays, 2, R].

    A sunflower's seeds: each sample's own, evenly spread over the lamp.
    """
    number = (5 * jnp.arange(shadow_rays)[:, None] + spots).astype(jnp.float32)
    angle = 2.399963 * number
    reach = jnp.sqrt(number / (5 * shadow_rays))
    return jnp.stack([reach * jnp.cos(angle), reach * jnp.sin(angle)], axis=1)


def _average_samples(values: jax.Array, height: int, width: int) -> jax.Array:
    """Samples [R] to pixels [H, W]."""
    center = values[: height * width].reshape(height, width)
    end = height * width + (height + 1) * (width + 1)
    corner = values[height * width : end].reshape(height + 1, width + 1)
    corners = corner[:-1, :-1] + corner[:-1, 1:] + corner[1:, :-1] + corner[1:, 1:]
    return center / 2 + corners / 8
