"""Contact sheets of datasets: images, label maps and factors."""

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ocgm.images import to_uint8
from ocgm.plots import palette

if TYPE_CHECKING:
    from ocgm.datasets.builders.base import Factor, Record

# Pixels.
_SHEET_WIDTH = 1400
_MIN_TILE = 96
_MIN_ITEM = 200
_MARGIN = 16
_GAP = 18
_TILE_GAP = 2
_CAPTION_GAP = 5
_FONT_SIZE = 11
_LINE_HEIGHT = 14
_TITLE_SIZE = 16
_TITLE_HEIGHT = 28
_SWATCH = 9
_CELL_WIDTH = 30
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
    width = max(_MIN_ITEM, pictures[0].width)
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


class _Caption:
    """Text below a scene: its number of objects, a table of their factors, and factors of the scene.

    The heads of the table's columns are the colours of the objects in the label map.
    """

    def __init__(self, head: str, table: dict[str, np.ndarray], facts: dict[str, Any], masks: bool):
        self._head, self._table, self._facts, self._masks = head, table, facts, masks
        self._font = ImageFont.load_default(_FONT_SIZE)

    @property
    def num_lines(self) -> int:
        """Number of lines."""
        return 1 + len(self._table) + len(self._facts)

    def draw(self, draw: ImageDraw.ImageDraw, left: int, top: int, width: int) -> None:
        """Draw the caption below an image, within its width."""
        middle = top + _LINE_HEIGHT // 2
        self._text(draw, left, middle, self._head, width)
        middle = self._draw_table(draw, left, middle, width)
        for name, value in self._facts.items():
            middle += _LINE_HEIGHT
            self._text(draw, left, middle, name, width, _FAINT_INK)
            x = left + int(self._font.getlength(name)) + _LABEL_GAP
            if "color" in name and value.ndim == 1:
                _swatch(draw, x, middle, _rgb(value))
            else:
                text = ",  ".join(map(_value_text, np.atleast_1d(value)))
                self._text(draw, x, middle, text, left + width - x)

    def _draw_table(self, draw: ImageDraw.ImageDraw, left: int, middle: int, width: int) -> int:
        """Draw the table beside and below its head, and return the middle of its last line."""
        names = [self._head, *self._table]
        labels = int(max(map(self._font.getlength, names))) + _LABEL_GAP
        count = max(map(len, self._table.values()), default=0)
        columns = range(min(count, (width - labels) // _CELL_WIDTH))
        if self._masks:
            for i, color in zip(columns, palette.mask_colors(count).tolist(), strict=False):
                _swatch(draw, left + labels + i * _CELL_WIDTH, middle, color)
        for name, values in self._table.items():
            middle += _LINE_HEIGHT
            self._text(draw, left, middle, name, labels, _FAINT_INK)
            for i in columns:
                x = left + labels + i * _CELL_WIDTH
                if np.ndim(values[i]):
                    _swatch(draw, x, middle, _rgb(values[i]))
                else:
                    self._text(draw, x, middle, _value_text(values[i]), _CELL_WIDTH)
        return middle

    def _text(
        self,
        draw: ImageDraw.ImageDraw,
        x: float,
        middle: float,
        text: str,
        width: float,
        ink: tuple[int, ...] = palette.INK_COLOR,
    ) -> None:
        if self._font.getlength(text) > width:
            text = text[: int(width)]
            while text and self._font.getlength(f"{text}...") > width:
                text = text[:-1]
            text = f"{text}..."
        draw.text((x, middle), text, fill=ink, font=self._font, anchor="lm")


def _caption(record: "Record", factors: Mapping[str, "Factor"]) -> _Caption:
    count = int(record["num_objects"])
    values = {name: np.asarray(record["factors"][name]) for name in factors}
    table = {name: values[name][:count] for name in _in_table(factors)[:_MAX_FACTORS]}
    of_scene = [name for name, factor in factors.items() if factor.of == "scene"]
    # Numbers, vectors and text; neither tables nor nested factors.
    facts = {n: values[n] for n in of_scene if values[n].ndim < 2 and values[n].dtype != object}
    facts = dict(itertools.islice(facts.items(), _MAX_FACTS))
    head = "1 object" if count == 1 else f"{count} objects"
    if not count and "masks" not in record:
        head = "objects not labelled"
    return _Caption(head, table, facts, "masks" in record)


def _in_table(factors: Mapping[str, "Factor"]) -> list[str]:
    """Return the names of the factors of objects that fit into the table, the most telling ones first."""
    names = [
        name
        for name, factor in factors.items()
        if factor.of == "object" and (len(factor.feature.shape) == 1 or "color" in name)
    ]
    return sorted(names, key=lambda n: _FIRST_FACTORS.index(n) if n in _FIRST_FACTORS else 99)


def _value_text(value: Any) -> str:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2f}"
    return str(value)


def _rgb(value: np.ndarray) -> tuple[int, ...]:
    """Return a colour of one or three channels, uint8 or float in [0, 1], as RGB."""
    if value.dtype != np.uint8:
        value = to_uint8(value)
    return tuple(np.broadcast_to(value, 3).tolist())


def _swatch(draw: ImageDraw.ImageDraw, left: float, middle: float, color: Sequence[int]) -> None:
    box = (left, middle - _SWATCH // 2, left + _SWATCH, middle + _SWATCH // 2 + 1)
    draw.rectangle(box, fill=tuple(color), outline=palette.INK_COLOR)
