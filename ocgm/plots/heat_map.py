"""Heat map of the activeness of latent dimensions."""

from collections.abc import Sequence

import chex
import numpy as np
from PIL import Image, ImageDraw

from ocgm.plots.layout import GAP, LINE_HEIGHT, MARGIN, font, text_width
from ocgm.plots.palette import INK_COLOR, PAPER_COLOR, heat_colors

# Pixels.
_CELL_WIDTH = 6
_MIN_WIDTH = 480
_LEGEND_WIDTH = 120


def activeness_figure(activeness: np.ndarray) -> Image.Image:
    """Draw a heat map: a row per latent dimension, the most active one on top, and a column per image.

    Args:
      activeness: variance of pixels, float [N, D], of `ocgm.evaluation.activeness.activeness`.

    Returns:
      RGB image with the mean of each row beside it.

    Raises:
      AssertionError: wrong rank.
    """
    chex.assert_rank(activeness, 2)
    num_images = len(activeness)
    means = activeness.mean(axis=0)
    order = np.argsort(-means, kind="stable")
    # A few dimensions are much more active than the rest; the root keeps the rest visible.
    heat = np.sqrt(activeness.T[order])
    largest = float(heat.max())
    cells = heat_colors(heat / max(largest, 1e-30)).repeat(LINE_HEIGHT, axis=0)
    cells = cells.repeat(max(_CELL_WIDTH, _MIN_WIDTH // num_images), axis=1)

    labels = [f"z[{dimension}]" for dimension in order]
    numbers = [f"{mean:.2g}" for mean in means[order]]
    left, top = MARGIN + text_width(["dimension", *labels]) + GAP, MARGIN + LINE_HEIGHT + GAP
    right = left + cells.shape[1] + GAP
    width = right + text_width(["mean", *numbers]) + MARGIN
    figure = Image.new("RGB", (width, top + len(cells) + 3 * MARGIN), PAPER_COLOR)
    figure.paste(Image.fromarray(cells), (left, top))
    draw = ImageDraw.Draw(figure)
    _write(draw, (left, MARGIN + LINE_HEIGHT), f"{num_images} images", "ld")
    _write_column(draw, (left - GAP, top), "dimension", labels, "r")
    _write_column(draw, (right, top), "mean", numbers, "l")
    _draw_scale(figure, (left, top + len(cells) + MARGIN), largest)
    return figure


def _write(draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, anchor: str) -> None:
    draw.text(place, text, fill=INK_COLOR, font=font(), anchor=anchor)


def _write_column(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], head: str, texts: Sequence[str], side: str
) -> None:
    """Write texts beside the rows that begin at `place`, and a head above them."""
    x, top = place
    _write(draw, (x, top - GAP), head, f"{side}d")
    for row, text in enumerate(texts):
        _write(draw, (x, top + (row + 0.5) * LINE_HEIGHT), text, f"{side}m")


def _draw_scale(figure: Image.Image, place: tuple[int, int], largest: float) -> None:
    """Draw the color scale: text, a bar from 0 to the largest value, text."""
    draw = ImageDraw.Draw(figure)
    left, top = place
    middle = top + LINE_HEIGHT / 2
    caption = "standard deviation of pixels  0"
    bar_left = left + text_width([caption]) + GAP
    bar = heat_colors(np.linspace(0, 1, _LEGEND_WIDTH))[None].repeat(LINE_HEIGHT, axis=0)
    figure.paste(Image.fromarray(bar), (bar_left, top))
    _write(draw, (left, middle), caption, "lm")
    _write(draw, (bar_left + _LEGEND_WIDTH + GAP, middle), f"{largest:.2g}", "lm")
