"""Scenes of flat dSprites, their images and records; both kinds of Multi-dSprites share them."""

import dataclasses
import os
import zipfile
from collections.abc import Callable, Iterator

import numpy as np

from ocgm.datasets.builders.base import Factor, FactorKind, Records, object_factor, scene_factor
from ocgm.datasets.builders.generated import SceneArrays
from ocgm.datasets.sprites import sprites
from ocgm.errors import UserError

# By their codes in records; 0 is padding.
SHAPE_NAMES = ("", "square", "ellipse", "heart")

# Maps indices [N] of the dSprites file to bool [N, 64, 64].
DrawSprites = Callable[[np.ndarray], np.ndarray]

# Images of the dSprites file that are read at once.
_READ_IMAGES = 8192


@dataclasses.dataclass(frozen=True)
class Scenes(SceneArrays):
    """Random choices of N scenes of at most K objects; later objects cover earlier ones.

    Attributes:
      background: uint8 [N, 3], RGB.
      num_objects: int32 [N], 1 to K, fully covered objects included.
      sprite: int32 [N, K], index of each object's sprite in the dSprites file; -1 is padding.
      color: uint8 [N, K, 3], RGB of each object.
    """

    background: np.ndarray
    num_objects: np.ndarray
    sprite: np.ndarray
    color: np.ndarray

    @property
    def palette(self) -> np.ndarray:
        """Colours in the order of the labels, background first, uint8 [N, 1 + K, 3]."""
        return np.concatenate([self.background[:, None], self.color], axis=1)


def sprite_source(path: str | os.PathLike) -> DrawSprites:
    """Return the sprites of the dSprites file, or those drawn from formulas if `path` is ''."""
    return real_sprites(path) if path else analytic_sprites


def analytic_sprites(index: np.ndarray) -> np.ndarray:
    """Draw the sprites of an index array [N] from formulas, bool [N, 64, 64]."""
    return sprites.render_sprites(*sprites.factors_from_index(index))


def real_sprites(path: str | os.PathLike) -> DrawSprites:
    """Read the sprites of the dSprites file.

    The file is read as a stream and stored at one bit a pixel (380 MB instead of 3 GB).

    Args:
      path: path of `dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz`, or `.hdf5`, which needs h5py.

    Returns:
      A function like `analytic_sprites`.

    Raises:
      UserError: if the file is missing or is not the dSprites file.
    """
    if os.path.exists(path) and not os.path.isfile(path):  # Opening a pipe would wait for ever.
        raise UserError(f"no dSprites file at {path}")
    is_hdf5 = os.fspath(path).endswith((".hdf5", ".h5"))
    count, side = sprites.NUM_SPRITES, sprites.IMAGE_SIZE
    packed = np.empty((count, side * side // 8), np.uint8)
    try:
        start = 0
        for images in (_hdf5_images if is_hdf5 else _npz_images)(path, (count, side, side)):
            stop = start + len(images)
            packed[start:stop] = np.packbits(images.reshape(len(images), -1), axis=1)
            start = stop
    except FileNotFoundError as error:
        raise UserError(f"no dSprites file at {path}") from error
    except UserError:
        raise
    except (
        Exception
    ) as error:  # zipfile, the decompressors and h5py raise many kinds for a damaged file.
        raise UserError(
            f"{path} is not the dSprites {'hdf5' if is_hdf5 else 'npz'} file, or is corrupt: "
            f"expected an entry 'imgs' of shape {(count, side, side)} and type uint8 ({error})"
        ) from error

    def lookup(index: np.ndarray) -> np.ndarray:
        return np.unpackbits(packed[index], axis=1).reshape(-1, side, side).astype(bool)

    return lookup


def _npz_images(path: str | os.PathLike, expected: tuple[int, int, int]) -> Iterator[np.ndarray]:
    """Yield the images of an npz file in blocks."""
    with zipfile.ZipFile(path) as archive, archive.open("imgs.npy") as stream:
        # Later versions are for arrays of many fields, and have headers of up to 4 GB.
        if (version := np.lib.format.read_magic(stream)) != (1, 0):
            raise ValueError(f"found version {version} of the npy format")
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
        if shape != expected or dtype != np.uint8 or fortran_order:
            raise ValueError(f"found shape {shape} and type {dtype}")
        for start in range(0, shape[0], _READ_IMAGES):
            count = min(_READ_IMAGES, shape[0] - start)
            data = stream.read(count * shape[1] * shape[2])
            yield np.frombuffer(data, np.uint8).reshape(count, *shape[1:])


def _hdf5_images(path: str | os.PathLike, expected: tuple[int, int, int]) -> Iterator[np.ndarray]:
    """Yield the images of an hdf5 file in blocks."""
    try:
        import h5py
    except ImportError as error:
        raise UserError(
            f"{path} needs h5py: pip install 'ocgm[hdf5]', or use the npz file"
        ) from error
    with h5py.File(path) as file:
        images = file["imgs"]
        if images.shape != expected or images.dtype != np.uint8:
            raise ValueError(f"found shape {images.shape} and type {images.dtype}")
        for start in range(0, len(images), _READ_IMAGES):
            yield images[start : start + _READ_IMAGES]


def render_scenes(scenes: Scenes, draw: DrawSprites = analytic_sprites) -> dict[str, np.ndarray]:
    """Draw scenes.

    Args:
      scenes: N scenes.
      draw: maps sprite indices [M] to bool [M, 64, 64].

    Returns:
      `image` uint8 [N, 64, 64, 3]; `masks` uint8 [N, 64, 64], 0 for the background and 1 to K for
      the objects in the order of drawing; `visibility` float32 [N, K], the fraction of each
      object's pixels that no later object covers, 0 for padding.
    """
    n, max_objects = scenes.sprite.shape
    masks = np.zeros((n, sprites.IMAGE_SIZE, sprites.IMAGE_SIZE), np.uint8)
    area = np.ones((n, max_objects))
    for k in range(max_objects):
        rows = np.flatnonzero(scenes.sprite[:, k] >= 0)
        shapes = draw(scenes.sprite[rows, k])
        masks[rows] = np.where(shapes, np.uint8(k + 1), masks[rows])
        area[rows, k] = shapes.sum((1, 2))
    visible = [(masks == k + 1).sum((1, 2)) for k in range(max_objects)]
    return {
        "image": scenes.palette[np.arange(n)[:, None, None], masks],
        "masks": masks,
        "visibility": (np.stack(visible, axis=-1) / area).astype(np.float32),
    }


def factors(max_objects: int, color: FactorKind) -> dict[str, Factor]:
    """Return the factors of the scenes of `records`.

    Args:
      max_objects: largest number of sprites in a scene.
      color: kind of the sprites' colours: "class" if they are of a small palette.
    """
    number = object_factor("number", max_objects, np.float32)
    return {
        "sprite": object_factor("class", max_objects, np.int32, scored=False),
        "shape": object_factor("class", max_objects, np.int32, names=SHAPE_NAMES),
        **dict.fromkeys(("scale", "orientation", "x", "y"), number),
        "color": object_factor(color, max_objects, np.uint8, 3),
        "visibility": object_factor("class", max_objects, np.float32, scored=False),
        "background_color": scene_factor(color, np.uint8, 3),
    }


def records(scenes: Scenes, draw: DrawSprites) -> Records:
    """Draw N scenes and return their records, a dict of arrays [N, ...]."""
    rendered = render_scenes(scenes, draw)
    present = scenes.sprite >= 0
    flat = sprites.factors_from_index(np.where(present, scenes.sprite, 0).ravel())
    factors = {
        name: np.where(present, values.reshape(present.shape), 0).astype(np.float32)
        for name, values in flat._asdict().items()
    }
    # As in DeepMind's Multi-dSprites: 1 square, 2 ellipse, 3 heart, 0 padding.
    factors["shape"] = np.where(present, factors["shape"] + 1, 0).astype(np.int32)
    return {
        "image": rendered["image"],
        "masks": rendered["masks"],
        "num_objects": scenes.num_objects,
        "factors": {
            **factors,
            "sprite": scenes.sprite,
            "color": scenes.color,
            "visibility": rendered["visibility"],
            "background_color": scenes.background,
        },
    }
