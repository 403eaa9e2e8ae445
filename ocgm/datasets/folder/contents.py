"""What is in a folder of pictures: which pictures, in which split, with which masks."""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ocgm.datasets.builders import image_files as folder_lib
from ocgm.datasets.builders.base import SPLITS
from ocgm.datasets.builders.from_files import SourceError
from ocgm.datasets.builders.resizing import centred_pixels, pick
from ocgm.errors import ImageError

MAX_LABEL = 63

_MASKS = "masks"
# Subfolders that are splits.
_SPLIT_FOLDERS = {"train": ("train",), "validation": ("validation", "val"), "test": ("test",)}
_LABEL_MODES = ("1", "L", "P", "I", "I;16")
_COLOR_MODES = ("RGB", "RGBA")


@dataclasses.dataclass(frozen=True)
class Contents:
    """Files of a folder.

    Attributes:
      images: paths of the pictures relative to the folder, with forward slashes, sorted.
      has_masks: whether there is a folder of masks.
      num_ignored: how many files are neither pictures nor masks of pictures.
      fingerprint: number, size and newest date of the pictures and masks.
    """

    images: list[str]
    has_masks: bool
    num_ignored: int
    fingerprint: str


def has_masks(folder: pathlib.Path) -> bool:
    """Returns whether a folder of pictures has masks."""
    return (folder / _MASKS).is_dir()


def mask_path(folder: pathlib.Path, image: str) -> pathlib.Path:
    """Returns where the mask of a picture is."""
    return folder / _MASKS / pathlib.PurePosixPath(image).with_suffix(".png")


def scan(folder: pathlib.Path) -> Contents:
    """Lists a folder and all folders below it, except hidden ones and links to folders.

    Raises:
      SourceError: if there are too few pictures, or some of them have masks and others have none.
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
            f"{folder} has {len(images)} pictures ({', '.join(folder_lib.SUFFIXES)}), and each of "
            "train, validation and test needs one"
        )
    used = {folder / image for image in images}
    if masked:
        masks = {image: mask_path(folder, image) for image in images}
        missing = sorted(image for image, mask in masks.items() if not mask.is_file())
        if missing:
            raise SourceError(
                f"{len(missing)} of the {len(images)} pictures in {folder} have no mask, such as "
                f"{', '.join(missing[:3])}, whose mask should be {masks[missing[0]]}. Give all "
                f"pictures masks, or rename {_MASKS}/"
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


def split_images(folder: pathlib.Path, images: Sequence[str]) -> dict[str, list[str]]:
    """Returns the pictures of each split, in the order of the hashes of their paths.

    Subfolders train/, validation/ (or val/) and test/ are the splits. Without them a tenth of the
    pictures are for validation and a tenth for the test, but at least one each. The first pictures
    of a split are a fair sample, whatever the files are called.

    Raises:
      SourceError: if one of such subfolders is missing or empty, or pictures lie outside of them.
    """
    ordered = sorted(images, key=lambda image: hashlib.sha256(os.fsencode(image)).digest())
    names = [name for names in _SPLIT_FOLDERS.values() for name in names]
    if not any((folder / name).is_dir() for name in names):
        tenth = max(1, len(ordered) // 10)
        return {
            "train": ordered[2 * tenth :],
            "validation": ordered[:tenth],
            "test": ordered[tenth : 2 * tenth],
        }
    outside = [image for image in images if not image.startswith(tuple(f"{n}/" for n in names))]
    if outside:
        raise SourceError(
            f"{folder} has subfolders {', '.join(n for n in names if (folder / n).is_dir())}, but "
            f"{len(outside)} pictures lie outside of them, such as {outside[0]}. Move them, or "
            "rename the subfolders, so that the pictures are split at random"
        )
    parts = {
        split: [image for image in ordered if image.startswith(tuple(f"{n}/" for n in names))]
        for split, names in _SPLIT_FOLDERS.items()
    }
    for split, part in parts.items():
        if not part:
            expected = " or ".join(f"{folder / name}/" for name in _SPLIT_FOLDERS[split])
            raise SourceError(
                f"no picture in {expected}: a folder with some of train/, validation/ (or val/) "
                "and test/ needs all three"
            )
    return parts


def load_mask(
    path: pathlib.Path, original: folder_lib.Original, image_size: int
) -> tuple[np.ndarray, int]:
    """Reads a mask, cuts it like its picture and resizes it to the nearest pixels.

    Args:
      path: the file: labels as grey values or palette indices, or a colour for each label; 0 and
        black are the background.
      original: the picture.
      image_size: side of the result in pixels.

    Returns:
      uint8 [image_size, image_size], 0 for the background, and n, the number of labels that are
      left in it, which are 1 to n in the order of their values or colours (red before green before
      blue).

    Raises:
      ImageError: if the file cannot be read, is no mask, or does not fit the picture.
    """
    try:
        with Image.open(path) as opened:
            opened.load()
            mask = opened.copy()
    except folder_lib.DECODE_ERRORS as error:
        raise ImageError(f"cannot read mask {path}: {error}") from error
    if mask.size != (original.width, original.height):
        raise ImageError(
            f"mask {path} has {mask.width}x{mask.height} pixels, but its picture {original.path} "
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
            f"mask {path} has {len(found)} labels or colours, and the most is {MAX_LABEL}; are its "
            "edges smoothed?"
        )
    labels = np.where(small != 0, np.searchsorted(found, small) + 1, 0).astype(np.uint8)
    return labels, len(found)
