"""The dataset registry and what importing the data package costs."""

import subprocess
import sys

import pytest

from ocgm.data import DATASETS, data_dir, eval_batches, get_spec, prepare, train_iterator
from ocgm.errors import DatasetMissingError, UserError


def test_entries():
    assert {name: spec.num_slots for name, spec in DATASETS.items()} == {
        "multi_dsprites": 5,
        "multi_dsprites_deepmind": 6,
        "tetrominoes": 4,
        "clevr_with_masks": 7,
        "objects_room": 7,
        "shapestacks": 9,
        "gqn": 7,
        "sketchy": 10,
        "apc": 10,
    }
    for name, spec in DATASETS.items():
        assert spec.name == name
        assert spec.stand_in == "" or DATASETS[spec.stand_in].generated


def test_unknown_dataset():
    with pytest.raises(UserError, match="unknown dataset 'multi_dsprite'.*mean 'multi_dsprites'"):
        get_spec("multi_dsprite")


@pytest.mark.parametrize(
    "name,source",
    [
        (
            "clevr_with_masks",
            "https://storage.googleapis.com/multi-object-datasets/clevr_with_masks/",
        ),
        ("objects_room", "https://storage.googleapis.com/multi-object-datasets/objects_room/"),
        ("shapestacks", "http://shapestacks-file.robots.ox.ac.uk/static/download/v1/"),
        ("gqn", "gs://gqn-dataset/rooms_ring_camera"),
        ("sketchy", "https://storage.googleapis.com/sketchy-data/"),
        ("apc", "http://3dvision.princeton.edu/projects/2016/apc/downloads/training.zip"),
    ],
)
def test_missing_dataset(new_config, tmp_path, name, source):
    config = new_config(tmp_path, name=name, variant="")
    for use in (
        lambda: prepare(config),
        lambda: train_iterator(config, 4, seed=0),
        lambda: eval_batches(config, "test", 4),
    ):
        with pytest.raises(DatasetMissingError) as error:
            use()
        message = str(error.value)
        assert DATASETS[name].title in message
        assert str(tmp_path / name) in message
        assert source in message
        assert f"--config.data.name={DATASETS[name].stand_in}" in message
        assert "\n" not in message


@pytest.mark.parametrize("image_size", [64, 128])
@pytest.mark.parametrize(
    "name,stand_in",
    [("sketchy", "multi_dsprites"), ("clevr_with_masks", "multi_dsprites_deepmind")],
)
def test_stand_in_that_is_smaller(new_config, tmp_path, name, stand_in, image_size):
    config = new_config(tmp_path, name=name, variant="", image_size=image_size)
    with pytest.raises(DatasetMissingError) as error:
        prepare(config)
    flags = str(error.value).split("add ")[1].split()
    smaller = ["--config.data.image_size=64"] if image_size > 64 else []
    assert flags == [f"--config.data.name={stand_in}", *smaller]


def test_data_dir(monkeypatch, new_config, tmp_path):
    monkeypatch.setenv("OCGM_DATA_DIR", str(tmp_path / "environment"))
    assert data_dir(new_config(tmp_path / "given")) == tmp_path / "given"
    assert data_dir(new_config("")) == tmp_path / "environment"
    monkeypatch.delenv("OCGM_DATA_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_dir(new_config("")) == tmp_path / "tensorflow_datasets"


def test_unwritable_data_dir(new_config, tmp_path):
    file = tmp_path / "file"
    file.write_text("not a folder")
    with pytest.raises(UserError, match=f"cannot write multi_dsprites/.* to {file}"):
        prepare(new_config(file))


def test_import_is_cheap():
    program = (
        "import sys, ocgm, ocgm.data, ocgm.data.registry\n"
        "heavy = {'tensorflow', 'tensorflow_datasets', 'grain', 'jax'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_unknown_name():
    with pytest.raises(ImportError, match="cannot import name 'tain_iterator'"):
        from ocgm.data import tain_iterator  # noqa: F401
