"""Cardboard, and prints of packages and books."""

from __future__ import annotations

import numpy as np

from ocgm.datasets.rendering.patterns.drawing import generator, mix, noise, position, tint


def cardboard(size: int) -> np.ndarray:
    """Draw brown cardboard."""
    rng = generator("cardboard")
    value = 0.9 + 0.03 * noise(rng, size, 0.2) + 0.02 * noise(rng, size, 0.02, aspect=8)
    return tint(value, (0.72, 0.55, 0.38))


def front(size: int, number: int) -> np.ndarray:
    """Draw the front of a package: a band with a title, a picture and lines of small print.

    Not to be repeated: it does not continue across its borders.

    Args:
      size: side of the result in texels.
      number: which print, 0 to 3; it chooses the colours and the layout.
    """
    rng = generator(f"print {number}")
    v, u = position(size)
    palette = np.array(
        [
            [0.85, 0.15, 0.12],
            [0.95, 0.93, 0.88],
            [0.12, 0.35, 0.75],
            [0.95, 0.8, 0.15],
            [0.15, 0.55, 0.3],
        ]
    )
    ground, band, ink, picture = np.roll(palette, -number, axis=0)[:4]
    image = np.tile(ground, (size, size, 1)) * (1 - 0.15 * v[..., None])
    top = rng.uniform(0.08, 0.2)
    image = mix(image, band, ((v > top) & (v < top + 0.18) & (u > -1)).astype(float))
    letters = (u * 16 // 1 % 4 < 3) & (noise(rng, size, 0.03) > -0.2)
    title = (v > top + 0.05) & (v < top + 0.13) & (u > 0.1) & (u < 0.9) & letters
    image = mix(image, 1 - band, title.astype(float))
    center_u, center_v = rng.uniform(0.35, 0.65), rng.uniform(0.52, 0.6)
    radius = np.hypot(u - center_u, 1.2 * (v - center_v))
    blob = radius < 0.24 + 0.03 * noise(rng, size, 0.2)
    image = mix(image, picture, blob.astype(float))
    image = mix(image, ink, (blob & (noise(rng, size, 0.08) > 0.6)).astype(float))
    lines = (v > 0.82) & (v < 0.95) & (v * 40 // 1 % 2 > 0) & (u > 0.1) & (u < 0.8)
    return mix(image, ink, 0.7 * (lines & (noise(rng, size, 0.02) > -0.5)))
