"""Images of published datasets, decoded completely and checked."""

import io
import pathlib

from PIL import Image

from ocgm.datasets.builders.from_files import SourceError
from ocgm.datasets.builders.image_files import DECODE_ERRORS


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
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as opened:
            opened.load()
            image = opened.convert(mode) if mode else opened.copy()
    except DECODE_ERRORS as error:
        raise SourceError(f"cannot read image {name}: {error}") from error
    if image.size != size:
        raise SourceError(
            f"{name} has {image.width}x{image.height} pixels, expected {size[0]}x{size[1]}"
        )
    return image
