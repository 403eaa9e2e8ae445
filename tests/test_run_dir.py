"""The directory of a run: its config, and metrics of runs that were killed."""

import numpy as np
import pytest
from helpers import KILLED_AND_RESUMED

from ocgm import run_dir
from ocgm.errors import ConfigError, UserError


def test_a_config_comes_back_as_it_was(tiny_config, tmp_path):
    config = tiny_config()
    run_dir.claim_workdir(tmp_path, config)
    assert run_dir.load(tmp_path).to_dict() == config.to_dict()
    run_dir.check_workdir(tmp_path, config)


def test_only_free_fields_may_change(tiny_config, tmp_path):
    run_dir.claim_workdir(tmp_path, tiny_config())
    run_dir.check_workdir(tmp_path, tiny_config(num_train_steps=99, evaluation__every_steps=7))
    with pytest.raises(ConfigError, match="config.model.feature_dim: 8 there, 16 now"):
        run_dir.check_workdir(tmp_path, tiny_config(model__feature_dim=16))


def test_a_directory_without_a_run(tmp_path):
    with pytest.raises(ConfigError, match="holds no run"):
        run_dir.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="is not valid JSON"):
        run_dir.load(tmp_path)


def test_metrics_of_a_killed_and_resumed_run(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with pytest.raises(UserError, match="metrics.jsonl does not exist"):
        run_dir.read_metrics(path)
    path.write_text(KILLED_AND_RESUMED)
    metrics = run_dir.read_metrics(path)
    assert metrics.keys() == {"train/loss", "eval/ari_fg"}
    np.testing.assert_array_equal(metrics["train/loss"], [[1, 2, 3], [5.0, 4.5, 3.5]])
    np.testing.assert_array_equal(metrics["eval/ari_fg"], [[2], [0.5]])
