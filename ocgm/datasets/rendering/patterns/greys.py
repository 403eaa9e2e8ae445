"""Grey patterns, to be tinted by a material's colour, which they can only darken."""

from __future__ import annotations

import numpy as np

from ocgm.datasets.rendering.patterns.drawing import generator, grain, noise, position, tint


def plain(size: int) -> np.ndarray:
    """Return white."""
    return np.ones((size, size, 3))


def checks(size: int) -> np.ndarray:
    """Draw four by four checks of two greys."""
    v, u = position(size)
    return tint(0.6 + 0.4 * ((v * 4 // 1 + u * 4 // 1) % 2), (1, 1, 1))


def stripes(size: int) -> np.ndarray:
    """Draw eight upright stripes."""
    v, u = position(size)
    return tint(0.6 + 0.4 * (u * 8 // 1 % 2) + 0 * v, (1, 1, 1))


def hexagons(size: int) -> np.ndarray:
    """Draw a honeycomb of faint outlines, 7 cells wide and 8 high."""
    v, u = position(size)
    # Distances to the two nearest centres of the honeycomb's two rectangular lattices.
    nearest = []
    for shift in (0.0, 0.5):
        dx = (u * 7 + shift) % 1 - 0.5
        dy = ((v * 4 + shift) % 1 - 0.5) * 1.732
        nearest.append((dx, dy))
    distances = [np.maximum(abs(x), 0.5 * abs(x) + 0.866 * abs(y)) for x, y in nearest]
    outline = np.minimum(*distances) > 0.44
    uneven = noise(generator("hexagons"), size, 0.12)
    return tint(0.95 - 0.14 * outline + 0.02 * uneven, (1, 1, 1))


def blotches(size: int) -> np.ndarray:
    """Draw faint stains on fine noise."""
    rng = generator("blotches")
    stain = np.clip(1.6 * (noise(rng, size, 0.12) - 1.7), 0, 1)
    fine = noise(rng, size, 0.02)
    return tint(0.95 - 0.1 * stain + 0.012 * fine, (1, 1, 1))


def grey_noise(size: int) -> np.ndarray:
    """Draw coarse noise and fine noise."""
    rng = generator("noise")
    return tint(0.8 + 0.08 * noise(rng, size, 0.1) + 0.04 * noise(rng, size, 0.02), (1, 1, 1))


def concrete(size: int) -> np.ndarray:
    """Draw smooth concrete with small dark pits."""
    rng = generator("concrete")
    pits = noise(rng, size, 0.015) > 2.3
    smooth = 0.8 + 0.03 * noise(rng, size, 0.25) + 0.02 * noise(rng, size, 0.01)
    return tint(smooth - 0.2 * pits, (1, 0.99, 0.97))


def fabric(size: int) -> np.ndarray:
    """Draw a weave with soft folds."""
    v, u = position(size)
    weave = np.sin(2 * np.pi * 64 * u) * np.sin(2 * np.pi * 64 * v)
    folds = noise(generator("fabric"), size, 0.3, aspect=0.3)
    return tint(0.8 + 0.06 * weave + 0.05 * folds, (1, 1, 1))


def brushed_metal(size: int) -> np.ndarray:
    """Draw streaks along the rows."""
    rng = generator("brushed_metal")
    streaks = noise(rng, size, 0.03, aspect=16)
    return tint(0.82 + 0.05 * streaks + 0.03 * noise(rng, size, 0.3), (1, 1, 1))


def wood_grain(size: int) -> np.ndarray:
    """Draw wood fibres along the columns."""
    return tint(0.8 + 0.12 * grain(generator("wood_grain"), size), (1, 0.98, 0.95))
