"""Procedural textures: functions from a size to a bitmap, float64 [size, size, 3] in about [0, 1].

Each continues across its borders, so that it can be repeated (except the prints of `packages`), and
is the same on every call.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from ocgm.datasets.rendering.patterns import floors, greys, packages, walls

Pattern = Callable[[int], np.ndarray]

# The order is that of the atlas in `textures`.
PATTERNS: dict[str, Pattern] = {
    "plain": greys.plain,
    "checks": greys.checks,
    "stripes": greys.stripes,
    "hexagons": greys.hexagons,
    "blotches": greys.blotches,
    "noise": greys.grey_noise,
    "concrete": greys.concrete,
    "fabric": greys.fabric,
    "brushed_metal": greys.brushed_metal,
    "wood_grain": greys.wood_grain,
    "gqn_wall_red": partial(walls.plaster_wall, name="red", color=(0.86, 0.5, 0.43)),
    "gqn_wall_green": partial(walls.plaster_wall, name="green", color=(0.7, 0.8, 0.68)),
    "gqn_wall_cerise": partial(walls.plaster_wall, name="cerise", color=(0.65, 0.2, 0.38)),
    "gqn_wall_orange": walls.panel_wall,
    "gqn_wall_yellow": walls.chips_wall,
    "gqn_floor_yellow": floors.sand,
    "gqn_floor_white": floors.white_planks,
    "gqn_floor_blue": floors.blue_slabs,
    "chipboard": floors.chipboard,
    "grid_tiles": floors.grid_tiles,
    "terrazzo_tiles": floors.terrazzo_tiles,
    "carpet": floors.carpet,
    "planks": floors.planks,
    "parquet": floors.parquet,
    "zigzag_panel": walls.zigzag_panel,
    "plaster": walls.plaster,
    "dark_brick": walls.dark_brick,
    "cardboard": packages.cardboard,
    **{f"print_{i + 1}": partial(packages.front, number=i) for i in range(4)},
}
