"""Background planes of Objects Room: sky, floor, and one wall or two."""

import math

import numpy as np

SKY, FLOOR, WALL, SECOND_WALL = range(4)

# Walls of a room have one hue and saturation, that is, RGB values in one direction. In eight
# published scenes the two walls are 0.1 to 0.7 degrees apart, walls and objects at least 11 degrees.
_MAX_ANGLE = 3.0
# Walls meet in a nearly vertical edge: they share a column or two of the image.
_MAX_SHARED_COLUMNS = 3


def num_background_planes(image: np.ndarray, entities: np.ndarray, num_planes: int) -> int:
    """Infer the number of background planes, which the files do not state: 4 with two walls, else 3.

    The planes are sky, floor, one wall, the second wall if it is in view, then the objects. The
    fourth plane is a wall if it touches the sky, is entirely beside the third plane, and has that
    one's colour, lighter or darker. An object is in front of the wall instead, unless it is so near
    that it hides the whole height of the wall up to the border of the image; then colour decides.
    Two errors remain: an object that hides the wall like that and has the wall's hue and saturation,
    both of which are random, counts as a wall; and a wall counts as an object if objects hide all of
    its upper edge, or all of the other wall.

    Args:
      image: uint8 [H, W, 3].
      entities: uint8 [H, W], the plane of each pixel.
      num_planes: number of planes, 4 more than the largest number of objects.
    """
    if (entities == num_planes - 1).any():
        return 4  # With one wall the last plane is not used.
    wall, other = entities == WALL, entities == SECOND_WALL
    if not (wall.any() and other.any()):
        return 3
    if not (_below_sky(other, entities == SKY) and _side_by_side(wall, other)):
        return 3
    return 4 if _angle(image, wall, other) <= _MAX_ANGLE else 3


def _below_sky(region: np.ndarray, sky: np.ndarray) -> bool:
    """Check whether the sky or the image's border is directly above a pixel of a region, [H, W]."""
    return region[0].any() or (region[1:] & sky[:-1]).any()


def _side_by_side(first: np.ndarray, second: np.ndarray) -> bool:
    """Check whether two regions, bool [H, W], share at most the columns at one edge."""
    columns = [np.flatnonzero(region.any(0)) for region in (first, second)]
    left, right = sorted(columns, key=lambda c: c[0] + c[-1])
    return left[-1] - right[0] < _MAX_SHARED_COLUMNS


def _angle(image: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """Return the angle in degrees between the mean colours of two regions, bool [H, W]."""
    regions = np.stack([first.ravel(), second.ravel()]).astype(np.float32)
    a, b = (regions @ image.reshape(-1, 3).astype(np.float32)).astype(np.float64)
    cosine = a @ b / math.sqrt((a @ a) * (b @ b))
    return math.degrees(math.acos(min(cosine, 1.0)))
