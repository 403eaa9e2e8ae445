"""Random choices of synthetic CLEVR, as CLEVR's generator makes them."""

import dataclasses

import numpy as np

from ocgm.datasets.builders.generated import uniform_integers
from ocgm.datasets.clevr_with_masks_synthetic import images
from ocgm.datasets.clevr_with_masks_synthetic.scenes import (
    CAMERA_POSITION,
    COLORS,
    LIGHT_POSITIONS,
    MAX_OBJECTS,
    RADIUS,
    Scenes,
)

# Published; lengths in world units.
CAMERA_JITTER = 0.5
LIGHT_JITTER = 1.0
HALF_SQUARE = 3.0
LEAST_GAP = 0.25
LEAST_MARGIN = 0.4
_MOST_TRIES = 50

# Forward and left on the ground, unit vectors (x, y). As published scenes show, the generator uses
# the directions before the camera is shifted: objects keep their margins only along these.
_FORWARD = -CAMERA_POSITION[:2] / np.linalg.norm(CAMERA_POSITION[:2])
DIRECTIONS = np.array([_FORWARD, [-_FORWARD[1], _FORWARD[0]]])


def draw_scenes(rng: np.random.Generator, num_objects: tuple[int, int], count: int) -> Scenes:
    """Draw scenes as CLEVR's generator does.

    Objects are drawn again, as many and under the same lights, while too few pixels of one are
    visible.

    Args:
      rng: source of randomness.
      num_objects: fewest and most objects; the number is uniform between them.
      count: number of scenes N.
    """
    fewest, most = num_objects
    number = fewest + uniform_integers(rng, most - fewest + 1, count)
    camera = CAMERA_POSITION + CAMERA_JITTER * (2 * rng.random((count, 3)) - 1)
    lights = LIGHT_POSITIONS + LIGHT_JITTER * (2 * rng.random((count, 3, 3)) - 1)
    scenes = _draw_objects(rng, number, camera, lights)
    pending = np.flatnonzero(~images.objects_visible(scenes))
    while pending.size:
        # Fill a batch: scenes are tried several times at once, and the first valid try is used.
        owner = np.resize(pending, images.BATCH)
        tried = _draw_objects(rng, number[owner], camera[owner], lights[owner])
        seen = np.flatnonzero(images.objects_visible(tried))
        done, first = np.unique(owner[seen], return_index=True)
        for field in dataclasses.fields(Scenes):
            getattr(scenes, field.name)[done] = getattr(tried, field.name)[seen[first]]
        pending = np.setdiff1d(pending, done)
    return scenes


def _draw_objects(
    rng: np.random.Generator, number: np.ndarray, camera: np.ndarray, lights: np.ndarray
) -> Scenes:
    """Draw scenes with `number` [N] objects, visible or not."""
    present = np.arange(MAX_OBJECTS) < number[:, None]

    def codes(bound: int) -> np.ndarray:
        return np.where(present, 1 + uniform_integers(rng, bound, present.shape), 0)

    size, place = _draw_places(rng, number)
    size = np.where(present, size, 0)
    return Scenes(
        num_objects=number,
        size=size.astype(np.int32),
        material=codes(2).astype(np.int32),
        shape=codes(3).astype(np.int32),
        color=codes(len(COLORS) - 1).astype(np.int32),
        rotation=np.where(present, 360 * rng.random(present.shape), 0).astype(np.float32),
        position=np.concatenate(
            [np.where(present[..., None], place, 0), RADIUS[size][..., None]], axis=-1
        ).astype(np.float32),
        camera=camera.astype(np.float32),
        lights=lights.astype(np.float32),
    )


def _draw_places(rng: np.random.Generator, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draw the objects' sizes, codes [N, K], and places, x and y [N, K, 2], one after the other.

    All scenes place their next object at the same time, at the first of 50 random places where it
    fits; a scene in which it fits nowhere starts again.
    """
    count = len(number)
    size = 1 + uniform_integers(rng, 2, (count, MAX_OBJECTS))
    place = np.zeros((count, MAX_OBJECTS, 2))
    placed = np.zeros(count, int)
    active = np.arange(count)
    while active.size:
        tried = HALF_SQUARE * (2 * rng.random((active.size, _MOST_TRIES, 2)) - 1)
        k = placed[active]
        fits = _fits(tried, k, place[active], RADIUS[size[active]])
        found = fits.any(1)
        good, stuck = active[found], active[~found]
        place[good, placed[good]] = tried[found, fits[found].argmax(1)]
        placed[good] += 1
        placed[stuck] = 0
        size[stuck] = 1 + uniform_integers(rng, 2, (stuck.size, MAX_OBJECTS))
        active = active[placed[active] < number[active]]
    return size, place


def _fits(
    tried: np.ndarray, placed: np.ndarray, place: np.ndarray, radius: np.ndarray
) -> np.ndarray:
    """Check at which places the next object fits.

    Args:
      tried: [N, T, 2], places to check.
      placed: int [N], number of objects that are placed.
      place, radius: [N, K, 2] and [N, K], of all objects.

    Returns:
      bool [N, T].
    """
    fits = np.ones(tried.shape[:2], bool)
    own = np.take_along_axis(radius, placed[:, None], axis=1)
    along = np.einsum("ntx,dx->dnt", tried, DIRECTIONS)
    other_along = np.einsum("nkx,dx->dkn", place, DIRECTIONS)
    for other in range(placed.max()):
        margin = np.abs(along - other_along[:, other, :, None])
        # The directions are perpendicular.
        gap = np.hypot(*margin) - own - radius[:, other, None]
        close = (gap < LEAST_GAP) | (margin.min(0) < LEAST_MARGIN)
        fits &= ~close | (other >= placed[:, None])
    return fits
