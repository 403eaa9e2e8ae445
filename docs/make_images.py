"""Make the images of the documentation: python docs/make_images.py.

Draws the shipped models' reconstructions of the first test images of their datasets, which are generated, and a
contact sheet of every generated dataset. The diagrams (.svg) are drawn by hand.
"""

import pathlib
import subprocess
import sys

import jax
import numpy as np
from PIL import Image, ImageDraw, ImageFont

import ocgm
from ocgm.data import eval_batches, registry
from ocgm.images import to_float
from ocgm.plots import figures

_IMAGES = pathlib.Path(__file__).parent / "images"
_SHIPPED = {
    "genesis_v2/multi_dsprites": "GENESIS-V2 on Multi-dSprites",
    "slot_attention/tetrominoes": "Slot Attention on Tetrominoes",
}
_VARIANTS = {
    "multi_dsprites": ("plain", "unique", "vivid"),
    "multi_dsprites_deepmind_synthetic": (
        "colored_on_grayscale",
        "colored_on_colored",
        "binarized",
        "textured",
    ),
}
_TITLE_HEIGHT, _TITLE_SIZE, _MARGIN = 30, 17, 14


def reconstructions(name: str, num_images: int, all_masks: bool) -> Image.Image:
    """Draw what a shipped model makes of the first test images.

    Args:
      name: name of the model.
      num_images: number of images.
      all_masks: show the segmentations of all kinds of masks that the model has, not of one.
    """
    model = ocgm.load(name)
    data = model.data_config()
    data.num_examples = (1, 1, num_images)
    batch = next(iter(eval_batches(data, "test", num_images, num_images)))
    outputs = jax.device_get(model(batch["image"]))
    masks = outputs.log_masks_by_origin if all_masks else {"": outputs.segmentation_log_masks}
    return figures.reconstruction_figure(
        to_float(batch["image"]),
        outputs.reconstruction,
        outputs.log_masks,
        outputs.components,
        masks,
        np.asarray(batch["masks"]),
    )


def stack(pictures: dict[str, Image.Image]) -> Image.Image:
    """Put pictures below each other, each below its title."""
    size = (
        max(picture.width for picture in pictures.values()),
        sum(picture.height + _TITLE_HEIGHT for picture in pictures.values()),
    )
    sheet = Image.new("RGB", size, figures.PAPER_COLOR)
    draw, font, top = ImageDraw.Draw(sheet), ImageFont.load_default(_TITLE_SIZE), 0
    for title, picture in pictures.items():
        draw.text((_MARGIN, top + 10), title, fill=figures.INK_COLOR, font=font)
        sheet.paste(picture, (0, top + _TITLE_HEIGHT))
        top += picture.height + _TITLE_HEIGHT
    return sheet


def contact_sheets(folder: pathlib.Path) -> None:
    """Write contact sheets of all generated datasets and variants."""
    for spec in registry.DATASETS.values():
        for variant in _VARIANTS.get(spec.name, ("",)) if spec.generated else ():
            name = "_".join(filter(None, [spec.name.removesuffix("_synthetic"), variant]))
            command = [sys.executable, "-m", "ocgm", "data", "preview", spec.name]
            options = ["--split=test", "--num_images=3", f"--variant={variant}"]
            output = f"--output={folder / name}.png"
            subprocess.run([*command, *options, output], check=True)


if __name__ == "__main__":
    for name in _SHIPPED:
        file = _IMAGES / f"{name.partition('/')[0]}.png"
        reconstructions(name, 6, all_masks=True).save(file, optimize=True)
    teaser = {title: reconstructions(name, 4, all_masks=False) for name, title in _SHIPPED.items()}
    stack(teaser).save(_IMAGES / "teaser.png", optimize=True)
    contact_sheets(_IMAGES / "datasets")
