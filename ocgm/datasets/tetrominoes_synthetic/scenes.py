"""Random choices and images of synthetic Tetrominoes.

The renderer was fitted to DeepMind's files and reproduces their images exactly. As in them, `x` is
the row and `y` the column of the upper left corner of a piece's bounding box.
"""

import dataclasses
import itertools

import numpy as np

from ocgm.datasets.builders.generated import uniform_integers

IMAGE_SIZE = 35
NUM_PIECES = 3
CELL_SIZE = 5

# Rows of cells of each piece, by its code in DeepMind's files. Codes 1 and 8 would be the two fixed
# tetrominoes that are not in the files: the lying I and 01/01/11.
SHAPES = {
    2: "1/1/1/1",
    3: "111/100",
    4: "100/111",
    5: "001/111",
    6: "111/001",
    7: "11/01/01",
    9: "11/10/10",
    10: "10/10/11",
    11: "110/011",
    12: "011/110",
    13: "01/11/10",
    14: "10/11/01",
    15: "010/111",
    16: "111/010",
    17: "01/11/01",
    18: "10/11/10",
    19: "11/11",
}

# Red, green, blue, yellow, magenta, cyan; 1 is full intensity.
COLORS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], np.uint8)

# Values of full intensity inside a cell, lit from above.
_BEVEL = np.array(
    [
        [191, 255, 255, 255, 223],
        [127, 159, 159, 159, 191],
        [127, 159, 159, 159, 191],
        [127, 159, 159, 159, 191],
        [95, 63, 63, 63, 127],
    ],
    np.uint8,
)


def _cells(rows: str) -> list[tuple[int, int]]:
    return [
        (i, j) for i, row in enumerate(rows.split("/")) for j, cell in enumerate(row) if cell == "1"
    ]


# [20, 4, 2], row and column in pixels of the upper left corners of a piece's cells; zeros for codes
# that do not exist.
_CORNERS = CELL_SIZE * np.array(
    [_cells(SHAPES[code]) if code in SHAPES else [(0, 0)] * 4 for code in range(max(SHAPES) + 1)]
)
# [20, 2], last row and column at which a piece is inside the image.
_LAST = IMAGE_SIZE - CELL_SIZE - _CORNERS.max(axis=1)


@dataclasses.dataclass(frozen=True)
class Scenes:
    """Random choices of N scenes.

    Attributes:
      x: int32 [N, 3], row of the upper left corner of each piece's bounding box, in pixels.
      y: int32 [N, 3], column of it.
      shape: int32 [N, 3], a key of `SHAPES`.
      color: uint8 [N, 3, 3], RGB, 0 or 1 a channel.
    """

    x: np.ndarray
    y: np.ndarray
    shape: np.ndarray
    color: np.ndarray


def draw_scenes(rng: np.random.Generator, count: int) -> Scenes:
    """Draw scenes of three pieces that are inside the image and do not overlap.

    DeepMind published no generator. Shapes and colours are uniform and independent, as they appear to
    be in the published files: all 17 shapes and 6 colours are about equally frequent, and colours
    repeat. Positions are uniform over those at which no two pieces overlap; pieces may touch, as in
    the files.

    Args:
      rng: source of randomness.
      count: number of scenes N.
    """
    shape = np.array(list(SHAPES), np.int32)[
        uniform_integers(rng, len(SHAPES), (count, NUM_PIECES))
    ]
    color = COLORS[uniform_integers(rng, len(COLORS), (count, NUM_PIECES))]
    corner = np.zeros((count, NUM_PIECES, 2), np.int32)
    pending = np.arange(count)
    while pending.size:
        bound = _LAST[shape[pending]] + 1
        corner[pending] = uniform_integers(rng, bound, bound.shape)
        pending = pending[_overlap(_cell_corners(shape[pending], corner[pending]))]
    return Scenes(x=corner[..., 0], y=corner[..., 1], shape=shape, color=color)


def _cell_corners(shape: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """Return row and column of the upper left pixel of every cell, int [N, 3, 4, 2]."""
    return corner[:, :, None] + _CORNERS[shape]


def _overlap(cells: np.ndarray) -> np.ndarray:
    """Check whether cells [N, 3, 4, 2] of different pieces share a pixel, bool [N]."""
    first, second = np.array(list(itertools.combinations(range(NUM_PIECES), 2))).T
    apart = np.abs(cells[:, first, :, None] - cells[:, second, None, :])
    return (apart < CELL_SIZE).all(-1).any((1, 2, 3))


def render_scenes(scenes: Scenes) -> dict[str, np.ndarray]:
    """Draw scenes on black.

    Returns:
      `image` uint8 [N, 35, 35, 3]; `masks` uint8 [N, 35, 35], 0 for the background and 1 to 3 for
      the pieces.
    """
    n = len(scenes.shape)
    cells = _cell_corners(scenes.shape, np.stack([scenes.x, scenes.y], axis=-1))
    offset = np.arange(CELL_SIZE)
    rows = cells[..., 0, None, None] + offset[:, None]
    columns = cells[..., 1, None, None] + offset
    scene = np.arange(n).reshape(n, 1, 1, 1, 1)
    masks = np.zeros((n, IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    masks[scene, rows, columns] = np.arange(1, NUM_PIECES + 1).reshape(NUM_PIECES, 1, 1, 1)
    brightness = np.zeros_like(masks)
    brightness[scene, rows, columns] = _BEVEL
    # The background's brightness is 0, so that its colour has no effect.
    palette = np.pad(scenes.color, ((0, 0), (1, 0), (0, 0)))
    color = palette[np.arange(n)[:, None, None], masks]
    return {"image": brightness[..., None] * color, "masks": masks}
