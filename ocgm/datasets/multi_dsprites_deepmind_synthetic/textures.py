"""Textures of the variant `textured`, which is our own design.

The EfficientMORL paper (appendix B.1) uses a Multi-dSprites with a uniform simple texture as
background and multi-coloured, patterned sprites, but neither its data nor its generator were
released. Here every entity has a texture of three colours: a sprite's three are independent, the
background's are three shades of one colour. Pixels cannot be grouped by colour alone.
"""

import dataclasses

import numpy as np

from ocgm.datasets.builders.generated import uniform_integers

PATTERNS = ("stripes", "checks", "dots")
NUM_COLORS = 3

# Periods in pixels: sprites, at least 9 pixels across, have more than one colour.
_SHORTEST, _LONGEST = 3, 6
_BACKGROUND_SHADES = (1.0, 0.8, 0.6)
_DOT_RADIUS = 0.4


@dataclasses.dataclass(frozen=True)
class Textures:
    """Textures of N scenes of E entities, the background first.

    A texture is a grid of square cells. Columns ('stripes') or diagonals ('checks') of cells have
    the three colours in turn, or cells contain discs of the last two colours on the first ('dots').

    Attributes:
      pattern: int32 [N, E], index in `PATTERNS`.
      period: float32 [N, E], side of a cell in pixels.
      angle: float32 [N, E], rotation of the grid in radians, clockwise on the screen.
      phase: float32 [N, E, 2], shift of the grid in cells, along its two axes.
      color: uint8 [N, E, 3, 3], RGB of the three colours.
    """

    pattern: np.ndarray
    period: np.ndarray
    angle: np.ndarray
    phase: np.ndarray
    color: np.ndarray


def draw_textures(rng: np.random.Generator, palette: np.ndarray) -> Textures:
    """Draw textures, with uniform distributions.

    Args:
      rng: source of randomness.
      palette: uint8 [N, E, 3], the first colour of each texture.
    """
    shape = palette.shape[:2]
    # In single precision, as stored, so that records describe their images exactly.
    period, angle, *phase = np.moveaxis(rng.random((*shape, 4)).astype(np.float32), -1, 0)
    color = uniform_integers(rng, 256, (*shape, NUM_COLORS, 3)).astype(np.uint8)
    color[:, :, 0] = palette
    color[:, 0] = palette[:, 0, None] * np.array(_BACKGROUND_SHADES)[:, None]
    return Textures(
        pattern=uniform_integers(rng, len(PATTERNS), shape),
        period=_SHORTEST + (_LONGEST - _SHORTEST) * period,
        angle=np.float32(np.pi) * angle,
        phase=np.stack(phase, axis=-1),
        color=color,
    )


def paint(masks: np.ndarray, textures: Textures) -> np.ndarray:
    """Fill label maps, uint8 [N, H, W], with textures, uint8 [N, H, W, 3]."""
    scenes, entities = textures.pattern.shape
    entity = masks + entities * np.arange(scenes)[:, None, None]

    def of_pixels(values: np.ndarray) -> np.ndarray:  # [N, E] -> [N, H, W]
        return values.ravel()[entity]

    # Each entity has an affine map from pixel centres to the grid.
    angle, period = textures.angle.astype(np.float64), textures.period
    along, across = of_pixels(np.cos(angle) / period), of_pixels(np.sin(angle) / period)
    row, column = np.indices(masks.shape[1:]) + 0.5
    u = column * along + row * across + of_pixels(textures.phase[..., 0])
    v = row * along - column * across + of_pixels(textures.phase[..., 1])

    pattern = of_pixels(textures.pattern)
    which = np.empty(masks.shape, np.int8)
    for code, rule in enumerate((_stripes, _checks, _dots)):
        chosen = pattern == code
        which[chosen] = rule(u[chosen], v[chosen])
    return textures.color.reshape(-1, 3)[NUM_COLORS * entity + which]


def _stripes(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    del v  # A stripe is the same along its length.
    return np.floor(u).astype(np.int16) % NUM_COLORS


def _checks(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return (np.floor(u) + np.floor(v)).astype(np.int16) % NUM_COLORS


def _dots(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    cell_u, cell_v = np.floor(u), np.floor(v)
    inside = (u - cell_u - 0.5) ** 2 + (v - cell_v - 0.5) ** 2 < _DOT_RADIUS**2
    return inside * (1 + (cell_u + cell_v).astype(np.int16) % (NUM_COLORS - 1))
