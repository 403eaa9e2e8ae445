"""What patterns are composed of: noise, bricks, grain, tints and blends."""

from __future__ import annotations

import zlib

import numpy as np


def generator(name: str) -> np.random.Generator:
    """Return a pattern's own random generator, so that the pattern never changes."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def noise(rng: np.random.Generator, size: int, scale: float, aspect: float = 1.0) -> np.ndarray:
    """Draw smooth noise that continues across the borders.

    Args:
      rng: source of randomness.
      size: side of the result in texels.
      scale: width of the blobs as a fraction of the texture's width.
      aspect: width of the blobs divided by their height.

    Returns:
      float64 [size, size], mean 0 and standard deviation 1.
    """
    frequency = np.fft.fftfreq(size, 1 / size)
    reach = scale / 2 * np.hypot(frequency * aspect**0.5, (frequency * aspect**-0.5)[:, None])
    white = np.fft.fft2(rng.standard_normal((size, size)))
    smooth = np.fft.ifft2(white * np.exp(-np.minimum(2 * reach**2 * np.pi, 80))).real
    return (smooth - smooth.mean()) / smooth.std()


def position(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows [size, 1] and columns [1, size] of the texels' centres, in [0, 1]."""
    center = (np.arange(size) + 0.5) / size
    return center[:, None], center[None]


def tint(value: np.ndarray, color: tuple[float, float, float]) -> np.ndarray:
    """Multiply grey values [size, size] by a colour."""
    return value[..., None] * np.asarray(color)


def mix(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Blend colours or bitmaps: `a` where the weight [size, size] is 0, `b` where it is 1."""
    return a * (1 - weight[..., None]) + b * weight[..., None]


def bricks(size: int, rows: int, columns: int, mortar: float) -> tuple[np.ndarray, np.ndarray]:
    """Lay bricks in running bond.

    Args:
      size: side of the texture in texels.
      rows: number of rows of bricks.
      columns: number of bricks in a row.
      mortar: width of the joints as a fraction of the texture's width.

    Returns:
      Number of each texel's brick, int [size, size], and 1 where there is mortar, else 0,
      float64 [size, size].
    """
    v, u = position(size)
    row = np.floor(v * rows).astype(int)
    u = (u + (row % 2) / (2 * columns)) % 1
    number = row * columns + np.floor(u * columns).astype(int)
    edge = np.minimum(v * rows % 1 / rows, u * columns % 1 / columns)
    return number, (edge < mortar).astype(float)


def grain(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw wood fibres along the columns, float64 [size, size] in about [-1, 1]."""
    _, u = position(size)
    bend = noise(rng, size, 0.3, aspect=0.2)
    rings = np.sin(2 * np.pi * (12 * u + 0.5 * bend))
    return 0.5 * rings + 0.4 * np.clip(noise(rng, size, 0.03, aspect=0.05), -2, 2)
