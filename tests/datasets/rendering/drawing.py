"""Drawing in one compiled shape, which the tests of the renderer share."""

from collections.abc import Sequence

import numpy as np

from ocgm.datasets.rendering import (
    Body,
    Camera,
    Light,
    Scene,
    look_at,
    make_scene,
    render,
    stack_scenes,
)

HEIGHT, WIDTH, BATCH = 40, 56, 2
FOCAL_LENGTH = 50.0
BLACK, WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
DARK = Light((0, 0, 1), color=BLACK, directional=True, casts_shadow=False)


def camera(position: Sequence[float], target: Sequence[float], **kwargs) -> Camera:
    return look_at(position, target, FOCAL_LENGTH, HEIGHT, WIDTH, **kwargs)


def scene(
    bodies: Sequence[Body], view: Camera, light: Light = DARK, ambient=(WHITE, WHITE)
) -> Scene:
    """Scene under a black sky."""
    return make_scene(bodies, [light], view, 4, 10, ambient=ambient, sky=(BLACK, BLACK))


def draw(*scenes: Scene, **kwargs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, labels and parts of one or two scenes."""
    padded = [*scenes, *scenes[:1] * (BATCH - len(scenes))]
    rendered = render(stack_scenes(padded), HEIGHT, WIDTH, **kwargs)
    return tuple(np.asarray(values)[: len(scenes)] for values in rendered)


def center_rays(view: Camera) -> np.ndarray:
    """Unit directions through the pixels' centres, float64 [H, W, 3]."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    local = np.stack(
        [(columns - WIDTH / 2) / FOCAL_LENGTH, (rows - HEIGHT / 2) / FOCAL_LENGTH, 1 + 0 * rows], -1
    )
    direction = local @ view.rotation.astype(np.float64)
    return direction / np.linalg.norm(direction, axis=-1, keepdims=True)
