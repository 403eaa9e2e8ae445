"""Slot Attention and Slot MLP: equivariance, options, and what they refuse."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import permute_slot_noise

from ocgm.errors import ConfigError, InputError
from ocgm.models.slot_attention import SlotAttention
from ocgm.models.slot_mlp import SlotMLP
from ocgm.modules.slot_attention import attend

SLOTS, SIDE, SIZE = 3, 8, 4
SMALL = {
    "latent_size": SIZE,
    "encoder_features": (4, 4),
    "encoder_strides": (2, 1),
    "decoder": "full",
}


def images() -> jax.Array:
    return jax.random.uniform(jax.random.key(5), (2, SIDE, SIDE, 3))


def apply(model, seed=3, **options):
    keys = {"params": jax.random.key(0), "latent": jax.random.key(seed)}

    @jax.jit
    def init_and_run():
        variables = model.init(keys, images(), train=True)
        rngs = {"latent": keys["latent"]}
        return model.apply(variables, images(), train=True, rngs=rngs, **options)

    return init_and_run()


def test_attend():
    """Against the sums written out."""
    rng = np.random.default_rng(0)
    queries, keys, values = (
        rng.normal(size=(1, 2, 3)),
        rng.normal(size=(1, 5, 3)),
        rng.normal(size=(1, 5, 4)),
    )
    attention, updates = attend(*map(jnp.float32, (queries, keys, values)))
    logits = queries[0] @ keys[0].T / np.sqrt(3)
    expected = np.exp(logits) / np.exp(logits).sum(axis=0)
    np.testing.assert_allclose(attention[0], expected, rtol=1e-5)
    np.testing.assert_allclose(
        updates[0], expected @ values[0] / expected.sum(axis=1, keepdims=True), rtol=1e-4
    )


@pytest.mark.compiles
@pytest.mark.parametrize("variant", ["published", "efficient_morl"])
def test_slots_are_equivariant(variant, monkeypatch):
    order, model = np.array([2, 0, 1]), SlotAttention(SLOTS, SIDE, variant=variant, **SMALL)
    expected = apply(model)
    permute_slot_noise(monkeypatch, order)
    permuted = apply(model)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    close(permuted.slots, expected.slots[:, order])
    close(permuted.components, expected.components[:, order])
    close(permuted.loss, expected.loss)
    assert np.abs(expected.slots - expected.slots[:, order]).max() > 0.1


@pytest.mark.compiles
def test_loss_is_the_published_one():
    """The mean of squared errors of colours in [-1, 1], or the sum of those in [0, 1]."""
    for variant, scale in (("published", 4.0 / (SIDE * SIDE * 3)), ("efficient_morl", 1.0)):
        model = SlotAttention(SLOTS, SIDE, variant=variant, **SMALL)
        outputs = apply(model)
        assert bool(
            jnp.all((outputs.reconstruction > 0) & (outputs.reconstruction < 1))
        )  # Not clipped.
        error = jnp.sum(jnp.square(outputs.reconstruction - images()), axis=(1, 2, 3))
        np.testing.assert_allclose(outputs.loss, scale * jnp.mean(error), rtol=1e-5)


@pytest.mark.compiles
def test_slots_and_iterations_at_call():
    model = SlotAttention(SLOTS, SIDE, **SMALL)
    outputs = apply(model, num_slots=5, iterations=1)
    assert outputs.components.shape == (2, 5, SIDE, SIDE, 3)
    np.testing.assert_allclose(jnp.sum(jnp.exp(outputs.log_masks), axis=1), 1.0, atol=1e-5)
    assert np.abs(apply(model).slots - apply(model, iterations=2).slots).max() > 1e-3
    with pytest.raises(InputError, match="iterations=0 must be at least 1"):
        apply(model, iterations=0)


def test_slot_mlp_has_an_order():
    """The same slots whatever the seed, and no other number of them."""
    model = SlotMLP(SLOTS, SIDE, hidden_sizes=(8,), **SMALL)
    np.testing.assert_array_equal(apply(model, seed=3).slots, apply(model, seed=4).slots)
    with pytest.raises(InputError, match="built for 3 slots; it cannot infer num_slots=4"):
        apply(model, num_slots=4)


@pytest.mark.parametrize("kind", [SlotAttention, SlotMLP])
def test_neither_samples(kind):
    model = kind(SLOTS, SIDE, **SMALL)
    with pytest.raises(InputError, match=f"{kind.__name__} is an autoencoder: it has no prior"):
        model.sample(2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "official"}, "variant='official' is not one of"),
        ({"decoder": "big"}, "decoder='big' is not one of"),
        ({"num_slots": 1}, "num_slots=1; at least 2 are needed"),
        ({"encoder_strides": (1,)}, "must be of one length"),
    ],
)
def test_impossible_values(settings, message):
    with pytest.raises(ConfigError, match=f"SlotAttention: .*{message}"):
        SlotAttention(**{"num_slots": SLOTS, "image_size": SIDE, **SMALL, **settings})
