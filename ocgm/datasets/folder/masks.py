"""Masks of the user's images."""

import pathlib

import numpy as np

from ocgm.datasets.builders import decoding
from ocgm.datasets.builders.image_files import Original
from ocgm.datasets.builders.resizing import centred_pixels, pick
from ocgm.errors import ImageError

MAX_LABEL = 63
# In records: pixels that no metric counts. In files: their label and, where labels are colours, their colour in PASCAL
# VOC's palette.
VOID = -1
_VOID_LABEL, _VOID_COLOR = 255, 224 << 16 | 224 << 8 | 192

_LABEL_MODES = ("1", "L", "LA", "P", "I", "I;16")
_COLOR_MODES = ("RGB", "RGBA")


def load_mask(
    path: pathlib.Path, original: Original, image_size: int, has_void: bool = False
) -> tuple[np.ndarray, int]:
    """Read a mask, crop it like its image and resize it to the nearest pixels.

    Args:
      path: of an image with labels as grey values or palette indices, or a colour for each label; or of an npy file
        with labels [H, W]. 0, black and transparent pixels are the background.
      original: the image.
      image_size: side of the result in pixels.
      has_void: whether pixels with label 255, or its colour in PASCAL VOC, do not count.

    Returns:
      labels: [image_size, image_size], 0 for the background, others 1 to n in the order of their values or colours
        (red, then green, then blue), `VOID` for pixels that do not count; int8 with `has_void`, else uint8.
      n: number of labels in the result.

    Raises:
      ImageError: if the file cannot be read, is not a mask, or does not fit the image.
    """
    values, void = _array(path) if path.suffix == ".npy" else _image(path)
    if values.shape != (original.height, original.width):
        height, width = values.shape
        raise ImageError(
            f"mask {path} has {width}x{height} pixels, but its image {original.path} "
            f"has {original.width}x{original.height}"
        )
    left, upper, right, lower = original.box
    square = values[upper:lower, left:right]
    small = pick(square, centred_pixels(len(square), image_size))
    if small.min() < 0:
        raise ImageError(
            f"mask {path} has the label {small.min()}; 0 is the background, others are larger"
        )
    ignored = (small == void) & has_void
    found = np.unique(small[(small != 0) & ~ignored])
    if len(found) > MAX_LABEL:
        raise ImageError(
            f"mask {path} has {len(found)} labels or colours, more than {MAX_LABEL}; are its edges "
            "antialiased?"
        )
    labels = np.where(small != 0, np.searchsorted(found, small) + 1, 0)
    labels = np.where(ignored, VOID, labels)
    return labels.astype(np.int8 if has_void else np.uint8), len(found)


def _image(path: pathlib.Path) -> tuple[np.ndarray, int]:
    """Return the labels of an image, or its colours as integers, int [H, W], and the value that means void."""
    mask, void = decoding.decode(path, f"mask {path}"), _VOID_LABEL
    if mask.mode in _COLOR_MODES:
        void = _VOID_COLOR
        values = np.asarray(mask.convert("RGB")).astype(np.int32) @ (1 << 16, 1 << 8, 1)
    elif mask.mode in _LABEL_MODES:
        values = np.asarray(mask.getchannel("L") if mask.mode == "LA" else mask).astype(np.int32)
    else:
        raise ImageError(
            f"mask {path} has the mode {mask.mode}; expected grey, a palette, or RGB colours"
        )
    if mask.has_transparency_data and mask.mode[0] != "I":
        values = np.where(np.asarray(mask.convert("RGBA"))[..., 3] > 0, values, 0)
    return values, void


def _array(path: pathlib.Path) -> tuple[np.ndarray, int]:
    """Return the labels of an npy file, of which only the header is read at first, as `_image`."""
    try:
        labels = np.lib.format.open_memmap(path, mode="r")
    except (
        Exception
    ) as error:  # NumPy parses the header as Python, and raises what its parser raises.
        raise ImageError(f"cannot read mask {path}: {error}") from error
    if labels.ndim != 2 or labels.dtype.kind not in "biu":
        raise ImageError(
            f"mask {path} has the shape {labels.shape} and the type {labels.dtype}; expected integers"
            " [height, width]"
        )
    return labels, _VOID_LABEL
