"""What an import costs, and what the package exports."""

import doctest

import pytest
from helpers import finish, start

import ocgm

PROGRAM = """
import sys
import {modules}
heavy = {{{heavy}}} & set(sys.modules)
assert not heavy, heavy
if "jax" in sys.modules:
    from jax._src import xla_bridge
    assert not xla_bridge.backends_are_initialized(), "a JAX backend was started"
"""
_TENSORFLOW = '"tensorflow", "tensorboard", "torch"'


@pytest.mark.compiles
@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("ocgm, ocgm.__main__", f'"jax", "flax", "tensorflow_datasets", {_TENSORFLOW}'),
        (
            "ocgm.models, ocgm.losses, ocgm.evaluation.segmentation, ocgm.training.objectives, ocgm.inference",
            f'"tensorflow_datasets", {_TENSORFLOW}',
        ),
        ("ocgm.commands.describe, ocgm.experiment", f'"tensorflow_datasets", {_TENSORFLOW}'),
    ],
)
def test_import_is_light(modules, heavy):
    done = finish(start("-c", PROGRAM.format(modules=modules, heavy=heavy)))
    assert done.status == 0, done.err


def test_public_names():
    assert set(ocgm.__all__) <= set(dir(ocgm))
    for name in ocgm.__all__:
        assert getattr(ocgm, name) is not None
        assert name.startswith("__") or f"ocgm.{name}" in ocgm.__doc__ or name == "ModelCard"
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = ocgm.lod


def test_examples_of_the_public_interface(tmp_path, monkeypatch):
    monkeypatch.setenv("OCGM_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    failed, attempted = doctest.testmod(ocgm)
    assert attempted > 10 and not failed
