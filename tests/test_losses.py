"""Likelihoods of mixtures: against SciPy, and what distinguishes a mixture for each pixel from one for each channel."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from ml_collections import ConfigDict
from tiny_models import MODELS

from ocgm import losses, models
from ocgm.errors import ConfigError


def draw(num_slots: int):
    rng = np.random.default_rng(num_slots)
    images, components = rng.random((2, 4, 5, 3)), rng.random((2, num_slots, 4, 5, 3))
    logits = rng.normal(size=(2, num_slots, 4, 5, 1))
    return images, components, logits - scipy.special.logsumexp(logits, axis=1, keepdims=True)


@pytest.mark.parametrize("sigma", [0.1, (0.3, 0.1, 0.7)])
def test_mixtures(sigma):
    images, components, log_masks = draw(3)
    scale = np.reshape(sigma, (-1, 1, 1, 1))
    density = scipy.stats.norm.pdf(images[:, None], components, scale)
    masks = np.exp(log_masks)
    expected = {
        "mixture": -np.log((masks * density).sum(1)).sum((1, 2, 3)),
        "pixel": -np.log((masks * density.prod(-1, keepdims=True)).sum(1)).sum((1, 2, 3)),
    }
    for name, likelihood in losses.MIXTURES.items():
        actual = likelihood(images, jnp.asarray(components), log_masks, sigma)
        np.testing.assert_allclose(actual, expected[name], rtol=1e-5)


def test_one_slot_is_the_same_in_all_likelihoods():
    images, components, log_masks = draw(1)
    first, *others = (
        likelihood(images, jnp.asarray(components), log_masks, 0.3)
        for likelihood in losses.LIKELIHOODS.values()
    )
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-5)


def test_slots_that_are_each_right_in_some_channels():
    """A red and a cyan slot explain white together in a mixture for each channel, and not in one for each pixel."""
    white, red, cyan = np.ones((1, 1, 1, 3)), (1.0, 0.0, 0.0), (0.0, 1.0, 1.0)
    half = np.log(np.full((1, 2, 1, 1, 1), 0.5))

    def error(name, *colours):
        components = jnp.asarray(colours, jnp.float32).reshape(1, 2, 1, 1, 3)
        return float(losses.MIXTURES[name](white, components, half, 0.1)[0])

    right = -3 * scipy.stats.norm.logpdf(0, scale=0.1)
    assert error("mixture", red, cyan) == pytest.approx(right + 3 * np.log(2), abs=1e-3)
    assert error("pixel", red, cyan) > right + 40
    assert error("pixel", (1, 1, 1), cyan) == pytest.approx(right + np.log(2), abs=1e-3)


@pytest.mark.parametrize("name", ["genesis", "genesis_s", "genesis_v2", "monet", "efficient_morl"])
def test_models_use_the_likelihood_of_their_config(name, monkeypatch):
    used = []
    for kinds, kind in itertools.product(
        (losses.MIXTURES, losses.LIKELIHOODS), ("mixture", "pixel")
    ):
        likelihood = kinds[kind]
        monkeypatch.setitem(kinds, kind, lambda *a, f=likelihood, k=kind: used.append(k) or f(*a))
    images = jnp.zeros((1, 32, 32, 3))
    for kind in ("mixture", "pixel"):
        model = models.build(ConfigDict({"image_size": 32, **MODELS[name], "likelihood": kind}))
        keys = dict.fromkeys(("params", "latent", "seed_scores"), jax.random.key(0))
        used.clear()
        jax.eval_shape(functools.partial(model.init, train=False), keys, images)
        assert set(used) == {kind}
    with pytest.raises(ConfigError, match="likelihood='pixels' is not one of .*'pixel'"):
        models.build(ConfigDict({"image_size": 32, **MODELS[name], "likelihood": "pixels"}))
