"""Floors of GQN's room and of ShapeStacks."""

from __future__ import annotations

import numpy as np

from ocgm.datasets.rendering.patterns.drawing import (
    bricks,
    generator,
    grain,
    mix,
    noise,
    position,
    tint,
)


def sand(size: int) -> np.ndarray:
    """Draw yellow sand."""
    rng = generator("gqn_floor_yellow")
    value = 0.9 + 0.03 * noise(rng, size, 0.12, aspect=3) + 0.025 * noise(rng, size, 0.02)
    return tint(value, (0.98, 0.87, 0.48))


def white_planks(size: int) -> np.ndarray:
    """Draw white boards in running bond."""
    rng = generator("gqn_floor_white")
    number, gap = bricks(size, 12, 4, 0.008)
    board = rng.uniform(-1, 1, 48)[number]
    return tint(0.9 + 0.03 * board - 0.18 * gap + 0.02 * noise(rng, size, 0.02), (1, 1, 1))


def blue_slabs(size: int) -> np.ndarray:
    """Draw slabs of blue-grey stone."""
    rng = generator("gqn_floor_blue")
    number, gap = bricks(size, 6, 4, 0.012)
    slab = rng.uniform(-1, 1, 24)[number]
    value = 0.82 + 0.08 * slab - 0.15 * gap + 0.05 * noise(rng, size, 0.06)
    return tint(value, (0.45, 0.55, 0.66))


def chipboard(size: int) -> np.ndarray:
    """Draw light flakes in three directions, with dark gaps."""
    rng = generator("chipboard")
    light = np.zeros((size, size))
    for angle_aspect in (0.25, 1.0, 4.0):
        light = np.maximum(light, noise(rng, size, 0.025, angle_aspect))
    dark = noise(rng, size, 0.02) > 1.2
    image = mix(
        np.array([0.45, 0.35, 0.24]), np.array([0.78, 0.66, 0.5]), np.clip(light - 0.4, 0, 1.2)
    )
    return image * (1 - 0.35 * dark[..., None])


def grid_tiles(size: int) -> np.ndarray:
    """Draw grey tiles, four by four, with thin light joints."""
    rng = generator("grid_tiles")
    v, u = position(size)
    joint = (u * 4 % 1 < 0.02) | (v * 4 % 1 < 0.02)
    return tint(0.52 + 0.06 * joint + 0.008 * noise(rng, size, 0.01), (1, 1, 1))


def terrazzo_tiles(size: int) -> np.ndarray:
    """Draw tiles, four by four: black, light blue, white and speckled, with wide dark joints."""
    rng = generator("terrazzo_tiles")
    v, u = position(size)
    kinds = np.array([[1, 0, 3, 2], [3, 2, 0, 3], [0, 1, 3, 0], [1, 3, 2, 1]])
    kind = kinds[(v * 4).astype(int), (u * 4).astype(int)]
    colors = np.array(
        [[0.13, 0.13, 0.14], [0.42, 0.6, 0.68], [0.82, 0.82, 0.8], [0.78, 0.76, 0.62]]
    )
    image = colors[kind] * (1 + 0.05 * noise(rng, size, 0.08))[..., None]
    speckles = (kind == 3) & (noise(rng, size, 0.011) > 0.55)
    image = mix(image, np.array([0.2, 0.2, 0.2]), speckles)
    joint = (abs(u * 4 % 1 - 0.5) > 0.47) | (abs(v * 4 % 1 - 0.5) > 0.47)
    return mix(image, np.array([0.1, 0.1, 0.1]), joint)


def carpet(size: int) -> np.ndarray:
    """Draw the loops of a brown carpet."""
    rng = generator("carpet")
    v, u = position(size)
    loops = np.sin(2 * np.pi * 64 * u) * np.sin(2 * np.pi * 64 * v + np.pi * (u * 64 // 1))
    value = 0.85 + 0.12 * loops + 0.1 * noise(rng, size, 0.008)
    return tint(value, (0.58, 0.49, 0.46))


def planks(size: int) -> np.ndarray:
    """Draw wooden boards along the columns."""
    rng = generator("planks")
    number, gap = bricks(size, 8, 2, 0.004)
    board = rng.uniform(-1, 1, 16)[number.T]
    fibres = grain(rng, size)
    return tint(0.88 + 0.08 * board + 0.06 * fibres - 0.2 * gap.T, (0.8, 0.63, 0.42))


def parquet(size: int) -> np.ndarray:
    """Draw a basket weave, eight by eight squares of four strips."""
    rng = generator("parquet")
    v, u = position(size)
    upright = (u * 8 // 1 + v * 8 // 1) % 2 > 0
    strip = np.where(upright, u * 32 + 0 * v, v * 32 + 0 * u)
    gap = (strip % 1 < 0.14) | (u * 8 % 1 < 0.05) | (v * 8 % 1 < 0.05)
    tone = rng.uniform(-1, 1, (8, 8, 4))[
        (v * 8).astype(int), (u * 8).astype(int), strip.astype(int) % 4
    ]
    value = 0.92 + 0.08 * tone + 0.05 * noise(rng, size, 0.015) - 0.5 * gap
    return tint(value, (0.62, 0.44, 0.28))
