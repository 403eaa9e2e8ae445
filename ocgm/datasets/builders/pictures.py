"""Images of published datasets, decoded completely and checked."""

import pathlib

from PIL import Image

from ocgm.datasets.builders import decoding
from ocgm.datasets.builders.from_files import SourceError
from ocgm.errors import ImageError


def decode(
    source: pathlib.Path | bytes, name: str, size: tuple[int, int], mode: str = ""
) -> Image.Image:
    """Decode an image completely.

    Args:
      source: its file, or the content of the file.
      name: its name in messages.
      size: width and height that it must have, in pixels.
      mode: Pillow's name of the pixel format to convert it to; '' keeps its own.

    Raises:
      SourceError: if it is missing, damaged, or has another size.
    """
    try:
        image = decoding.decode(source, f"image {name}", size)
        return image.convert(mode) if mode else image
    except (ImageError, ValueError) as error:
        raise SourceError(str(error)) from error
