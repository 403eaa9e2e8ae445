"""dSprites drawn from formulas, so that no download is needed.

The geometry was fitted to 258 real dSprites images: at most 4 of the 4,096 pixels of an image
differ from the original (0.01 % on average). A pixel is on if its centre is inside the shape, without
antialiasing. In continuous pixel coordinates x points right and y down, and pixel (r, c) has its
centre at (c + 0.5, r + 0.5).
"""

from typing import NamedTuple

import numpy as np

IMAGE_SIZE = 64
NUM_SPRITES = 737_280
SHAPES = ("square", "ellipse", "heart")

# Sizes of dSprites' latent classes; the last one varies fastest in the image index.
_CLASS_SIZES = (3, 6, 40, 32, 32)
# As in the original, 40 angles including both ends: 0 and 39 look the same.
_NUM_ANGLE_STEPS = 39
_ANGLE_STEP = 2 * np.pi / _NUM_ANGLE_STEPS

# Order of each shape's rotational symmetry.
_SYMMETRY = np.array([4, 2, 1])

# Lengths in pixels at scale 1.
_SQUARE_HALF_SIDE = 9.6
_ELLIPSE_SEMI_AXES = (12.75, 7.25)
_HEART_HALF_WIDTH = 9.6
_HEART_UNIT = 0.6625
_HEART_DROP = 1.45

# Sides of a window that holds a sprite, and how far its corner is up and left of the pixel at the
# sprite's centre: the farthest point of any shape, a corner of the square, is 13.6 pixels away.
_WINDOW = 29
_WINDOW_REACH = 14


class SpriteFactors(NamedTuple):
    """The five dSprites factors that vary, each an array [N].

    Attributes:
      shape: int32, 0 square, 1 ellipse, 2 heart.
      scale: float64 in {0.5, 0.6, ..., 1.0}.
      orientation: float64, radians, counter-clockwise on the screen.
      x: float64 in [0, 1], left to right.
      y: float64 in [0, 1], top to bottom.
    """

    shape: np.ndarray
    scale: np.ndarray
    orientation: np.ndarray
    x: np.ndarray
    y: np.ndarray


def classes_from_index(index: np.ndarray) -> np.ndarray:
    """Return the latent classes of dSprites images.

    Args:
      index: int [N], positions in the dSprites file, 0 to 737,279.

    Returns:
      int32 [N, 5]: shape, scale, orientation, x and y, each from 0 on.

    Raises:
      ValueError: if an index is out of range.
    """
    index = np.asarray(index)
    if index.size and (index.min() < 0 or index.max() >= NUM_SPRITES):
        raise ValueError(
            f"dSprites indices are 0..{NUM_SPRITES - 1}, got {index.min()}..{index.max()}"
        )
    return np.stack(np.unravel_index(index, _CLASS_SIZES), axis=-1).astype(np.int32)


def factors_from_index(index: np.ndarray) -> SpriteFactors:
    """Return the factors of dSprites images.

    Args:
      index: int [N], positions in the dSprites file, 0 to 737,279.

    Raises:
      ValueError: if an index is out of range.
    """
    shape, scale, orientation, x, y = classes_from_index(index).T
    return SpriteFactors(
        shape=shape.astype(np.int32),
        scale=(5 + scale) / 10,
        orientation=orientation * _ANGLE_STEP,
        x=x / 31,
        y=y / 31,
    )


def reduced_orientation(shape: np.ndarray, orientation: np.ndarray) -> np.ndarray:
    """Return the smallest angles at which sprites look the same.

    Args:
      shape: int [...], 0 square, 1 ellipse, 2 heart.
      orientation: float [...], one of dSprites' 40 angles, radians.

    Returns:
      float32 [...], in [0, pi / 2) for squares, [0, pi) for ellipses and [0, 2 pi) for hearts.
    """
    turns = _SYMMETRY[shape]
    # In whole steps, so that a full turn is 0 and not almost one.
    steps = np.rint(orientation / _ANGLE_STEP).astype(int) * turns % _NUM_ANGLE_STEPS
    return (steps * (_ANGLE_STEP / turns)).astype(np.float32)


def render_sprites(
    shape: np.ndarray,
    scale: np.ndarray,
    orientation: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
) -> np.ndarray:
    """Draw sprites.

    Args:
      shape: int [N], 0 square, 1 ellipse, 2 heart.
      scale: float [N] in (0, 1].
      orientation: float [N], radians, counter-clockwise on the screen.
      x: float [N] in [0, 1], horizontal position of the centre.
      y: float [N] in [0, 1], vertical position of the centre, downwards.

    Returns:
      bool [N, 64, 64], true inside the sprite.
    """
    shape, scale, orientation, x, y = map(np.asarray, (shape, scale, orientation, x, y))
    # Evaluate only a window around each centre, a fifth of the image.
    centre = 16 + 32 * np.stack([y, x], axis=-1).astype(np.float64)
    corner = np.floor(centre).astype(np.int64) - _WINDOW_REACH
    offset = corner[..., None] + 0.5 + np.arange(_WINDOW) - centre[..., None]
    down, right = np.moveaxis(offset / scale[:, None, None], 1, 0)
    cos, sin = np.cos(orientation)[:, None], np.sin(orientation)[:, None]
    # Coordinates in the sprite's own frame, u right and v down at angle 0.
    u = (right * cos)[:, None, :] - (down * sin)[:, :, None]
    v = (right * sin)[:, None, :] + (down * cos)[:, :, None]

    window = np.empty(u.shape, dtype=bool)
    for code, inside in enumerate((_in_square, _in_ellipse, _in_heart)):
        chosen = shape == code
        window[chosen] = inside(u[chosen], v[chosen])

    images = np.zeros((len(shape), IMAGE_SIZE, IMAGE_SIZE), dtype=bool)
    for image, part, (row, column) in zip(images, window, corner.tolist(), strict=True):
        image[row : row + _WINDOW, column : column + _WINDOW] = part
    return images


def _in_square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(u), np.abs(v)) <= _SQUARE_HALF_SIDE


def _in_ellipse(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    a, b = _ELLIPSE_SEMI_AXES
    return (u / a) ** 2 + (v / b) ** 2 <= 1


def _in_heart(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Check points against the curve x = sin(t)^3, y = 13 cos(t) - 5 cos(2t) - 2 cos(3t) - cos(4t).

    A vertical line meets the curve at t and pi - t, whose cosines are c and -c. The terms even in
    c give the mean of the two heights, the odd ones half their difference, so that no polygon is
    needed.
    """
    sin2 = np.cbrt(np.minimum(np.abs(u) / _HEART_HALF_WIDTH, 1)) ** 2
    cos2 = 1 - sin2
    middle = 4 - 2 * cos2 - 8 * cos2**2
    half = np.sqrt(cos2) * (19 - 8 * cos2)
    height = -(v + _HEART_DROP) / _HEART_UNIT
    return (np.abs(u) <= _HEART_HALF_WIDTH) & (np.abs(height - middle) <= half)
