"""Conversion between 8-bit and floating-point images, for NumPy and JAX arrays."""

import jax
import numpy as np


def to_float(images: np.ndarray | jax.Array) -> np.ndarray | jax.Array:
    """Convert uint8 images to float32 in [0, 1].

    Args:
      images: uint8 [...].

    Returns:
      float32 [...], a NumPy array for a NumPy array and a JAX array for a JAX array.
    """
    return images.astype(np.float32) / np.float32(255)


def to_uint8(images: np.ndarray | jax.Array) -> np.ndarray:
    """Convert float images to uint8 by rounding; values outside [0, 1] are clipped.

    Args:
      images: float [...].

    Returns:
      uint8 [...].
    """
    return np.round(255 * np.clip(np.asarray(images, np.float32), 0, 1)).astype(np.uint8)
