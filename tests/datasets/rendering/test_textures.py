"""Texture bitmaps and how they are read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ocgm.datasets.rendering import textures

pytestmark = pytest.mark.compiles

REPEATING = [name for name in textures.NAMES if not name.startswith("print")]
sample = jax.jit(textures.sample)


@pytest.mark.parametrize("name", textures.NAMES)
def test_always_the_same(name):
    first = textures.bitmap(name)
    np.random.seed(3)
    textures.bitmap.cache_clear()
    np.testing.assert_array_equal(textures.bitmap(name), first)
    assert first.shape == (256, 256, 3) and first.dtype == np.uint8


@pytest.mark.parametrize("name", REPEATING)
def test_no_seam(name):
    """Neighbours across the border differ no more than neighbours elsewhere at most do."""
    image = textures.bitmap(name).astype(np.float32)
    for axis in (0, 1):
        other = (1 - axis, 2)
        inner = abs(np.diff(image, axis=axis)).mean(axis=other)
        across = abs(image.take(0, axis) - image.take(-1, axis)).mean()
        assert across <= 1.3 * inner.max() + 0.5


def test_all_differ():
    images = [textures.bitmap(name).tobytes() for name in textures.NAMES]
    assert len(set(images)) == len(images) == len(set(textures.NAMES))


def test_texel_centers_and_repetition():
    """At a texel's centre the texture is the bitmap, in every repetition."""
    name = "gqn_wall_orange"
    index = np.full(100, textures.NAMES.index(name), np.int32)
    rng = np.random.default_rng(0)
    row, column = rng.integers(0, 256, (2, 100))
    u, v = (column + 0.5) / 256 + rng.integers(-3, 4, 100), (row + 0.5) / 256 - 2
    color = sample(textures.atlas(), index, *jnp.float32([u, v]), jnp.full(100, 1 / 256))
    expected = textures.bitmap(name)[row, column] / 255
    np.testing.assert_allclose(np.asarray(color).T, expected, atol=2e-3)


def test_bilinear_across_the_border():
    """Half way between the last and the first column it is their mean."""
    index = np.full(256, textures.NAMES.index("planks"), np.int32)
    v = (np.arange(256) + 0.5) / 256
    color = sample(textures.atlas(), index, jnp.zeros(256), jnp.float32(v), jnp.full(256, 1 / 256))
    image = textures.bitmap("planks") / 255
    np.testing.assert_allclose(np.asarray(color).T, (image[:, 0] + image[:, -1]) / 2, atol=2e-3)


def test_wide_pixels_see_means():
    """A pixel of an eighth of the texture reads means of 32 x 32 texels; a huge one the mean."""
    name = "terrazzo_tiles"
    index = np.full(64, textures.NAMES.index(name), np.int32)
    row, column = np.divmod(np.arange(64), 8)
    u, v = jnp.float32((column + 0.5) / 8), jnp.float32((row + 0.5) / 8)
    image = textures.bitmap(name) / 255
    means = image.reshape(8, 32, 8, 32, 3).mean(axis=(1, 3)).reshape(64, 3)
    color = sample(textures.atlas(), index, u, v, jnp.full(64, 1 / 8))
    np.testing.assert_allclose(np.asarray(color).T, means, atol=4e-3)
    color = sample(textures.atlas(), index, u, v, jnp.full(64, 50.0))
    np.testing.assert_allclose(
        np.asarray(color).T, np.tile(image.mean(axis=(0, 1)), (64, 1)), atol=4e-3
    )
