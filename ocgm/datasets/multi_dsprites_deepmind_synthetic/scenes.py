"""Random choices of synthetic Multi-dSprites as published by DeepMind."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ocgm.datasets.builders.colors import hsv_to_rgb
from ocgm.datasets.builders.generated import uniform_integers
from ocgm.datasets.builders.multi_object import to_bytes
from ocgm.datasets.sprites import sprites
from ocgm.datasets.sprites.sprite_scenes import Scenes

MAX_OBJECTS = 5


class Variant(NamedTuple):
    """Distribution of the scenes of a variant.

    Attributes:
      description: one sentence.
      num_objects: fewest and most sprites.
      draw_colors: draws the RGB colours in [0, 1] of the backgrounds, float [N, 3], and of the
        sprites, float [N, 5, 3].
    """

    description: str
    num_objects: tuple[int, int]
    draw_colors: Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]


def _hsv_on_grey(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    hue, saturation, value = np.moveaxis(rng.random((count, MAX_OBJECTS, 3)), -1, 0)
    grey = rng.random((count, 1))
    # Published sprites have saturations of 0.50 to 0.96 and values of 0.51 to 1.
    colors = hsv_to_rgb(hue, 0.5 + saturation / 2, 0.5 + value / 2)
    return np.repeat(grey, 3, axis=-1), colors


def _rgb_on_rgb(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    colors = rng.random((count, 1 + MAX_OBJECTS, 3))
    return colors[:, 0], colors[:, 1:]


def _white_on_black(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    del rng  # The colours are not random.
    return np.zeros((count, 3)), np.ones((count, MAX_OBJECTS, 3))


# Numbers of sprites and kinds of colours are those of the published files.
VARIANTS = {
    "colored_on_grayscale": Variant("Colours of random hue on grey.", (2, 5), _hsv_on_grey),
    "binarized": Variant("White on black.", (2, 3), _white_on_black),
    "colored_on_colored": Variant("Sprites and background of any colour.", (1, 4), _rgb_on_rgb),
    "textured": Variant("Patterned sprites on a patterned background.", (2, 5), _rgb_on_rgb),
}


def draw_scenes(rng: np.random.Generator, variant: str, count: int) -> Scenes:
    """Draw scenes.

    DeepMind published no generator. The number of sprites is uniform over the range in the published
    files, and a sprite is any image of dSprites. Colours are uniform: any RGB, any grey, or any hue
    with a saturation and a value of at least 0.5, as in the files. A channel is floor(255 c), as in
    the files.

    Args:
      rng: source of randomness.
      variant: a key of `VARIANTS`.
      count: number of scenes N.
    """
    fewest, most = VARIANTS[variant].num_objects
    num_objects = fewest + uniform_integers(rng, most - fewest + 1, count)
    sprite = uniform_integers(rng, sprites.NUM_SPRITES, (count, MAX_OBJECTS))
    background, color = VARIANTS[variant].draw_colors(rng, count)
    present = np.arange(MAX_OBJECTS) < num_objects[:, None]
    return Scenes(
        background=to_bytes(background),
        num_objects=num_objects,
        sprite=np.where(present, sprite, -1),
        color=np.where(present[..., None], to_bytes(color), 0).astype(np.uint8),
    )
