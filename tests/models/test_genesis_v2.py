"""Properties of GENESIS-V2 that hold for any weights, and that it learns; parity is in test_parity.py."""

import functools
import math

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ocgm import sharding
from ocgm.errors import ConfigError
from ocgm.models.genesis_v2 import GenesisV2
from ocgm.modules import ic_sbp
from ocgm.training.step import abstract_state, init_state, make_train_step, stream_keys

_B, _K, _SIDE = 4, 3, 32
_MODEL = GenesisV2(num_slots=_K, image_size=_SIDE, feature_dim=8)


@pytest.fixture(scope="module")
def images() -> jax.Array:
    """Two coloured rectangles before a background, different in each image."""
    random = np.random.default_rng(0)
    images = np.empty((_B, _SIDE, _SIDE, 3), np.float32)
    for image in images:
        image[:] = random.random(3)
        for y, x in random.integers(0, 20, (2, 2)):
            image[y : y + 12, x : x + 9] = random.random(3)
    return jnp.asarray(images)


@pytest.fixture(scope="module")
def variables(images) -> dict:
    """Initial weights, but with embeddings that depend on the picture and a wide kernel."""
    keys = {"params": jax.random.key(0), **stream_keys(jax.random.key(1))}
    variables = jax.jit(functools.partial(_MODEL.init, train=False))(keys, images[:1])
    variables["params"]["embedding_gate"] = jnp.float32(3.0)
    variables["params"]["log_kernel_sigma"] = jnp.float32(0.7)
    return variables


@functools.cache
def compiled(model: GenesisV2 = _MODEL, **options):
    """The model's call, compiled once for the module's tests: (variables, images, key) -> outputs."""
    return jax.jit(
        lambda v, x, key: model.apply(v, x, rngs=stream_keys(key), **{"train": False} | options)
    )


@pytest.fixture(scope="module")
def outputs(variables, images):
    return compiled()(variables, images, jax.random.key(2))


@pytest.mark.compiles
def test_contract(outputs):
    shapes = {
        "reconstruction": (_B, _SIDE, _SIDE, 3),
        "components": (_B, _K, _SIDE, _SIDE, 3),
        "log_masks": (_B, _K, _SIDE, _SIDE, 1),
        "log_masks_attention": (_B, _K, _SIDE, _SIDE, 1),
        "log_masks_decoded": (_B, _K, _SIDE, _SIDE, 1),
        "slots": (_B, _K, 8),
        "active_slots": (_B, _K),
        "reconstruction_error": (_B,),
    }
    assert {name: getattr(outputs, name).shape for name in shapes} == shapes
    assert outputs.kl["latents"].shape == (_B, _K)
    assert outputs.latents["slots"].mean.shape == (_B, _K, 8)
    assert outputs.active_slots.all()
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(outputs))
    assert 0 <= outputs.components.min() and outputs.components.max() <= 1


@pytest.mark.compiles
def test_sizes_that_the_paper_has_not(images):
    """16x16 images, latents smaller than the network, a wide kernel, and the mask loss as an option of the call."""
    model = GenesisV2(
        num_slots=_K,
        image_size=16,
        feature_dim=16,
        latent_size=4,
        semi_convolutional=False,
        initial_kernel_sigma=4.0,
    )
    keys = {"params": jax.random.key(0), **stream_keys(jax.random.key(1))}
    variables = jax.jit(functools.partial(model.init, train=False))(keys, images[:1, ::2, ::2])
    assert jnp.allclose(variables["params"]["log_kernel_sigma"], math.log(4.0))
    outputs = compiled(model, mask_loss=True)(variables, images[:, ::2, ::2], jax.random.key(2))
    assert outputs.slots.shape == (_B, _K, 4)
    assert outputs.components.shape == (_B, _K, 16, 16, 3)
    assert outputs.kl["masks"].shape == (_B,) and (outputs.kl["masks"] > 0).all()
    sample = model.apply(variables, 2, rngs=stream_keys(jax.random.key(3)), method="sample")
    assert sample.components.shape == (2, _K, 16, 16, 3)


@pytest.mark.compiles
def test_mask_loss_can_be_switched_off(variables, images):
    model = _MODEL.clone(mask_loss=True)
    assert set(compiled(model)(variables, images, jax.random.key(2)).kl) == {"latents", "masks"}
    off = compiled(model, mask_loss=False)(variables, images, jax.random.key(2))
    assert set(off.kl) == {"latents"}


@pytest.mark.compiles
def test_masks_sum_to_one(outputs):
    for log_masks in (outputs.log_masks_attention, outputs.log_masks_decoded):
        total = jnp.sum(jnp.exp(log_masks), axis=1)
        np.testing.assert_allclose(total, 1.0, atol=1e-5)
        assert jnp.exp(log_masks).std() > 1e-3  # and are not all the same


@pytest.mark.compiles
def test_reconstruction_is_the_mixture_of_components(outputs):
    mixture = jnp.sum(jnp.exp(outputs.log_masks) * outputs.components, axis=1)
    np.testing.assert_allclose(outputs.reconstruction, mixture, atol=1e-6)


@pytest.mark.compiles
def test_slots_are_decoded_alike(variables, outputs):
    """Permuted slots give permuted components and masks, and the same picture."""
    decode = jax.jit(lambda z: _MODEL.apply(variables, z, outputs.active_slots, method="decode"))
    order = np.array([2, 0, 1])
    components, log_masks = decode(outputs.slots)
    permuted_components, permuted_log_masks = decode(outputs.slots[:, order])
    np.testing.assert_allclose(permuted_components, components[:, order], atol=1e-5)
    np.testing.assert_allclose(permuted_log_masks, log_masks[:, order], atol=1e-4)
    assert jnp.abs(components[:, 0] - components[:, 1]).max() > 1e-3


@pytest.mark.compiles
def test_randomness_is_all_in_the_key(variables, images, outputs):
    again = compiled()(variables, images, jax.random.key(2))
    jax.tree.map(np.testing.assert_array_equal, again, outputs)
    other = compiled()(variables, images, jax.random.key(3))
    assert jnp.abs(other.slots - outputs.slots).min() > 0
    assert jnp.abs(other.log_masks_attention - outputs.log_masks_attention).max() > 0.1


@pytest.mark.compiles
def test_every_stochastic_choice_can_be_fixed(variables, images):
    """Posterior means and given seed scores: no random streams are needed."""
    call = jax.jit(
        lambda scores: _MODEL.apply(
            variables, images, train=False, deterministic=True, seed_scores=scores
        )
    )
    scores = jax.random.uniform(jax.random.key(0), images.shape[:3])
    fixed, other = call(scores), call(1.0 - scores)
    np.testing.assert_array_equal(fixed.slots, fixed.latents["slots"].mean)
    assert jnp.abs(other.log_masks_attention - fixed.log_masks_attention).max() > 0.1


# ---- number of slots


@pytest.fixture(scope="module")
def dynamic(variables, images):
    """Six slots at most, as many as each image needs."""
    scores = jax.random.uniform(jax.random.key(4), images.shape[:3])
    options = {"num_slots": 6, "dynamic_slots": True, "deterministic": True, "train": False}
    call = jax.jit(lambda x, s: _MODEL.apply(variables, x, seed_scores=s, **options))
    return call, scores, call(images, scores)


@pytest.mark.compiles
def test_dynamic_slots_differ_between_images(dynamic):
    counts = dynamic[2].active_slots.sum(axis=1)
    assert len(set(counts.tolist())) > 1, counts
    assert counts.min() >= 1


@pytest.mark.compiles
def test_dynamic_slots_of_a_batch_equal_those_of_one_image(dynamic, images):
    call, scores, batch = dynamic
    for i in range(_B):
        alone = call(images[i : i + 1], scores[i : i + 1])
        jax.tree.map(
            lambda one, all_, i=i: np.testing.assert_allclose(
                one[0], all_[i], rtol=2e-4, atol=2e-4
            ),
            alone,
            batch,
        )


@pytest.mark.compiles
def test_inactive_slots_have_no_influence(variables, dynamic, images):
    """They carry no mask, no KL and no gradient, and the active ones are what fewer slots would give."""
    outputs = dynamic[2]
    off = ~outputs.active_slots
    assert off.any()
    for log_masks in (outputs.log_masks_attention, outputs.log_masks_decoded):
        assert jnp.exp(log_masks)[off].max() == 0.0
        np.testing.assert_allclose(jnp.sum(jnp.exp(log_masks), axis=1), 1.0, atol=1e-5)
    assert jnp.abs(outputs.kl["latents"][off]).max() == 0.0

    @jax.jit
    @jax.grad
    def gradient(z):
        components, log_masks = _MODEL.apply(variables, z, outputs.active_slots, method="decode")
        return jnp.sum(jnp.square(jnp.sum(jnp.exp(log_masks) * components, axis=1)))

    by_slot = jnp.abs(gradient(outputs.slots)).max(axis=-1)
    assert by_slot[off].max() == 0.0
    assert by_slot[outputs.active_slots].min() > 0.0


def test_dynamic_slots_stop_where_a_mask_would_be_small():
    """All pixels alike: the first mask takes 99 %, the next would cover 0.0099 * 1024 = 10.1 < 20 pixels."""
    embeddings, scores = jnp.zeros((1, 32, 32, 8)), jnp.ones((1, 32, 32))
    result = ic_sbp.stick_breaking(
        embeddings, scores, jnp.float32(1), kernel="gaussian", num_slots=4, dynamic_slots=True
    )
    assert result.active_slots.tolist() == [[True, True, False, False]]
    masks = jnp.exp(result.log_masks[0, :, 0, 0, 0])
    np.testing.assert_allclose(masks, [0.99, 0.01, 0, 0], rtol=1e-5)


@pytest.mark.compiles
def test_more_slots_than_in_training(variables, images):
    outputs = compiled(num_slots=6)(variables, images, jax.random.key(0))
    assert outputs.log_masks.shape[1] == outputs.components.shape[1] == 6
    np.testing.assert_allclose(
        jnp.sum(jnp.exp(outputs.log_masks_attention), axis=1), 1.0, atol=1e-5
    )
    assert jnp.isfinite(outputs.reconstruction_error).all()


@pytest.mark.compiles
@pytest.mark.parametrize("num_slots,autoregressive", [(None, True), (7, True), (2, False)])
def test_sample(variables, num_slots, autoregressive):
    model = _MODEL.clone(autoregressive_prior=autoregressive)
    draw = jax.jit(
        lambda key: model.apply(variables, 5, num_slots, method="sample", rngs={"latent": key})
    )
    sample = draw(jax.random.key(0))
    count = num_slots or _K
    assert sample.images.shape == (5, _SIDE, _SIDE, 3)
    assert sample.components.shape == (5, count, _SIDE, _SIDE, 3)
    np.testing.assert_allclose(jnp.sum(jnp.exp(sample.log_masks), axis=1), 1.0, atol=1e-5)
    assert 0 <= sample.images.min() and sample.images.max() <= 1
    np.testing.assert_array_equal(draw(jax.random.key(0)).images, sample.images)
    assert jnp.abs(draw(jax.random.key(1)).images - sample.images).max() > 1e-3


# ---- learning


@pytest.fixture(scope="module")
def learned(tiny_config, images):
    """Metrics and Adam's average of the gradients after each of 20 training steps on two images."""
    config = tiny_config()
    mesh = sharding.make_mesh(config.mesh)
    step = make_train_step(config, mesh)
    shardings = jax.tree.map(lambda leaf: leaf.sharding, abstract_state(config, mesh))
    state = jax.jit(lambda: init_state(config), out_shardings=shardings)()
    batch = {"image": np.tile(np.uint8(255 * images[:2]), (4, 1, 1, 1))}
    metrics, averages = [], []
    for _ in range(20):
        state, values = step(state, jax.device_put(batch, sharding.batch_sharding(mesh)), ())
        metrics.append(jax.device_get(values))
        average = jax.device_get(optax.tree.get(state.opt_state, "mu"))
        averages.append(flax.traverse_util.flatten_dict(average, sep="/"))
    assert not int(state.failed)
    return metrics, averages


@pytest.mark.compiles
def test_loss_falls(learned):
    losses = np.array([values["loss"] for values in learned[0]])
    # Above the error of a perfect reconstruction: the entropy of the pixels' Gaussians.
    losses -= 3 * _SIDE**2 * math.log(0.7 * math.sqrt(2 * math.pi))
    assert losses.min() > 0
    assert losses[-3:].mean() < 0.9 * losses[:3].mean(), losses


@pytest.mark.compiles
def test_gradients_are_finite_and_reach_every_parameter(learned):
    metrics, averages = learned
    assert all(np.isfinite(values["gradient_norm"]) for values in metrics)
    assert all(np.isfinite(leaf).all() for leaf in averages[-1].values())
    # The gate of the embeddings starts at zero: in the first step it is the only one of its branch to move.
    untouched = {name for name, leaf in averages[0].items() if not np.any(leaf)}
    assert untouched == {
        name for name in averages[0] if name.startswith(("embedding_head", "segmentation_head"))
    }
    assert np.any(averages[0]["embedding_gate"])
    assert not [name for name, leaf in averages[5].items() if not np.any(leaf)]


# ---- types and mistakes


@pytest.mark.compiles
def test_bfloat16(variables, images, outputs):
    half = compiled(_MODEL.clone(dtype=jnp.bfloat16))(variables, images, jax.random.key(2))
    assert {leaf.dtype for leaf in jax.tree.leaves(half)} == {
        leaf.dtype for leaf in jax.tree.leaves(outputs)
    }
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(half))
    np.testing.assert_allclose(half.reconstruction, outputs.reconstruction, atol=0.1)
    assert jnp.abs(half.reconstruction - outputs.reconstruction).max() > 0


@pytest.mark.compiles
@pytest.mark.parametrize(
    "shape",
    [(32, 32, 3), (1, 32, 32, 1), (1, 3, 32, 32), (1, 64, 64, 3), (1, 48, 48, 3), (1, 32, 64, 3)],
    ids=str,
)
def test_wrong_shapes(variables, shape):
    with pytest.raises(AssertionError, match=r"(?s)shape.*\(None, 32, 32, 3\)"):
        call_with(variables, shape, seed_scores=(1, 32, 32))


@pytest.mark.compiles
def test_wrong_seed_scores(variables):
    with pytest.raises(AssertionError, match="(?s)prefix|shape"):
        call_with(variables, (2, 32, 32, 3), seed_scores=(2, 16, 16))


def call_with(variables, images: tuple[int, ...], seed_scores: tuple[int, ...]):
    call = functools.partial(_MODEL.apply, train=False, deterministic=True)
    jax.eval_shape(
        lambda x, scores: call(variables, x, seed_scores=scores),
        jax.ShapeDtypeStruct(images, jnp.float32),
        jax.ShapeDtypeStruct(seed_scores, jnp.float32),
    )


@pytest.mark.parametrize(
    "field,value,message",
    [
        ("image_size", 48, "image_size=48 is not supported; use one of .16, 32, 64, 128."),
        ("image_size", 256, "image_size=256 is not supported"),
        ("feature_dim", 12, "feature_dim=12 must be a multiple of 8 from 8 to 64"),
        ("feature_dim", 128, "feature_dim=128 must be"),
        ("kernel", "gauss", "kernel='gauss' is not one of"),
        ("num_slots", 1, "num_slots=1; at least 2"),
    ],
)
def test_impossible_settings(field, value, message):
    with pytest.raises(ConfigError, match=message):
        _MODEL.clone(**{field: value})
