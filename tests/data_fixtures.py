"""Fixtures of the data tests."""

import pathlib

import numpy as np
import pytest
from ml_collections import ConfigDict

from ocgm.data import prepare

FIXTURES = pathlib.Path(__file__).parent / "datasets" / "fixtures"


def make_data_config(data_dir, **changes) -> ConfigDict:
    config = ConfigDict(
        {
            "name": "multi_dsprites",
            "variant": "plain",
            "protocol": "",
            "image_size": 64,
            "data_dir": str(data_dir),
            "manual_dir": "",
            "sprites_path": "",
            "num_examples": (20, 10, 12),
            "on_the_fly": False,
        }
    )
    config.update(changes)
    return config


@pytest.fixture(scope="session")
def fixtures() -> pathlib.Path:
    return FIXTURES


@pytest.fixture(scope="session")
def new_config():
    return make_data_config


def check_uniform(values: np.ndarray, expected: list) -> None:
    """The values are the expected ones, each about equally often."""
    found, counts = np.unique(values, return_counts=True, axis=0)
    np.testing.assert_array_equal(found, sorted(expected))
    mean = counts.sum() / len(counts)
    # A count is off by more than four standard deviations once in 16,000 times.
    np.testing.assert_allclose(counts, mean, atol=4 * np.sqrt(mean), rtol=0)


@pytest.fixture(scope="session")
def assert_uniform():
    return check_uniform


@pytest.fixture(scope="session")
def prepared_dir(tmp_path_factory) -> pathlib.Path:
    """A data directory with a small Multi-dSprites."""
    folder = tmp_path_factory.mktemp("datasets")
    prepare(make_data_config(folder))
    return folder


@pytest.fixture
def data_config(prepared_dir) -> ConfigDict:
    """The `data` part of a config whose dataset is on disk."""
    return make_data_config(prepared_dir)
