"""Image files for tests of their readers, and records read from the disk."""

import io

import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from ocgm.data import storage


def encoded(picture: Image.Image, kind: str) -> bytes:
    """Encode a picture."""
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


def scenery(seed: int, width: int, height: int) -> Image.Image:
    """Draw an RGB picture of coarse and fine structure."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8))
    pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), int)
    return Image.fromarray((pixels + rng.integers(-20, 21, pixels.shape)).clip(0, 255).astype("u1"))


def prepared(config: ConfigDict, **options: bool) -> dict[str, list[dict]]:
    """Prepare a dataset and read the records of each split."""
    builder = storage.prepare(config, **options)
    return {split: list(builder.as_data_source(split)) for split in builder.info.splits}
