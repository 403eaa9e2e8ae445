"""Procedural textures: functions from a size to a bitmap, float [size, size, 3] in about [0, 1].

Each continues across its borders, so that it can be repeated (but for the prints), and always comes
out the same. Grey patterns are there to be tinted, and can only darken a colour.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable

import numpy as np

Pattern = Callable[[int], np.ndarray]


def _rng(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def _noise(rng: np.random.Generator, size: int, scale: float, aspect: float = 1.0) -> np.ndarray:
    """Smooth noise [size, size], mean 0 and deviation 1, without seams.

    `scale` is the width of its blobs as a share of the texture's, `aspect` theirs by their height.
    """
    frequency = np.fft.fftfreq(size, 1 / size)
    reach = scale / 2 * np.hypot(frequency * aspect**0.5, (frequency * aspect**-0.5)[:, None])
    white = np.fft.fft2(rng.standard_normal((size, size)))
    noise = np.fft.ifft2(white * np.exp(-np.minimum(2 * reach**2 * np.pi, 80))).real
    return (noise - noise.mean()) / noise.std()


def _position(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows [size, 1] and columns [1, size] of the texels' centres, in [0, 1]."""
    center = (np.arange(size) + 0.5) / size
    return center[:, None], center[None]


def _tint(value: np.ndarray, color: tuple[float, float, float]) -> np.ndarray:
    """Grey [size, size] times a colour."""
    return value[..., None] * np.asarray(color)


def _mix(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """a where the weight [size, size] is 0, b where it is 1; colours or bitmaps."""
    return a * (1 - weight[..., None]) + b * weight[..., None]


def _bricks(size: int, rows: int, columns: int, mortar: float) -> tuple[np.ndarray, np.ndarray]:
    """Bricks in running bond: (number of each texel's brick, whether it is mortar).

    `mortar` is its width as a share of the texture's.
    """
    v, u = _position(size)
    row = np.floor(v * rows).astype(int)
    u = (u + (row % 2) / (2 * columns)) % 1
    number = row * columns + np.floor(u * columns).astype(int)
    edge = np.minimum(v * rows % 1 / rows, u * columns % 1 / columns)
    return number, (edge < mortar).astype(float)


def _plain(size: int) -> np.ndarray:
    return np.ones((size, size, 3))


def _checks(size: int) -> np.ndarray:
    v, u = _position(size)
    return _tint(0.6 + 0.4 * ((v * 4 // 1 + u * 4 // 1) % 2), (1, 1, 1))


def _stripes(size: int) -> np.ndarray:
    v, u = _position(size)
    return _tint(0.6 + 0.4 * (u * 8 // 1 % 2) + 0 * v, (1, 1, 1))


def _hexagons(size: int) -> np.ndarray:
    """Honeycomb of faint outlines, 7 cells wide and 8 high."""
    v, u = _position(size)
    # Distances to the two nearest centres of the honeycomb's two rectangular lattices.
    nearest = []
    for shift in (0.0, 0.5):
        dx = (u * 7 + shift) % 1 - 0.5
        dy = ((v * 4 + shift) % 1 - 0.5) * 1.732
        nearest.append((dx, dy))
    distances = [np.maximum(abs(x), 0.5 * abs(x) + 0.866 * abs(y)) for x, y in nearest]
    outline = np.minimum(*distances) > 0.44
    blotches = _noise(_rng("hexagons"), size, 0.12)
    return _tint(0.95 - 0.14 * outline + 0.02 * blotches, (1, 1, 1))


def _blotches(size: int) -> np.ndarray:
    rng = _rng("blotches")
    stain = np.clip(1.6 * (_noise(rng, size, 0.12) - 1.7), 0, 1)
    grain = _noise(rng, size, 0.02)
    return _tint(0.95 - 0.1 * stain + 0.012 * grain, (1, 1, 1))


def _grey_noise(size: int) -> np.ndarray:
    rng = _rng("noise")
    return _tint(0.8 + 0.08 * _noise(rng, size, 0.1) + 0.04 * _noise(rng, size, 0.02), (1, 1, 1))


def _concrete(size: int) -> np.ndarray:
    rng = _rng("concrete")
    pits = _noise(rng, size, 0.015) > 2.3
    smooth = 0.8 + 0.03 * _noise(rng, size, 0.25) + 0.02 * _noise(rng, size, 0.01)
    return _tint(smooth - 0.2 * pits, (1, 0.99, 0.97))


def _fabric(size: int) -> np.ndarray:
    v, u = _position(size)
    weave = np.sin(2 * np.pi * 64 * u) * np.sin(2 * np.pi * 64 * v)
    folds = _noise(_rng("fabric"), size, 0.3, aspect=0.3)
    return _tint(0.8 + 0.06 * weave + 0.05 * folds, (1, 1, 1))


def _brushed_metal(size: int) -> np.ndarray:
    rng = _rng("brushed_metal")
    streaks = _noise(rng, size, 0.03, aspect=16)
    return _tint(0.82 + 0.05 * streaks + 0.03 * _noise(rng, size, 0.3), (1, 1, 1))


def _wood_grain(size: int) -> np.ndarray:
    return _tint(0.8 + 0.12 * _grain(_rng("wood_grain"), size), (1, 0.98, 0.95))


def _grain(rng: np.random.Generator, size: int) -> np.ndarray:
    """Fibres along the columns, about [-1, 1]."""
    _, u = _position(size)
    bend = _noise(rng, size, 0.3, aspect=0.2)
    rings = np.sin(2 * np.pi * (12 * u + 0.5 * bend))
    return 0.5 * rings + 0.4 * np.clip(_noise(rng, size, 0.03, aspect=0.05), -2, 2)


def _plaster_wall(size: int, name: str, color: tuple[float, float, float]) -> np.ndarray:
    """Rough small bricks under one coat of paint."""
    rng = _rng(name)
    number, mortar = _bricks(size, 16, 12, 0.01)
    brick = rng.uniform(-1, 1, 16 * 12)[number]
    rough = _noise(rng, size, 0.02)
    return _tint(0.88 + 0.07 * brick - 0.12 * mortar + 0.05 * rough, color)


def _chips_wall(size: int) -> np.ndarray:
    """Yellow wall with rows of dark chips."""
    rng = _rng("gqn_wall_yellow")
    value = 0.92 + 0.05 * _noise(rng, size, 0.1)
    cells = 32
    chips = np.kron(rng.random((cells, cells)) < 0.22, np.ones((size // cells, size // cells)))
    return _tint(value - 0.22 * chips, (0.98, 0.76, 0.25))


def _panel_wall(size: int) -> np.ndarray:
    """Orange panels, two by two, each with a dark disc, framed by lighter bars."""
    rng = _rng("gqn_wall_orange")
    v, u = _position(size)
    x, y = u * 2 % 1 - 0.5, v * 2 % 1 - 0.5
    radius = np.hypot(x, y)
    image = _tint(1 + 0.05 * _noise(rng, size, 0.05), (0.93, 0.45, 0.1))
    image = _mix(image, np.array([0.5, 0.18, 0.03]), (radius < 0.26).astype(float))
    image = _mix(image, np.array([0.72, 0.32, 0.06]), (radius < 0.14).astype(float))
    image = _mix(image, np.array([1.0, 0.66, 0.25]), (abs(u - 0.5) > 0.46) + 0.0 * v)
    seam = (abs(x) > 0.485) | (abs(y) > 0.485)
    return _mix(image, np.array([0.6, 0.25, 0.04]), 0.7 * seam)


def _sand(size: int) -> np.ndarray:
    rng = _rng("gqn_floor_yellow")
    value = 0.9 + 0.03 * _noise(rng, size, 0.12, aspect=3) + 0.025 * _noise(rng, size, 0.02)
    return _tint(value, (0.98, 0.87, 0.48))


def _white_planks(size: int) -> np.ndarray:
    rng = _rng("gqn_floor_white")
    number, gap = _bricks(size, 12, 4, 0.008)
    board = rng.uniform(-1, 1, 48)[number]
    return _tint(0.9 + 0.03 * board - 0.18 * gap + 0.02 * _noise(rng, size, 0.02), (1, 1, 1))


def _blue_slabs(size: int) -> np.ndarray:
    rng = _rng("gqn_floor_blue")
    number, gap = _bricks(size, 6, 4, 0.012)
    slab = rng.uniform(-1, 1, 24)[number]
    value = 0.82 + 0.08 * slab - 0.15 * gap + 0.05 * _noise(rng, size, 0.06)
    return _tint(value, (0.45, 0.55, 0.66))


def _chipboard(size: int) -> np.ndarray:
    rng = _rng("chipboard")
    light = np.zeros((size, size))
    for angle_aspect in (0.25, 1.0, 4.0):
        light = np.maximum(light, _noise(rng, size, 0.025, angle_aspect))
    dark = _noise(rng, size, 0.02) > 1.2
    image = _mix(
        np.array([0.45, 0.35, 0.24]), np.array([0.78, 0.66, 0.5]), np.clip(light - 0.4, 0, 1.2)
    )
    return image * (1 - 0.35 * dark[..., None])


def _grid_tiles(size: int) -> np.ndarray:
    rng = _rng("grid_tiles")
    v, u = _position(size)
    joint = (u * 4 % 1 < 0.02) | (v * 4 % 1 < 0.02)
    return _tint(0.52 + 0.06 * joint + 0.008 * _noise(rng, size, 0.01), (1, 1, 1))


def _terrazzo_tiles(size: int) -> np.ndarray:
    """Four by four tiles: black, light blue, white and speckled, in a wide dark joint."""
    rng = _rng("terrazzo_tiles")
    v, u = _position(size)
    kinds = np.array([[1, 0, 3, 2], [3, 2, 0, 3], [0, 1, 3, 0], [1, 3, 2, 1]])
    kind = kinds[(v * 4).astype(int), (u * 4).astype(int)]
    colors = np.array(
        [[0.13, 0.13, 0.14], [0.42, 0.6, 0.68], [0.82, 0.82, 0.8], [0.78, 0.76, 0.62]]
    )
    image = colors[kind] * (1 + 0.05 * _noise(rng, size, 0.08))[..., None]
    speckles = (kind == 3) & (_noise(rng, size, 0.011) > 0.55)
    image = _mix(image, np.array([0.2, 0.2, 0.2]), speckles)
    joint = (abs(u * 4 % 1 - 0.5) > 0.47) | (abs(v * 4 % 1 - 0.5) > 0.47)
    return _mix(image, np.array([0.1, 0.1, 0.1]), joint)


def _carpet(size: int) -> np.ndarray:
    rng = _rng("carpet")
    v, u = _position(size)
    loops = np.sin(2 * np.pi * 64 * u) * np.sin(2 * np.pi * 64 * v + np.pi * (u * 64 // 1))
    value = 0.85 + 0.12 * loops + 0.1 * _noise(rng, size, 0.008)
    return _tint(value, (0.58, 0.49, 0.46))


def _planks(size: int) -> np.ndarray:
    rng = _rng("planks")
    number, gap = _bricks(size, 8, 2, 0.004)
    board = rng.uniform(-1, 1, 16)[number.T]
    grain = _grain(rng, size)
    return _tint(0.88 + 0.08 * board + 0.06 * grain - 0.2 * gap.T, (0.8, 0.63, 0.42))


def _parquet(size: int) -> np.ndarray:
    """Basket weave, eight by eight squares of four strips."""
    rng = _rng("parquet")
    v, u = _position(size)
    upright = (u * 8 // 1 + v * 8 // 1) % 2 > 0
    strip = np.where(upright, u * 32 + 0 * v, v * 32 + 0 * u)
    gap = (strip % 1 < 0.14) | (u * 8 % 1 < 0.05) | (v * 8 % 1 < 0.05)
    tone = rng.uniform(-1, 1, (8, 8, 4))[
        (v * 8).astype(int), (u * 8).astype(int), strip.astype(int) % 4
    ]
    value = 0.92 + 0.08 * tone + 0.05 * _noise(rng, size, 0.015) - 0.5 * gap
    return _tint(value, (0.62, 0.44, 0.28))


def _zigzag_panel(size: int) -> np.ndarray:
    """Light panel with one dark, ribbed band that steps left and right."""
    rng = _rng("zigzag_panel")
    v, u = _position(size)
    wave = np.clip(3 * (abs(v * 2 % 1 - 0.5) * 4 - 1), -1, 1)
    offset = abs(u - 0.5 - 0.11 * wave)
    image = _tint(0.6 + 0.01 * _noise(rng, size, 0.1, aspect=0.1), (1, 0.97, 0.94))
    ribs = 0.1 + 0.16 * (v * 64 // 1 % 2) + 0 * u
    image = _mix(image, np.array([0.3, 0.29, 0.28]), (offset < 0.065).astype(float))
    return _mix(image, _tint(ribs, (0.9, 1, 1.1)), (offset < 0.045).astype(float))


def _plaster(size: int) -> np.ndarray:
    rng = _rng("plaster")
    scratches = (_noise(rng, size, 0.02) > 1.8) & (_noise(rng, size, 0.08) > 1.5)
    image = _tint(0.54 + 0.006 * _noise(rng, size, 0.05), (1, 1, 1))
    return _mix(image, np.array([0.4, 0.31, 0.24]), scratches.astype(float))


def _dark_brick(size: int) -> np.ndarray:
    rng = _rng("dark_brick")
    number, mortar = _bricks(size, 20, 8, 0.008)
    brick = rng.uniform(-1, 1, 160)[number]
    value = 0.33 + 0.03 * brick + 0.02 * _noise(rng, size, 0.01) - 0.2 * mortar
    return _tint(value, (0.97, 1, 0.97))


def _cardboard(size: int) -> np.ndarray:
    rng = _rng("cardboard")
    value = 0.9 + 0.03 * _noise(rng, size, 0.2) + 0.02 * _noise(rng, size, 0.02, aspect=8)
    return _tint(value, (0.72, 0.55, 0.38))


def _print(size: int, number: int) -> np.ndarray:
    """Front of a package: a ground, a band with a title, a picture and lines of small print.

    `number`, 0 to 3, picks the colours too. Not for repeating.
    """
    rng = _rng(f"print {number}")
    v, u = _position(size)
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
    image = _mix(image, band, ((v > top) & (v < top + 0.18) & (u > -1)).astype(float))
    letters = (u * 16 // 1 % 4 < 3) & (_noise(rng, size, 0.03) > -0.2)
    title = (v > top + 0.05) & (v < top + 0.13) & (u > 0.1) & (u < 0.9) & letters
    image = _mix(image, 1 - band, title.astype(float))
    center_u, center_v = rng.uniform(0.35, 0.65), rng.uniform(0.52, 0.6)
    radius = np.hypot(u - center_u, 1.2 * (v - center_v))
    blob = radius < 0.24 + 0.03 * _noise(rng, size, 0.2)
    image = _mix(image, picture, blob.astype(float))
    image = _mix(image, ink, (blob & (_noise(rng, size, 0.08) > 0.6)).astype(float))
    lines = (v > 0.82) & (v < 0.95) & (v * 40 // 1 % 2 > 0) & (u > 0.1) & (u < 0.8)
    return _mix(image, ink, 0.7 * (lines & (_noise(rng, size, 0.02) > -0.5)))


PATTERNS: dict[str, Pattern] = {
    "plain": _plain,
    "checks": _checks,
    "stripes": _stripes,
    "hexagons": _hexagons,
    "blotches": _blotches,
    "noise": _grey_noise,
    "concrete": _concrete,
    "fabric": _fabric,
    "brushed_metal": _brushed_metal,
    "wood_grain": _wood_grain,
    "gqn_wall_red": functools.partial(_plaster_wall, name="red", color=(0.86, 0.5, 0.43)),
    "gqn_wall_green": functools.partial(_plaster_wall, name="green", color=(0.7, 0.8, 0.68)),
    "gqn_wall_cerise": functools.partial(_plaster_wall, name="cerise", color=(0.65, 0.2, 0.38)),
    "gqn_wall_orange": _panel_wall,
    "gqn_wall_yellow": _chips_wall,
    "gqn_floor_yellow": _sand,
    "gqn_floor_white": _white_planks,
    "gqn_floor_blue": _blue_slabs,
    "chipboard": _chipboard,
    "grid_tiles": _grid_tiles,
    "terrazzo_tiles": _terrazzo_tiles,
    "carpet": _carpet,
    "planks": _planks,
    "parquet": _parquet,
    "zigzag_panel": _zigzag_panel,
    "plaster": _plaster,
    "dark_brick": _dark_brick,
    "cardboard": _cardboard,
    **{f"print_{i + 1}": functools.partial(_print, number=i) for i in range(4)},
}
