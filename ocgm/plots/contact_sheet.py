"""Contact sheets of datasets: images, label maps and factors."""

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ocgm.datasets.builders.colors import hsv_to_rgb
from ocgm.images import to_uint8
from ocgm.plots import palette

if TYPE_CHECKING:
    from ocgm.datasets.builders.base import Factor, Record

# Pixels.
_SHEET_WIDTH = 1400
_MIN_TILE = 96
_MIN_ITEM, _MAX_ITEM = 200, 560
_MARGIN = 16
_GAP = 18
_TILE_GAP = 2
_CAPTION_GAP = 5
_FONT_SIZE = 11
_LINE_HEIGHT = 14
_TITLE_SIZE = 16
_TITLE_HEIGHT = 28
_SWATCH = 9
_LABEL_GAP = 8

_FAINT_INK = (120, 120, 120)

# Factors of objects that are shown before the others.
_FIRST_FACTORS = ("shape", "color", "material", "size", "scale", "x", "y", "orientation")
_MAX_FACTORS = 5
_MAX_FACTS = 3


def contact_sheet(
    records: Sequence["Record"], title: str, factors: Mapping[str, "Factor"]
) -> Image.Image:
    """Draw records side by side: image, label maps if there are any, and a caption.

    Args:
      records: at least one record, as docs/design.md describes them.
      title: a line above all of them.
      factors: the factors that the dataset's builder declares, by name.

    Returns:
      RGB image; tiles are enlarged by a whole factor to at least 96 pixels.
    """
    pictures = [_picture(record) for record in records]
    captions = [_caption(record, factors) for record in records]
    widest = max(pictures[0].width, *(caption.width for caption in captions))
    width = max(_MIN_ITEM, pictures[0].width, min(widest, _MAX_ITEM))
    columns = min(len(records), max(1, (_SHEET_WIDTH - 2 * _MARGIN + _GAP) // (width + _GAP)))
    lines = max(caption.num_lines for caption in captions)
    height = pictures[0].height + _CAPTION_GAP + lines * _LINE_HEIGHT
    num_rows = -(-len(records) // columns)

    title_font = ImageFont.load_default(_TITLE_SIZE)
    sheet_width = 2 * _MARGIN + max(
        columns * (width + _GAP) - _GAP, int(title_font.getlength(title)) + 1
    )
    sheet_height = 2 * _MARGIN + _TITLE_HEIGHT + num_rows * (height + _GAP) - _GAP
    sheet = Image.new("RGB", (sheet_width, sheet_height), palette.PAPER_COLOR)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN), title, fill=palette.INK_COLOR, font=title_font, anchor="la")
    for i, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        row, column = divmod(i, columns)
        left = _MARGIN + column * (width + _GAP)
        top = _MARGIN + _TITLE_HEIGHT + row * (height + _GAP)
        sheet.paste(picture, (left, top))
        caption.draw(draw, left, top + picture.height + _CAPTION_GAP, width)
    return sheet


# ---- pictures


def _picture(record: "Record") -> Image.Image:
    """Return the image and its label maps side by side, all of them as large as the enlarged image."""
    image = record["image"]
    tile = len(image) * -(-_MIN_TILE // len(image))
    maps = [record[name] for name in ("masks", "background_parts") if name in record]
    tiles = [image, *map(palette.label_map, maps)]
    picture = Image.new(
        "RGB", (len(tiles) * (tile + _TILE_GAP) - _TILE_GAP, tile), palette.PAPER_COLOR
    )
    for i, pixels in enumerate(tiles):
        enlarged = Image.fromarray(pixels).resize((tile, tile), Image.Resampling.NEAREST)
        picture.paste(enlarged, (i * (tile + _TILE_GAP), 0))
    return picture


# ---- captions

# Text, or an RGB colour that is drawn as a swatch.
_Cell = str | tuple[int, ...]


class _Caption:
    """Text below a scene: its number of objects, a table of their factors, and factors of the scene.

    The head of a column of the table is the colour of the object in the label map.
    """

    def __init__(
        self,
        head: str,
        colors: Sequence[_Cell],
        table: Mapping[str, Sequence[_Cell]],
        facts: Mapping[str, _Cell],
    ):
        self._rows = {head: list(colors), **{name: list(cells) for name, cells in table.items()}}
        self._facts = facts
        self._font = ImageFont.load_default(_FONT_SIZE)
        names = [*self._rows, *facts]
        self._labels = max(map(self._length, names)) + _LABEL_GAP
        columns = itertools.zip_longest(*self._rows.values(), fillvalue="")
        self._widths = [max(map(self._length, column)) + _LABEL_GAP for column in columns]

    @property
    def num_lines(self) -> int:
        """Number of lines."""
        return len(self._rows) + len(self._facts)

    @property
    def width(self) -> int:
        """Width of the table in pixels."""
        return self._labels + sum(self._widths)

    def draw(self, draw: ImageDraw.ImageDraw, left: int, top: int, width: int) -> None:
        """Draw the caption below an image, within its width."""
        middle = top + _LINE_HEIGHT // 2
        ends = list(itertools.accumulate(self._widths, initial=self._labels))
        ink = palette.INK_COLOR
        for name, cells in self._rows.items():
            self._text(draw, left, middle, name, ink)
            for cell, start, end in zip(cells, ends, ends[1:], strict=False):
                if end - _LABEL_GAP <= width:
                    self._cell(draw, left + start, middle, cell, end - start)
            middle, ink = middle + _LINE_HEIGHT, _FAINT_INK
        for name, cell in self._facts.items():
            self._text(draw, left, middle, name, _FAINT_INK)
            self._cell(draw, left + self._labels, middle, cell, width - self._labels)
            middle += _LINE_HEIGHT

    def _length(self, cell: _Cell) -> int:
        return int(self._font.getlength(cell)) + 1 if isinstance(cell, str) else _SWATCH

    def _cell(
        self, draw: ImageDraw.ImageDraw, x: float, middle: float, cell: _Cell, width: float
    ) -> None:
        if not isinstance(cell, str):
            box = (x, middle - _SWATCH // 2, x + _SWATCH, middle + _SWATCH // 2 + 1)
            draw.rectangle(box, fill=cell, outline=palette.INK_COLOR)
            return
        if self._length(cell) > width:
            cell = cell[: int(width)]
            while cell and self._length(f"{cell}...") > width:
                cell = cell[:-1]
            cell = f"{cell}..."
        self._text(draw, x, middle, cell, palette.INK_COLOR)

    def _text(
        self, draw: ImageDraw.ImageDraw, x: float, middle: float, text: str, ink: tuple[int, ...]
    ) -> None:
        draw.text((x, middle), text, fill=ink, font=self._font, anchor="lm")


def _caption(record: "Record", factors: Mapping[str, "Factor"]) -> _Caption:
    count = int(record["num_objects"])
    values = {name: np.asarray(record["factors"][name]) for name in factors}
    table = {
        name: [_cell(value, name, factors[name]) for value in values[name][:count]]
        for name in _in_table(factors)[:_MAX_FACTORS]
    }
    of_scene = [name for name, factor in factors.items() if factor.of == "scene"]
    # Numbers, vectors and text; neither tables nor nested factors.
    shown = [n for n in of_scene if values[n].ndim < 2 and values[n].dtype != object]
    facts = {name: _cell(values[name], name, factors[name]) for name in shown[:_MAX_FACTS]}
    head = "1 object" if count == 1 else f"{count} objects"
    if not count and "masks" not in record:
        head = "objects not labelled"
    has_heads = "masks" in record and table
    colors = map(tuple, palette.mask_colors(count if has_heads else 0).tolist())
    return _Caption(head, list(colors), table, facts)


def _in_table(factors: Mapping[str, "Factor"]) -> list[str]:
    """Return the names of the factors of objects that fit into the table, the most telling ones first."""
    names = [
        name
        for name, factor in factors.items()
        if factor.of == "object" and (len(factor.feature.shape) == 1 or "color" in name)
    ]
    return sorted(names, key=lambda n: _FIRST_FACTORS.index(n) if n in _FIRST_FACTORS else 99)


def _cell(value: Any, name: str, factor: "Factor") -> _Cell:
    """Return a colour as RGB, a class by its name, and anything else as text."""
    value = np.asarray(value)
    if value.ndim and "color" in name:
        return _rgb(value, factor.space)
    if factor.names and not value.ndim:
        return factor.names[int(value)]
    return ",  ".join(map(_value_text, np.atleast_1d(value)))


def _value_text(value: Any) -> str:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2f}"
    return str(value)


def _rgb(value: np.ndarray, space: str) -> tuple[int, ...]:
    """Return a colour of one or three channels, uint8 or float in [0, 1], as RGB."""
    if space == "hsv":
        value = hsv_to_rgb(*value)
    if value.dtype != np.uint8:
        value = to_uint8(value)
    return tuple(np.broadcast_to(value, 3).tolist())
