"""Every number of a config has a legal range; what is outside is refused first, and the smallest numbers train."""

import math

import jax
import jax.numpy as jnp
import pytest
from helpers import finish, metrics_of, saved, start, write_config
from ml_collections import ConfigDict

from ocgm import experiment, models, sharding
from ocgm.errors import ConfigError, UserError
from ocgm.training import loop, objectives, optimizers
from ocgm.training.config_ranges import RANGES, check, numbers, range_of
from ocgm.training.step import abstract_state, make_train_step


def without_range(config) -> set[str]:
    return {field for field, _ in numbers(config) if range_of(config.model.name, field) is None}


@pytest.mark.parametrize("name", experiment.config_names())
def test_shipped_configs(name):
    specs = experiment.expand_specs(experiment.config_specs(name))
    for spec in specs[:: max(1, len(specs) // 5)] or [""]:
        config = experiment.load_config(f"{name}:{spec}" if spec else name)
        assert not without_range(config)
        check(config)


@pytest.mark.parametrize("name", models.NAMES)
def test_every_number_of_a_model_has_a_range(name):
    config = experiment.default_config(name, "multi_dsprites")
    assert not without_range(config)
    check(config)


@pytest.mark.parametrize("part,kinds", [("objective", objectives), ("optimizer", optimizers)])
def test_every_number_of_objectives_and_optimizers_has_a_range(part, kinds):
    fields = {
        field
        for settings in kinds._DEFAULTS.values()
        for field, value in settings.items()
        if not isinstance(value, str)
    }
    assert not {field for field in fields if f"{part}.{field}" not in RANGES}


def changed(config, **fields):
    with config.unlocked():
        config.update_from_flattened_dict({k.replace("__", "."): v for k, v in fields.items()})
    return config


@pytest.mark.parametrize(
    "field,value,legal",
    [
        ("batch_size", 0, "a whole number, at least 1"),
        ("evaluation.batch_size", -8, "a whole number, at least 1"),
        ("evaluation.num_images", 0, "a whole number, at least 1"),
        ("log_every_steps", -1, "a whole number, at least 0"),
        ("checkpoint.every_steps", -5, "a whole number, at least 0"),
        ("evaluation.every_steps", -5, "a whole number, at least 0"),
        ("checkpoint.keep", 0, "a whole number, at least 1"),
        ("num_train_steps", 2**31, "a whole number, at least 1 and at most 2,147,483,647"),
        ("seed", -1, "a whole number, at least 0 and at most 2,147,483,647"),
        ("seed", 2**32, "a whole number, at least 0 and at most 2,147,483,647"),
        ("max_train_minutes", math.nan, "a finite number, at least 0"),
        ("optimizer.clip_norm", -1.0, "a finite number, at least 0"),
        ("optimizer.learning_rate", math.inf, "a finite number, at least 0"),
        ("optimizer.b1", 1.0, "a finite number, at least 0 and below 1"),
        ("objective.goal", math.nan, "a finite number"),
        ("model.num_slots", 1, "a whole number, at least 2"),
        ("model.component_sigma", 0.0, "a finite number, above 0"),
        ("model.latent_size", -1, "a whole number, at least 0"),
        ("data.image_size", 2048, "a whole number, at least 1 and at most 1,024"),
    ],
)
def test_illegal_numbers(field, value, legal):
    config = experiment.default_config("genesis_v2", "multi_dsprites")
    with pytest.raises(ConfigError) as error:
        check(changed(config, **{field: value}))
    assert f"config.{field}={value!r} must be {legal}." in str(error.value).splitlines()


@pytest.mark.parametrize(
    "fields,message",
    [
        ({"curriculum": ((-1, "num_slots", 3),)}, "config.curriculum.step=-1 must be"),
        ({"curriculum": ((0, "num_slots", -3),)}, "config.curriculum.num_slots=-3 must be"),
        ({"data.num_examples": (8, 0, 8)}, "config.data.num_examples=0 must be"),
        ({"batch_size": 0, "seed": -1}, "config.batch_size=0 must be .*\nconfig.seed=-1 must be"),
    ],
)
def test_tuples_and_several_mistakes(fields, message):
    config = experiment.default_config("genesis_v2", "multi_dsprites")
    with pytest.raises(ConfigError, match=message):
        check(changed(config, **fields))


def test_checked_before_anything_is_made(tiny_config, tmp_path):
    config = tiny_config(data__data_dir=str(tmp_path / "data"), checkpoint__keep=0)
    with pytest.raises(ConfigError, match="config.checkpoint.keep=0 must be"):
        loop.train(config, tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_seeds_on_the_fly(tiny_config, tmp_path):
    config = tiny_config(data__on_the_fly=True, seed=2**23)
    with pytest.raises(UserError, match="seed=8388608 is too large"):
        loop.train(config, tmp_path)


# ---- the smallest legal numbers

# The smallest side that each model supports; models check it themselves.
SIDES = {"iodine": 3, "genesis": 32, "genesis_s": 32, "image_vae": 32, "one_slot_vae": 32}


def smallest(name):
    """Return the config of a model with every number at its smallest legal value."""
    config = experiment.default_config(name, "multi_dsprites")
    values = {}
    for field, value in config.model.items():
        legal = range_of(name, f"model.{field}")
        if isinstance(value, bool | str) or field == "image_size":
            continue
        least = legal.least if math.isfinite(legal.least) else -1.0
        least = type(value if not isinstance(value, tuple) else value[0])(least)
        if legal.open_least:
            least = 1e-3
        values[field] = (least,) * len(value) if isinstance(value, tuple) else least
    config.model.update(values)
    config.data.image_size = SIDES.get(name, 16)
    config.update_from_flattened_dict(
        {"batch_size": 2, "optimizer.clip_norm": 0.0, "optimizer.learning_rate": 0.0}
    )
    return config


@pytest.mark.compiles
@pytest.mark.parametrize("name", models.NAMES)
def test_smallest_models_can_be_trained(name):
    config = smallest(name)
    check(config)
    mesh = sharding.make_mesh()
    side = config.data.image_size
    batch = {"image": jax.ShapeDtypeStruct((2, side, side, 3), jnp.uint8)}
    state = abstract_state(config, mesh)
    new_state, metrics = jax.eval_shape(
        lambda state, batch: make_train_step(config, mesh)(state, batch, ()), state, batch
    )
    assert metrics["loss"].shape == ()
    assert jax.tree.structure(new_state) == jax.tree.structure(state)


@pytest.mark.compiles
def test_smallest_experiment_from_start_to_end(tiny_config, tmp_path):
    """One image a batch, one step, one checkpoint, one held-out image; nothing every so many steps."""
    config = tiny_config(
        batch_size=1,
        num_train_steps=1,
        log_every_steps=0,
        data__num_examples=(1, 1, 1),
        data__data_dir=str(tmp_path / "data"),
        optimizer__learning_rate=0.0,
        optimizer__b1=0.0,
        evaluation__every_steps=0,
        evaluation__num_images=1,
        evaluation__batch_size=1,
        evaluation__num_figure_images=1,
        checkpoint__every_steps=0,
        checkpoint__keep=1,
    )
    with config.unlocked():  # a model that compiles in a second
        side = config.data.get_ref("image_size")
        config.model = ConfigDict({"name": "image_vae", "image_size": side, "latent_size": 1})
    arguments = ("-m", "ocgm.main", f"--config={write_config(tmp_path, config)}")
    done = finish(start(*arguments, f"--workdir={tmp_path / 'run'}", devices=1))
    assert done.status == 0, done.err
    lines = done.out.splitlines()
    assert "on 1 device(s) (cpu) of 1 process(es)" in done.out
    assert "batch 1: 1 in a process, 1 on a device; from step 0 of 1" in lines
    assert lines.index("compiling the train step") < lines.index(
        next(line for line in lines if line.startswith("step 1/1 (100%)  loss "))
    )
    assert f"next: ocgm evaluate --workdir={tmp_path / 'run'}" in lines
    assert max(map(len, lines)) <= 100 + len(str(tmp_path))
    assert saved(tmp_path / "run")[".step"] == 1
    assert list(metrics_of(tmp_path / "run", "train/loss")) == [1]
    assert list(metrics_of(tmp_path / "run", "eval/ari_fg")) == [1]
