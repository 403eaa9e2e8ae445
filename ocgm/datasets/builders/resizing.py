"""Ways of resizing, each as in one of the papers."""

import numpy as np
from PIL import Image


def nearest(images: np.ndarray, size: int) -> np.ndarray:
    """Resize to the nearest pixels, as the GENESIS papers' loaders.

    Args:
      images: square images or label maps, [N, S, S, ...].
      size: side of the result in pixels.

    Returns:
      [N, size, size, ...]; `images` itself if they have this side.
    """
    side = images.shape[1]
    if side == size:
        return images
    pixels = nearest_pixels(side, size)
    return images[:, pixels[:, None], pixels]


def nearest_pixels(side: int, size: int) -> np.ndarray:
    """Return int [size]: for each pixel i the pixel floor(i * side / size) that is copied to it.

    PyTorch's `interpolate` and TensorFlow 1 use the same ones.
    """
    return np.arange(size) * side // size


def centred_pixels(side: int, size: int) -> np.ndarray:
    """Return int [size]: for each pixel the pixel that holds its centre, as TensorFlow 2."""
    return (2 * np.arange(size) + 1) * side // (2 * size)


def pick(array: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return the same rows and columns of [H, W, ...]: [len(pixels), len(pixels), ...]."""
    return array[pixels[:, None], pixels]


def bilinear(image: np.ndarray, size: int) -> np.ndarray:
    """Resize bilinearly as TensorFlow 2's `tf.image.resize`: half-pixel centres, no antialiasing.

    Args:
      image: uint8 [H, W, C].
      size: side of the result.

    Returns:
      uint8 [size, size, C]; TensorFlow's are floats, here they are rounded.
    """
    low, high, part = _neighbours(image.shape[0], size)
    rows = _mix(image[low], image[high], part[:, None, None])
    low, high, part = _neighbours(image.shape[1], size)
    return np.rint(_mix(rows[:, low], rows[:, high], part[:, None])).astype(np.uint8)


def _neighbours(side: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the two pixels between which each pixel lies, and its distance from the first one."""
    place = (np.arange(size) + 0.5) * side / size - 0.5
    before = np.floor(place)
    low, high = (np.clip(before + i, 0, side - 1).astype(int) for i in (0, 1))
    return low, high, (place - before).astype(np.float32)


def _mix(low: np.ndarray, high: np.ndarray, part: np.ndarray) -> np.ndarray:
    return low + (high - low.astype(np.float32)) * part


def pillow(image: np.ndarray, size: int, resample: Image.Resampling) -> np.ndarray:
    """Resize uint8 [H, W, 3] with an antialiased filter of Pillow to [size, size, 3]."""
    return np.asarray(Image.fromarray(image).resize((size, size), resample))
