"""Contents of a folder of images: their splits and their masks."""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Mapping, Sequence

from ocgm.datasets.builders import listing
from ocgm.datasets.builders.base import SPLITS
from ocgm.datasets.builders.from_files import SourceError
from ocgm.datasets.builders.splits import tenths
from ocgm.errors import ImageError

# Names of the subfolders of each split.
_SPLIT_FOLDERS = {"train": ("train",), "validation": ("validation", "val"), "test": ("test",)}


@dataclasses.dataclass(frozen=True)
class Contents:
    """Files of a folder.

    Attributes:
      images: paths of the images relative to the folder, with forward slashes, sorted.
      has_masks: whether there is a folder of masks.
      found: all files.
      num_ignored: number of files that are neither images nor masks of images.
      fingerprint: number, total size and newest time of the images and masks.
    """

    images: list[str]
    has_masks: bool
    found: listing.Found
    num_ignored: int
    fingerprint: str


def has_masks(folder: pathlib.Path) -> bool:
    """Check whether a folder of images has masks."""
    return (folder / listing.MASKS).is_dir()


def mask_path(folder: pathlib.Path, image: str) -> pathlib.Path:
    """Return the path of an image's mask, a PNG file, or if there is none an npy file."""
    png, npy = (
        folder / listing.MASKS / pathlib.PurePosixPath(image).with_suffix(suffix)
        for suffix in (".png", ".npy")
    )
    return npy if npy.is_file() and not png.is_file() else png


def scan(folder: pathlib.Path) -> Contents:
    """List a folder and all folders below it, as `listing.find` does.

    Raises:
      SourceError: if a folder cannot be read, there are too few images, or only some of them have masks.
    """
    try:
        found = listing.find(folder)
    except ImageError as error:
        raise SourceError(str(error)) from error
    masked = has_masks(folder)
    images = [path.relative_to(folder).as_posix() for path in found.images]
    if len(images) < len(SPLITS):
        raise SourceError(
            f"{folder} has {len(images)} images ({', '.join(listing.SUFFIXES)}), but each of train, "
            "validation and test needs one"
        )
    used = {folder / image for image in images}
    if masked:
        masks = {image: mask_path(folder, image) for image in images}
        missing = [image for image, mask in masks.items() if not mask.is_file()]
        if missing:
            raise SourceError(
                f"{len(missing)} of the {len(images)} images in {folder} have no mask, such as "
                f"{', '.join(missing[:3])}, whose mask should be {masks[missing[0]]} (or .npy). Add a mask for "
                f"every image, or rename {listing.MASKS}/"
            )
        used.update(masks.values())
    stats = [path.stat() for path in used]
    return Contents(
        images=images,
        has_masks=masked,
        found=found,
        num_ignored=len({*found.others, *found.masks} - used),
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
