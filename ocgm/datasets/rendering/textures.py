"""Texture atlas: the bitmaps of `patterns` at decreasing resolutions in one array, and its sampling.

Bitmaps are computed on first use and are the same in every process.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ocgm.datasets.rendering import patterns
from ocgm.datasets.rendering.vectors import Vector
from ocgm.images import Array

NAMES: tuple[str, ...] = tuple(patterns.PATTERNS)

_SIZE = 256
_NUM_LEVELS = 9
_TEXELS = sum((_SIZE >> level) ** 2 for level in range(_NUM_LEVELS))


@functools.cache
def bitmap(name: str) -> np.ndarray:
    """Compute a texture of `NAMES`, uint8 [256, 256, 3]."""
    image = patterns.PATTERNS[name](_SIZE)
    return np.round(255 * np.clip(image, 0, 1)).astype(np.uint8)


@functools.cache
def atlas() -> np.ndarray:
    """Compute all textures at all levels, each half the size of the last: uint32 [T], 0x00BBGGRR."""
    texels = []
    for name in NAMES:
        level = bitmap(name).astype(np.float32)
        for _ in range(_NUM_LEVELS):
            rgb = np.round(level).astype(np.uint32).reshape(-1, 3)
            texels.append(rgb[:, 0] | rgb[:, 1] << 8 | rgb[:, 2] << 16)
            if len(level) > 1:
                size = len(level) // 2
                level = level.reshape(size, 2, size, 2, 3).mean(axis=(1, 3))
    return np.concatenate(texels)


def sample(
    texels: jax.Array, texture: Array, u: jax.Array, v: jax.Array, footprint: jax.Array
) -> Vector:
    """Sample textures bilinearly at the level that matches the size of a pixel.

    Args:
      texels: `atlas()`.
      texture: int32 [R], index into `NAMES`.
      u, v: float32 [R], position in repetitions; v runs down the bitmap's rows.
      footprint: float32 [R], width of a pixel in repetitions.

    Returns:
      RGB in [0, 1].
    """
    level = jnp.round(jnp.log2(jnp.maximum(footprint * _SIZE, 1e-6)))
    level = jnp.clip(level, 0, _NUM_LEVELS - 1).astype(jnp.int32)
    size = _SIZE >> level
    # Levels have 4^8, 4^7, ... texels.
    start = texture * _TEXELS + (4 * _SIZE**2 - 4 * size * size) // 3
    column, fraction_u = _cell(u, size)
    row, fraction_v = _cell(v, size)
    color = Vector(0.0, 0.0, 0.0)
    for next_row in (0, 1):
        for next_column in (0, 1):
            weight = (fraction_u if next_column else 1 - fraction_u) * (
                fraction_v if next_row else 1 - fraction_v
            )
            # Sizes are powers of two, so that & wraps around.
            index = ((row + next_row) & (size - 1)) * size + ((column + next_column) & (size - 1))
            texel = texels[start + index]
            bands = [(texel >> shift & 255).astype(jnp.float32) for shift in (0, 8, 16)]
            color += Vector(*bands) * weight
    return color * (1 / 255)


def _cell(position: jax.Array, size: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the last texel whose centre is before a position, and the distance past that centre.

    Args:
      position: float32 [R], in repetitions.
      size: int32 [R], side of the level in texels.
    """
    scaled = (position - jnp.floor(position)) * size - 0.5
    cell = jnp.floor(scaled)
    return cell.astype(jnp.int32), scaled - cell
