"""Random choices of the GENESIS paper's Multi-dSprites."""

import collections
import random
from collections.abc import Iterator, Sequence

import numpy as np

from ocgm.datasets.sprites import sprites
from ocgm.datasets.sprites.sprite_scenes import Scenes

MAX_OBJECTS = 4
SPLIT_SIZES = {"train": 50_000, "validation": 10_000, "test": 10_000}

_LEVELS = (0, 63, 127, 191, 255)
_VIVID_LEVELS = (0, 255)
_VIVID_BACKGROUND = (127, 127, 127)
# Seeds of the random streams; plain and unique share one.
_SEEDS = {"plain": 0, "unique": 0, "vivid": 1}


def draw_scenes(variant: str, num_examples: Sequence[int]) -> dict[str, Scenes]:
    """Draw the scenes of all splits.

    One stream of Python's generator, seeded with 0, yields train, validation and test of the plain
    variant, then those of the unique one; `vivid` has its own stream. The whole stream is drawn even
    if fewer scenes are kept, so that the first n scenes of a split are the same at any size.

    Args:
      variant: "plain"; "unique", all colours of an image, including the background's, differ; or "vivid",
        our addition: unique colours with channels of 0 or 255, on mid-grey.
      num_examples: number of scenes to keep of train, validation and test.

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
    for (split, size), kept in zip(SPLIT_SIZES.items(), num_examples, strict=True):
        result[split] = _stack(list(_draw(rng, size, variant))[:kept])
    return result


def _draw(rng: random.Random, count: int, variant: str) -> Iterator[tuple]:
    """Yield (background, [(sprite, color), ...]) of each scene."""
    levels = _VIVID_LEVELS if variant == "vivid" else _LEVELS

    def color() -> tuple[int, int, int]:
        return rng.choice(levels), rng.choice(levels), rng.choice(levels)

    for _ in range(count):
        background = _VIVID_BACKGROUND if variant == "vivid" else color()
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
