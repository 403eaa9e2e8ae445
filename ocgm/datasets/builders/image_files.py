"""Images of the user: read at any size and mode, returned as square RGB."""

import dataclasses
import os
import pathlib
import sys
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from ocgm.datasets.builders import decoding, listing
from ocgm.errors import ImageError

# Longest name of output files in bytes: file systems allow 255, and each file adds an end of its own.
_MAX_NAME_BYTES = 120


@dataclasses.dataclass(frozen=True)
class Original:
    """Description of an image file.

    Attributes:
      path: the file.
      width: width in pixels, upright.
      height: height in pixels, upright.
      mode: Pillow's name of the pixel format, such as 'RGBA'.
      box: left, upper, right, lower edge of the central square, in pixels.
    """

    path: pathlib.Path
    width: int
    height: int
    mode: str
    box: tuple[int, int, int, int]


def load_images(
    paths: Sequence[str | os.PathLike], image_size: int
) -> tuple[list[str], np.ndarray, list[Original]]:
    """Read images as `load_image` does; figures that `ocgm segment` wrote are left out.

    Args:
      paths: files, and directories whose images are read in the order of their paths, also those of subdirectories,
        but not those of a directory `masks` at the top.
      image_size: side of the result in pixels.

    Returns:
      names: N different names for output files, made from those of the input files.
      images: uint8 [N, image_size, image_size, 3].
      originals: N descriptions of the input files.

    Raises:
      ImageError: if a path does not exist, a directory holds no image, or a file cannot be read.
    """
    files = [file for path in paths for file in _files(pathlib.Path(path))]
    if not files:
        raise ImageError("no image given")
    loaded = [load_image(file, image_size) for file in files]
    images, originals = zip(*loaded, strict=True)
    return _names(files), np.stack(images), list(originals)


def load_image(path: pathlib.Path, image_size: int) -> tuple[np.ndarray, Original]:
    """Read an image, crop the central square and resize it.

    The image is rotated by its EXIF orientation and converted to RGB (see `decoding.to_rgb`); the first frame of
    an animation is read. Resizing is Pillow's bilinear filter, which averages over the source pixels when it reduces
    the size.

    Args:
      path: the file.
      image_size: side of the result in pixels.

    Returns:
      uint8 [image_size, image_size, 3], and a description of the file.

    Raises:
      ImageError: if the file cannot be read.
    """
    what = f"image {path}"
    image = decoding.decode(path, what)
    side = min(image.size)
    left, upper = (image.width - side) // 2, (image.height - side) // 2
    box = (left, upper, left + side, upper + side)
    original = Original(path, *image.size, image.mode, box)
    square = decoding.to_rgb(image.crop(box), what)
    resized = square.resize((image_size, image_size), Image.Resampling.BILINEAR)
    return np.asarray(resized), original


def _files(path: pathlib.Path) -> list[pathlib.Path]:
    """Return a file, or the images of a directory, without figures that ocgm wrote."""
    if not os.path.exists(path):  # Unlike `Path.exists`, also for names that cannot be.
        raise ImageError(f"no such file or directory: {path}")
    if not path.is_dir():
        if not listing.is_figure(path):
            return [path]
        print(f"Ignored {path}, which `ocgm segment` wrote", file=sys.stderr)
        return []
    found = listing.find(path)
    listing.report(found, path, len(found.others))
    if not found.images:
        suffixes = ", ".join(listing.SUFFIXES)
        raise ImageError(f"no images in directory {path} (looked for {suffixes})")
    return found.images


def _names(files: Iterable[pathlib.Path]) -> list[str]:
    """Return the stems of files, with a number added to those that were used before."""
    taken: set[str] = set()
    names = []
    for file in files:
        # A cut may leave half a character.
        stem = os.fsencode(file.stem)[:_MAX_NAME_BYTES].decode(errors="ignore") or "image"
        name, count = stem, 1
        while name in taken:
            count += 1
            name = f"{stem}_{count}"
        taken.add(name)
        names.append(name)
    return names
