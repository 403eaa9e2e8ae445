"""IODINE against a plain re-computation from the formulas, and what else has to hold for it."""

import functools

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from ml_collections import ConfigDict

from ocgm import losses, models
from ocgm.errors import ConfigError, InputError
from ocgm.interop.torch_import import to_variables, torch_shapes
from ocgm.models import abstract_variables, iodine
from ocgm.models.iodine import IODINE

PUBLISHED = {
    "clevr6": {"num_slots": 7, "image_size": 128},
    "multi_dsprites": {
        "num_slots": 6,
        "image_size": 64,
        "latent_size": 16,
        "width": 32,
        "kernel_size": 5,
        "encoder_layers": 3,
        "mlp_sizes": (128,),
        "lstm_size": 128,
        "coordinates": "cosine",
    },
    "tetrominoes": {
        "num_slots": 4,
        "image_size": 35,
        "latent_size": 32,
        "width": 32,
        "kernel_size": 5,
        "encoder_layers": 3,
        "mlp_sizes": (128,),
        "lstm_size": 0,
        "coordinates": "cosine",
    },
}
# Sides that halve to odd ones and even ones: "SAME" pads them differently.
TINY = {
    "recurrent": {"kernel_size": 3, "mlp_sizes": (6, 5), "lstm_size": 4, "coordinates": "linear"},
    "direct": {"kernel_size": 5, "mlp_sizes": (6,), "lstm_size": 0, "coordinates": "cosine"},
}
SIZES = {"num_slots": 3, "image_size": 10, "latent_size": 4, "width": 4, "encoder_layers": 2}
STEPS = 2


def tiny(name: str = "direct", **settings) -> IODINE:
    return IODINE(**SIZES, **TINY[name], refinement_steps=STEPS, **settings)


@pytest.fixture
def double_precision():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def noise(monkeypatch):
    """Noise [T + 1, B, K, D] that the model gets instead of its draws."""
    values = np.random.default_rng(1).normal(size=(STEPS + 1, 2, 3, 4))

    def use(values):
        calls = iter(values)
        monkeypatch.setattr(iodine, "standard_normal", lambda *_: jnp.asarray(next(calls)))

    use.values = values
    return use


def variables_of(model: IODINE, dtype=np.float64) -> dict:
    """Variables in which nothing, such as the scale of a norm, is 0 or 1."""
    rng = np.random.default_rng(2)
    draw = {"params": lambda leaf: 0.12 * rng.normal(size=leaf.shape)}
    draw["loss_weights"] = lambda leaf: rng.uniform(0.5, 1.5, leaf.shape)
    weights = dict.fromkeys(losses.LossWeights._fields, np.zeros(()))
    variables = {**abstract_variables(model), "loss_weights": weights}
    return {
        name: jax.tree.map(lambda leaf: draw[name](leaf).astype(dtype), tree)  # noqa: B023
        for name, tree in variables.items()
    }


def images_of(batch: int = 2, dtype=np.float64) -> np.ndarray:
    return np.random.default_rng(3).random((batch, 10, 10, 3)).astype(dtype)


# The re-computation, which shares no code with the model. Arrays of slots are [B, K, ...] all along.


def channelwise(vector, x):
    """A vector [C] with the rank of `x`."""
    return jnp.expand_dims(vector, tuple(range(x.ndim - 1)))


def convolve(x, layer, stride=1):
    """Convolution of [B, K, H, W, C] with TensorFlow's padding."""
    k, side = len(layer["kernel"]), x.shape[-2]
    total = max((-(-side // stride) - 1) * stride + k - side, 0)
    padding = [(total // 2, total - total // 2)] * 2
    dimensions = ("NHWC", "HWIO", "NHWC")
    folded = x.reshape(-1, *x.shape[2:])
    folded = jax.lax.conv_general_dilated(
        folded, layer["kernel"], (stride, stride), padding, dimension_numbers=dimensions
    )
    return channelwise(layer["bias"], x) + folded.reshape(*x.shape[:2], *folded.shape[1:])


def elu(x):
    return jnp.where(x > 0, x, jnp.exp(jnp.minimum(x, 0)) - 1)


def sigmoid(x):
    return 1 / (1 + jnp.exp(-x))


def affine(x, layer):
    return x @ layer["kernel"] + channelwise(layer["bias"], x)


def layer_norm(x, layer, axes):
    centred = x - x.mean(axes, keepdims=True)
    deviation = jnp.sqrt((centred**2).mean(axes, keepdims=True) + 1e-5)
    return centred / deviation * channelwise(layer["scale"], x) + channelwise(layer["bias"], x)


def decode(params, z, side):
    line = jnp.linspace(-1, 1, side)
    h, w = jnp.meshgrid(line, line, indexing="ij")
    z = jnp.concatenate([z, jnp.full((*z.shape[:2], 1), 5.0)], axis=-1)
    x = jnp.broadcast_to(z[:, :, None, None], (*z.shape[:2], side, side, z.shape[-1]))
    grid = jnp.broadcast_to(jnp.stack([h, w], -1), (*z.shape[:2], side, side, 2))
    x = jnp.concatenate([x, grid], axis=-1)
    for i in range(len(params)):
        x = convolve(x if i == 0 else elu(x), params[f"conv_{i}"])
    return x


def likelihood(images, decoded, scale):
    """Soft masks, densities [B, K, H, W, 1] and p(x) [B, 1, H, W, 1]."""
    logits, components = decoded[..., :1], decoded[..., 1:]
    masks = jnp.exp(logits) / jnp.exp(logits).sum(1, keepdims=True)
    u = (images[:, None] - components) / scale
    density = (jnp.exp(-u) / (scale * (1 + jnp.exp(-u)) ** 2)).prod(-1, keepdims=True)
    return masks, density, (masks * density).sum(1, keepdims=True)


def loss_of_decoded(decoded, images, scale):
    return -jnp.log(likelihood(images, decoded, scale)[2]).sum((1, 2, 3, 4)).mean()


def kl_of(lam):
    mean, raw = jnp.split(lam, 2, -1)
    variance, prior = jnp.log(1 + jnp.exp(raw)), np.log(2)
    return 0.5 * ((variance + mean**2) / prior - 1 - jnp.log(variance / prior)).sum(-1)


def sample(lam, noise):
    mean, raw = jnp.split(lam, 2, -1)
    return mean + jnp.sqrt(jnp.log(1 + jnp.exp(raw))) * noise


def loss_of(lam, noise, images, params, weights, scale):
    decoded = decode(params["decoder"], sample(lam, noise), images.shape[1])
    error = loss_of_decoded(decoded, images, scale)
    return weights["error_weight"] * error + weights["beta"] * kl_of(lam).sum(1).mean()


def positions(kind, side):
    columns, rows = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side))
    if kind == "linear":
        return np.stack([2 * columns - 1, 2 * rows - 1], -1)
    products = [
        np.cos(f * np.pi * columns) * np.cos(g * np.pi * rows) for f in range(3) for g in range(3)
    ]
    return np.stack(products[1:], -1)


def refinement_inputs(params, images, decoded, lam, gradient, of_decoded, scale, kind):
    """Maps [B, K, H, W, C] and vectors [B, K, 4D + 1]."""
    masks, density, p = likelihood(images, decoded, scale)
    without = []
    for k in range(masks.shape[1]):
        m, d = (jnp.delete(array, k, axis=1) for array in (masks, density))
        without.append((m * d).sum(1) / m.sum(1))
    counterfactual = jnp.log(p) - jnp.log(jnp.stack(without, 1))

    def norm(name, x, axes=(2, 3, 4)):
        return layer_norm(jax.lax.stop_gradient(x), params[f"norm_{name}"], axes)

    maps = [
        jnp.full_like(density, 0.5),
        decoded[..., 1:],
        positions(kind, images.shape[1]),
        norm("counterfactual", counterfactual),
        norm("dcomponents", of_decoded[..., 1:]),
        norm("dmask", of_decoded[..., :1]),
        images[:, None],
        norm("log_prob", jnp.log(p)),
        decoded[..., :1],
        density / (density.sum(1, keepdims=True) + 1e-6),
        masks,
    ]
    maps = [jnp.broadcast_to(x, (*density.shape[:-1], x.shape[-1])) for x in maps]
    vectors = [norm("dzp", gradient, axes=2), jnp.full((*lam.shape[:2], 1), 0.5), lam]
    return jnp.concatenate(maps, -1), jnp.concatenate(vectors, -1)


def refine(params, maps, vectors, state):
    x, encoder = maps, params["encoder"]
    for i in range(2):
        x = elu(convolve(x, encoder[f"conv_{i}"], stride=2))
    x = affine(x.mean((2, 3)), encoder["linear_0"])
    if "linear_1" in encoder:
        x = affine(elu(x), encoder["linear_1"])
    x = jnp.concatenate([x, vectors], -1)
    if "lstm" in params:
        h, c = state
        gates = affine(jnp.concatenate([x, h], -1), params["lstm"])
        i, j, f, o = jnp.split(gates, 4, -1)
        c = sigmoid(f + 1) * c + sigmoid(i) * jnp.tanh(j)
        x = jnp.tanh(c) * sigmoid(o)
        state = (x, c)
    return affine(x, params["head"]), state


def recomputed_loss(params, weights, images, noise, kind, gradient_scale=1.0, scale=0.03):
    """Total loss, its gradients' second-order parts cut off by hand, and every iterate's lambda."""
    batch, slots = noise.shape[1:3]
    lam = jnp.tile(params["initial_posterior"], (batch, slots, 1))
    hidden = params["refiner"]["lstm"]["bias"].size // 4 if "lstm" in params["refiner"] else 0
    state = (jnp.zeros((batch, slots, hidden)),) * 2
    total, iterates = 0.0, []
    for t in range(STEPS + 1):
        iterates.append(lam)
        arguments = (noise[t], images, params, weights, scale)
        total += t / STEPS * loss_of(lam, *arguments)
        if t < STEPS:
            decoded = decode(params["decoder"], sample(lam, noise[t]), images.shape[1])
            gradient = jax.grad(loss_of)(lam, *arguments)
            of_decoded = jax.grad(loss_of_decoded)(decoded, images, scale)
            of_decoded *= weights["error_weight"]
            maps, vectors = refinement_inputs(
                params["refiner"]["inputs"],
                images,
                decoded,
                lam,
                gradient_scale * gradient,
                gradient_scale * of_decoded,
                scale,
                kind,
            )
            update, state = refine(params["refiner"], maps, vectors, state)
            lam = lam + update
    return total, iterates


@pytest.mark.compiles
@pytest.mark.parametrize(("name", "remat"), [("recurrent", True), ("direct", False)])
def test_loss_iterates_and_training_gradient(name, remat, double_precision, noise):
    """Values and gradients, with and without rematerialisation; the inner gradients are as if 4 images were given."""
    images, values = images_of(), noise.values
    model = tiny(name, dtype=jnp.float64, train_gradient_batch=4, remat=remat)
    variables = variables_of(model)
    weights = variables["loss_weights"]

    def actual(params):
        noise(values)
        outputs, state = model.apply(
            {"params": params, "loss_weights": weights}, images, train=True, mutable="intermediates"
        )
        return outputs.loss, (outputs, state["intermediates"]["iterates"])

    def expected(params):
        return recomputed_loss(params, weights, images, values, model.coordinates, 0.5)

    def compare(of_model, recomputed):
        (value, (outputs, sown)), grads = of_model
        (loss, iterates), gradient = recomputed
        decoded = decode(params["decoder"], sample(iterates[-1], values[-1]), 10)
        error = -jnp.log(likelihood(images, decoded, 0.03)[2]).sum((1, 2, 3, 4))
        return [
            (value, loss),
            (grads, gradient),
            ([posterior for posterior, _, _ in sown], iterates),
            ([kl for _, _, kl in sown], [kl_of(lam) for lam in iterates]),
            (outputs.reconstruction_error, error),
            (sown[-1][1], error),
            (outputs.kl["latents"], kl_of(iterates[-1])),
            (outputs.components, jnp.clip(decoded[..., 1:], 0, 1)),
        ]

    @jax.jit
    def pairs(params):
        return compare(*(jax.value_and_grad(f, has_aux=True)(params) for f in (actual, expected)))

    params = variables["params"]
    for values_, expected_values in pairs(params):
        largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(expected_values))
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-8, atol=1e-9 * largest),
            values_,
            expected_values,
        )


def test_gradients_are_finite_differences(double_precision):
    """Central differences along random directions."""
    model, images = tiny(dtype=jnp.float64), images_of()
    params = variables_of(model)["params"]
    rng = np.random.default_rng(4)
    lam, eps = rng.normal(size=(2, 3, 8)), rng.normal(size=(2, 3, 4))
    weights = {"error_weight": 1.3, "beta": 0.7}
    decoder = functools.partial(decode, params["decoder"], side=10)
    network = model.bind({"params": params}).decoder.unbind()[0]
    iteration = iodine.Iteration(
        network, None, losses.LossWeights(1.3, 0.7), 0.03, gradient_scale=1.0, remat=False
    )

    def of_lam(lam):
        return loss_of(lam, eps, images, params, weights, 0.03)

    def of_decoded(decoded):
        return 1.3 * loss_of_decoded(decoded, images, 0.03)

    def compare(loss, x, gradient):
        directions, step = rng.normal(size=(8, *x.shape)), 1e-5
        above = jax.lax.map(lambda d: loss(x + step * d), directions)
        below = jax.lax.map(lambda d: loss(x - step * d), directions)
        return directions.reshape(8, -1) @ gradient.ravel(), (above - below) / (2 * step)

    @jax.jit
    def slopes(lam):
        gradients = iteration.gradients({"params": params["decoder"]}, lam, eps, images)
        decoded = decoder(sample(lam, eps))
        return [
            compare(of_lam, lam, gradients.posterior),
            compare(of_decoded, decoded, gradients.decoded),
        ]

    for actual, expected in slopes(lam):
        np.testing.assert_allclose(actual, expected, rtol=1e-6)


@pytest.mark.compiles
def test_pixels():
    rng = np.random.default_rng(5)
    images, decoded = rng.random((2, 4, 4, 3)), rng.normal(0.5, 0.4, (2, 3, 4, 4, 4))
    decoded[..., 0] *= 10
    with jax.enable_x64(True):
        pixels = jax.tree.map(np.asarray, iodine.explain(images, jnp.asarray(decoded), 0.03))
        counterfactual, responsibilities = pixels.counterfactual, pixels.responsibilities
    log_density = scipy.stats.logistic.logpdf(images[:, None], decoded[..., 1:], 0.03)
    np.testing.assert_allclose(
        losses.logistic_log_density(
            np.float32(images[:, None]), np.float32(decoded[..., 1:]), 0.03
        ),
        log_density,
        rtol=1e-4,
    )
    density = np.exp(log_density.sum(-1))
    masks = scipy.special.softmax(decoded[..., 0], axis=1)
    p = (masks * density).sum(1)
    np.testing.assert_allclose(pixels.log_likelihood[:, 0, ..., 0], np.log(p))
    np.testing.assert_allclose(pixels.error, -np.log(p).sum((1, 2)))
    np.testing.assert_allclose(
        responsibilities[..., 0], density / (density.sum(1, keepdims=True) + 1e-6)
    )
    for k in range(3):
        others = scipy.special.softmax(np.delete(decoded[..., 0], k, axis=1), axis=1)
        without = (others * np.delete(density, k, axis=1)).sum(1)
        np.testing.assert_allclose(counterfactual[:, k, ..., 0], np.log(p) - np.log(without))


def test_far_components_and_certain_masks_give_finite_gradients():
    images = jnp.full((1, 10, 10, 3), 1.0)
    decoded = jnp.full((1, 3, 10, 10, 4), -50.0).at[:, 0, ..., 0].set(200.0)

    def total(decoded):
        pixels = iodine.explain(images, decoded, 0.03)
        return jnp.sum(pixels.error) + jnp.sum(pixels.responsibilities + pixels.counterfactual)

    value, gradient = jax.jit(jax.value_and_grad(total))(decoded)
    assert np.isfinite(value) and np.all(np.isfinite(gradient))


def test_prior():
    """KL is 0 exactly where all parameters are."""
    lam = jnp.zeros((1, 2, 8)).at[0, 1].set(0.5)
    kl = iodine.posterior_kl(lam)
    assert abs(kl[0, 0]) < 1e-6 < kl[0, 1]
    np.testing.assert_allclose(kl, kl_of(lam), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("clevr6", (121216, 82432, 788480, 32896, 151748, 268, 128)),
        ("multi_dsprites", (70496, 4224, 164864, 4128, 95332, 76, 32)),
        ("tetrominoes", (70496, 4224, 0, 16512, 108132, 140, 64)),
    ],
)
def test_published_parameter_counts(name, parts):
    model = IODINE(**PUBLISHED[name])
    params = flax.traverse_util.flatten_dict(abstract_variables(model)["params"], sep="/")
    prefixes = (
        "refiner/encoder/conv_",
        "refiner/encoder/linear_",
        "refiner/lstm/",
        "refiner/head/",
        "decoder/",
        "refiner/inputs/norm_",
        "initial_posterior",
    )
    counts = [
        sum(leaf.size for path, leaf in params.items() if path.startswith(prefix))
        for prefix in prefixes
    ]
    assert tuple(counts) == parts
    total = {"clevr6": 1_177_168, "multi_dsprites": 339_152, "tetrominoes": 199_568}[name]
    assert sum(leaf.size for leaf in params.values()) == sum(parts) == total


@pytest.mark.compiles
def test_published_names():
    """All parameters have one; these are from the listing that the authors published for CLEVR6."""
    model = IODINE(**PUBLISHED["clevr6"])
    shapes = torch_shapes(model)
    listed = {
        "encoder_net/cnn/conv_net_2d/conv_2d_0/w": (3, 3, 18, 64),
        "encoder_net/cnn/mlp/linear_0/w": (64, 256),
        "recurrent_net/lstm/lstm/w_gates": (769, 1024),
        "recurrent_net/lstm/lstm/b_gates": (1024,),
        "refinement_head/residual_head/linear/w": (256, 128),
        "pixel_decoder/broadcast_conv/conv_net_2d/conv_2d_0/w": (3, 3, 67, 64),
        "pixel_decoder/broadcast_conv/conv_net_2d/conv_2d_4/w": (3, 3, 64, 4),
        "model/iodine/initial_sample_distribution": (128,),
        "model/iodine/preprocess/layer_norm_dcomponents/gamma": (3,),
        "model/iodine/preprocess/layer_norm_dzp/beta": (128,),
    }
    assert listed.items() <= shapes.items()
    imported = to_variables(model, {name: np.zeros(shape) for name, shape in shapes.items()})
    assert jax.tree.structure(imported["params"]) == jax.tree.structure(
        abstract_variables(model)["params"]
    )


@pytest.mark.compiles
def test_initial_values():
    settings = SIZES | TINY["recurrent"] | {"latent_size": 64, "lstm_size": 32, "width": 16}
    model = IODINE(**settings, refinement_steps=1)
    keys = {"params": jax.random.key(0), "latent": jax.random.key(1)}
    params = jax.jit(functools.partial(model.init, train=True))(keys, images_of(1, np.float32))
    params = params["params"]
    # Cut off at two standard deviations, a normal distribution's is 0.88 of what it was.
    for layer, fan_in in (
        (params["decoder"]["conv_0"], 9 * 67),
        (params["decoder"]["conv_3"], 9 * 16),
        (params["refiner"]["encoder"]["conv_1"], 9 * 16),
        (params["refiner"]["lstm"], 5 + 4 * 64 + 1 + 32),
        (params["refiner"]["head"], 32),
    ):
        kernel = layer["kernel"] * fan_in**0.5
        np.testing.assert_allclose(jnp.std(kernel), 0.88, atol=0.03)
        assert 1.9 < jnp.max(jnp.abs(kernel)) < 2.0 + 1e-5
        assert jnp.any(layer["bias"] != 0) == (layer is params["refiner"]["lstm"])
    bound, initial = (3 / 128) ** 0.5, params["initial_posterior"]
    assert 0.9 * bound < jnp.max(jnp.abs(initial)) < bound


@pytest.fixture(scope="module")
def single():
    """A tiny model and its variables, in single precision."""
    model = tiny("recurrent")
    return model, variables_of(model, np.float32)


@pytest.mark.compiles
def test_slots_are_exchangeable(single, noise):
    model, variables = single
    images, permutation = images_of(dtype=np.float32), np.array([2, 0, 1])

    @jax.jit
    def apply(values):
        noise(values)
        return model.apply(variables, images, train=True)

    values = noise.values.astype(np.float32)
    outputs, permuted = apply(values), apply(values[:, :, permutation])
    for name in ("components", "log_masks", "slots"):
        expected = getattr(outputs, name)[:, permutation]
        np.testing.assert_allclose(getattr(permuted, name), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(permuted.loss, outputs.loss, rtol=1e-5)
    assert np.ptp(outputs.slots, axis=1).min() > 0


@pytest.mark.compiles
def test_slots_steps_and_determinism_are_options(single):
    model, variables = single
    images = images_of(dtype=np.float32)
    rngs = {"latent": jax.random.key(0)}
    apply = functools.partial(model.apply, variables, rngs=rngs)
    outputs = jax.eval_shape(lambda: apply(images, train=False, num_slots=5, refinement_steps=1))
    assert outputs.log_masks.shape == (2, 5, 10, 10, 1) and outputs.loss is None
    outputs = jax.jit(lambda: apply(images, train=True, deterministic=True, refinement_steps=1))()
    latent = outputs.latents["slots"]
    np.testing.assert_array_equal(outputs.slots, latent.mean)
    assert np.ptp(latent.mean, axis=1).min() > 0  # The first sample was drawn.
    with pytest.raises(InputError, match="refinement_steps=0 must be at least 1"):
        apply(images, train=False, refinement_steps=0)


def test_scenes_and_features(single):
    model, variables = single
    rngs = {"latent": jax.random.key(0)}
    slots = 3.0 * jax.random.normal(jax.random.key(1), (2, 5, 4))
    scene = jax.jit(functools.partial(model.apply, variables, method="decode_slots"))(slots)
    assert 0 <= scene.components.min() and scene.components.max() <= 1
    np.testing.assert_allclose(jnp.exp(scene.log_masks).sum(1), 1.0, atol=1e-5)
    np.testing.assert_allclose(
        scene.images, (jnp.exp(scene.log_masks) * scene.components).sum(1), atol=1e-5
    )
    decoded = jax.jit(functools.partial(decode, side=10))(variables["params"]["decoder"], slots)
    np.testing.assert_allclose(
        scene.components, np.clip(decoded[..., 1:], 0, 1), rtol=1e-4, atol=1e-4
    )
    sampled = jax.eval_shape(lambda: model.apply(variables, 2, 5, method="sample", rngs=rngs))
    assert sampled.images.shape == (2, 10, 10, 3)
    features = jax.eval_shape(
        lambda: model.apply(variables, images_of(), method="features", rngs=rngs)
    )
    assert features.shape == (2, 3 * 4)


@pytest.mark.compiles
def test_gradient_of_several_seeds_in_half_precision(single):
    """Finite, reaches every parameter, and depends on each seed's own weights of the loss."""
    model, variables = single
    model, images = model.clone(dtype=jnp.bfloat16, remat=True), images_of(dtype=np.float32)

    def loss(params, weights):
        state = {"params": params, "loss_weights": weights}
        rngs = {"latent": jax.random.key(0)}
        return model.apply(state, images, train=True, refinement_steps=1, rngs=rngs).loss

    twice = jax.tree.map(lambda leaf: np.stack([leaf] * 2), variables)
    params, weights = twice["params"], twice["loss_weights"]
    weights["beta"] = jnp.array([1.0, 2.0])
    for leaf in jax.tree.leaves(jax.jit(jax.vmap(jax.grad(loss)))(params, weights)):
        assert np.all(np.isfinite(leaf)) and np.any(leaf[0]) and np.any(leaf[0] != leaf[1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_slots": 1}, "num_slots=1 must be at least 2"),
        ({"refinement_steps": 0}, "refinement_steps=0 must be at least 1"),
        ({"encoder_layers": 0}, "encoder_layers=0 must be at least 1"),
        ({"lstm_size": -1}, "lstm_size=-1 must be at least 0"),
        ({"image_size": 2}, "image_size=2 must be at least 3"),
        ({"mlp_sizes": ()}, "mlp_sizes=.* must name at least one"),
        ({"kernel_size": 4}, "kernel_size=4 must be odd"),
        ({"coordinates": "polar"}, "coordinates='polar' is not one of"),
        ({"pixel_scale": 0.0}, "pixel_scale=0.0 must be positive"),
        ({"layers": 3}, "unknown field.*layers"),
    ],
)
def test_impossible_settings(changes, message):
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        models.build(ConfigDict({"name": "iodine", **PUBLISHED["clevr6"], **changes}))
