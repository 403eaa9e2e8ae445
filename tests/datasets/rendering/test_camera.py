"""The camera against CLEVR's annotations and against itself."""

import jax.numpy as jnp
import numpy as np
import pytest

from ocgm.datasets.rendering import crop, focal_length, look_at, project
from ocgm.datasets.rendering.camera import ray_directions

pytestmark = pytest.mark.compiles

# Factors (x, y, z) and annotated (column, row, depth) of the first two scenes of CLEVR (with masks).
CLEVR = [
    (
        [
            (0.754801, 1.772223, 0.7),
            (1.661774, -0.613287, 0.7),
            (-2.911913, 0.350314, 0.35),
            (-1.656102, -2.893203, 0.35),
            (0.173713, -1.555864, 0.35),
            (-2.688302, -2.886445, 0.35),
            (2.826279, -2.49749, 0.7),
        ],
        [
            (216, 92, 11.397213),
            (184, 127, 9.417616),
            (116, 81, 13.153035),
            (51, 121, 10.446547),
            (123, 129, 10.018262),
            (36, 109, 11.129423),
            (160, 176, 7.5592537),
        ],
    ),
    (
        [
            (-0.724083, 1.197578, 0.7),
            (1.126914, -2.611941, 0.35),
            (1.768945, -0.029829, 0.35),
            (1.30739, 2.065896, 0.35),
            (-1.215809, -1.831541, 0.35),
            (0.161484, -1.231292, 0.35),
            (-2.693426, 0.126708, 0.7),
            (2.655653, -2.365728, 0.35),
        ],
        [
            (171, 84, 12.332107),
            (115, 156, 9.025539),
            (201, 131, 10.152064),
            (232, 105, 11.702175),
            (91, 115, 11.007335),
            (133, 125, 10.47465),
            (113, 77, 12.96682),
            (163, 179, 8.183452),
        ],
    ),
]


def test_clevr_annotations():
    """Only the position is free, as in CLEVR, where the base position is moved by up to 0.5."""
    base = np.array([7.48113, -6.50764, 5.34367])
    for points, annotated in CLEVR:

        def residual(position, points=points, annotated=annotated):
            view = look_at(position, (0, 0, 0), 350.0, 240, 320)
            return project(view, np.array(points)) - np.array(annotated)

        position = base
        for _ in range(5):
            offsets = 0.01 * np.eye(3)
            slopes = [residual(position + o) - residual(position - o) for o in offsets]
            slopes = np.stack([slope.ravel() / 0.02 for slope in slopes], axis=1)
            position = position - np.linalg.lstsq(slopes, residual(position).ravel())[0]
        assert np.abs(position - base).max() < 0.55
        errors = np.abs(residual(position))
        assert errors[:, :2].max() < 1
        assert errors[:, 2].max() < 0.05


def test_axes():
    """Looking along y: x to the right, z up."""
    view = look_at((0, -2, 0), (0, 0, 0), 10.0, 20, 30)
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 1], [0, 2, 1]])
    expected = [[15, 10, 2], [20, 10, 2], [15, 5, 2], [15, 7.5, 4]]
    np.testing.assert_allclose(project(view, points), expected, atol=1e-6)


def test_rays_return_to_their_pixels():
    view = crop(look_at((3, -4, 5), (0.2, 0.1, 0), 50.0, 40, 60), top=3, left=7, scale=0.6)
    pixels = np.random.default_rng(0).uniform(0, 40, (2, 50)).astype(np.float32)
    directions = np.asarray(ray_directions(view, *jnp.asarray(pixels)))
    np.testing.assert_allclose(np.linalg.norm(directions, axis=0), 1, rtol=1e-6)
    points = view.position + 7 * directions.T
    np.testing.assert_allclose(project(view, points)[:, :2].T, pixels, atol=1e-3)


def test_crop_moves_pixels():
    view = look_at((3, -4, 5), (0, 0, 0), 350.0, 240, 320)
    points = np.random.default_rng(0).uniform(-1, 1, (20, 3))
    expected = (project(view, points)[:, :2] - [64, 29]) * 128 / 192
    cropped = project(crop(view, 29, 64, 128 / 192), points)
    np.testing.assert_allclose(cropped[:, :2], expected, rtol=1e-5)


def test_field_of_view():
    """A point at 45 degrees from the axis is at the edge of a field of view of 90 degrees."""
    view = look_at((0, 0, 0), (1, 0, 0), focal_length(90, 64), 64, 64)
    np.testing.assert_allclose(project(view, np.array([2, 0, 2]))[:2], [32, 0], atol=1e-5)
