"""Draw synthetic datasets beside samples of the published ones: python -m experiments.look_alikes --output=FILE.png.

The figure has two rows for each dataset: published samples found in `--samples`, and the first training images of its
synthetic counterpart. Samples of NAME are the `image` arrays of NAME*.npz and the images NAME*.png and NAME*.jpg,
cropped to the central square; where there are none, the caption states it. Nothing is downloaded or prepared.
"""

import pathlib

import numpy as np
from absl import flags
from PIL import Image, ImageDraw, ImageFont

from ocgm.commands import cli
from ocgm.data import open_builder, registry
from ocgm.datasets.builders.image_files import load_images
from ocgm.plots import figures

_OUTPUT = flags.DEFINE_string("output", "experiments/figures/look_alikes.png", "PNG file to write.")
_SAMPLES = flags.DEFINE_string(
    "samples", "tests/datasets/fixtures", "Directory of published samples."
)
_DATASETS = flags.DEFINE_list(
    "datasets",
    [spec.name for spec in registry.DATASETS.values() if spec.stand_in],
    "Published datasets to draw, comma-separated.",
)
_COLUMNS = flags.DEFINE_integer("columns", 8, "Images per row.", 1)
_SIDE = flags.DEFINE_integer("side", 96, "Side of an image in the figure, in pixels.", 16)

_GAP, _MARGIN, _CAPTION = 4, 8, 16


def published(name: str, folder: pathlib.Path, side: int) -> list[Image.Image]:
    """Return the samples of a published dataset in a directory, square and of the dataset's side."""
    arrays = [np.load(path)["image"] for path in sorted(folder.glob(f"{name}*.npz"))]
    pictures = [*folder.glob(f"{name}*.png"), *folder.glob(f"{name}*.jpg")]
    found = [_square(Image.fromarray(image), side) for array in arrays for image in _rgb(array)]
    if pictures:
        found += map(Image.fromarray, load_images(sorted(pictures), side)[1])
    return found


def synthetic(name: str, count: int) -> list[Image.Image]:
    """Return training images of a generated dataset: the first ones, or one per block where a scene has several."""
    builder = open_builder(registry.default_config(name))
    if registry.get_spec(name).grouped:
        images = [builder.block("train", i)["image"][i % builder.BLOCK] for i in range(count)]
    else:
        images = builder.block("train", 0)["image"][:count]
    return list(map(Image.fromarray, images))


def _rgb(images: np.ndarray) -> np.ndarray:
    """Return RGB images; binary images have one channel, 0 or 255."""
    return np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images


def _square(image: Image.Image, side: int) -> Image.Image:
    short = min(image.size)
    left, upper = (image.width - short) // 2, (image.height - short) // 2
    square = image.crop((left, upper, left + short, upper + short))
    return square.resize((side, side), Image.Resampling.BILINEAR)


def page(rows: list[tuple[str, list[Image.Image]]], columns: int, side: int) -> Image.Image:
    """Return rows of images under captions."""
    height = _CAPTION + side + _GAP
    width = 2 * _MARGIN + columns * (side + _GAP)
    sheet = Image.new("RGB", (width, 2 * _MARGIN + len(rows) * height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for i, (caption, pictures) in enumerate(rows):
        top = _MARGIN + i * height
        draw.text((_MARGIN, top), caption, "black", font)
        for j, picture in enumerate(pictures[:columns]):
            place = (_MARGIN + j * (side + _GAP), top + _CAPTION)
            sheet.paste(picture.resize((side, side), Image.Resampling.NEAREST), place)
    return sheet


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    folder, rows = cli.folder(_SAMPLES.value), []
    for name in _DATASETS.value:
        spec = registry.get_spec(name)
        samples = published(name, folder, spec.image_size)
        caption = f"{spec.title}, published" if samples else f"{spec.title}: no published sample"
        rows.append((caption, samples))
        stand_in = registry.get_spec(spec.stand_in)
        rows.append((stand_in.title, synthetic(stand_in.name, _COLUMNS.value)))
    figures.save_png(cli.folder(_OUTPUT.value), page(rows, _COLUMNS.value, _SIDE.value))
    print(f"wrote {_OUTPUT.value}")


if __name__ == "__main__":
    cli.run(main)
