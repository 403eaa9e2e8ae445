"""A contact sheet of a dataset: images, label maps, and what is known of the scenes."""

import itertools
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ml_collections import ConfigDict
from PIL import Image, ImageDraw, ImageFont

from ocgm.commands import datasets
from ocgm.data import registry, storage
from ocgm.errors import UserError
from ocgm.images import to_uint8
from ocgm.plots import figures, palette

if TYPE_CHECKING:
    from ocgm.datasets.builders.base import Factor, Record, SceneBuilder

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

# Of the factors of objects those that say most come first.
_FIRST_FACTORS = ("shape", "color", "material", "size", "scale", "x", "y", "orientation")
_MAX_FACTORS = 5
_MAX_FACTS = 3


def write(
    data_config: ConfigDict, split: str, num_images: int, output: pathlib.Path
) -> Iterator[str]:
    """Writes a contact sheet of the first images of a split, and yields what to tell of it.

    A generated dataset that is not on disk is not written there: only the scenes that are shown are
    made.

    Args:
      data_config: the `data` part of a config.
      split: name of the split.
      num_images: how many images; fewer are shown if the split has fewer.
      output: the PNG file.

    Raises:
      UserError: see `storage.open_builder`; if a published dataset is not on disk; or if there is
        no such split.
    """
    builder = storage.open_builder(data_config)
    datasets.check_image_size(builder, data_config)
    records = list(itertools.islice(_records(builder, data_config, split), num_images))
    spec = registry.get_spec(data_config.name)
    title = f"{spec.title}:  {builder.info.full_name}, {split}, first {len(records)} images"
    figures.save_png(output, contact_sheet(records, title, builder.factors))
    yield f"wrote {output}: {len(records)} images of {builder.info.full_name}, {split}"


def _records(builder: "SceneBuilder", data_config: ConfigDict, split: str) -> Iterator["Record"]:
    from ocgm.datasets.builders import base

    ready = storage.is_ready(builder)
    if not ready and not registry.get_spec(data_config.name).generated:
        raise UserError(
            f"{builder.info.full_name} is not at {builder.data_path}; make it with "
            f"python -m ocgm.data prepare {data_config.name}"
        )
    splits = list(builder.info.splits) if ready else builder.SPLITS
    if split not in splits:
        raise UserError(f"no split '{split}' in {data_config.name}; there are {', '.join(splits)}")
    if ready:
        source = builder.as_data_source(split)
        return (source[i] for i in range(len(source)))
    blocks = (builder.block(split, index) for index in itertools.count())
    records = itertools.chain.from_iterable(map(base.rows, blocks))
    return itertools.islice(records, builder.most(split))


def contact_sheet(
    records: Sequence["Record"], title: str, factors: Mapping[str, "Factor"]
) -> Image.Image:
    """Draws records side by side: image, label maps where there are some, and a caption.

    Args:
      records: at least one record, as docs/design.md describes them.
      title: a line above all of them.
      factors: the dataset's, as its builder declares them.

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
    """The image and its label maps side by side, all of them as large as the enlarged image."""
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
    """What is known of a scene: its number of objects, a table of them, and lines of facts.

    The columns of the table are headed by the colours that the objects have in the label map.
    """

    def __init__(self, head: str, table: dict[str, np.ndarray], facts: dict[str, Any], masks: bool):
        self._head, self._table, self._facts, self._masks = head, table, facts, masks
        self._font = ImageFont.load_default(_FONT_SIZE)

    @property
    def num_lines(self) -> int:
        """Number of lines."""
        return 1 + len(self._table) + len(self._facts)

    def draw(self, draw: ImageDraw.ImageDraw, left: int, top: int, width: int) -> None:
        """Writes below a picture, within its width."""
        names = [self._head, *self._table]
        labels = int(max(map(self._font.getlength, names))) + _LABEL_GAP
        count = max(map(len, self._table.values()), default=0)
        columns = range(min(count, (width - labels) // _CELL_WIDTH))
        middle = top + _LINE_HEIGHT // 2
        self._text(draw, left, middle, self._head, width)
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
        for name, value in self._facts.items():
            middle += _LINE_HEIGHT
            self._text(draw, left, middle, name, width, _FAINT_INK)
            x = left + int(self._font.getlength(name)) + _LABEL_GAP
            if _is_color(name, value):
                _swatch(draw, x, middle, _rgb(value))
            else:
                text = ",  ".join(map(_value_text, np.atleast_1d(value)))
                self._text(draw, x, middle, text, left + width - x)

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
    facts = {name: values[name] for name in of_scene if values[name].ndim < 2}
    facts = dict(itertools.islice(facts.items(), _MAX_FACTS))
    head = "1 object" if count == 1 else f"{count} objects"
    if not count and "masks" not in record:
        head = "objects not labelled"
    return _Caption(head, table, facts, "masks" in record)


def _in_table(factors: Mapping[str, "Factor"]) -> list[str]:
    """Return the names of the factors of objects that fit into a column, those that say most first."""
    names = [
        name
        for name, factor in factors.items()
        if factor.of == "object" and (len(factor.feature.shape) == 1 or "color" in name)
    ]
    return sorted(names, key=lambda n: _FIRST_FACTORS.index(n) if n in _FIRST_FACTORS else 99)


def _is_color(name: str, value: np.ndarray) -> bool:
    """Returns whether a value is one colour: its channels, and not a code for it."""
    return "color" in name and value.shape in ((1,), (3,)) and value.dtype.kind in "uf"


def _value_text(value: Any) -> str:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2f}"
    return str(value)


def _rgb(value: np.ndarray) -> tuple[int, ...]:
    """A colour of one or three channels, uint8 or float in [0, 1], as RGB."""
    if value.dtype != np.uint8:
        value = to_uint8(value)
    return tuple(np.broadcast_to(value, 3).tolist())


def _swatch(draw: ImageDraw.ImageDraw, left: float, middle: float, color: Sequence[int]) -> None:
    box = (left, middle - _SWATCH // 2, left + _SWATCH, middle + _SWATCH // 2 + 1)
    draw.rectangle(box, fill=tuple(color), outline=palette.INK_COLOR)
