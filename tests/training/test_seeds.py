"""Several seeds trained together are the seeds trained one by one."""

import json
import pathlib
import random
import shutil

import flax.linen as nn
import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from ml_collections import ConfigDict
from PIL import Image

from ocgm import inference, models, run_dir, sharding
from ocgm.data.pipeline import stacked_train_iterator
from ocgm.errors import ConfigError
from ocgm.models.base import Outputs
from ocgm.modules.norms import BatchNorm
from ocgm.training import loop, objectives
from ocgm.training.loop import NonFiniteLossError
from ocgm.training.step import all_seeds, init_state, make_train_step, variables_of_seed
from ocgm.training.writers import summary

_STEPS = 20
_SEEDS = (3, 4)


class Toy(nn.Module):
    """A model of the contract with one slot, running statistics and noise, compiled in a second."""

    image_size: int

    @nn.compact
    def __call__(self, images: jax.Array, train: bool) -> Outputs:
        batch, pixels = len(images), images[0].size
        hidden = nn.Dense(8, use_bias=False)(images.reshape(batch, pixels))
        mean = nn.Dense(4)(nn.tanh(BatchNorm()(hidden, loop)))
        z = mean + jax.random.normal(self.make_rng("latent"), mean.shape)
        components = nn.sigmoid(nn.Dense(pixels)(z)).reshape(batch, 1, *images.shape[1:])
        reconstruction = components[:, 0]
        return Outputs(
            reconstruction=reconstruction,
            components=components,
            log_masks=jnp.zeros_like(components[..., :1]),
            log_masks_decoded=None,
            slots=z[:, None],
            active_slots=jnp.ones((batch, 1), bool),
            reconstruction_error=jnp.sum(jnp.square(reconstruction - images), axis=(1, 2, 3)),
            kl={"latent": jnp.sum(jnp.square(mean), axis=1)},
            latents={},
        )


def with_toy(config: ConfigDict) -> ConfigDict:
    """`config` with the toy as its model, and a goal of GECO that moves its beta."""
    with config.unlocked():
        config.model = ConfigDict({"name": "toy", "image_size": config.data.image_size})
    config.objective.goal = 0.01
    return config


@pytest.fixture(scope="module", autouse=True)
def toy():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models._MODELS, "toy", Toy)
        yield


def one_device(config: ConfigDict | None = None) -> jax.sharding.Mesh:
    """A mesh of the first of this process's devices."""
    del config
    return jax.make_mesh(
        (1, 1), ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2, devices=jax.devices()[:1]
    )


# ---- the step


def trained_for(config: ConfigDict, num_steps: int):
    """State after steps, and each step's metrics, with the beta that it left: [num_steps] or [num_steps, N]."""
    state = jax.jit(lambda: init_state(config))()
    train_step = make_train_step(config, one_device())
    batches = stacked_train_iterator(config.data, config.batch_size, all_seeds(config))
    metrics = []
    for _ in range(num_steps):
        state, values = train_step(state, next(batches))
        beta = jnp.copy(objectives.current_weights(state.opt_state).beta)
        metrics.append(values | {"beta left": beta})
    return state, jax.tree.map(lambda *values: np.array(values), *metrics)


def genesis_v2(config: ConfigDict) -> ConfigDict:
    """The tiny GENESIS-V2 at the papers' rate; ten times that makes rounding grow past 1e-5 within 20 steps."""
    config.batch_size, config.optimizer.learning_rate = 2, 1e-4
    return config


@pytest.mark.parametrize("model", [with_toy, genesis_v2])
def test_losses_and_betas_are_those_of_separate_runs(tiny_config, model):
    _, together = trained_for(model(tiny_config(seed=_SEEDS[0], num_seeds=2)), _STEPS)
    assert together["loss"].shape == (_STEPS, 2)
    assert (np.std(together["loss"], axis=1) > 0).all()
    assert (np.std(together["beta left"], axis=1) > 0).all()
    for i, seed in enumerate(_SEEDS):
        _, alone = trained_for(model(tiny_config(seed=seed)), _STEPS)
        for name in ("loss", "reconstruction_error", "beta", "beta left"):
            np.testing.assert_allclose(together[name][:, i], alone[name], rtol=1e-5, err_msg=name)


def test_every_array_is_that_of_separate_runs(tiny_config):
    """Parameters, running statistics and optimiser state."""
    config = with_toy(tiny_config(seed=_SEEDS[0], num_seeds=2))
    together, _ = trained_for(config, _STEPS)
    assert together.step.tolist() == [_STEPS, _STEPS]
    for i, seed in enumerate(_SEEDS):
        alone, _ = trained_for(with_toy(tiny_config(seed=seed)), _STEPS)
        jax.tree.map(
            lambda ours, theirs, i=i: np.testing.assert_allclose(
                ours[i], theirs, rtol=1e-4, atol=1e-5
            ),
            together,
            alone,
        )
        variables = variables_of_seed(config, together, seed)
        assert variables.keys() == {"params", "batch_stats"}
        assert jax.tree.map(jnp.shape, variables["params"]) == jax.tree.map(jnp.shape, alone.params)


# ---- the loop


@pytest.fixture
def on_one_device(monkeypatch):
    monkeypatch.setattr(sharding, "make_mesh", one_device)


@pytest.fixture(scope="module")
def runs(tiny_config, tmp_path_factory) -> dict[str, pathlib.Path]:
    """Folders of runs of both seeds together, and of each alone; tests must not change them."""
    folder = tmp_path_factory.mktemp("seeds")
    changes = {"together": {"num_seeds": 2, "seed": _SEEDS[0]}}
    changes |= {str(seed): {"seed": seed} for seed in _SEEDS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharding, "make_mesh", one_device)
        for name, fields in changes.items():
            loop.train(with_toy(tiny_config(num_train_steps=_STEPS, **fields)), folder / name)
    return {name: folder / name for name in changes}


def test_means_and_deviations_are_logged(runs):
    for name in ("train/loss", "train/beta", "eval/mean_squared_error", "eval/ari_fg"):
        mean, deviation = (helpers.metrics_of(runs["together"], name + end) for end in ("", "_std"))
        alone = [helpers.metrics_of(runs[str(seed)], name) for seed in _SEEDS]
        assert mean.keys() == deviation.keys() == alone[0].keys() != set()
        for step in mean:
            values = [values[step] for values in alone]
            np.testing.assert_allclose(mean[step], np.mean(values), rtol=1e-5, err_msg=name)
            np.testing.assert_allclose(
                deviation[step], np.std(values, ddof=1), atol=1e-5 * max(values), err_msg=name
            )
    assert not any(
        key.endswith("_std")
        for line in (runs[str(_SEEDS[0])] / "metrics.jsonl").read_text().splitlines()
        for key in json.loads(line)
    )


def test_figures_are_of_the_first_seed(runs):
    together, first, second = (
        np.asarray(Image.open(folder / "figures" / f"step_{_STEPS:08d}.png"), float)
        for folder in runs.values()
    )
    assert np.abs(together - first).max() <= 2  # of 255
    assert np.abs(together - second).max() > 20


def test_summary():
    values = {"beta": np.float32(0.1), "loss": np.array([1.0, 2.0, 6.0]), "ari": [0.5]}
    expected = {"beta": float(np.float32(0.1)), "loss": 3.0, "ari": 0.5, "loss_std": 7**0.5}
    assert summary(values) == pytest.approx(expected, rel=1e-15)


def test_stopped_and_resumed(tiny_config, runs, tmp_path, on_one_device, capsys):
    changes = {"num_seeds": 2, "seed": _SEEDS[0]}
    loop.train(with_toy(tiny_config(num_train_steps=7, **changes)), tmp_path)
    position = helpers.saved(tmp_path)["process_0-of-1.json"]
    assert position == {"seeds": [{"next_index": 7}, {"next_index": 7}]}
    loop.train(with_toy(tiny_config(num_train_steps=_STEPS, **changes)), tmp_path)
    assert "from step 7" in capsys.readouterr().out
    helpers.assert_same(helpers.saved(tmp_path), helpers.saved(runs["together"]))


PROGRAM = """
import sys
sys.path.insert(0, "tests")
from test_seeds import Toy
from ocgm import cli, models
from ocgm import main as command
models._MODELS["toy"] = Toy
cli.run(command.main)
"""


def test_killed_at_any_moment_on_the_only_device(tiny_config, tmp_path):
    """kill -9 at a random step of a process with one device and the default mesh, and the same command again."""
    config = with_toy(tiny_config(num_seeds=2, num_train_steps=100))
    file = helpers.write_config(tmp_path, config)
    arguments = ("-c", PROGRAM, f"--config={file}")
    process = helpers.start(*arguments, f"--workdir={tmp_path / 'run'}", devices=1)
    step = random.SystemRandom().randrange(1, 60)
    for line in process.stdout:
        if line.startswith(f"step {step:,}/"):
            break
    process.kill()
    assert helpers.finish(process).status != 0
    for name in ("run", "whole"):
        done = helpers.finish(helpers.start(*arguments, f"--workdir={tmp_path / name}", devices=1))
        assert done.status == 0, done.err
    helpers.assert_same(helpers.saved(tmp_path / "run"), helpers.saved(tmp_path / "whole"))


def test_non_finite_loss_of_one_seed(tiny_config, tmp_path, on_one_device, monkeypatch):
    """NaN in step 4 of the second seed: it is named; its state stays, the other's goes on."""

    def poison(state):
        bias = state.params["Dense_1"]["bias"]
        state.params["Dense_1"]["bias"] = bias.at[1].set(jnp.nan)

    monkeypatch.setattr(loop, "make_train_step", helpers.poisoned(loop.make_train_step, 4, poison))
    config = tiny_config(num_seeds=2, seed=_SEEDS[0], log_every_steps=10, checkpoint__every_steps=6)
    with pytest.raises(NonFiniteLossError) as error:
        loop.train(with_toy(config), tmp_path)
    assert str(error.value).startswith(
        "The loss or its gradient was not finite at step 4 of seed 4 (noticed at step 6)."
    )
    failed = helpers.saved_failure(tmp_path)
    assert failed[".failed"].tolist() == [0, 1]
    assert failed[".step"].tolist() == [6, 3]
    bias = failed[".params['Dense_1']['bias']"]
    assert np.isfinite(bias[0]).all() and np.isnan(bias[1]).all()


# ---- the models of a run


def test_load_one_seed(runs, tmp_path):
    """On all devices, whatever the run had; what is exported is a run of that seed alone."""
    stacked = helpers.saved(runs["together"])[".params['Dense_0']['kernel']"]
    for i, seed in enumerate(_SEEDS):
        trained = inference.load(runs["together"], seed=seed)
        assert (trained.config.seed, trained.config.num_seeds, trained.step) == (seed, 1, _STEPS)
        kernel = trained.variables["params"]["Dense_0"]["kernel"]
        np.testing.assert_array_equal(kernel, stacked[i])
        done = helpers.command(
            "export",
            f"--workdir={runs['together']}",
            f"--output={tmp_path / str(seed)}",
            f"--model_seed={seed}",
        )
        assert done.status == 0, done.err
        exported = inference.load(tmp_path / str(seed))
        assert exported.config == trained.config
        jax.tree.map(np.testing.assert_array_equal, exported.variables, trained.variables)
    first = inference.load(runs["together"])
    np.testing.assert_array_equal(first.variables["params"]["Dense_0"]["kernel"], stacked[0])


def test_load_a_seed_that_was_not_trained(runs):
    with pytest.raises(ConfigError, match="together holds no model of seed 5; it holds seed 3, 4"):
        inference.load(runs["together"], seed=5)
    with pytest.raises(ConfigError, match="holds no model of seed 4; it holds seed 3"):
        inference.load(runs["3"], seed=4)


# ---- mistakes, and runs of before


def test_more_than_one_device(tiny_config, tmp_path):
    config = tiny_config(num_seeds=3)
    message = "config.num_seeds=3 trains all seeds on one device, but there are 2. Let JAX see one"
    with pytest.raises(ConfigError, match=message):
        loop.train(config, tmp_path / "run")
    with pytest.raises(ConfigError, match="config.num_seeds=0 must be at least 1"):
        loop.train(tiny_config(num_seeds=0), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_number_of_seeds_cannot_change(tiny_config, runs, on_one_device):
    config = with_toy(tiny_config(num_seeds=3, seed=_SEEDS[0]))
    with pytest.raises(ConfigError, match="config.num_seeds: 2 there, 3 now"):
        loop.train(config, runs["together"])


def test_checkpoints_of_others_are_of_one_seed(tiny_config, tmp_path):
    config = helpers.write_config(tmp_path, tiny_config(num_seeds=2))
    done = helpers.command(
        "convert", f"--config={config}", "--checkpoint=model.npz", f"--workdir={tmp_path / 'run'}"
    )
    assert done.status == 1
    assert done.err == "error: config.num_seeds must be 1: a checkpoint is of one seed.\n"


def test_a_run_from_before_the_field(tiny_config, runs, tmp_path):
    """Its config.json knows nothing of several seeds; it goes on."""
    workdir = shutil.copytree(runs["3"], tmp_path / "run")
    file = workdir / "config.json"
    fields = json.loads(file.read_text())
    del fields["num_seeds"]
    file.write_text(json.dumps(fields))
    assert inference.load(workdir).config.num_seeds == 1
    run_dir.check_workdir(workdir, with_toy(tiny_config(seed=3)))
