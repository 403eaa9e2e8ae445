"""Configs by name, by file, and the default experiment."""

import pathlib
import subprocess
import sys

import pytest
from helpers import ROOT

from ocgm import experiment, models
from ocgm.errors import ConfigError, UserError


def test_default_config():
    config = experiment.default_config("genesis_v2", "objects_room", kernel="laplacian")
    assert config.model.num_slots == 7 and config.model.kernel == "laplacian"
    assert config.model.dtype == "float32"
    assert models.build(config.model).image_size == config.data.image_size == 64


def test_default_config_of_a_model_without_slots():
    config = experiment.default_config("image_vae", "objects_room")
    assert "num_slots" not in config.model
    models.build(config.model)


@pytest.mark.parametrize("names", [("genesis_v3", "objects_room"), ("genesis_v2", "objects_rom")])
def test_unknown_model_or_dataset(names):
    with pytest.raises(UserError, match="genesis_v3|objects_rom"):
        experiment.default_config(*names)


def test_load_by_name_and_by_file():
    by_name = experiment.load_config("genesis_v2_independent_prior:shapestacks,laplacian")
    path = experiment.config_path("genesis_v2_independent_prior")
    assert experiment.load_config(f"{path}:shapestacks,laplacian") == by_name
    assert by_name.model.kernel == "laplacian"


def test_loaded_configs_are_locked():
    config = experiment.load_config("genesis_v2_objectsroom")
    config.batch_size = 2
    with pytest.raises(AttributeError, match="batch_size"):
        config.batchsize = 2


def test_a_config_of_its_own(tmp_path):
    """A file may change a shipped config."""
    path = tmp_path / "mine.py"
    path.write_text(
        "import ocgm.experiment\n\ndef get_config():\n"
        "    config = ocgm.experiment.load_config('genesis_v2_objectsroom')\n"
        "    config.model.num_slots = 9\n    return config\n"
    )
    assert experiment.load_config(str(path)).model.num_slots == 9


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "genesis_v2_objectroom",
            "--config=genesis_v2_objectroom is neither a file FILE.py nor the name of a config"
            " that ships with ocgm; did you mean genesis_v2_objectsroom or",
        ),
        ("xyz", "they are in .*configs"),
        ("configs/genesis_v3.py", "--config=configs/genesis_v3.py: there is no such file"),
        ("genesis_gqn:7", "genesis_gqn.py holds one experiment and takes no ':7'"),
        ("genesis_v2_any:mnist", "SPEC must be one of multi_dsprites|"),
    ],
)
def test_unknown_config(name, message):
    with pytest.raises(ConfigError, match=message):
        experiment.load_config(name)


def test_a_file_without_get_config(tmp_path):
    path = pathlib.Path(tmp_path, "empty.py")
    path.write_text("")
    with pytest.raises(ConfigError, match="empty.py does not define get_config"):
        experiment.load_config(str(path))


def test_configs_ship_inside_the_package(tmp_path):
    """What a wheel installs has no top-level `configs`, and finds its configs from any directory."""
    pytest.importorskip("setuptools")
    build = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path / "lib")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    assert [path.name for path in (tmp_path / "lib").iterdir()] == ["ocgm"]
    code = "import ocgm.experiment as e; print(e.config_path('genesis_v2_objectsroom'))"
    path = {"PYTHONPATH": str(tmp_path / "lib")}
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=path, capture_output=True, text=True
    )
    assert found.stdout.strip() == str(
        tmp_path / "lib" / "ocgm" / "configs" / "genesis_v2_objectsroom.py"
    ), found.stderr
