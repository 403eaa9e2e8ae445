"""Ray tracer: scenes to images, label maps and part maps.

One ray passes through the centre of each pixel, and one through each corner, which four pixels
share. The centre alone decides the label; the colour is one half the centre's and one eighth of each
corner's, five samples a pixel at the cost of two. Shadow rays of the corners end at one of four
spots of a large lamp, such that the corners of each pixel cover all four.
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
from ocgm.images import Array


class Rendered(NamedTuple):
    """Images and maps of a batch of scenes.

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
    """Render a batch of scenes; the result is deterministic.

    Args:
      scenes: from `stack_scenes`, on the host or on a device.
      height, width: size of the images in pixels, which the cameras must have been created for.
      mirrors: follow the rays that `reflectivity` mirrors, once; takes about twice as long.
      shadow_rays: shadow rays for each sample and light; more for smoother shadows of large lamps.
      images_at_once: images that a device renders together; None for 1 on a CPU and 16 elsewhere.
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
    """Render only the labels of `render`, uint8 [B, H, W], in a fraction of its time."""
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
    """Render one scene; rays are ordered centres first, then corners, row by row."""
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
    # A `cond` also prevents XLA from shading each sample again for every pixel that shares it;
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


def _at(index: jax.Array, values: Array) -> jax.Array:
    """Look up values [P] by index, uint8; 0 for index -1."""
    return jnp.where(index < 0, 0, values[index]).astype(jnp.uint8)


def _sample_positions(height: int, width: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return columns and rows, float32 [R], and the spot of a lamp, int32 [R], 0 to 4."""
    center_row, center_column = jnp.mgrid[:height, :width].reshape(2, -1)
    corner_row, corner_column = jnp.mgrid[: height + 1, : width + 1].reshape(2, -1)
    columns = jnp.concatenate([center_column + 0.5, corner_column]).astype(jnp.float32)
    rows = jnp.concatenate([center_row + 0.5, corner_row]).astype(jnp.float32)
    spots = jnp.concatenate(
        [jnp.zeros_like(center_row), 1 + 2 * (corner_row % 2) + corner_column % 2]
    )
    # XLA:CPU splits the rays among its threads and, if they do not divide evenly, compiles scalar
    # loops, five times slower.
    padding = -len(rows) % 64
    columns, rows, spots = (jnp.pad(x, (0, padding)) for x in (columns, rows, spots))
    return columns, rows, spots


def _lamp_positions(spots: jax.Array, shadow_rays: int) -> jax.Array:
    """Return where on a lamp, a disc of radius 1, shadow rays end: float32 [shadow_rays, 2, R].

    Points are arranged like a sunflower's seeds: evenly spread, and different for each spot.
    """
    number = (5 * jnp.arange(shadow_rays)[:, None] + spots[None]).astype(jnp.float32)
    angle = 2.399963 * number
    reach = jnp.sqrt(number / (5 * shadow_rays))
    return jnp.stack([reach * jnp.cos(angle), reach * jnp.sin(angle)], axis=1)


def _average_samples(values: jax.Array, height: int, width: int) -> jax.Array:
    """Average samples [R] to pixels [H, W]."""
    center = values[: height * width].reshape(height, width)
    end = height * width + (height + 1) * (width + 1)
    corner = values[height * width : end].reshape(height + 1, width + 1)
    corners = corner[:-1, :-1] + corner[:-1, 1:] + corner[1:, :-1] + corner[1:, 1:]
    return center / 2 + corners / 8
