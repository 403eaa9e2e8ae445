"""Resizing against slow code that follows the definitions."""

import math

import numpy as np
import pytest
from PIL import Image

from ocgm.datasets.builders import resizing

SIZES = [(192, 128), (192, 96), (35, 32), (64, 64), (5, 3), (4, 9)]


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (192, 192, 3), np.uint8)


@pytest.mark.parametrize("side,size", SIZES)
def test_nearest(side, size):
    assert resizing.nearest_pixels(side, size).tolist() == [
        math.floor(i * side / size) for i in range(size)
    ]
    images = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), np.uint8)
    small = resizing.nearest(images, size)
    assert small.shape == (2, size, size, 3)
    for i in range(0, size, 2):
        for j in range(size):
            pixel = images[:, math.floor(i * side / size), math.floor(j * side / size)]
            np.testing.assert_array_equal(small[:, i, j], pixel)


@pytest.mark.parametrize("side,size", SIZES)
def test_centred(side, size):
    assert resizing.centred_pixels(side, size).tolist() == [
        math.floor((i + 0.5) * side / size) for i in range(size)
    ]


def test_two_kinds_of_nearest_pixels_differ():
    assert resizing.nearest_pixels(6, 4).tolist() == [0, 1, 3, 4]
    assert resizing.centred_pixels(6, 4).tolist() == [0, 2, 3, 5]


def test_pick():
    array = np.arange(24).reshape(3, 4, 2)
    np.testing.assert_array_equal(resizing.pick(array, np.array([0, 2])), array[[0, 2]][:, [0, 2]])


def hat(distance: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(distance), 0)


def weights(side: int, size: int, kernel, antialiased: bool) -> np.ndarray:
    """[size, side], the share of each pixel in each new one: the definition of resampling."""
    scale = max(side / size, 1) if antialiased else 1
    centres = (np.arange(size) + 0.5) * side / size - 0.5
    # Outside, the border is repeated; an antialiased filter is cut off there instead.
    pixels = np.arange(side) if antialiased else np.arange(-2, side + 2)
    table = kernel((pixels - centres[:, None]) / scale)
    if not antialiased:
        table[:, 2] += table[:, :2].sum(1)
        table[:, -3] += table[:, -2:].sum(1)
        table = table[:, 2:-2]
    return table / table.sum(1, keepdims=True)


def resampled(image: np.ndarray, size: int, kernel, antialiased: bool) -> np.ndarray:
    table = weights(image.shape[0], size, kernel, antialiased)
    return np.einsum("yi,ijc,xj->yxc", table, image.astype(float), table, optimize=True)


@pytest.mark.parametrize("size", [128, 96, 64, 250])
def test_bilinear(picture, size):
    expected = resampled(picture, size, hat, antialiased=False)
    result = resizing.bilinear(picture, size)
    assert result.dtype == np.uint8
    # Of the float result only the fraction is lost.
    assert np.abs(result - expected).max() <= 0.5 + 1e-3


def test_bilinear_looks_at_two_pixels_only():
    """A third of the pixels would be averaged if it were antialiased."""
    image = np.zeros((9, 9, 1), np.uint8)
    image[1::3, 1::3] = 255
    assert (resizing.bilinear(image, 3) == 255).all()
    assert (resizing.bilinear(np.roll(image, 1, 0), 3) == 0).all()


def cubic(distance: np.ndarray) -> np.ndarray:
    """Keys' kernel with a = -0.5, which is Pillow's."""
    x = np.abs(distance)
    inner = 1.5 * x**3 - 2.5 * x**2 + 1
    outer = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, inner, np.where(x < 2, outer, 0))


@pytest.mark.parametrize("size", [128, 96, 64])
@pytest.mark.parametrize(
    "filter_,kernel", [(Image.Resampling.BICUBIC, cubic), (Image.Resampling.BILINEAR, hat)]
)
def test_pillow(picture, size, filter_, kernel):
    smooth = np.asarray(Image.fromarray(picture).resize((24, 24)).resize((192, 192)))
    expected = resampled(smooth, size, kernel, antialiased=True)
    result = resizing.pillow(smooth, size, filter_)
    # Pillow rounds to 8 bits after the rows and after the columns.
    assert np.abs(result - expected.clip(0, 255)).max() <= 1.1
