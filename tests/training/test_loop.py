"""Runs that stop, in every way, resume as if they had not stopped; runs that fail raise a clear error."""

import random
import shutil
import signal

import jax
import numpy as np
import pytest
from helpers import (
    REFERENCE_STEPS,
    assert_same,
    finish,
    metrics_of,
    poisoned,
    saved,
    saved_failure,
    start,
    write_config,
)

from ocgm import inference, run_dir
from ocgm.errors import CheckpointError, ConfigError, InputError, UserError
from ocgm.training import loop
from ocgm.training.loop import NonFiniteLossError
from ocgm.training.signals import Interrupted
from ocgm.training.step import curriculum_options


@pytest.fixture(scope="module")
def reference(reference_run):
    return saved(reference_run)


def test_reference_run(reference_run, reference):
    assert reference["position"] == {"next_index": REFERENCE_STEPS}
    assert reference[".step"] == REFERENCE_STEPS
    assert reference[".failed"] == 0
    beta = reference[".loss_weights.beta"]
    assert 0 < beta < 1  # GECO has moved: the error is above its goal
    losses = metrics_of(reference_run, "train/loss")
    assert sorted(losses) == list(range(1, REFERENCE_STEPS + 1))
    assert np.isfinite(list(losses.values())).all()
    assert (
        metrics_of(reference_run, "train/beta")[REFERENCE_STEPS] != beta
    )  # what the step used, and what it left
    assert sorted(metrics_of(reference_run, "eval/ari_fg_attention")) == [10, 20]
    assert sorted(path.name for path in (reference_run / "figures").iterdir()) == [
        "step_00000010.png",
        "step_00000020.png",
    ]


def test_logged_metrics_are_of_their_own_step(reference_run):
    """They are fetched one step late; the beta of step t is the one that step t - 1 left."""
    betas = metrics_of(reference_run, "train/beta")
    assert betas[1] == 1.0
    before = saved(reference_run, step=5)
    assert betas[6] == before[".loss_weights.beta"]


def test_stopped_between_checkpoints_and_resumed(tiny_config, reference, tmp_path, capsys):
    loop.train(tiny_config(num_train_steps=7), tmp_path)
    assert saved(tmp_path)["position"] == {"next_index": 7}
    loop.train(tiny_config(), tmp_path)
    assert "from step 7" in capsys.readouterr().out
    assert_same(saved(tmp_path), reference)


def test_a_finished_run_is_only_evaluated_again(tiny_config, reference_run, reference, tmp_path):
    workdir = shutil.copytree(reference_run, tmp_path / "run")
    scores = loop.train(tiny_config(), workdir)
    assert_same(saved(workdir), reference)
    logged = {name: metrics_of(reference_run, f"eval/{name}")[REFERENCE_STEPS] for name in scores}
    assert scores == logged


def start_run(tiny_config, folder):
    config = write_config(folder, tiny_config())
    arguments = ("-m", "ocgm.main", f"--config={config}", f"--workdir={folder / 'run'}")
    return start(*arguments)


def read_until_step(process, step: int) -> None:
    for line in process.stdout:
        if line.startswith(f"step {step:,}/"):
            return
    pytest.fail(f"the run ended before step {step}: {process.stderr.read()}")


@pytest.mark.compiles
def test_killed_at_any_moment(tiny_config, reference, tmp_path):
    """kill -9 at a random step, and the same command again."""
    step = random.SystemRandom().randrange(1, REFERENCE_STEPS - 3)
    process = start_run(tiny_config, tmp_path)
    read_until_step(process, step)
    process.kill()
    assert finish(process).status == -signal.SIGKILL
    loop.train(tiny_config(), tmp_path / "run")
    assert_same(saved(tmp_path / "run"), reference)


@pytest.mark.compiles
def test_stopped_by_a_signal(tiny_config, reference, tmp_path, capsys):
    """Ctrl-C, and the same command again to the end."""
    process = start_run(tiny_config, tmp_path)
    read_until_step(process, 2)
    process.send_signal(signal.SIGINT)
    stopped = finish(process)
    assert stopped.status == 130, stopped.err
    last_line = stopped.err.strip().splitlines()[-1]
    step = int(last_line.removeprefix("error: SIGINT at step ").split(":")[0])
    assert "the state is saved" in last_line
    assert "Traceback" not in stopped.err
    assert 2 <= step < REFERENCE_STEPS
    assert saved(tmp_path / "run")["position"] == {"next_index": step}
    loop.train(tiny_config(), tmp_path / "run")
    assert f"from step {step} of {REFERENCE_STEPS}" in capsys.readouterr().out
    assert_same(saved(tmp_path / "run"), reference)


def stopping_in_step(number: int, name: str, make_train_step):
    """Return a `make_train_step` whose step of this number receives a signal."""

    def send(state):
        signal.raise_signal(signal.Signals[name])

    return poisoned(make_train_step, number, send)


def test_a_stop_saves_and_comes_before_an_evaluation(tiny_config, tmp_path, monkeypatch, capsys):
    """The step of the signal is the last one; its metrics are written though none were due."""
    monkeypatch.setattr(
        loop, "make_train_step", stopping_in_step(4, "SIGUSR1", loop.make_train_step)
    )
    monkeypatch.setattr(loop, "evaluate", lambda *args: pytest.fail("it evaluated"))
    config = tiny_config(log_every_steps=0, checkpoint__every_steps=0, evaluation__every_steps=4)
    with pytest.raises(Interrupted, match="SIGUSR1 at step 4: the state is saved") as error:
        loop.train(config, tmp_path)
    assert error.value.exit_status == 138
    assert "SIGUSR1: stopping after step 4, saving; Ctrl-C ends at once" in capsys.readouterr().out
    assert saved(tmp_path)[".step"] == 4
    assert saved(tmp_path)["position"] == {"next_index": 4}
    assert list(metrics_of(tmp_path, "train/loss")) == [4]


@pytest.mark.parametrize("failure", [UserError("a wrong label"), signal.SIGTERM])
def test_no_step_is_lost_in_an_evaluation(tiny_config, tmp_path, monkeypatch, failure):
    """Neither where it fails nor where it is stopped, which is at once."""

    def evaluate(*args):
        if isinstance(failure, UserError):
            raise failure
        signal.raise_signal(failure)
        pytest.fail("it went on")

    monkeypatch.setattr(loop, "evaluate", evaluate)
    config = tiny_config(checkpoint__every_steps=0, evaluation__every_steps=3)
    with pytest.raises(UserError, match="a wrong label|SIGTERM at step 3: the state is saved"):
        loop.train(config, tmp_path)
    assert saved(tmp_path)[".step"] == 3


def test_no_step_is_lost_where_data_cannot_be_read(tiny_config, tmp_path, monkeypatch):
    read = loop.DevicePrefetcher.__next__

    def fail_at_third(self):
        if self.get_state()["next_index"] == 2:
            raise UserError("a damaged file")
        return read(self)

    monkeypatch.setattr(loop.DevicePrefetcher, "__next__", fail_at_third)
    with pytest.raises(UserError, match="a damaged file"):
        loop.train(tiny_config(), tmp_path)
    assert saved(tmp_path)["position"] == {"next_index": 2}
    assert saved(tmp_path)[".step"] == 2


def test_two_steps_in_flight(tiny_config, tmp_path, monkeypatch):
    """A step is dispatched once the one before the last has ended, however fast the loop is."""
    dispatched, ended = [], []
    make_train_step, block_until_ready = loop.make_train_step, jax.block_until_ready

    def make(config, mesh):
        train_step = make_train_step(config, mesh)

        def step(state, batch, options):
            assert len(dispatched) - len(ended) < 2
            state, metrics = train_step(state, batch, options)
            dispatched.append(metrics)
            return state, metrics

        return step

    def wait(tree):
        ended.extend(metrics for metrics in dispatched if metrics is tree)
        return block_until_ready(tree)

    monkeypatch.setattr(loop, "make_train_step", make)
    monkeypatch.setattr(jax, "block_until_ready", wait)
    loop.train(tiny_config(num_train_steps=4, log_every_steps=0), tmp_path)
    assert len(dispatched) == 4 and len(ended) == 3


@pytest.mark.slow
@pytest.mark.parametrize("devices", [2, 3, 4, 8])
def test_devices_of_a_cpu_do_not_wait_for_each_other_for_ever(devices, tiny_config, tmp_path):
    """With dozens of steps in flight, XLA's collectives found no thread: on two cores, two devices stopped at once."""
    data = tiny_config().data
    done = finish(
        start(
            *("-m", "ocgm.main", "--config=quickstart", f"--workdir={tmp_path}"),
            *(f"--config.data.data_dir={data.data_dir}", "--config.data.num_examples=(48, 24, 24)"),
            *("--config.num_train_steps=500", "--config.max_train_minutes=0"),
            "--config.batch_size=24",
            *("--config.evaluation.num_images=24", "--config.evaluation.batch_size=24"),
            devices=devices,
        ),
        seconds=1_200,
    )
    assert done.status == 0, done.err
    assert "step 500/500 (100%)" in done.out


def test_damaged_checkpoint(tiny_config, reference_run, reference, tmp_path, capsys):
    """The newest is damaged: it is reported, the one before is used, and nothing is deleted."""
    workdir = shutil.copytree(reference_run, tmp_path / "run")
    newest = workdir / "checkpoints" / str(REFERENCE_STEPS)
    largest = max(
        (path for path in newest.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
    )
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 0x10
    largest.write_bytes(content)

    loop.train(tiny_config(), workdir)
    out = capsys.readouterr().out
    assert f"warning: checkpoint {newest} is damaged" in out
    set_aside = workdir / "checkpoints_damaged" / str(REFERENCE_STEPS)
    assert f"warning: moved it to {set_aside}" in out
    assert f"from step {REFERENCE_STEPS - 5}" in out
    assert (set_aside / largest.relative_to(newest)).read_bytes() == content
    assert_same(saved(workdir), reference)


def test_all_checkpoints_damaged(tiny_config, reference_run, tmp_path):
    workdir = shutil.copytree(reference_run, tmp_path / "run")
    for step in (workdir / "checkpoints").iterdir():
        (step / "digest" / "metadata").write_text("{")
    with pytest.raises(CheckpointError, match="No checkpoint could be read; nothing was changed"):
        loop.train(tiny_config(), workdir)
    assert len(list((workdir / "checkpoints").iterdir())) == REFERENCE_STEPS // 5


@pytest.mark.compiles
def test_non_finite_loss(tiny_config, tmp_path, monkeypatch):
    """NaN in step 4: later steps change nothing, and the state after three is kept apart."""

    def poison(state):
        state.params["embedding_gate"] = state.params["embedding_gate"] * np.float32("nan")

    monkeypatch.setattr(loop, "make_train_step", poisoned(loop.make_train_step, 4, poison))
    config = tiny_config(log_every_steps=10, checkpoint__every_steps=3)
    with pytest.raises(NonFiniteLossError) as error:
        loop.train(config, tmp_path)
    message = str(error.value)
    assert message.startswith(
        "The loss or its gradient was not finite at step 4 (noticed at step 6)"
    )
    assert str(tmp_path / "failed_state") in message
    assert "learning_rate" in message and "clip_norm" in message
    failed, intact = saved_failure(tmp_path), saved(tmp_path)
    assert failed.pop(".failed") == 1 and intact.pop(".failed") == 0
    assert np.isnan(failed.pop(".params['embedding_gate']"))
    assert intact.pop("position") == {"next_index": 3}
    assert np.isfinite(intact.pop(".params['embedding_gate']"))
    assert_same(failed, intact)


def test_held_out_images_are_counted_before_training(tiny_config, tmp_path):
    """Not after hours, when the first evaluation is due."""
    with pytest.raises(UserError, match="num_images=17, but validation of multi_dsprites has 16"):
        loop.train(tiny_config(evaluation__num_images=17), tmp_path)
    assert not list(tmp_path.glob("checkpoints/*"))


def test_batches_must_divide(tiny_config, tmp_path):
    with pytest.raises(ConfigError, match="config.batch_size=7 is not a multiple of the 2 devices"):
        loop.train(tiny_config(batch_size=7), tmp_path)
    with pytest.raises(ConfigError, match="config.evaluation.batch_size=5 is not a multiple"):
        loop.train(tiny_config(evaluation__batch_size=5), tmp_path)
    with pytest.raises(ConfigError, match="data=3 x fsdp=1 does not fit the 2 device"):
        loop.train(tiny_config(mesh__data=3), tmp_path)


def test_model_and_data_must_have_one_image_size(tiny_config, tmp_path):
    config = run_dir.from_json(run_dir.to_json(tiny_config()))  # no longer tied together
    config.model.image_size = 64
    with pytest.raises(
        ConfigError, match="config.model.image_size=64, but config.data.image_size=32"
    ):
        loop.train(config, tmp_path)


@pytest.mark.compiles
def test_time_limit(tiny_config, tmp_path):
    config = tiny_config(max_train_minutes=1e-6, evaluation__every_steps=1000)
    scores = loop.train(config, tmp_path)
    assert saved(tmp_path)[".step"] < 3
    assert 0 <= scores["sc_attention"] <= 1


@pytest.mark.compiles
def test_curriculum(tiny_config, reference_run, tmp_path):
    """Options of the model's call change at their steps, and a run that stops between resumes bit-exactly."""
    changes = {"num_train_steps": 4, "log_every_steps": 1, "evaluation__every_steps": 4}
    config = tiny_config(**changes, curriculum=((0, "num_slots", 3), (2, "num_slots", 2)))
    by_step = [dict(curriculum_options(config, step)) for step in range(4)]
    assert by_step == [{"num_slots": 3}, {"num_slots": 3}, {"num_slots": 2}, {"num_slots": 2}]
    loop.train(config, tmp_path / "whole")
    shorter = tiny_config(**{**changes, "num_train_steps": 1}, curriculum=config.curriculum)
    loop.train(shorter, tmp_path / "stopped")
    loop.train(config, tmp_path / "stopped")
    assert_same(saved(tmp_path / "stopped"), saved(tmp_path / "whole"))
    expected = metrics_of(reference_run, "train/loss")  # with the model's three slots
    losses = metrics_of(tmp_path / "whole", "train/loss")
    assert [losses[step] == expected[step] for step in range(1, 5)] == [True, True, False, False]


def test_curriculum_of_an_unknown_option(tiny_config, tmp_path):
    config = tiny_config(curriculum=((10, "refinement_steps", 1),))
    with pytest.raises(InputError, match="refinement_steps do not exist for genesis_v2"):
        loop.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.compiles
def test_profile(tiny_config, tmp_path):
    """The trace of some steps is written; steps that are not in order are an error before anything is made."""
    with pytest.raises(ConfigError, match="--profile_steps=3,2 must be FIRST,LAST"):
        loop.train(tiny_config(), tmp_path / "run", profile_steps=(3, 2))
    assert not (tmp_path / "run").exists()
    config = tiny_config(num_train_steps=3, evaluation__every_steps=100)
    loop.train(config, tmp_path / "run", profile_steps=(2, 3))
    assert list((tmp_path / "run" / "profile").rglob("*.xplane.pb"))


def test_weights_of_a_run_with_an_impossible_optimizer(reference_run, trained, tmp_path):
    """Inference reads neither the optimizer's state nor its config."""
    workdir = shutil.copytree(reference_run, tmp_path / "run")
    config = run_dir.load(workdir)
    config.optimizer.name = "removed"
    (workdir / "config.json").write_text(run_dir.to_json(config))
    loaded = inference.load(workdir)
    assert loaded.variables.keys() == {"params", "loss_weights"}
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, trained.variables)
    with pytest.raises(ConfigError, match="config.optimizer.name='removed' is not one of 'adam'"):
        loop.train(config, workdir)
