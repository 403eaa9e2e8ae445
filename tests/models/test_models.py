"""What holds for every model: it trains, resumes bit-exactly, evaluates, samples, draws, and refuses nonsense."""

import json
import math
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same, command, metrics_of, saved, write_config
from ml_collections import ConfigDict
from reference_weights import fixture_weight
from tiny_models import MODELS, STEPS, experiment, fresh

from ocgm import losses, models, sharding
from ocgm.errors import CheckpointError, ConfigError, InputError
from ocgm.inference import load
from ocgm.interop import entries_of, torch_import
from ocgm.models import abstract_variables, calls
from ocgm.training import loop, step

_AUTOENCODERS = ("slot_attention", "slot_mlp")


@pytest.fixture(scope="module", params=[name for name in MODELS if name != "genesis_v2"])
def run(request, tiny_config, tmp_path_factory):
    """An uninterrupted run of each model: its name, config and folder."""
    config = experiment(tiny_config, request.param)
    folder = tmp_path_factory.mktemp(request.param)
    loop.train(config, folder)
    return request.param, config, folder


@pytest.mark.compiles
def test_trains_evaluates_and_draws(run):
    name, _, folder = run
    losses = metrics_of(folder, "train/reconstruction_error_per_element")
    assert sorted(losses) == list(range(1, STEPS + 1))
    assert losses[STEPS] < losses[1] - 1e-3
    scored = "ari_fg_attention" if name == "monet" else "ari_fg"
    assert np.isfinite(metrics_of(folder, f"eval/{scored}")[STEPS])
    assert [path.name for path in (folder / "figures").iterdir()] == [f"step_{STEPS:08d}.png"]


@pytest.mark.compiles
def test_resumes_bit_exactly(run, tmp_path, capsys):
    _, config, folder = run
    workdir = shutil.copytree(folder, tmp_path / "run")
    shutil.rmtree(workdir / "checkpoints" / str(STEPS))
    loop.train(config, workdir)
    assert f"from step {STEPS // 2}" in capsys.readouterr().out
    assert_same(saved(workdir), saved(folder))


@pytest.mark.compiles
def test_masks_samples_and_features(run):
    name, config, folder = run
    trained = load(folder)
    side = config.model.image_size
    images = np.random.default_rng(0).random((2, side, side, 3)).astype(np.float32)
    outputs = trained(images)
    slots = MODELS[name].get("num_slots", 1)
    assert outputs.components.shape == (2, slots, side, side, 3)
    scenes = [outputs]
    if name in _AUTOENCODERS:
        with pytest.raises(
            InputError, match="is an autoencoder: it has no prior to draw scenes from"
        ):
            trained.sample(2)
    else:
        scenes.append(trained.sample(2))
    for scene in scenes:
        np.testing.assert_allclose(jnp.sum(jnp.exp(scene.log_masks), axis=1), 1.0, atol=1e-5)
        assert 0 <= scene.components.min() and scene.components.max() <= 1
    features = jax.eval_shape(
        lambda v: trained.model.apply(
            v, images, method="features", rngs=step.stream_keys(jax.random.key(0))
        ),
        trained.variables,
    )
    size = outputs.slots[0].size
    if name.startswith("genesis") and name != "genesis_s":
        size -= 8  # the last mask latent is left out
    assert features.shape == (2, size)


def test_every_model_is_tested():
    assert {settings["name"] for settings in MODELS.values()} == set(models.NAMES)


def distinct_variables(model):
    """Return weights at which masks and components differ from slot to slot."""
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        fan_in = math.prod(leaf.shape[:-1])
        center = float(path[-1].key in ("scale", "var"))
        return jnp.asarray(
            center + rng.normal(size=leaf.shape) / max(fan_in, 100) ** 0.5, leaf.dtype
        )

    variables = jax.tree_util.tree_map_with_path(draw, abstract_variables(model))
    weights = losses.LossWeights(jnp.float32(1), jnp.float32(1))._asdict()
    placement = sharding.replicated(sharding.make_mesh())  # As `load` places them.
    return jax.device_put({**variables, "loss_weights": weights}, placement)


@pytest.mark.compiles
@pytest.mark.parametrize("name", MODELS)
def test_contract(name):
    """Shapes and ranges of the outputs; the masks and components add up to the reconstruction."""
    model = models.build(ConfigDict({"image_size": 32, **MODELS[name]}))
    images = jnp.asarray(np.random.default_rng(1).random((2, 32, 32, 3)), jnp.float32)
    # The call of `test_masks_samples_and_features`, which is compiled once.
    outputs = calls.infer(model, distinct_variables(model), images, jax.random.key(0))
    slots = MODELS[name].get("num_slots", 1)
    assert outputs.reconstruction.shape == images.shape
    assert outputs.components.shape == (2, slots, 32, 32, 3)
    assert outputs.slots.shape[:2] == outputs.active_slots.shape == (2, slots)
    assert outputs.active_slots.dtype == bool
    assert outputs.reconstruction_error.shape == (2,)
    assert outputs.loss is None
    for term in outputs.kl.values():
        assert term.shape in {(2,), (2, slots)}
    for latent in outputs.latents.values():
        assert latent.mean.shape == latent.sigma.shape == latent.sample.shape
        assert latent.mean.shape[:2] == (2, slots)
    for log_masks in outputs.log_masks_by_origin.values():
        assert log_masks.shape == (2, slots, 32, 32, 1)
        np.testing.assert_allclose(jnp.sum(jnp.exp(log_masks), axis=1), 1.0, atol=1e-5)
    kinds = outputs.log_masks_by_origin.values()
    assert any(np.array_equal(kind, outputs.log_masks) for kind in kinds)
    mixed = jnp.sum(outputs.masks * outputs.components, axis=1)
    np.testing.assert_allclose(mixed, outputs.reconstruction, atol=1e-5)
    for image in (outputs.reconstruction, outputs.components):
        assert 0 <= image.min() and image.max() <= 1


@pytest.mark.parametrize("name", models.NAMES)
def test_default_config(name):
    """Plain data that builds the model, with the required fields."""
    config = models.default_config(name)
    assert json.loads(json.dumps(config)) is not None and "image_size" not in config
    values = {"image_size": 32, "num_slots": 3}
    required = {field: values[field] for field in models.required_fields(name)}
    built = models.build(ConfigDict({"name": name, **config, **required}))
    assert models.name_of(built) == name
    assert built == models.build(ConfigDict({"name": name, **required}))


def test_names_and_required_fields_are_checked():
    with pytest.raises(ConfigError, match="name is missing; set it to one of .*'genesis'"):
        models.build(ConfigDict({"num_slots": 3}))
    with pytest.raises(ConfigError, match="name='genesis_v3' is not one of .*'genesis_v2'"):
        models.default_config("genesis_v3")
    with pytest.raises(ConfigError, match=r"lacks the field\(s\) \['image_size'\] that monet"):
        models.build(ConfigDict({"name": "monet", "num_slots": 3}))


def test_models_without_published_parameters():
    message = "slot_mlp: no published parameters can be imported.*parameter_names/slot_mlp.py"
    with pytest.raises(ConfigError, match=message):
        entries_of(fresh("slot_mlp").model)
    unpublished = {"decoder": "small", "decoder_output_stride": 1}
    with pytest.raises(ConfigError, match="slot_attention: no published parameters"):
        entries_of(fresh("slot_attention", **unpublished).model)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("genesis", {"num_slots": 1}, "num_slots=1; at least 2 .* one_slot_vae"),
        ("genesis_s", {"num_slots": 1}, "num_slots=1; at least 2"),
        ("monet", {"num_slots": 1}, "num_slots=1; at least 2"),
        ("genesis_symmetric", {"image_size": 128}, "image_size=128 .* symmetric .*32, 64"),
        ("one_slot_dc_vae", {"image_size": 128}, "image_size=128 .* symmetric .*32, 64"),
        ("genesis", {"image_size": 48}, "image_size=48 is not supported"),
        ("monet", {"image_size": 256}, "image_size=256 is not supported"),
        ("genesis", {"encoder_norm": "layer"}, "norm='layer' is not one of"),
        ("monet", {"mask_prior": "uniform"}, "mask_prior='uniform' is not one of"),
        ("bd_vae", {"decoder": "conv"}, "decoder='conv' is not one of"),
        ("one_slot_sbd_vae", {"decoder": "conv"}, "decoder='conv' is not one of"),
        ("bd_vae", {"num_slots": 3}, "unknown field.*num_slots"),
    ],
)
def test_impossible_combinations(name, changes, message):
    with pytest.raises(ConfigError, match=message):
        fresh(name, **changes)


def test_options_that_a_model_does_not_have():
    images = np.zeros((1, 32, 32, 3), np.float32)
    with pytest.raises(
        InputError, match="dynamic_slots do not exist for genesis_s; it takes .*num_slots"
    ):
        fresh("genesis_s")(images, dynamic_slots=True)
    with pytest.raises(InputError, match="num_slots do not exist for image_vae"):
        fresh("bd_vae")(images, num_slots=3)
    with pytest.raises(InputError, match="image_vae has one slot.*num_slots=3"):
        fresh("bd_vae").sample(1, num_slots=3)


def test_instance_norm_has_no_statistics_and_batch_norm_has():
    assert "batch_stats" in fresh("genesis").variables
    model = fresh("genesis", encoder_norm="instance", decoder_norm="instance")
    assert "batch_stats" not in model.variables


@pytest.mark.parametrize("name", ["genesis", "genesis_s", "monet"])
def test_other_numbers_of_slots(name):
    model = fresh(name).model
    images = jnp.zeros((2, 32, 32, 3))
    keys = step.stream_keys(jax.random.key(0))
    outputs = jax.eval_shape(
        lambda v: model.apply(v, images, train=False, num_slots=5, rngs=keys),
        abstract_variables(model),
    )
    assert outputs.log_masks.shape == (2, 5, 32, 32, 1)


@pytest.mark.parametrize(
    ("settings", "official"),
    [
        ({"name": "genesis", "num_slots": 5}, 171),
        ({"name": "genesis_s", "num_slots": 5}, 153),
        ({"name": "genesis", "num_slots": 5, "symmetric": True}, 275),
        ({"name": "monet", "num_slots": 5}, 61),
        ({"name": "genesis_v2", "num_slots": 5}, 78),
        ({"name": "image_vae", "decoder": "broadcast"}, 28),
        ({"name": "image_vae", "decoder": "deconv"}, 30),
    ],
)
def test_every_entry_of_official_files_is_known(settings, official):
    """Ours, one counter for each batch norm, and, in models with a mixture, its standard deviations."""
    model = models.build(ConfigDict({"image_size": 64, "dtype": "float32", **settings}))
    names = [entry.torch_name for entry in entries_of(model)]
    assert len(names) == len(set(names))
    counters = sum(name.endswith("running_mean") for name in names)
    deviations = settings["name"] in ("genesis", "genesis_s", "monet")
    assert len(names) + counters + deviations == official


@pytest.mark.compiles
def test_import_of_the_old_layout(tiny_config, tmp_path):
    """Through the command, with running statistics and with entries that no model needs."""
    model = fresh("genesis").model
    state_dict = {
        name: fixture_weight(name, shape)
        for name, shape in torch_import.torch_shapes(model).items()
    }
    state_dict["std"] = np.ones((1, 1, 1, 1, 2), np.float32)
    state_dict["att_process.core.q_z_nn.0.h_norm.num_batches_tracked"] = np.int64(3)
    for axis in (1, 2):
        name = f"comp_vae.decoder_module.seq.0.pixel_coords.g_{axis}"
        state_dict[name] = np.zeros((1, 1, 40, 40), np.float32)
    np.savez(tmp_path / "official.npz", **state_dict)
    done = command(
        "convert",
        f"--config={write_config(tmp_path, experiment(tiny_config, 'genesis'))}",
        f"--checkpoint={tmp_path / 'official.npz'}",
        f"--workdir={tmp_path / 'run'}",
    )
    assert done.status == 0, done.err
    imported = load(tmp_path / "run").variables
    del imported["loss_weights"]
    expected = torch_import.to_variables(model, state_dict)
    assert {"params", "batch_stats"} == imported.keys()
    jax.tree.map(np.testing.assert_array_equal, imported, expected)
    state_dict["comp_vae.another.weight"] = np.zeros(3)
    with pytest.raises(CheckpointError, match="not expected: comp_vae.another.weight"):
        torch_import.to_variables(model, state_dict)
