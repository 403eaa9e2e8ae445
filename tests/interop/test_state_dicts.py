"""Files of weights as users have them: other dtypes, wrappers, odd steps, and things that are no weights.

The files of PyTorch in fixtures/pytorch were made by hand after reports on other projects.
"""

import os
import pathlib
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from tiny_models import MODELS

from ocgm import models
from ocgm.errors import CheckpointError
from ocgm.interop import state_dicts, torch_import

FIXTURES = pathlib.Path(__file__).parent / "fixtures" / "pytorch"
WEIGHTS = np.array([[0.5, -1.25], [3.0, 1e-3]], np.float32)


def write_npz(path: pathlib.Path, **arrays: np.ndarray) -> pathlib.Path:
    np.savez(path, **arrays)
    return path


# ---- dtypes


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_dtypes(tmp_path, dtype, suffix):
    array = WEIGHTS.astype(jnp.dtype(dtype))
    path = tmp_path / f"weights.{suffix}"
    if suffix == "npz":
        np.savez(path, w=array, counter=np.int64(3), text="no weight")
    else:
        pytest.importorskip("safetensors.flax" if dtype == "bfloat16" else "safetensors.numpy")
        from safetensors import flax, numpy

        if dtype == "bfloat16":
            flax.save_file({"w": jnp.asarray(array)}, path)
        else:
            numpy.save_file({"w": array, "counter": np.array([3])}, path)
    found, step = state_dicts.read(path)
    assert found.keys() == {"w"} and step == 0
    assert found["w"].dtype == ("float32" if dtype == "bfloat16" else dtype)
    np.testing.assert_array_equal(found["w"], array.astype(found["w"].dtype))


# ---- names


@pytest.mark.parametrize(
    "name",
    ["module.{}", "_orig_mod.{}", "model.{}", "module._orig_mod.{}", "_orig_mod.module.model.{}"],
)
@pytest.mark.parametrize("official", ["encoder.weight", "comp_vae.encoder_module.module.0.bias"])
def test_prefixes_of_wrappers(tmp_path, name, official):
    path = write_npz(tmp_path / "w.npz", **{name.format(official): WEIGHTS})
    assert list(state_dicts.read(path)[0]) == [official]


def test_compiled_parts(tmp_path):
    path = write_npz(tmp_path / "w.npz", **{"model.encoder._orig_mod.conv.weight": WEIGHTS})
    assert list(state_dicts.read(path)[0]) == ["encoder.conv.weight"]


def test_a_name_twice(tmp_path):
    path = write_npz(tmp_path / "w.npz", **{"module.w": WEIGHTS, "w": WEIGHTS})
    with pytest.raises(CheckpointError, match="holds w twice"):
        state_dicts.read(path)


# ---- steps


@pytest.mark.parametrize(
    "step,expected", [(77, 77), (1e5, 100_000), (np.int16([[9]]).reshape(()), 9)]
)
def test_steps(tmp_path, capsys, step, expected):
    assert state_dicts.read(write_npz(tmp_path / "w.npz", step=step, w=WEIGHTS))[1] == expected
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("step", [np.nan, np.inf, 1.5, -1, 2**31, 2**70, "last", [1, 2]])
def test_steps_that_are_no_numbers(tmp_path, capsys, step):
    path = write_npz(tmp_path / "w.npz", step=np.array(step, None if step != 2**70 else float))
    assert state_dicts.read(path)[1] == 0
    out = capsys.readouterr().out
    assert out.startswith(f"warning: {path}: the step ") and out.endswith("importing step 0.\n")


# ---- files that hold something else


def read_error(path: pathlib.Path) -> str:
    with pytest.raises(CheckpointError) as error:
        state_dicts.read(path)
    assert str(path) in str(error.value) and len(str(error.value).splitlines()) == 1
    return str(error.value)


def test_files_that_hold_no_weights(tmp_path):
    np.save(tmp_path / "array.npy", WEIGHTS)
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    assert "holds a ndarray, not a dict of parameters by name" in read_error(tmp_path / "array.npz")
    objects = write_npz(tmp_path / "objects.npz", w=np.array([{"a": 1}], object))
    assert "Object arrays cannot be loaded" in read_error(objects)
    for name in ("text.npz", "text.safetensors", "text.index"):
        (tmp_path / name).write_text("no weights " * 1000)
        assert len(read_error(tmp_path / name)) < 600
    os.mkfifo(tmp_path / "fifo.npz")
    assert "not a file" in read_error(tmp_path / "fifo.npz")
    assert "not a file" in read_error(tmp_path)
    (tmp_path / "ckpt-1.index").write_bytes(b"")
    assert f"did you mean {tmp_path / 'ckpt-1.index'}?" in read_error(tmp_path / "ckpt-1")


def test_an_archive_that_fills_the_memory(tmp_path, monkeypatch):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.npy", bytes(2**20))
    monkeypatch.setattr(state_dicts, "_ALWAYS_ALLOWED_BYTES", 2**10)
    assert "unpacks to 1,048,576, so it does not hold weights" in read_error(path)


# ---- PyTorch


def test_files_of_pytorch(capsys):
    pytest.importorskip("torch")
    for name in ("bf16", "parameter"):
        weights, step = state_dicts.read(FIXTURES / f"{name}.pth")
        assert step == 0 and weights["w"].dtype == np.float32 and weights["w"].shape == (2,)
    assert state_dicts.read(FIXTURES / "numpy_scalar.pth") == ({}, 0)
    assert capsys.readouterr().out == ""
    assert state_dicts.read(FIXTURES / "step_none.pth") == ({}, 0)
    assert "the step None is not a whole number" in capsys.readouterr().out
    assert "holds a list, not a dict of parameters by name" in read_error(FIXTURES / "list.pth")


def test_other_files_of_pytorch(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "weights.pth"
    torch.save(torch.ones(2), path)
    assert "holds a ndarray, not a dict" in read_error(path)
    torch.save(torch.nn.Linear(2, 2), path)
    assert "holds a torch.nn.modules.linear.Linear, a Python object" in read_error(path)
    path.write_bytes(path.read_bytes()[:-100])
    assert "cannot be read as a checkpoint" in read_error(path)
    scores = {"loss": np.float32(1.5), "steps": np.int64(3), "best": np.bool_(True)}
    torch.save(
        {"state_dict": {"w": torch.eye(2).to_sparse()}, "step": torch.tensor(7)} | scores, path
    )
    weights, step = state_dicts.read(path)
    np.testing.assert_array_equal(weights["w"], np.eye(2))
    assert step == 7


# ---- weights that are not numbers


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(value):
    model = models.build(ConfigDict({"image_size": 32, **MODELS["genesis_v2"]}))
    weights = {
        name: np.zeros(shape, np.float32)
        for name, shape in torch_import.torch_shapes(model).items()
    }
    name = next(iter(weights))
    weights[name].flat[-1] = value
    with pytest.raises(CheckpointError, match=f"1 problem.s.*\n  NaN or infinite: {name}$"):
        torch_import.to_variables(model, weights)
