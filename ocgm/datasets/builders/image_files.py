"""Images of the user: read at any size and mode, returned as square RGB."""

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageOps

from ocgm.errors import ImageError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")

# Every error that Pillow's decoders raise for damaged files.
DECODE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


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
    """Read images as `load_image` does.

    Args:
      paths: files, and directories whose png, jpg, jpeg, webp and bmp files are read in the order of
        their names (not those of subdirectories).
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

    The image is rotated by its EXIF orientation, transparent parts become white, 16-bit
    greys keep their upper 8 bits, and the first frame of an animation is read. Resizing is
    Pillow's bilinear filter, which averages over the source pixels when it reduces the size.

    Args:
      path: the file.
      image_size: side of the result in pixels.

    Returns:
      uint8 [image_size, image_size, 3], and a description of the file.

    Raises:
      ImageError: if the file cannot be read.
    """
    try:
        with Image.open(path) as opened:
            mode = opened.mode
            image = _to_rgb(ImageOps.exif_transpose(opened))
    except DECODE_ERRORS as error:
        raise ImageError(f"cannot read image {path}: {error}") from error
    width, height = image.size
    side = min(width, height)
    left, upper = (width - side) // 2, (height - side) // 2
    box = (left, upper, left + side, upper + side)
    square = image.crop(box).resize((image_size, image_size), Image.Resampling.BILINEAR)
    return np.asarray(square), Original(path, width, height, mode, box)


def is_image(path: pathlib.Path) -> bool:
    """Return whether a file is an image by its name.

    Hidden files are not; among them are files '._name.png' of macOS, which hold no image.
    """
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _files(path: pathlib.Path) -> list[pathlib.Path]:
    if not path.exists():
        raise ImageError(f"no such file or directory: {path}")
    if not path.is_dir():
        return [path]
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        raise ImageError(f"cannot read directory {path}: {error.strerror}") from error
    found = [file for file in entries if is_image(file) and file.is_file()]
    if not found:
        raise ImageError(f"no images in directory {path} (looked for {', '.join(SUFFIXES)})")
    return found


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow would clip 16-bit greys at 255 instead of scaling them.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _names(files: Iterable[pathlib.Path]) -> list[str]:
    """Return the stems of files, with a number added to those that were used before."""
    taken: set[str] = set()
    names = []
    for file in files:
        name, count = file.stem, 1
        while name in taken:
            count += 1
            name = f"{file.stem}_{count}"
        taken.add(name)
        names.append(name)
    return names
