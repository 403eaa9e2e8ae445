"""Contents of a folder of images: their splits and their masks."""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from ocgm.datasets.builders import image_files as folder_lib
from ocgm.datasets.builders.base import SPLITS
from ocgm.datasets.builders.from_files import SourceError
from ocgm.datasets.builders.resizing import centred_pixels, pick
from ocgm.datasets.builders.splits import tenths
from ocgm.errors import ImageError

MAX_LABEL = 63

_MASKS = "masks"
# Names of the subfolders of each split.
_SPLIT_FOLDERS = {"train": ("train",), "validation": ("validation", "val"), "test": ("test",)}
_LABEL_MODES = ("1", "L", "P", "I", "I;16")
_COLOR_MODES = ("RGB", "RGBA")


@dataclasses.dataclass(frozen=True)
class Contents:
    """Files of a folder.

    Attributes:
      images: paths of the images relative to the folder, with forward slashes, sorted.
      has_masks: whether there is a folder of masks.
      num_ignored: number of files that are neither images nor masks of images.
      fingerprint: number, total size and newest time of the images and masks.
    """

    images: list[str]
    has_masks: bool
    num_ignored: int
    fingerprint: str


def has_masks(folder: pathlib.Path) -> bool:
    """Check whether a folder of images has masks."""
    return (folder / _MASKS).is_dir()


def mask_path(folder: pathlib.Path, image: str) -> pathlib.Path:
    """Return the path of an image's mask."""
    return folder / _MASKS / pathlib.PurePosixPath(image).with_suffix(".png")


def scan(folder: pathlib.Path) -> Contents:
    """List a folder and all folders below it, except hidden ones and links to folders.

    Raises:
      SourceError: if there are too few images, or only some of them have masks.
    """
    files = []
    for top, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [pathlib.Path(top, name) for name in names if not name.startswith(".")]
    masked = has_masks(folder)
    inside = [file.relative_to(folder) for file in files if folder_lib.is_image(file)]
    images = sorted(path.as_posix() for path in inside if not masked or path.parts[0] != _MASKS)
    if len(images) < len(SPLITS):
        raise SourceError(
            f"{folder} has {len(images)} images ({', '.join(folder_lib.SUFFIXES)}), but each of train, "
            "validation and test needs one"
        )
    used = {folder / image for image in images}
    if masked:
        masks = {image: mask_path(folder, image) for image in images}
        missing = sorted(image for image, mask in masks.items() if not mask.is_file())
        if missing:
            raise SourceError(
                f"{len(missing)} of the {len(images)} images in {folder} have no mask, such as "
                f"{', '.join(missing[:3])}, whose mask should be {masks[missing[0]]}. Add a mask for "
                f"every image, or rename {_MASKS}/"
            )
        used.update(masks.values())
    stats = [path.stat() for path in used]
    return Contents(
        images=images,
        has_masks=masked,
        num_ignored=len(set(files) - used),
        fingerprint=(
            f"{len(stats)} files, {sum(stat.st_size for stat in stats)} bytes, "
            f"newest {max(stat.st_mtime_ns for stat in stats)}"
        ),
    )


def split_images(folder: pathlib.Path, images: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Return the images of each split, in the order of the hashes of their paths.

    Subfolders train/, validation/ (or val/) and test/ are the splits. Without them, one tenth of the
    images, but at least one, is for validation and another for the test. The order makes the first
    images of a split a random sample, independently of the names of the files.

    Raises:
      SourceError: if one of these subfolders is missing or empty, or images are outside them.
    """
    ordered = sorted(images, key=lambda image: hashlib.sha256(os.fsencode(image)).digest())
    names = [name for names in _SPLIT_FOLDERS.values() for name in names]
    if not any((folder / name).is_dir() for name in names):
        return tenths(ordered)
    outside = [image for image in images if not image.startswith(tuple(f"{n}/" for n in names))]
    if outside:
        raise SourceError(
            f"{folder} has subfolders {', '.join(n for n in names if (folder / n).is_dir())}, but "
            f"{len(outside)} images are outside them, such as {outside[0]}. Move these images into the "
            "subfolders, or rename the subfolders to split all images at random"
        )
    parts = {
        split: [image for image in ordered if image.startswith(tuple(f"{n}/" for n in names))]
        for split, names in _SPLIT_FOLDERS.items()
    }
    for split, part in parts.items():
        if not part:
            expected = " or ".join(f"{folder / name}/" for name in _SPLIT_FOLDERS[split])
            raise SourceError(
                f"no image in {expected}: a folder with some of train/, validation/ (or val/) "
                "and test/ needs all three"
            )
    return parts


def load_mask(
    path: pathlib.Path, original: folder_lib.Original, image_size: int
) -> tuple[np.ndarray, int]:
    """Read a mask, crop it like its image and resize it to the nearest pixels.

    Args:
      path: of a file with labels as grey values or palette indices, or a colour for each label; 0
        and black are the background.
      original: the image.
      image_size: side of the result in pixels.

    Returns:
      labels: uint8 [image_size, image_size], 0 for the background, others 1 to n in the order of
        their values or colours (red, then green, then blue).
      n: number of labels in the result.

    Raises:
      ImageError: if the file cannot be read, is not a mask, or does not fit the image.
    """
    mask = _open_mask(path)
    if mask.size != (original.width, original.height):
        raise ImageError(
            f"mask {path} has {mask.width}x{mask.height} pixels, but its image {original.path} "
            f"has {original.width}x{original.height}"
        )
    square = mask.crop(original.box)
    if mask.mode in _COLOR_MODES:
        values = np.asarray(square.convert("RGB")).astype(np.int32) @ (1 << 16, 1 << 8, 1)
    elif mask.mode in _LABEL_MODES:
        values = np.asarray(square).astype(np.int32)
    else:
        raise ImageError(
            f"mask {path} has the mode {mask.mode}; expected grey, a palette, or RGB colours"
        )
    small = pick(values, centred_pixels(len(values), image_size))
    found = np.unique(small[small != 0])
    if len(found) > MAX_LABEL:
        raise ImageError(
            f"mask {path} has {len(found)} labels or colours, more than {MAX_LABEL}; are its edges "
            "antialiased?"
        )
    labels = np.where(small != 0, np.searchsorted(found, small) + 1, 0).astype(np.uint8)
    return labels, len(found)


def _open_mask(path: pathlib.Path) -> Image.Image:
    try:
        with Image.open(path) as opened:
            opened.load()
            return opened.copy()
    except folder_lib.DECODE_ERRORS as error:
        raise ImageError(f"cannot read mask {path}: {error}") from error
