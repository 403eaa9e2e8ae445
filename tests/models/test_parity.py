"""Numeric parity with the reference implementations.

Every fixture in the folder is reproduced; OCGM_PARITY_FIXTURES names another folder. Fixtures of a kind of model that
does not exist here are skipped.
"""

import functools
import json
import os
import pathlib

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from reference_weights import fixture_weight, golden_weight, hashed_uniform, sine_weight

from ocgm.interop import entries_of, torch_import
from ocgm.models.efficient_morl import EfficientMORL
from ocgm.models.genesis import Genesis
from ocgm.models.genesis_s import GenesisS
from ocgm.models.genesis_v2 import GenesisV2
from ocgm.models.image_vae import ImageVAE
from ocgm.models.monet import MONet
from ocgm.models.one_slot_vae import OneSlotVAE
from ocgm.models.slot_attention import SlotAttention
from ocgm.modules import broadcast, layers
from ocgm.training import objectives

pytestmark = pytest.mark.compiles

FOLDER = pathlib.Path(
    os.environ.get("OCGM_PARITY_FIXTURES", pathlib.Path(__file__).parent / "fixtures" / "parity")
)
FIXTURES = sorted(FOLDER.glob("*.npz"))


def genesis_v2(config: dict) -> GenesisV2:
    return GenesisV2(
        num_slots=config["K_steps"],
        image_size=config["img_size"],
        feature_dim=config["feat_dim"],
        kernel=config["kernel"],
        semi_convolutional=config["semiconv"],
        autoregressive_prior=config["autoreg_prior"],
        mask_loss=config["klm_loss"],
        detach_mask_loss_target=config["detach_mr_in_klm"],
        component_sigma=config["pixel_std1"],
    )


def genesis(config: dict) -> Genesis | GenesisS | OneSlotVAE:
    """The reference has one class for three of our models."""
    norms = {"bn": "batch", "in": "instance", "none": "none"}
    size, sigma = config["img_size"], config["pixel_std1"]
    if config["K_steps"] == 1:
        return OneSlotVAE(
            size,
            latent_size=config["comp_ldim"],
            decoder="deconv" if config["comp_symmetric"] else "broadcast",
            width=config["comp_enc_channels"],
            component_sigma=sigma,
        )
    shared = {
        "num_slots": config["K_steps"],
        "image_size": size,
        "encoder_norm": norms[config["enc_norm"]],
        "decoder_norm": norms[config["dec_norm"]],
        "component_sigma": sigma,
    }
    if not config["two_stage"]:
        return GenesisS(
            **shared,
            latent_size=config["attention_latents"],
            decoder_features=config["comp_dec_channels"],
        )
    return Genesis(
        **shared,
        mask_latent_size=config["attention_latents"],
        component_latent_size=config["comp_ldim"],
        component_features=config["comp_enc_channels"],
        symmetric=config["comp_symmetric"],
        component_prior=config["comp_prior"],
    )


def monet(config: dict) -> MONet:
    return MONet(
        num_slots=config["K_steps"],
        image_size=config["img_size"],
        attention_features=config["filter_start"],
        component_latent_size=config["comp_ldim"],
        component_features=config["comp_enc_channels"],
        background_sigma=config["pixel_std1"],
        component_sigma=config["pixel_std2"],
        mask_prior=config["prior_mode"],
        monte_carlo_kl=config["montecarlo_kl"],
    )


def image_vae(config: dict) -> ImageVAE:
    return ImageVAE(
        config["img_size"],
        latent_size=config["latent_dimension"],
        decoder="broadcast" if config["broadcast_decoder"] else "deconv",
        component_sigma=config["pixel_std"],
    )


BUILDERS = {"genesis": genesis, "genesis_v2": genesis_v2, "monet": monet, "vae": image_vae}


def load(path: pathlib.Path, trajectory: bool) -> tuple[dict, dict, object, dict]:
    arrays = dict(np.load(path))
    config = json.loads(str(arrays["config"]))
    if config["kind"] not in BUILDERS:
        pytest.skip(f"no model of kind {config['kind']} yet")
    if trajectory != any(key.startswith("trajectory/") for key in arrays):
        pytest.skip("the other test's kind of fixture")
    model = BUILDERS[config["kind"]](config)
    shapes = json.loads(str(arrays["state_dict_shapes"]))
    state_dict = {name: fixture_weight(name, tuple(shape)) for name, shape in shapes.items()}
    return arrays, config, model, torch_import.to_variables(model, state_dict)


def loss_and_outputs(model, params, model_state, images, beta, **options):
    outputs, new_state = model.apply(
        {"params": params, **model_state}, images, mutable=["batch_stats"], **options
    )
    kl = sum(jnp.sum(jnp.mean(term, axis=0)) for term in outputs.kl.values())
    return jnp.mean(outputs.reconstruction_error) + beta * kl, (outputs, kl, new_state)


def close(actual, expected, what, rtol=1e-4, atol=1e-4):
    np.testing.assert_allclose(np.asarray(actual), expected, rtol, atol, err_msg=what)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_forward_and_gradients(path, mode):
    arrays, config, model, variables = load(path, trajectory=False)
    if f"{mode}/loss_beta_0p5" not in arrays:
        pytest.skip(f"the fixture has no {mode} mode")
    params, model_state = variables["params"], {k: v for k, v in variables.items() if k != "params"}
    options = {"train": mode == "train", "deterministic": True}
    if "seed_scores" in arrays:
        options["seed_scores"] = arrays["seed_scores"]
    if config.get("dynamic_K"):
        options["dynamic_slots"] = True

    def loss(params):
        return loss_and_outputs(model, params, model_state, arrays["image"], 0.5, **options)

    (value, (outputs, _, new_state)), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(
        params
    )

    close(value, arrays[f"{mode}/loss_beta_0p5"], "loss")
    compared = compare_outputs(outputs, arrays, mode)
    assert {"reconstruction", "err"} <= compared
    compare_gradients(model, grads, arrays, mode)
    compare_running_statistics(model, new_state, arrays, mode)


def compare_outputs(outputs, arrays, mode) -> set[str]:
    """Compares every output in the fixture; where the number of slots is dynamic, the active ones."""
    active = int(np.asarray(outputs.active_slots)[0].sum())
    slots = slice(0, active)
    latents = outputs.latents
    # The fixtures know two kinds of latents, by their use, and two of KL terms.
    masks, components = latents.get("masks"), latents.get("components", latents.get("slots"))
    kl = dict(outputs.kl)
    if "mask_mean" in {key.split("/")[-1] for key in arrays} and masks is None:
        masks, kl["masks"] = latents["slots"], kl.pop("latents")  # GENESIS-S
    kl_components = kl.get("components", kl.get("latents"))
    ours = {
        "reconstruction": outputs.reconstruction,
        "components": outputs.components[:, slots],
        "log_masks": outputs.segmentation_log_masks[:, slots],
        "component_mean": components.mean[:, slots],
        "component_sigma": components.sigma[:, slots],
        "mean": components.mean[:, 0],
        "sigma": components.sigma[:, 0],
        "err": outputs.reconstruction_error,
    }
    if kl_components is not None:
        ours |= {"kl_l_k": kl_components[:, slots], "kl_l": jnp.sum(kl_components, axis=1)}
    if outputs.log_masks_decoded is not None:
        ours["log_masks_decoded"] = outputs.log_masks_decoded[:, slots]
    if masks is not None:
        ours |= {"mask_mean": masks.mean, "mask_sigma": masks.sigma, "kl_m_k": kl["masks"]}
    elif "masks" in kl:
        ours["kl_m"] = kl["masks"]
    expected = {
        key.split("/", 1)[1]: value
        for key, value in arrays.items()
        if key.startswith(f"{mode}/")
        and key.split("/")[1] not in ("grad_norm", "loss_beta_0p5", "new_buffer")
    }
    assert set(expected) <= set(ours), f"not compared: {set(expected) - set(ours)}"
    for name, value in expected.items():
        close(ours[name], value, name)
    return set(expected)


def compare_gradients(model, grads, arrays, mode):
    grads = flax.traverse_util.flatten_dict(grads, sep="/")
    prefix = f"{mode}/grad_norm/"
    expected = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
    paths = {entry.torch_name: entry.path for entry in entries_of(model)}
    largest = max(expected.values(), default=0.0)
    for name, value in expected.items():
        close(jnp.linalg.norm(grads[paths[name]]), value, name, rtol=1e-3, atol=1e-5 * largest)


def compare_running_statistics(model, new_state, arrays, mode):
    new_state = flax.traverse_util.flatten_dict(new_state, sep="/")
    prefix = f"{mode}/new_buffer/"
    paths = {e.torch_name: f"{e.collection}/{e.path}" for e in entries_of(model)}
    for name in (key.removeprefix(prefix) for key in arrays if key.startswith(prefix)):
        if not name.endswith("num_batches_tracked"):
            close(new_state[paths[name]], arrays[prefix + name], name)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_training_trajectory(path):
    arrays, config, model, variables = load(path, trajectory=True)
    settings, adam = config["geco"], config["adam"]
    optimizer = optax.chain(
        objectives.geco(
            settings["goal"],
            settings["step_size"],
            initial_beta=settings["beta_init"],
            decay=settings["alpha"],
            speedup=settings["speedup"],
            min_beta=settings["beta_min"],
            max_beta=settings["beta_max"],
        ),
        optax.adam(config["learning_rate"], adam["b1"], adam["b2"], adam["eps"]),
    )

    @jax.jit
    def step(params, model_state, opt_state, images, options):
        beta = opt_state[0].loss_weights.beta
        (loss, (outputs, kl, model_state)), grads = jax.value_and_grad(
            lambda p: loss_and_outputs(
                model, p, model_state, images, beta, train=True, deterministic=True, **options
            ),
            has_aux=True,
        )(params)
        error = jnp.mean(outputs.reconstruction_error)
        updates, opt_state = optimizer.update(grads, opt_state, params, reconstruction_error=error)
        params = optax.apply_updates(params, updates)
        record = {"loss": loss, "err": error, "kl": kl, "beta_used": beta}
        record["beta_after"] = opt_state[0].loss_weights.beta
        record["err_ema"] = opt_state[0].error_average
        return params, model_state, opt_state, record

    params = variables.pop("params")
    model_state, opt_state = variables, optimizer.init(params)
    for t in range(len(arrays["images"])):
        options = {"seed_scores": arrays["seed_scores"][t]} if "seed_scores" in arrays else {}
        params, model_state, opt_state, record = step(
            params, model_state, opt_state, arrays["images"][t], options
        )
        for name, value in record.items():
            # The KL crosses zero and feels Adam's sign-like first steps most: it is compared on
            # the scale of the loss that it is a part of, twice as tightly.
            atol = 5e-5 * abs(arrays["trajectory/loss"][t]) if name == "kl" else 0.0
            close(value, arrays[f"trajectory/{name}"][t], f"{name} at step {t}", atol=atol)


# The golden tables: weights by hash, every standard normal draw 0.5, K = 5, 64x64 unless said.


def case(model, err, kl_masks, kl_latents, gradient_norm, mean, std, train=True):
    """One row: how to build the model, and batch means of what it computes."""
    expected = (err, kl_masks, kl_latents, gradient_norm, mean, std)
    return model, expected, train


def build(kind, **settings):
    slots = {} if kind in (OneSlotVAE, ImageVAE) else {"num_slots": 5}
    return functools.partial(kind, **slots, **{"image_size": 64, **settings})


def v2(**settings):
    return build(GenesisV2, **settings)


# fmt: off
GOLDEN = {
    "genesis_eval": case(build(Genesis), 9390.5176, 19.75678, 186.06486, 27907.4, 0.477292, 0.334315, train=False),
    "genesis_s_eval": case(build(GenesisS), 9357.2191, 19.75678, 0, 23168, 0.208194, 0.165759, train=False),
    "genesis_symmetric_eval": case(
        build(Genesis, symmetric=True), 7965.7526, 19.75678, 10.37277, 454.344, 0.527792, 0.022336, train=False
    ),
    "one_slot_dc_vae_eval": case(
        build(OneSlotVAE, decoder="deconv"), 7965.7523, 0, 0.30256, 230.745, 0.527792, 0.022336, train=False
    ),
    "genesis": case(build(Genesis), 9505.0700, 41.67936, 213.94057, 46756, 0.500487, 0.345635),
    "genesis_s": case(build(GenesisS), 9493.1011, 41.67936, 0, 39624.7, 0.224483, 0.216856),
    "genesis_symmetric": case(
        build(Genesis, symmetric=True), 8294.8472, 41.67936, 22.52363, 10378.1, 0.513548, 0.150463
    ),
    "one_slot_dc_vae": case(
        build(OneSlotVAE, decoder="deconv"), 8323.8639, 0, 1.31338, 1814.27, 0.513052, 0.171946
    ),
    "one_slot_sbd_vae": case(build(OneSlotVAE), 9145.9758, 0, 16.90318, 26641.8, 0.526900, 0.305079),
    "monet": case(build(MONet), 8575.7579, 2181.84509, 109.11437, 95729.5, 0.565587, 0.211843),
    "monet_scope": case(
        build(MONet, mask_prior="scope"), 8575.7579, 542.78835, 109.11437, 32657.1, 0.565587, 0.211843
    ),
    "monet_closed_form": case(
        build(MONet, monte_carlo_kl=False), 8575.7579, 2181.84509, 134.34211, 95665.6, 0.565587, 0.211843
    ),
    "monet_sigmas": case(
        build(MONet, background_sigma=0.09, component_sigma=0.11),
        53861.5798, 2181.84509, 109.11437, 1352012, 0.565587, 0.211843,
    ),
    "bd_vae": case(build(ImageVAE), 8112.6577, 0, 2.39580, 13840.9, 0.571459, 0.087823),
    "dc_vae": case(build(ImageVAE, decoder="deconv"), 7950.7434, 0, 2.39580, 93.6743, 0.501417, 0.012345),
    "v2": case(v2(), 8446.7854, 0, 374.35192, 5568.63, 0.608669, 0.168718),
    "v2_laplacian": case(v2(kernel="laplacian"), 8446.3869, 0, 373.50484, 5555.9, 0.608618, 0.168648),
    "v2_epanechnikov": case(v2(kernel="epanechnikov"), 8446.9881, 0, 375.29482, 5578.15, 0.608686, 0.168958),
    "v2_independent_prior": case(
        v2(autoregressive_prior=False), 8446.7854, 0, 349.52344, 5400.44, 0.608669, 0.168718
    ),
    "v2_mask_loss": case(v2(mask_loss=True), 8446.7854, 5335.79019, 374.35192, 14366.7, 0.608669, 0.168718),
    "v2_mask_loss_not_detached": case(
        v2(mask_loss=True, detach_mask_loss_target=False),
        8446.7854, 5335.79019, 374.35192, 14116.7, 0.608669, 0.168718,
    ),
    "v2_no_semi_conv": case(v2(semi_convolutional=False), 8447.1073, 0, 375.03594, 5547.22, 0.608653, 0.168999),
    "genesis_128": case(
        build(Genesis, image_size=128), 37098.7369, 47.56146, 548.81971, 354273, 0.741259, 0.160517
    ),
    "genesis_s_128": case(build(GenesisS, image_size=128), 38207.5091, 47.56146, 0, 109930, 0.222868, 0.217181),
    "monet_128": case(build(MONet, image_size=128), 40119.2102, 6727.45908, 298.89429, 694372, 0.648448, 0.375964),
    "v2_128": case(v2(image_size=128), 33838.6494, 0, 302.31475, 11838, 0.612333, 0.168007),
}
EVAL_MASKS = (0.533637, 0.248863, 0.116061, 0.054128, 0.047311)
TRAIN_MASKS = (0.494309, 0.235876, 0.114730, 0.059811, 0.095274)
GOLDEN_MASK_MEANS = {
    "genesis_eval": EVAL_MASKS,
    "genesis_s_eval": EVAL_MASKS,
    "genesis_symmetric_eval": EVAL_MASKS,
    "genesis": TRAIN_MASKS,
    "genesis_s": TRAIN_MASKS,
    "genesis_symmetric": TRAIN_MASKS,
    "monet": (0.469257, 0.231818, 0.122906, 0.068786, 0.107232),
    "v2": (0.013448, 0.015724, 0.012567, 0.032679, 0.925583),
    "v2_laplacian": (0.075493, 0.065157, 0.043209, 0.047912, 0.768229),
    "v2_epanechnikov": (0.010534, 0.011122, 0.010169, 0.014067, 0.954107),
}
GOLDEN_DECODED_MASK_MEANS = {
    "monet": (0.157486, 0.138974, 0.155410, 0.238990, 0.309140),
    "monet_scope": (0.440198, 0.228733, 0.143997, 0.102032, 0.085040),
    "v2": (0.200265, 0.200122, 0.199985, 0.200105, 0.199524),
}
# The authors' samples, which leave the tanh off the prior mean, and with it.
GOLDEN_SAMPLES = {
    "genesis_authors": (build(Genesis, sample_bounded_mean=False), 0.522970, 0.290028),
    "genesis": (build(Genesis), 0.525361, 0.290502),
    "genesis_s_authors": (build(GenesisS, sample_bounded_mean=False), 0.191103, 0.172083),
    "genesis_s": (build(GenesisS), 0.191909, 0.172873),
    "monet": (build(MONet), 0.527943, 0.088222),
    "bd_vae": (build(ImageVAE), 0.545511, 0.196778),
    "dc_vae": (build(ImageVAE, decoder="deconv"), 0.501417, 0.012345),
    "v2": (v2(), 0.606166, 0.169826),
    "v2_independent_prior": (v2(autoregressive_prior=False), 0.605469, 0.175864),
}
# fmt: on


def golden_variables(model) -> dict:
    shapes = torch_import.torch_shapes(model)
    state_dict = {name: golden_weight(name, shape) for name, shape in shapes.items()}
    if "att_process.log_sigma" in shapes:
        state_dict["att_process.log_sigma"] = np.log(
            {
                "gaussian": 1 / (5 * np.log(2)),
                "laplacian": 1 / (np.sqrt(5) * np.log(2)),
                "epanechnikov": 2 / 5,
            }[model.kernel]
        )
    if "att_process.colour_head.gate.gate" in shapes:
        state_dict["att_process.colour_head.gate.gate"] = np.array(0.5)
    return torch_import.to_variables(model, state_dict)


@pytest.fixture
def constant_noise(monkeypatch):
    """Every standard normal draw is 0.5."""
    monkeypatch.setattr(
        jax.random, "normal", lambda key, shape=(), dtype=jnp.float32: jnp.full(shape, 0.5, dtype)
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", GOLDEN)
def test_golden_rows(name, constant_noise):
    make, (error, kl_masks, kl_latents, gradient_norm, mean, std), train = GOLDEN[name]
    model = make()
    variables, side = golden_variables(model), model.image_size
    images = hashed_uniform(6 * side**2).reshape(2, 3, side, side).transpose(0, 2, 3, 1)
    images = jnp.asarray(images, jnp.float32)
    options = {"train": train, "rngs": {"latent": jax.random.key(0)}}
    if isinstance(model, GenesisV2):
        scores = hashed_uniform(2 * side**2).reshape(2, side, side)
        options["seed_scores"] = jnp.asarray(scores, jnp.float32)

    def loss(params, model_state):
        return loss_and_outputs(model, params, model_state, images, 1.0, **options)

    params = variables.pop("params")
    (_, (outputs, _, _)), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(params, variables)
    kl = {term: jnp.sum(value) / 2 for term, value in outputs.kl.items()}
    if isinstance(model, GenesisS):
        kl["masks"] = kl.pop("latents")
    close(jnp.mean(outputs.reconstruction_error), error, "err", rtol=1e-5)
    close(kl.get("masks", 0.0), kl_masks, "kl_m", rtol=2e-5)
    close(kl.get("components", kl.get("latents", 0.0)), kl_latents, "kl_l", rtol=2e-5)
    close(optax.tree.norm(grads), gradient_norm, "gradient norm", rtol=2e-4)
    close(jnp.mean(outputs.reconstruction), mean, "mean", rtol=0, atol=2e-6)
    close(jnp.std(outputs.reconstruction, ddof=1), std, "std", rtol=0, atol=2e-6)
    for table, log_masks in (
        (GOLDEN_MASK_MEANS, outputs.segmentation_log_masks),
        (GOLDEN_DECODED_MASK_MEANS, outputs.log_masks_decoded),
    ):
        if name in table:
            masks = jnp.mean(jnp.exp(log_masks), axis=(0, 2, 3, 4))
            close(masks, table[name], "mask means", rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", GOLDEN_SAMPLES)
def test_golden_samples(name, constant_noise):
    make, mean, std = GOLDEN_SAMPLES[name]
    model = make()
    sample = jax.jit(
        lambda v: model.apply(v, 2, method="sample", rngs={"latent": jax.random.key(0)})
    )
    images = sample(golden_variables(model)).images
    close(jnp.mean(images), mean, "mean", rtol=0, atol=2e-6)
    close(jnp.std(images, ddof=1), std, "std", rtol=0, atol=2e-6)


# EfficientMORL and its repository's Slot Attention: cases as data, in double precision; weights, images and noise are
# sines of their index.
SINE_CASES = {
    case["name"]: case
    for path in sorted(FOLDER.glob("*_golden.json"))
    for case in json.loads(path.read_text())["cases"]
}


@pytest.fixture
def double_precision(monkeypatch):
    """Double precision, with convolutions as matrix products: XLA:CPU's own are 30 times slower in this precision."""

    def convolve(x, kernel, padding, stride=1):
        x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
        rows, columns = (
            [np.arange(0, x.shape[axis] - k + 1, stride) + tap for tap in range(k)]
            for axis, k in ((1, kernel.shape[0]), (2, kernel.shape[1]))
        )
        windows = [
            x[:, h[0] : h[-1] + 1 : stride, w[0] : w[-1] + 1 : stride]
            for h in rows
            for w in columns
        ]
        return jnp.concatenate(windows, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])

    for module in (broadcast, layers):
        monkeypatch.setattr(module, "convolve", convolve)
    with jax.enable_x64(True):
        yield


@pytest.fixture
def sine_noise(monkeypatch):
    """Standard normal draw number d is 1.2 sin(1.1 d + 0.61 j + 0.5), j counting elements; gives the draws so far."""
    draws = []

    def draw(key, shape=(), dtype=None):
        index = np.arange(np.prod(shape)).reshape(shape)
        draws.append(shape)
        return jnp.asarray(1.2 * np.sin(1.1 * (len(draws) - 1) + 0.61 * index + 0.5))

    monkeypatch.setattr(jax.random, "normal", draw)
    return draws


def sine_inputs(case, model):
    """Variables by the official order of the parameters, and images."""
    side = case["image_size"]
    shapes = torch_import.torch_shapes(model)
    # The reference's first two entries are GECO's scalars, of which one has a counterpart.
    first = 1 if "geco_beta" in shapes else 0
    state_dict = {
        name: sine_weight(first + n, name, shape) for n, (name, shape) in enumerate(shapes.items())
    }
    images = np.sin(0.05 * np.arange(case["batch"] * 3 * side**2))
    images = images.reshape(case["batch"], 3, side, side).transpose(0, 2, 3, 1)
    return torch_import.to_variables(model, state_dict, np.float64), (images + 1) / 2


def exactly(actual, expected, what):
    # The cases give six decimals.
    close(actual, expected, what, rtol=1e-6, atol=5.1e-7)


def of_kind(kind):
    return [name for name, case in SINE_CASES.items() if case["model"] == kind]


DECODERS = {"iodine": "iodine", "small": "small", "big": "deconv"}


@pytest.mark.parametrize("name", of_kind("efficient_morl"))
def test_efficient_morl(name, double_precision, sine_noise):
    case, expect = SINE_CASES[name], SINE_CASES[name]["expect"]
    steps = case["refinement_steps"]
    model = EfficientMORL(
        case["num_slots"],
        case["image_size"],
        latent_size=case["latent"],
        stochastic_layers=case["stochastic_layers"],
        prior=case["prior"],
        likelihood={"GMM": "mixture", "Gaussian": "gaussian"}[case["likelihood"]],
        component_sigma=case["sigma"],
        dual_gru=case["dual_gru"],
        decoder=DECODERS[case["decoder"]],
        dtype=jnp.float64,
    )
    variables, images = sine_inputs(case, model)
    sine_noise.clear()
    geco = case["geco"] if case["global_step"] >= 1000 else None
    error_weight = np.log1p(np.exp(geco["beta"])) if geco else 1.0
    weights = {"error_weight": jnp.float64(error_weight), "beta": jnp.float64(1.0)}

    def run(params):
        outputs, state = model.apply(
            {"params": params, "loss_weights": weights},
            images,
            train=case["train"],
            refinement_steps=steps,
            rngs={"latent": jax.random.key(0)},
            mutable=["intermediates"],
        )
        return outputs.loss, (outputs, state["intermediates"]["iterates"])

    if case["train"]:
        gradients = jax.jit(jax.value_and_grad(run, has_aux=True))
        (total, (outputs, iterates)), grads = gradients(variables["params"])
        exactly(optax.tree.norm(grads), expect["gradnorm"], "gradient norm")
    else:
        total, (outputs, iterates) = jax.jit(run)(variables["params"])
        assert total is None

    errors = np.array([jnp.mean(error) for _, error, _ in iterates])
    kls = np.array([jnp.mean(jnp.sum(kl, axis=1)) for _, _, kl in iterates])
    # Under GECO the reference's losses show the moving average of the error's distance from its goal instead of it.
    losses = kls + error_weight * (-geco["C_ema"] if geco else errors)
    discounts = np.array([model.discount(i, steps) for i in range(steps + 1)])
    exactly(losses, expect["losses"], "losses")
    exactly(discounts @ losses, expect["total"], "total")
    if case["train"]:
        exactly(total, discounts @ (kls + error_weight * errors), "training loss")
    exactly(jnp.mean(outputs.reconstruction_error), expect["nll"], "last negative log-likelihood")
    exactly(jnp.sum(outputs.kl["latents"]) / case["batch"], expect["kl"], "last KL")
    exactly(jnp.exp(outputs.log_masks[0, 0, 0, 0, 0]), expect["mask_000"], "mask")
    posteriors = np.array([np.concatenate(posterior, axis=-1) for posterior, _, _ in iterates])
    exactly(np.sum(posteriors[:-1] ** 2, axis=(1, 2, 3)), expect["lambda_squared"], "posteriors")
    deltas = np.linalg.norm(np.diff(posteriors, axis=0), axis=-1).mean(axis=(1, 2))
    exactly(deltas, expect["delta_norms"], "updates")
    assert len(sine_noise) == expect["draws"]


@pytest.mark.parametrize("name", of_kind("slot_attention_emorl_repo"))
def test_slot_attention(name, double_precision, sine_noise):
    case, expect = SINE_CASES[name], SINE_CASES[name]["expect"]
    model = SlotAttention(
        case["num_slots"],
        case["image_size"],
        latent_size=case["latent"],
        variant="efficient_morl",
        decoder=DECODERS[case["decoder"]],
        dtype=jnp.float64,
    )
    variables, images = sine_inputs(case, model)
    sine_noise.clear()

    def run(params):
        outputs = model.apply(
            {"params": params}, images, train=True, rngs={"latent": jax.random.key(0)}
        )
        return outputs.loss, outputs.slots

    gradients = jax.jit(jax.value_and_grad(run, has_aux=True))
    (loss, slots), grads = gradients(variables["params"])
    exactly(loss, expect["total"], "loss")
    exactly(optax.tree.norm(grads), expect["gradnorm"], "gradient norm")
    exactly(jnp.sum(slots), expect["slots_sum"], "sum of slots")
    exactly(jnp.sum(jnp.square(slots)), expect["slots_squared"], "squares of slots")
    assert len(sine_noise) == expect["draws"]
