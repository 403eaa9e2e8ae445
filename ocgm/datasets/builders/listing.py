"""List the images in a directory and in all directories below it."""

import dataclasses
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import NoReturn

from PIL import Image

from ocgm.errors import ImageError
from ocgm.images import FIGURE_MARK

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

# At the top of a directory of images: the masks of the images.
MASKS = "masks"

# Ends of the names of the figures that `ocgm segment` writes, often beside the images.
_FIGURES = ("_masks.png", "_overlay.png", "_components.png")


@dataclasses.dataclass
class Found:
    """Files in a directory and in all directories below it, except hidden ones.

    Attributes:
      images: the images, sorted; each file once, however many links lead to it.
      masks: all files below the directory `MASKS`, which may hold masks of the images.
      others: files that are not images.
      num_figures: images that `ocgm segment` wrote.
      num_links: links to images or directories that had been found before.
    """

    images: list[pathlib.Path] = dataclasses.field(default_factory=list)
    masks: list[pathlib.Path] = dataclasses.field(default_factory=list)
    others: list[pathlib.Path] = dataclasses.field(default_factory=list)
    num_figures: int = 0
    num_links: int = 0


def find(folder: pathlib.Path) -> Found:
    """List a directory and all directories below it; links are followed once.

    Raises:
      ImageError: if a directory cannot be read.
    """
    found = Found()
    seen: set[str] = set()
    masks = os.path.join(folder, MASKS, "")
    # A file comes before the links to it.
    for _, name, real in sorted(_files_below(folder, found)):
        path = pathlib.Path(name)
        if name.startswith(masks):
            found.masks.append(path)
        elif not is_image(path) or not path.is_file():
            found.others.append(path)
        elif is_figure(path):
            found.num_figures += 1
        elif real in seen:
            found.num_links += 1
        else:
            seen.add(real)
            found.images.append(path)
    found.images.sort(key=pathlib.Path.as_posix)
    return found


def has_images(folder: pathlib.Path) -> bool:
    """Return whether `find` would find an image, without looking at all files."""
    return any(is_image(pathlib.Path(name)) for _, name, _ in _files_below(folder, Found()))


def report(found: Found, folder: pathlib.Path, num_ignored: int) -> None:
    """Print on stderr what of a directory is not read, if anything."""
    for count, what in (
        (num_ignored, "files in {} that are not images"),
        (found.num_figures, "figures in {} that `ocgm segment` wrote"),
        (found.num_links, "links in {} to places that were read already"),
    ):
        if count:
            print(f"Ignored {count} {what.format(folder)}", file=sys.stderr)


def is_image(path: pathlib.Path) -> bool:
    """Return whether a file is an image by its name.

    Hidden files are not; among them are files '._name.png' of macOS, which hold no image.
    """
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def is_figure(path: pathlib.Path) -> bool:
    """Return whether a file is a figure that `ocgm segment` wrote."""
    if not path.name.endswith(_FIGURES) or not path.is_file():
        return False
    name, value = FIGURE_MARK
    try:
        with Image.open(path, formats=("PNG",)) as figure:
            return figure.info.get(name) == value
    except Exception:  # It is damaged, which is said when it is read.
        return False


def _files_below(folder: pathlib.Path, found: Found) -> Iterator[tuple[bool, str, str]]:
    """Yield the files that are not hidden, and count links to directories that were listed before.

    Yields:
      Whether it is a link, its path, and the path of the file itself. Files behind links to directories come last.
    """
    seen: set[str] = set()
    waiting = [folder]
    while waiting:
        for top, folders, names in os.walk(waiting.pop(0), onerror=_refuse):
            real = os.path.realpath(top)
            if real in seen:
                found.num_links += 1
                folders.clear()
                continue
            seen.add(real)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            # `os.walk` lists links to directories and does not enter them.
            waiting += [path for name in folders if (path := pathlib.Path(top, name)).is_symlink()]
            for name in names:
                if not name.startswith("."):
                    file = os.path.join(top, name)
                    is_link = os.path.islink(file)
                    target = os.path.realpath(file) if is_link else os.path.join(real, name)
                    yield is_link, file, target


def _refuse(error: OSError) -> NoReturn:
    raise ImageError(f"cannot read directory {error.filename}: {error.strerror}") from error
