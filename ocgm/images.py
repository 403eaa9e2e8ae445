"""Conversion between 8-bit and floating-point images, for NumPy and JAX arrays."""

from typing import TypeVar

import jax
import numpy as np
from PIL import Image

# Name and value of a text in the PNG files of figures, by which they are told from images.
FIGURE_MARK = ("Software", "ocgm")

Array = jax.Array | np.ndarray
_Array = TypeVar("_Array", jax.Array, np.ndarray)


def to_float(images: _Array) -> _Array:
    """Convert uint8 images to float32 in [0, 1].

    Args:
      images: uint8 [...].

    Returns:
      float32 [...], a NumPy array for a NumPy array and a JAX array for a JAX array.
    """
    return images.astype(np.float32) / np.float32(255)


def to_uint8(images: Array) -> np.ndarray:
    """Convert float images to uint8 by rounding; values outside [0, 1] are clipped.

    Args:
      images: float [...].

    Returns:
      uint8 [...].
    """
    return np.round(255 * np.clip(np.asarray(images, np.float32), 0, 1)).astype(np.uint8)


def crop_and_resize(image: np.ndarray, size: int) -> np.ndarray:
    """Crop the central square of an image and resize it with Pillow's bilinear filter.

    The filter averages over the source pixels where it makes an image smaller.

    Args:
      image: uint8 or float [H, W, 3].
      size: side of the result in pixels.

    Returns:
      [size, size, 3] of the same dtype.
    """
    height, width, _ = image.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    if image.dtype == np.uint8:
        return np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.BILINEAR))
    # Pillow resizes floats one channel at a time.
    channels = [
        Image.fromarray(channel).resize((size, size), Image.Resampling.BILINEAR)
        for channel in np.moveaxis(square.astype(np.float32), -1, 0)
    ]
    resized = np.stack([np.asarray(channel) for channel in channels], axis=-1)
    return np.clip(resized, square.min(), square.max()).astype(image.dtype)
