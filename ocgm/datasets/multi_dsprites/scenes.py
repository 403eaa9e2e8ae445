"""Scenes of the GENESIS paper's Multi-dSprites: what is drawn where."""

import collections
import dataclasses
import random
from collections.abc import Iterator

import numpy as np

from ocgm.data import generated, sprites
from ocgm.data.sprite_scenes import Scenes

MAX_OBJECTS = 4
SPLIT_SIZES = {"train": 50_000, "validation": 10_000, "test": 10_000}

_LEVELS = (0, 63, 127, 191, 255)
# Seed of the stream of a variant; plain and unique are one stream.
_SEEDS = {"plain": 0, "unique": 0, "black": 1, "apart": 2}
# Pixels between the bounding circles of sprites that are apart; at 16x16 it is one pixel.
_GAP = 4.0
# Tries for each sprite of a scene that is apart before it is begun again: the first ones may leave no room.
_MOST_TRIES = 10


def draw_scenes(variant: str, num_examples: tuple[int, int, int]) -> dict[str, Scenes]:
    """Makes the random choices of the GENESIS paper's Multi-dSprites.

    One stream of Python's generator, seeded with 0, gives train, validation and test of the plain
    variant and then those of the unique one; `black` and `apart` have streams of their own. All of it
    is drawn even where fewer scenes are kept, so the first n scenes of a split are the same at any
    size.

    Args:
      variant: "plain"; "unique", all colours of an image, background included, differ; or ours:
        "black", unique colours on black, and "apart", the same with sprites that do not touch.
      num_examples: scenes to keep of train, validation and test.

    Returns:
      Scenes by split name.

    Source: Engelcke et al. 2020 (https://arxiv.org/abs/1907.13052); order of draws as in the
    authors' data.
    """
    rng = random.Random(_SEEDS[variant])
    if variant == "unique":
        plain = _draw(rng, sum(SPLIT_SIZES.values()), "plain")
        collections.deque(plain, maxlen=0)
    result = {}
    splits = zip(SPLIT_SIZES.items(), num_examples, strict=True)
    for number, ((split, size), kept) in enumerate(splits):
        rows = list(_draw(rng, size, variant))
        result[split] = _stack(rows[:kept])
        if variant == "apart":
            num_objects = np.array([len(objects) for _, objects in rows])
            sprite = _draw_apart(generated.block_generator(number, 0), num_objects)[:kept]
            result[split] = dataclasses.replace(result[split], sprite=sprite)
    return result


def _draw(rng: random.Random, count: int, variant: str) -> Iterator[tuple]:
    """Yields (background, [(sprite, color), ...]) of each scene."""

    def color() -> tuple[int, int, int]:
        return rng.choice(_LEVELS), rng.choice(_LEVELS), rng.choice(_LEVELS)

    for _ in range(count):
        background = (0, 0, 0) if variant in ("black", "apart") else color()
        taken = {background}
        objects = []
        for _ in range(rng.randint(1, MAX_OBJECTS)):
            index = rng.randrange(sprites.NUM_SPRITES)
            chosen = color()
            while variant != "plain" and chosen in taken:
                chosen = color()
            taken.add(chosen)
            objects.append((index, chosen))
        yield background, objects


def _draw_apart(rng: np.random.Generator, num_objects: np.ndarray) -> np.ndarray:
    """Draws sprites whose bounding circles keep a distance.

    Sprites are placed one after the other, so the later ones are smaller on average.

    Args:
      rng: source of the draws.
      num_objects: int [N], sprites of each scene.

    Returns:
      int32 [N, K], indices of sprites in the dSprites file; -1 is padding.
    """
    size = len(num_objects)
    chosen = np.full((size, MAX_OBJECTS), -1, np.int32)
    centres, radii = np.zeros((size, MAX_OBJECTS, 2)), np.full((size, MAX_OBJECTS), -np.inf)
    placed, tries = np.zeros(size, int), np.zeros(size, int)
    rows = np.arange(size)
    while rows.size:
        index = generated.uniform_integers(rng, sprites.NUM_SPRITES, rows.size)
        centre, radius = sprites.bounding_circles(index)
        distance = np.linalg.norm(centre[:, None] - centres[rows], axis=-1)
        fits = (distance >= radius[:, None] + radii[rows] + _GAP).all(axis=1)
        at = rows[fits], placed[rows[fits]]
        chosen[at], centres[at], radii[at] = index[fits], centre[fits], radius[fits]
        placed[at[0]] += 1
        tries[rows] += 1
        rows = rows[placed[rows] < num_objects[rows]]
        stuck = rows[tries[rows] == _MOST_TRIES * num_objects[rows]]
        chosen[stuck], radii[stuck], placed[stuck], tries[stuck] = -1, -np.inf, 0, 0
    return chosen


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
