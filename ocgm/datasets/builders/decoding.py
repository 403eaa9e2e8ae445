"""Image files decoded with Pillow: documented formats only, checked before pixels are read, and turned upright."""

import io
import pathlib
import warnings

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from ocgm.errors import ImageError

# Pillow has many more, some of which start other programs, as EPS does with Ghostscript.
FORMATS = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SAMPLE_FORMAT, _UNSIGNED = 339, (1,)  # Tag of a TIFF file and its default.


def decode(
    source: pathlib.Path | bytes, what: str, size: tuple[int, int] | None = None
) -> Image.Image:
    """Decode the first frame of an image completely, and turn it as its EXIF orientation says.

    Args:
      source: its file, or the content of the file.
      what: its kind and name in messages, such as 'image a.png'.
      size: width and height that it must have in the file, in pixels.

    Raises:
      ImageError: if it is missing, no regular file, damaged, of a format not in `FORMATS`, or if it has another size or
        more pixels than Pillow takes for harmless (89 million).
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        if isinstance(source, pathlib.Path) and source.exists() and not source.is_file():
            raise ImageError(f"cannot read {what}: it is not a regular file")
        with (
            warnings.catch_warnings(action="ignore"),  # Of damage that the pixels do not depend on.
            warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning),
            Image.open(file, formats=FORMATS) as opened,
        ):
            if size and opened.size != size:
                raise ImageError(
                    f"{what} has {opened.width}x{opened.height} pixels, expected {size[0]}x{size[1]}"
                )
            opened.load()
            return _upright(_as_float(opened) if _has_unsigned_32_bits(opened) else opened.copy())
    except ImageError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        most = f"{Image.MAX_IMAGE_PIXELS:,}"
        raise ImageError(
            f"cannot read {what}: it has more than {most} pixels; make it smaller"
        ) from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"cannot read {what}: it is damaged, or none of {', '.join(FORMATS)}"
        ) from error
    except Exception as error:  # Pillow's decoders raise nearly every kind for damaged files.
        raise ImageError(f"cannot read {what}: {error}") from error


def to_rgb(image: Image.Image, what: str) -> Image.Image:
    """Convert an image of any mode to RGB; transparent parts become white.

    16-bit greys keep their upper 8 bits. 32-bit and floating-point greys are scaled by the smallest of the usual ranges
    that holds all values: [0, 1] for floats, [0, 255], or [0, 65535]; else from the smallest value, which becomes
    black, to the largest.

    Args:
      image: the image.
      what: its kind and name in messages.

    Raises:
      ImageError: if there are values that are not finite, or the mode is one that Pillow cannot convert.
    """
    if image.mode[0] in "IF":
        # Pillow would clip these modes at 255 instead of scaling them.
        values = np.asarray(image)
        if not np.isfinite(values).all():
            raise ImageError(f"{what} has values that are not finite")
        return Image.fromarray(_to_8_bits(values)).convert("RGB")
    try:
        if image.has_transparency_data:
            image = image.convert("RGBA")
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image)
        return image.convert("RGB")
    except ValueError as error:
        raise ImageError(f"cannot read {what}: {error}") from error


def _to_8_bits(values: np.ndarray) -> np.ndarray:
    """Return greys [H, W] of 16 or more bits, or floats, as uint8; `to_rgb` has the ranges."""
    low, high = float(values.min()), float(values.max())
    if values.dtype == np.uint16 or (low >= 0 and 255 < high < 2**16):
        return (values / 256).astype(np.uint8)
    if low >= 0 and high <= 255:
        unit = values.dtype.kind == "f" and high <= 1
        return np.rint(255 * values if unit else values).astype(np.uint8)
    return np.rint(255 * ((values - low) / max(high - low, 1))).astype(np.uint8)


def _has_unsigned_32_bits(image: Image.Image) -> bool:
    if not isinstance(image, TiffImageFile) or image.mode != "I":
        return False
    return image.tag_v2.get(_SAMPLE_FORMAT, _UNSIGNED) == _UNSIGNED


def _as_float(image: Image.Image) -> Image.Image:
    """Return an image whose unsigned integers Pillow took for signed ones."""
    result = Image.fromarray(np.asarray(image).view(np.uint32).astype(np.float32))
    result.info = image.info
    return result


def _upright(image: Image.Image) -> Image.Image:
    # Not `ImageOps.exif_transpose`, which writes the EXIF block anew and fails where Pillow cannot write what it reads.
    try:
        turn = _TURNS.get(image.getexif()[ExifTags.Base.Orientation])
    except Exception:  # There is none, or it is damaged, which does not make the pixels unreadable.
        turn = None
    return image if turn is None else image.transpose(turn)
