"""The directory of a run: its config, and metrics of runs that were killed."""

import os

import numpy as np
import pytest
from helpers import KILLED_AND_RESUMED

from ocgm import inference, run_dir
from ocgm.errors import ConfigError, UserError
from ocgm.training import loop


def claim(workdir, config):
    with run_dir.claim_workdir(workdir, config):
        pass


def test_a_config_comes_back_as_it_was(tiny_config, tmp_path):
    config = tiny_config()
    claim(tmp_path, config)
    assert run_dir.load(tmp_path).to_dict() == config.to_dict()
    run_dir.check_workdir(tmp_path, config)


def test_only_free_fields_may_change(tiny_config, tmp_path):
    claim(tmp_path, tiny_config())
    run_dir.check_workdir(tmp_path, tiny_config(num_train_steps=99, evaluation__every_steps=7))
    with pytest.raises(ConfigError, match="config.model.feature_dim: 8 there, 16 now"):
        run_dir.check_workdir(tmp_path, tiny_config(model__feature_dim=16))


def test_two_runs_in_one_directory(tiny_config, tmp_path):
    """The second one ends at once, and says who is there; nothing is changed."""
    workdir = tmp_path / "run"
    with run_dir.claim_workdir(workdir, tiny_config()):
        for enter in (run_dir.check_workdir, claim):
            with pytest.raises(UserError, match=f"is writing {workdir}: process {os.getpid()} on"):
                enter(workdir, tiny_config(seed=1))
        assert run_dir.load(workdir).seed == 0
    claim(workdir, tiny_config())
    with pytest.raises(ConfigError, match="holds a run with another config"):
        claim(workdir, tiny_config(seed=1))


def test_training_where_another_run_is(tiny_config, tmp_path):
    """Before anything is made or compiled."""
    with run_dir.claim_workdir(tmp_path, tiny_config()):
        before = sorted(tmp_path.iterdir())
        with pytest.raises(UserError, match=f"is writing {tmp_path}: process {os.getpid()} on"):
            loop.train(tiny_config(), tmp_path)
        assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ["run[0]", "a\\b"])
def test_paths_that_cannot_hold_checkpoints(tiny_config, tmp_path, name):
    """Whoever uses the directory says so at once: train, and load for all commands that read a run."""
    workdir = tmp_path / name
    with pytest.raises(ConfigError, match="cannot hold checkpoints because of"):
        loop.train(tiny_config(), workdir)
    assert not workdir.exists()
    (workdir / "checkpoints").mkdir(parents=True)
    (workdir / "config.json").write_text(run_dir.to_json(tiny_config()))
    with pytest.raises(ConfigError, match="cannot hold checkpoints because of"):
        inference.load(workdir)


def test_a_directory_that_cannot_be_made(tiny_config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written: Not a directory"):
        claim(tmp_path / "file" / "run", tiny_config())


def test_a_directory_without_a_run(tmp_path):
    with pytest.raises(ConfigError, match="holds no run"):
        run_dir.load(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\x00" * 80,
        b'{"model": "\xff"}',
        b"[1, 2]",
        b"7",
        b"null",
        b'{"model": {}, "data": {}}',
        b'{"model": 1, "data": {}, "evaluation": {}}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_config(tmp_path, content):
    """One line that names the file and the way out, from whatever reads it."""
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ConfigError) as error:
        run_dir.load(tmp_path)
    assert str(error.value).startswith(f"{tmp_path / 'config.json'} is damaged (")
    assert "run the training command again" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_metrics_of_a_killed_and_resumed_run(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with pytest.raises(UserError, match="metrics.jsonl does not exist"):
        run_dir.read_metrics(path)
    path.write_text(KILLED_AND_RESUMED)
    metrics = run_dir.read_metrics(path)
    assert metrics.keys() == {"train/loss", "eval/ari_fg"}
    np.testing.assert_array_equal(metrics["train/loss"], [[1, 2, 3], [5.0, 4.5, 3.5]])
    np.testing.assert_array_equal(metrics["eval/ari_fg"], [[2], [0.5]])


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe\x00",
        b"\x00" * 4096,
        b"[1, 2]",
        b"3",
        b'{"train/loss": 1.0}',
        b'{"step": null, "train/loss": 1.0}',
        b'{"step": "9", "train/loss": 1.0}',
        b'{"step": NaN, "train/loss": 1.0}',
        b'{"step": 9, "train/lo\xe9s": 1.0',
        b'{"step": 9, "train/loss": ' + b"9" * 400 + b"}",
        b"[" * 100_000,
    ],
)
def test_damaged_lines_of_metrics(tmp_path, line):
    """They are left out, and the others are read: a resume does not need them."""
    path = tmp_path / "metrics.jsonl"
    good = KILLED_AND_RESUMED.encode()
    path.write_bytes(good)
    expected = run_dir.read_metrics(path)
    path.write_bytes(line + b"\n" + good + line)
    metrics = run_dir.read_metrics(path)
    assert metrics.keys() == expected.keys()
    for name, series in expected.items():
        np.testing.assert_array_equal(metrics[name], series)


def test_metrics_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        run_dir.read_metrics(tmp_path)
