"""Scenes of Multi-dSprites: what is drawn where (random) and what it looks like (not random)."""

import collections
import dataclasses
import itertools
import os
import random
import zipfile
from collections.abc import Callable, Iterator

import numpy as np

from ocgm.data import sprites
from ocgm.errors import UserError

MAX_OBJECTS = 4
SPLIT_SIZES = {"train": 50_000, "validation": 10_000, "test": 10_000}

_LEVELS = (0, 63, 127, 191, 255)
_SEED = 0


@dataclasses.dataclass(frozen=True)
class Scenes:
    """Random choices of N scenes; later objects are in front of earlier ones.

    Attributes:
      background: uint8 [N, 3], RGB.
      num_objects: int32 [N], 1 to 4, fully covered objects included.
      sprite: int32 [N, 4], index of each object's sprite in the dSprites file; -1 is padding.
      color: uint8 [N, 4, 3], RGB of each object.
    """

    background: np.ndarray
    num_objects: np.ndarray
    sprite: np.ndarray
    color: np.ndarray

    def __len__(self) -> int:
        return len(self.num_objects)

    def __getitem__(self, rows: slice) -> "Scenes":
        return Scenes(**{f.name: getattr(self, f.name)[rows] for f in dataclasses.fields(self)})


def draw_scenes(unique: bool, num_examples: tuple[int, int, int]) -> dict[str, Scenes]:
    """Makes the random choices of the GENESIS paper's Multi-dSprites.

    One stream of Python's generator, seeded with 0, gives train, validation and test of the plain
    variant and then those of the unique one. All of it is drawn even where fewer scenes are kept,
    so the first n scenes of a split are the same at any size.

    Args:
      unique: whether the colours of an image, background included, are all different.
      num_examples: scenes to keep of train, validation and test.

    Returns:
      Scenes by split name.

    Source: Engelcke et al. 2020 (https://arxiv.org/abs/1907.13052); order of draws as in the
    authors' data.
    """
    rng = random.Random(_SEED)
    if unique:
        plain = _draw(rng, sum(SPLIT_SIZES.values()), unique=False)
        collections.deque(plain, maxlen=0)
    result = {}
    for (split, size), kept in zip(SPLIT_SIZES.items(), num_examples, strict=True):
        part = _draw(rng, size, unique)
        result[split] = _stack(list(itertools.islice(part, kept)))
        collections.deque(part, maxlen=0)
    return result


def _draw(rng: random.Random, count: int, unique: bool) -> Iterator[tuple]:
    """Yields (background, [(sprite, color), ...]) of each scene."""

    def color() -> tuple[int, int, int]:
        return rng.choice(_LEVELS), rng.choice(_LEVELS), rng.choice(_LEVELS)

    for _ in range(count):
        background = color()
        taken = {background}
        objects = []
        for _ in range(rng.randint(1, MAX_OBJECTS)):
            index = rng.randrange(sprites.NUM_SPRITES)
            chosen = color()
            while unique and chosen in taken:
                chosen = color()
            taken.add(chosen)
            objects.append((index, chosen))
        yield background, objects


def _stack(rows: list[tuple]) -> Scenes:
    scenes = Scenes(
        background=np.array([background for background, _ in rows], np.uint8).reshape(-1, 3),
        num_objects=np.array([len(objects) for _, objects in rows], np.int32),
        sprite=np.full((len(rows), MAX_OBJECTS), -1, np.int32),
        color=np.zeros((len(rows), MAX_OBJECTS, 3), np.uint8),
    )
    for row, (_, objects) in enumerate(rows):
        for k, (index, color) in enumerate(objects):
            scenes.sprite[row, k] = index
            scenes.color[row, k] = color
    return scenes


def analytic_sprites(index: np.ndarray) -> np.ndarray:
    """Draws the sprites of an index array [N] into bool [N, 64, 64]."""
    return sprites.render_sprites(*sprites.factors_from_index(index))


def real_sprites(path: str | os.PathLike) -> Callable[[np.ndarray], np.ndarray]:
    """Reads the sprites of the dSprites file.

    The file is read as a stream and kept at one bit a pixel (380 MB instead of 3 GB).

    Args:
      path: `dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz`.

    Returns:
      A function like `analytic_sprites`.

    Raises:
      UserError: if the file is missing or is not the dSprites file.
    """
    expected = (sprites.NUM_SPRITES, sprites.IMAGE_SIZE, sprites.IMAGE_SIZE)
    try:
        with zipfile.ZipFile(path) as archive, archive.open("imgs.npy") as stream:
            packed = _read_packed(stream, expected)
    except FileNotFoundError as error:
        raise UserError(f"no dSprites file at {path}") from error
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} is not the dSprites npz file: expected an entry 'imgs' of shape {expected} "
            f"and type uint8 ({error})"
        ) from error

    def lookup(index: np.ndarray) -> np.ndarray:
        bits = np.unpackbits(packed[index], axis=1)
        return bits.reshape(-1, sprites.IMAGE_SIZE, sprites.IMAGE_SIZE).astype(bool)

    return lookup


def _read_packed(stream, expected: tuple[int, int, int], chunk: int = 8192) -> np.ndarray:
    """Reads an npy stream of images into uint8 [N, H * W / 8]."""
    version = np.lib.format.read_magic(stream)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, fortran_order, dtype = read_header(stream)
    if shape != expected or dtype != np.uint8 or fortran_order:
        raise ValueError(f"found shape {shape} and type {dtype}")
    count, pixels = shape[0], shape[1] * shape[2]
    packed = np.empty((count, pixels // 8), np.uint8)
    for start in range(0, count, chunk):
        stop = min(start + chunk, count)
        data = stream.read((stop - start) * pixels)
        images = np.frombuffer(data, np.uint8).reshape(stop - start, pixels)
        packed[start:stop] = np.packbits(images, axis=1)
    return packed


def render_scenes(
    scenes: Scenes, draw: Callable[[np.ndarray], np.ndarray] = analytic_sprites
) -> dict[str, np.ndarray]:
    """Paints scenes.

    Args:
      scenes: N scenes.
      draw: turns sprite indices [M] into bool [M, 64, 64].

    Returns:
      `image` uint8 [N, 64, 64, 3]; `masks` uint8 [N, 64, 64], 0 is background and 1 to 4 the
      objects in the order of painting; `visibility` float32 [N, 4], the part of each object's
      pixels that no later object covers, 0 for padding.
    """
    n = len(scenes)
    masks = np.zeros((n, sprites.IMAGE_SIZE, sprites.IMAGE_SIZE), np.uint8)
    area = np.ones((n, MAX_OBJECTS))
    for k in range(MAX_OBJECTS):
        rows = np.flatnonzero(scenes.sprite[:, k] >= 0)
        shapes = draw(scenes.sprite[rows, k])
        masks[rows] = np.where(shapes, np.uint8(k + 1), masks[rows])
        area[rows, k] = shapes.sum((1, 2))
    visible = [(masks == k + 1).sum((1, 2)) for k in range(MAX_OBJECTS)]
    palette = np.concatenate([scenes.background[:, None], scenes.color], axis=1)
    return {
        "image": palette[np.arange(n)[:, None, None], masks],
        "masks": masks,
        "visibility": (np.stack(visible, axis=-1) / area).astype(np.float32),
    }
