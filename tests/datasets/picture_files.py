"""Pictures for tests of what reads picture files, and records by way of the disk."""

import io

import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from ocgm.data import storage


def encoded(picture: Image.Image, kind: str) -> bytes:
    """The file of a picture."""
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


def scenery(seed: int, width: int, height: int) -> Image.Image:
    """An RGB picture of coarse and fine structure, another one for every seed."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8))
    pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), int)
    return Image.fromarray((pixels + rng.integers(-20, 21, pixels.shape)).clip(0, 255).astype("u1"))


def prepared(config: ConfigDict, **options: bool) -> dict[str, list[dict]]:
    """The records of each split, by way of the disk."""
    builder = storage.prepare(config, **options)
    return {split: list(builder.as_data_source(split)) for split in builder.info.splits}
