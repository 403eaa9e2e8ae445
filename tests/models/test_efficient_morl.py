"""EfficientMORL beyond the golden cases: refinement, equivariance, options and what they refuse."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import command, permute_slot_noise, write_config
from ml_collections import ConfigDict
from reference_weights import fixture_weight

from ocgm import losses, models
from ocgm.errors import ConfigError, InputError
from ocgm.inference import load
from ocgm.interop import torch_import
from ocgm.models.efficient_morl import EfficientMORL
from ocgm.modules.refinement import loss_with_gradient
from ocgm.training import objectives

SLOTS, SIDE, SIZE = 3, 8, 4


def build(**settings) -> EfficientMORL:
    defaults = {
        "latent_size": SIZE,
        "stochastic_layers": 2,
        "refinement_steps": 1,
        "decoder": "small",
    }
    return EfficientMORL(SLOTS, SIDE, **{**defaults, **settings})


def images(batch: int = 2) -> jax.Array:
    """The first of four images."""
    return jax.random.uniform(jax.random.key(5), (4, SIDE, SIDE, 3))[:batch]


@functools.cache
def variables() -> dict:
    """Weights large enough for the slots to differ; the authors' start near zero."""
    keys = {"params": jax.random.key(0), "latent": jax.random.key(1)}
    fresh = jax.jit(functools.partial(build().init, train=True))(keys, images())
    leaves, tree = jax.tree.flatten(fresh["params"])
    keys = jax.random.split(jax.random.key(2), len(leaves))
    noisy = [
        leaf + 0.05 * jax.random.normal(k, leaf.shape) for leaf, k in zip(leaves, keys, strict=True)
    ]
    return {**fresh, "params": jax.tree.unflatten(tree, noisy)}


def run(model, images, train=True, refiner_scale=1.0, **options):
    @jax.jit
    def apply(variables, images):
        rngs = {"latent": jax.random.key(3)}
        return model.apply(variables, images, train=train, rngs=rngs, **options)

    params = variables()["params"]
    refiner = jax.tree.map(lambda leaf: refiner_scale * leaf, params["refiner"])
    return apply({**variables(), "params": {**params, "refiner": refiner}}, images)


def test_shared_gradient():
    """Value, gradient and training gradient against automatic differentiation written out."""

    def energy(x, others):
        scale, target = others
        return jnp.sum(scale * jnp.square(jnp.tanh(x["a"]) - target)), jnp.sum(x["a"])

    def plain(x, others):
        loss, aux = energy(x, others)
        gradient = jax.grad(lambda x: energy(x, others)[0])(x)
        return loss, *jax.lax.stop_gradient((aux, gradient))

    def two_steps(step):
        def total(x, others):
            first, _, gradient = step(x, others)
            moved = jax.tree.map(lambda x, g: x - 0.1 * g, x, gradient)
            second, aux, _ = step(moved, others)
            return 0.5 * first + 2.0 * second + aux

        return jax.value_and_grad(total, argnums=(0, 1))

    arguments = {"a": jnp.array([0.3, -1.0])}, (jnp.array([1.0, 2.0]), jnp.array([0.5, 0.1]))
    shared = two_steps(functools.partial(loss_with_gradient, energy))(*arguments)
    jax.tree.map(np.testing.assert_allclose, shared, two_steps(plain)(*arguments))


@pytest.mark.compiles
def test_slots_are_equivariant(monkeypatch):
    """Noise in another order of slots gives the same slots in that order."""
    order = np.array([2, 0, 1])
    expected = run(build(), images())
    permute_slot_noise(monkeypatch, order)
    permuted = run(build(), images())
    close = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-3)
    close(permuted.slots, expected.slots[:, order])
    close(permuted.components, expected.components[:, order])
    close(permuted.log_masks, expected.log_masks[:, order])
    close(permuted.kl["latents"], expected.kl["latents"][:, order], rtol=1e-2)
    close(permuted.loss, expected.loss)
    assert np.abs(expected.slots - expected.slots[:, order]).max() > 0.1


@pytest.mark.compiles
def test_slots_and_steps_at_call():
    outputs = run(build(), images(), num_slots=5, refinement_steps=2)
    assert outputs.components.shape == (2, 5, SIDE, SIDE, 3)
    twice = run(build(refinement_steps=2), images())
    np.testing.assert_allclose(run(build(), images(), refinement_steps=2).loss, twice.loss)
    assert twice.loss != run(build(), images()).loss
    with pytest.raises(InputError, match="refinement_steps=-1 must not be negative"):
        run(build(), images(), refinement_steps=-1)


@pytest.mark.compiles
def test_masks_sum_to_one_and_loss_is_of_training():
    outputs = run(build(), images(), train=False)
    np.testing.assert_allclose(jnp.sum(jnp.exp(outputs.log_masks), axis=1), 1.0, atol=1e-5)
    assert outputs.loss is None


@pytest.mark.compiles
def test_evaluation_does_not_depend_on_the_batch(monkeypatch):
    """With the authors' batch of one an image's slots are the same beside any other images."""
    draw = jax.random.normal
    monkeypatch.setattr(
        jax.random,
        "normal",
        lambda key, shape=(), dtype=float: jnp.broadcast_to(
            draw(key, (1, *shape[1:]), dtype), shape
        ),
    )

    def difference(**settings):
        model = build(component_sigma=3.0, **settings)  # Small gradients, where the epsilon counts.
        alone, beside = (
            run(model, x, train=False, refiner_scale=10.0).slots[:2] for x in (images(), images(4))
        )
        return float(jnp.abs(alone - beside).max())

    assert difference(eval_gradient_batch=1) < 1e-4 < 1e-3 < difference()


def test_likelihood_leaves_out_the_constant():
    flat = jnp.full((1, SIDE, SIDE, 3), 0.5)
    model = build(likelihood="gaussian", component_sigma=1.0)
    error = model.reconstruction_error(flat, flat[:, None], jnp.zeros((1, 1, SIDE, SIDE, 1)))
    np.testing.assert_allclose(error, 0.0, atol=1e-3)


@pytest.mark.parametrize("prior", ["bottom_up", "reversed", "reversed++"])
def test_samples(prior):
    model = build(prior=prior)
    draw = functools.partial(model.apply, method="sample", rngs={"latent": jax.random.key(0)})
    scenes = jax.jit(draw, static_argnums=(1, 2))(variables(), 2, 4)
    assert scenes.components.shape == (2, 4, SIDE, SIDE, 3)
    mean = losses.mixture_mean(scenes.components, scenes.log_masks)
    np.testing.assert_allclose(scenes.images, mean, atol=1e-6)
    assert jnp.abs(scenes.images[0] - scenes.images[1]).max() > 1e-4


def test_discounts():
    assert [build().discount(i, 3) for i in range(4)] == [1.5, 1.25, 1.0, 0.75]
    assert [build(paper_discount=True).discount(i, 3) for i in range(4)] == [1.0, 0.75, 0.5, 0.25]


@pytest.mark.compiles
def test_paper_refinement_prior():
    """Of three variants only the bottom-up prior's refinement differs between paper and code."""
    code, paper = (
        run(build(prior="bottom_up", paper_refinement_prior=flag), images())
        for flag in (False, True)
    )
    assert float(jnp.abs(code.kl["latents"] - paper.kl["latents"]).max()) > 1e-3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prior": "backwards"}, "prior='backwards' is not one of 'bottom_up', 'reversed'"),
        ({"likelihood": "laplace"}, "likelihood='laplace' is not one of"),
        ({"decoder": "big"}, "decoder='big' is not one of"),
        ({"stochastic_layers": -1}, "stochastic_layers=-1 must be at least 0"),
        ({"refinement_steps": -1}, "refinement_steps=-1 must be at least 0"),
        ({"num_slots": 1}, "num_slots=1 must be at least 2"),
    ],
)
def test_impossible_values(settings, message):
    with pytest.raises(ConfigError, match=message):
        EfficientMORL(**{"num_slots": SLOTS, "image_size": SIDE, **settings})


def test_deconv_decoder_needs_a_multiple_of_16():
    with pytest.raises(ConfigError, match="image_size=8 is not a grid of 0 pixels doubled"):
        model = build(decoder="deconv")
        jax.eval_shape(lambda: model.init(jax.random.key(0), images(), train=True))


@pytest.mark.compiles
@pytest.mark.parametrize("layout", ["current", "older"])
@pytest.mark.parametrize("geco", [True, False])
def test_import(tiny_config, tmp_path, layout, geco):
    """The authors' file as a run: parameters, step and, with GECO, the error's weight."""
    config = tiny_config()
    with config.unlocked():
        config.objective = (
            objectives.default_config("error_weight_geco", goal=-1.0)
            if geco
            else objectives.default_config("elbo", beta=1.0)
        )
        config.model = ConfigDict(
            {
                "name": "efficient_morl",
                "num_slots": 3,
                "image_size": 32,
                "latent_size": SIZE,
                "decoder": "small",
            }
        )
    model = models.build(config.model)
    shapes = torch_import.torch_shapes(model)
    weights = {name: fixture_weight(name, shape) for name, shape in shapes.items()}
    weights["geco_beta"] = np.float32(2.0)
    stored = {"geco_C_ema": np.float32(-3.0), **weights}
    if layout == "older":
        stored = {
            re.sub("^hvae_networks.(?=pos_embed|encoder_pt)", "", name).replace(
                "hvae_networks", "object_discovery_block"
            ): array
            for name, array in stored.items()
        } | {"object_discovery_block.gru.cell.zeros": np.zeros(3, np.float32)}
    np.savez(tmp_path / "theirs.npz", step=7, **{f"module.{name}": a for name, a in stored.items()})
    done = command(
        "convert",
        f"--config={write_config(tmp_path, config)}",
        f"--checkpoint={tmp_path / 'theirs.npz'}",
        f"--workdir={tmp_path / 'run'}",
    )
    assert done.status == 0, done.err
    trained = load(tmp_path / "run")
    assert trained.step == 7
    expected = torch_import.to_variables(model, weights)["params"]
    jax.tree.map(np.testing.assert_array_equal, trained.variables["params"], expected)
    error_weight = np.log1p(np.exp(2.0)) if geco else 1.0
    np.testing.assert_allclose(
        trained.variables["loss_weights"]["error_weight"], error_weight, rtol=1e-6
    )
    assert trained.variables["loss_weights"]["beta"] == 1.0
