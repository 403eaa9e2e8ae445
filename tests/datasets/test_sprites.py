"""The sprite renderer against formulas and against real images."""

import numpy as np
import pytest

from ocgm.datasets.sprites import sprites

CLASS_STRIDES = np.array([245_760, 40_960, 1024, 32, 1])


def test_index_to_factors():
    # dSprites' index is shape * 245760 + scale * 40960 + orientation * 1024 + x * 32 + y.
    factors = sprites.factors_from_index([0, 1, 32, 1024, 40_960, 245_760, 737_279])
    np.testing.assert_array_equal(factors.shape, [0, 0, 0, 0, 0, 1, 2])
    np.testing.assert_allclose(factors.scale, [0.5, 0.5, 0.5, 0.5, 0.6, 0.5, 1.0])
    step = 0.16110732
    np.testing.assert_allclose(factors.orientation, [0, 0, 0, step, 0, 0, 2 * np.pi], atol=1e-7)
    np.testing.assert_allclose(factors.x, [0, 0, 1 / 31, 0, 0, 0, 1])
    np.testing.assert_allclose(factors.y, [0, 1 / 31, 0, 0, 0, 0, 1])


@pytest.mark.parametrize("index", [-1, 737_280])
def test_index_out_of_range(index):
    with pytest.raises(ValueError, match="0..737279"):
        sprites.factors_from_index([0, index])


def test_real_images(fixtures):
    with np.load(fixtures / "dsprites_frames.npz") as file:
        real = np.unpackbits(file["imgs"], axis=1).reshape(-1, 64, 64).astype(bool)
        classes = file["latents_classes"].astype(int)
    factors = sprites.factors_from_index(classes[:, 1:] @ CLASS_STRIDES)
    wrong = (sprites.render_sprites(*factors) != real).sum((1, 2))
    assert len(real) == 258
    assert wrong.max() <= 4
    assert wrong.sum() == 134  # 8 squares + 44 ellipses + 82 hearts: keeps the fit from drifting.


@pytest.mark.parametrize(
    "scale,side", [(0.5, 10), (0.6, 12), (0.7, 14), (0.8, 16), (0.9, 18), (1.0, 20)]
)
def test_square_size(scale, side):
    (image,) = sprites.render_sprites([0], [scale], [0.0], [0.0], [0.0])
    assert image.any(0).sum() == image.any(1).sum() == side
    assert image.sum() == side**2


@pytest.mark.parametrize("shape,width,height,pixels", [(1, 26, 14, 288), (2, 20, 17, 222)])
def test_extent(shape, width, height, pixels):
    (image,) = sprites.render_sprites([shape], [1.0], [0.0], [0.0], [0.0])
    assert (image.any(0).sum(), image.any(1).sum(), image.sum()) == (width, height, pixels)


def test_axes():
    left, right, low = sprites.render_sprites([0] * 3, [0.5] * 3, [0.0] * 3, [0, 1, 0], [0, 0, 1])
    np.testing.assert_array_equal(np.roll(left, 32, axis=1), right)
    np.testing.assert_array_equal(np.roll(left, 32, axis=0), low)
    # Turned a little counter-clockwise, the right end of an ellipse is higher than the left one.
    (ellipse,) = sprites.render_sprites([1], [1.0], [0.5], [0.5], [0.5])
    rows, columns = np.nonzero(ellipse)
    assert rows[columns.argmax()] < rows[columns.argmin()]


@pytest.mark.parametrize("shape", [0, 1, 2])
def test_no_sprite_is_cut_off(shape):
    """The window in which a sprite is drawn holds all of it, at any angle and in any corner."""
    angle = np.linspace(0, 2 * np.pi, 97)
    for x, y in np.ndindex(2, 2):
        n = len(angle)
        near = sprites.render_sprites([shape] * n, [1.0] * n, angle, [x] * n, [y] * n)
        middle = sprites.render_sprites([shape] * n, [1.0] * n, angle, [0.5] * n, [0.5] * n)
        np.testing.assert_array_equal(near.sum((1, 2)), middle.sum((1, 2)))


def test_ends_of_the_turn_look_the_same():
    first, last = sprites.render_sprites(
        *sprites.factors_from_index(np.array([0, 39]) * 1024 + 2 * 245_760)
    )
    np.testing.assert_array_equal(first, last)


def test_reduced_orientation():
    """The published factors are multiples of these steps, below a quarter, half or whole turn."""
    angles = sprites.factors_from_index(np.arange(40) * 1024).orientation
    for shape, (turns, step) in enumerate([(4, 0.0402768), (2, 0.0805537), (1, 0.1611073)]):
        reduced = sprites.reduced_orientation(np.full(40, shape), angles)
        assert reduced.dtype == np.float32
        np.testing.assert_allclose(np.unique(reduced), np.arange(39) * step, atol=2e-5)
        difference = (angles - reduced) / (2 * np.pi / turns)
        np.testing.assert_allclose(difference, np.rint(difference), atol=1e-6)
        factors = np.full(40, shape), np.ones(40), angles, np.full(40, 0.5), np.full(40, 0.5)
        same = (
            sprites.render_sprites(*factors),
            sprites.render_sprites(*factors[:2], reduced, *factors[3:]),
        )
        # Rounding moves pixel centres across an edge; hardly any.
        assert (same[0] != same[1]).sum((1, 2)).max() <= 2
