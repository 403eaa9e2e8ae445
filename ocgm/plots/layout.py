"""Layout of figures: a grid of enlarged tiles with captions above the columns and beside the rows."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ocgm.plots.palette import INK_COLOR, PAPER_COLOR

# Pixels.
GAP = 6
MARGIN = 12
LINE_HEIGHT = 16
_MIN_TILE = 96
_FRAME = 4
_FONT_SIZE = 13


class Column(NamedTuple):
    """A column of a grid.

    Attributes:
      caption: text above the column; may have several lines.
      tiles: images of the rows, uint8 [B, H, W, 3].
      frame_color: color of the frames around the tiles.
    """

    caption: str
    tiles: np.ndarray
    frame_color: tuple[int, ...] = PAPER_COLOR


def font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the font of captions."""
    return ImageFont.load_default(_FONT_SIZE)


def text_width(lines: Sequence[str]) -> int:
    """Return the width of the longest line in pixels."""
    return max((-int(-font().getlength(line) // 1) for line in lines), default=0)


def grid(columns: Sequence[Column], row_captions: Sequence[str] = ()) -> Image.Image:
    """Draw columns of enlarged tiles with their captions.

    Args:
      columns: columns of the same number of tiles [B, H, W, 3].
      row_captions: texts to the left of the B rows, if any.

    Returns:
      RGB image; tiles are enlarged by an integer factor to at least 96 pixels.
    """
    num_rows, height, width, _ = columns[0].tiles.shape
    factor = max(1, -(-_MIN_TILE // min(height, width)))
    cell_width, cell_height = (factor * side + 2 * _FRAME for side in (width, height))
    lines = [line for caption in row_captions for line in caption.split("\n")]
    left = MARGIN + (text_width(lines) + GAP if lines else 0)
    head = LINE_HEIGHT * max(1 + column.caption.count("\n") for column in columns) + GAP
    size = (
        left + MARGIN + len(columns) * (cell_width + GAP) - GAP,
        2 * MARGIN + head + num_rows * (cell_height + GAP) - GAP,
    )
    figure = Image.new("RGB", size, PAPER_COLOR)
    draw = ImageDraw.Draw(figure)
    tops = [MARGIN + head + row * (cell_height + GAP) for row in range(num_rows)]
    for caption, top in zip(row_captions, tops, strict=False):
        _write(draw, (left - GAP, top + cell_height / 2), caption, "rm", "right")
    for i, column in enumerate(columns):
        x = left + i * (cell_width + GAP)
        _write(draw, (x + cell_width / 2, MARGIN + head - GAP), column.caption, "md", "center")
        for tile, y in zip(column.tiles, tops, strict=True):
            cell = (x, y, x + cell_width - 1, y + cell_height - 1)
            draw.rectangle(cell, fill=column.frame_color)
            enlarged = Image.fromarray(tile.repeat(factor, axis=0).repeat(factor, axis=1))
            figure.paste(enlarged, (x + _FRAME, y + _FRAME))
    return figure


def _write(
    draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, anchor: str, align: str
) -> None:
    draw.multiline_text(place, text, fill=INK_COLOR, font=font(), anchor=anchor, align=align)
