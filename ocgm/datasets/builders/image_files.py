"""Pictures of the user: any size and mode in, square RGB out."""

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageOps

from ocgm.errors import ImageError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")

# All that Pillow's decoders raise for damaged files.
DECODE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


@dataclasses.dataclass(frozen=True)
class Original:
    """Where a picture came from.

    Attributes:
      path: the file.
      width: width in pixels, upright.
      height: height in pixels, upright.
      mode: Pillow's name of the pixel format, such as 'RGBA'.
      box: left, upper, right, lower edge of the square that was cut out, in pixels.
    """

    path: pathlib.Path
    width: int
    height: int
    mode: str
    box: tuple[int, int, int, int]


def load_images(
    paths: Sequence[str | os.PathLike], image_size: int
) -> tuple[list[str], np.ndarray, list[Original]]:
    """Reads pictures as `load_image` does.

    Args:
      paths: files, and folders whose png, jpg, jpeg, webp and bmp files are taken in the order of
        their names (no subfolders).
      image_size: side of the result in pixels.

    Returns:
      names: N different names for output files, from the names of the input files.
      images: uint8 [N, image_size, image_size, 3].
      originals: N descriptions of the input files.

    Raises:
      ImageError: if a path does not exist, a folder holds no picture, or a file cannot be read.
    """
    files = [file for path in paths for file in _files(pathlib.Path(path))]
    if not files:
        raise ImageError("no image given")
    loaded = [load_image(file, image_size) for file in files]
    images, originals = zip(*loaded, strict=True)
    return _names(files), np.stack(images), list(originals)


def load_image(path: pathlib.Path, image_size: int) -> tuple[np.ndarray, Original]:
    """Reads a picture, cuts out the central square and resizes it.

    The picture is turned upright as its EXIF data say, transparent parts become white, 16-bit
    greys keep their upper 8 bits, and of an animation the first frame is taken. Resizing is
    Pillow's bilinear filter, which averages over the source pixels when it makes smaller.

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
    """Returns whether a file is an image by its name.

    Hidden files are not, among them the '._name.png' that macOS writes, which are no pictures.
    """
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _files(path: pathlib.Path) -> list[pathlib.Path]:
    if not path.exists():
        raise ImageError(f"no such file or folder: {path}")
    if not path.is_dir():
        return [path]
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        raise ImageError(f"cannot read folder {path}: {error.strerror}") from error
    found = [file for file in entries if is_image(file) and file.is_file()]
    if not found:
        raise ImageError(f"no images in folder {path} (looked for {', '.join(SUFFIXES)})")
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
    """Returns the files' stems, with a number added where one was used before."""
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
