"""Walls of GQN's room and of ShapeStacks."""

from __future__ import annotations

import numpy as np

from ocgm.datasets.rendering.patterns.drawing import bricks, generator, mix, noise, position, tint


def plaster_wall(size: int, name: str, color: tuple[float, float, float]) -> np.ndarray:
    """Draw rough small bricks under one coat of paint; `name` seeds the noise."""
    rng = generator(name)
    number, mortar = bricks(size, 16, 12, 0.01)
    brick = rng.uniform(-1, 1, 16 * 12)[number]
    rough = noise(rng, size, 0.02)
    return tint(0.88 + 0.07 * brick - 0.12 * mortar + 0.05 * rough, color)


def panel_wall(size: int) -> np.ndarray:
    """Draw orange panels, two by two, each with a dark disc, framed by lighter bars."""
    rng = generator("gqn_wall_orange")
    v, u = position(size)
    x, y = u * 2 % 1 - 0.5, v * 2 % 1 - 0.5
    radius = np.hypot(x, y)
    image = tint(1 + 0.05 * noise(rng, size, 0.05), (0.93, 0.45, 0.1))
    image = mix(image, np.array([0.5, 0.18, 0.03]), (radius < 0.26).astype(float))
    image = mix(image, np.array([0.72, 0.32, 0.06]), (radius < 0.14).astype(float))
    image = mix(image, np.array([1.0, 0.66, 0.25]), (abs(u - 0.5) > 0.46) + 0.0 * v)
    seam = (abs(x) > 0.485) | (abs(y) > 0.485)
    return mix(image, np.array([0.6, 0.25, 0.04]), 0.7 * seam)


def chips_wall(size: int) -> np.ndarray:
    """Draw a yellow wall with rows of dark chips."""
    rng = generator("gqn_wall_yellow")
    value = 0.92 + 0.05 * noise(rng, size, 0.1)
    cells = 32
    chips = np.kron(rng.random((cells, cells)) < 0.22, np.ones((size // cells, size // cells)))
    return tint(value - 0.22 * chips, (0.98, 0.76, 0.25))


def zigzag_panel(size: int) -> np.ndarray:
    """Draw a light panel with one dark, ribbed band that steps left and right."""
    rng = generator("zigzag_panel")
    v, u = position(size)
    wave = np.clip(3 * (abs(v * 2 % 1 - 0.5) * 4 - 1), -1, 1)
    offset = abs(u - 0.5 - 0.11 * wave)
    image = tint(0.6 + 0.01 * noise(rng, size, 0.1, aspect=0.1), (1, 0.97, 0.94))
    ribs = 0.1 + 0.16 * (v * 64 // 1 % 2) + 0 * u
    image = mix(image, np.array([0.3, 0.29, 0.28]), (offset < 0.065).astype(float))
    return mix(image, tint(ribs, (0.9, 1, 1.1)), (offset < 0.045).astype(float))


def plaster(size: int) -> np.ndarray:
    """Draw grey plaster with a few brown scratches."""
    rng = generator("plaster")
    scratches = (noise(rng, size, 0.02) > 1.8) & (noise(rng, size, 0.08) > 1.5)
    image = tint(0.54 + 0.006 * noise(rng, size, 0.05), (1, 1, 1))
    return mix(image, np.array([0.4, 0.31, 0.24]), scratches.astype(float))


def dark_brick(size: int) -> np.ndarray:
    """Draw small dark bricks."""
    rng = generator("dark_brick")
    number, mortar = bricks(size, 20, 8, 0.008)
    brick = rng.uniform(-1, 1, 160)[number]
    value = 0.33 + 0.03 * brick + 0.02 * noise(rng, size, 0.01) - 0.2 * mortar
    return tint(value, (0.97, 1, 0.97))
