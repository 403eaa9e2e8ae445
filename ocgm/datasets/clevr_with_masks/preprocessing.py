"""Conversion of CLEVR's 240x320 images to the square ones of the papers."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from PIL import Image

from ocgm.datasets.builders import resizing

_CROP_SIDE = 192


class Preprocessing(NamedTuple):
    """Cropping and resizing by a paper's loader.

    Attributes:
      box: rows and columns of the crop, 192x192 pixels.
      image: resizes uint8 [192, 192, 3] to a side in pixels.
      mask_pixels: maps that side to the rows, and columns, of the crop at which masks are sampled.
    """

    box: tuple[slice, slice]
    image: Callable[[np.ndarray, int], np.ndarray]
    mask_pixels: Callable[[int], np.ndarray]


def _nearest(image: np.ndarray, size: int) -> np.ndarray:
    return resizing.pick(image, _nearest_pixels(size))


def _bicubic(image: np.ndarray, size: int) -> np.ndarray:
    return resizing.pillow(image, size, Image.Resampling.BICUBIC)


def _nearest_pixels(size: int) -> np.ndarray:
    return resizing.nearest_pixels(_CROP_SIDE, size)


def _centred_pixels(size: int) -> np.ndarray:
    return resizing.centred_pixels(_CROP_SIDE, size)


def _all_pixels(size: int) -> np.ndarray:
    del size
    return np.arange(_CROP_SIDE)


_COLUMNS = slice(64, 256)
_LOWER_BOX = (slice(29, 221), _COLUMNS)
_MIDDLE_BOX = (slice(24, 216), _COLUMNS)

# By protocol.
PREPROCESSING: Mapping[str, Preprocessing] = {
    # Pillow's default filter, which is antialiased. Masks are scored at their native side.
    "efficient_morl": Preprocessing(_LOWER_BOX, _bicubic, _all_pixels),
    # `tf.image.resize` of TensorFlow 2.
    "slot_attention": Preprocessing(_LOWER_BOX, resizing.bilinear, _centred_pixels),
    "genesis": Preprocessing(_MIDDLE_BOX, _nearest, _nearest_pixels),
}
