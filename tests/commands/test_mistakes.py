"""Mistakes of users: one message on stderr that says what is wrong, a status, and no traceback."""

import errno
import os
import shutil

import numpy as np
import pytest
from helpers import command, write_config

from ocgm import files
from ocgm.errors import InputError


@pytest.fixture
def config_file(tiny_config, tmp_path):
    return write_config(tmp_path, tiny_config())


def main(config_file, workdir, *changes):
    return command("train", f"--config={config_file}", f"--workdir={workdir}", *changes)


def assert_told(done, *parts: str, prefix: str = "error: ") -> None:
    assert done.status == 1
    assert done.err.startswith(prefix), done.err
    assert "Traceback" not in done.err + done.out
    for part in parts:
        assert part in done.err, done.err


# ---- the config


@pytest.mark.parametrize(
    "change,parts",
    [
        (
            "--config.data.image_size=48",
            ("image_size=48 is not supported; use one of (16, 32, 64, 128)",),
        ),
        (
            "--config.data.image_size=128",
            ("image_size=128, but multi_dsprites has 1 to 64",),
        ),
        ("--config.model.feature_dim=12", ("feature_dim=12 must be a multiple of 8",)),
        (
            "--config.model.kernel=gauss",
            ("kernel='gauss' is not one of", "; did you mean gaussian?"),
        ),
        (
            "--config.model.name=genesis_v3",
            ("config.model.name='genesis_v3' is not one of", "did you mean genesis_v2?"),
        ),
        (
            "--config.model.dtype=float33",
            (
                "config.model.dtype='float33' is not one of 'float32', 'bfloat16'; did you mean float32?",
            ),
        ),
        (
            "--config.objective.name=gecko",
            ("config.objective.name='gecko' is not one of", "did you mean geco?"),
        ),
        (
            "--config.optimizer.name=sgd",
            ("config.optimizer.name='sgd' is not one of 'adam', 'rmsprop', 'muon'.",),
        ),
        ("--config.batch_size=7", ("config.batch_size=7 is not a multiple of the 2 devices",)),
        ("--config.mesh.fsdp=4", ("fsdp=4 does not fit the 2 device(s)",)),
        (
            "--config.data.name=sprites",
            ("unknown dataset 'sprites'; known are", "did you mean dsprites?"),
        ),
        ("--config.data.variant=uniqe", ("not 'uniqe'; did you mean unique?",)),
        (
            "--config.data.name=objects_room",
            ("Objects Room ('objects_room') is not at", "download", "name=objects_room_synthetic"),
        ),
        (
            "--config.data.name=shapestacks",
            ("ShapeStacks ('shapestacks') is not at", "download", "name=shapestacks_synthetic"),
        ),
    ],
)
def test_impossible_values(config_file, tmp_path, change, parts):
    done = main(config_file, tmp_path / "run", change)
    assert_told(done, *parts)
    assert len(done.err.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "change,parts",
    [
        ("--config.model.nun_slots=3", ("nun_slots", "num_slots")),
        ("--config.batch_size=abc", ("batch_size", "abc")),
        ("--config.optimizer.learning_rate=fast", ("learning_rate", "fast")),
        ("--config.batch_size=1e3", ("batch_size", "1e3")),
        ("--confg.batch_size=8", ("there is no flag --confg.batch_size; did you mean config?",)),
    ],
)
def test_unknown_fields_and_types(config_file, tmp_path, change, parts):
    done = main(config_file, tmp_path / "run", change)
    assert_told(done, *parts, prefix="")
    assert len(done.err.strip().splitlines()) < 6, done.err


def test_missing_config_file(tmp_path):
    done = main(tmp_path / "absent.py", tmp_path / "run")
    assert_told(done, f"--config={tmp_path / 'absent.py'}: there is no such file")
    done = main("genesis_v2_objectroom", tmp_path / "run")
    assert_told(done, "--config=genesis_v2_objectroom", "did you mean genesis_v2_objectsroom")


def test_missing_flags():
    done = command("train", "--workdir=somewhere")
    assert_told(done, "--config", prefix="")
    assert_told(command("evaluate"), "--workdir", prefix="")


def test_unexpected_argument(config_file, tmp_path):
    assert_told(
        main(config_file, tmp_path / "run", "more"), "unexpected arguments: ['more']", prefix=""
    )


# ---- the workdir


def test_unwritable_workdir(config_file, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    done = main(config_file, file / "run")
    assert_told(
        done, f"--workdir={file / 'run'} cannot be written: Not a directory", "Give a directory"
    )


def test_full_disk(config_file, tmp_path, monkeypatch):
    def full(fd):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    done = main(config_file, tmp_path / "run")
    assert_told(done, f"--workdir={tmp_path / 'run'} cannot be written: No space left on device")
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]


def test_disk_that_fills_up_later(reference_run, tmp_path, monkeypatch):
    def full(fd):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    done = command("export", f"--workdir={reference_run}", f"--output={tmp_path / 'out'}")
    assert_told(done, "cannot write", "No space left on device")
    assert list((tmp_path / "out").iterdir()) == []


def test_workdir_of_another_run(reference_run, tmp_path, tiny_config):
    workdir = shutil.copytree(reference_run, tmp_path / "run")
    config = write_config(tmp_path, tiny_config(model__num_slots=4, optimizer__clip_norm=1.0))
    before = (workdir / "config.json").read_text()
    done = main(config, workdir)
    assert_told(
        done,
        f"--workdir={workdir} holds a run with another config:",
        "config.model.num_slots: 3 there, 4 now",
        "config.optimizer.clip_norm: 0.0 there, 1.0 now",
        "or give another --workdir",
    )
    assert len(done.err.strip().splitlines()) == 4
    assert (workdir / "config.json").read_text() == before


@pytest.mark.parametrize("name", ["evaluate", "sample", "export"])
def test_folder_without_a_run(tmp_path, name):
    more = [f"--output={tmp_path}"] if name == "export" else []
    done = command(name, f"--workdir={tmp_path}", *more)
    assert_told(done, f"{tmp_path} holds no run (there is no config.json)")


def test_run_without_a_checkpoint(reference_run, tmp_path):
    shutil.copy(reference_run / "config.json", tmp_path)
    assert_told(command("sample", f"--workdir={tmp_path}"), f"{tmp_path} holds no checkpoint yet")
    (tmp_path / "config.json").write_text("{")
    assert_told(command("sample", f"--workdir={tmp_path}"), "config.json is damaged")


def test_damaged_export(reference_run, tmp_path):
    shutil.copy(reference_run / "config.json", tmp_path)
    (tmp_path / "variables.npz").write_bytes(b"PK\x03\x04")
    done = command("sample", f"--workdir={tmp_path}")
    assert_told(done, f"{tmp_path / 'variables.npz'} is damaged")


def test_more_images_than_there_are(reference_run, tmp_path):
    done = command("evaluate", f"--workdir={reference_run}", f"--output={tmp_path}")
    assert_told(done, "num_images=320, but test of multi_dsprites has 16")


# ---- pictures


def test_segment_without_pictures(reference_run, tmp_path):
    flags = (f"--workdir={reference_run}", f"--output={tmp_path / 'out'}")
    assert_told(command("segment", *flags), "name at least one image or directory of images")
    (tmp_path / "empty").mkdir()
    assert_told(
        command("segment", *flags, tmp_path / "empty"),
        f"no images in directory {tmp_path / 'empty'}",
    )
    assert_told(command("segment", *flags, tmp_path / "no.png"), "no such file")
    (tmp_path / "text.png").write_text("text")
    assert_told(command("segment", *flags, tmp_path / "text.png"), "cannot read image")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "images,message",
    [
        (np.full((1, 32, 32, 3), 255.0), r"must be in \[0, 1\]; these are in \[255, 255\]"),
        (np.full((1, 32, 32, 3), -0.5), r"must be in \[0, 1\]; these are in \[-0.5, -0.5\]"),
        (np.full((1, 32, 32, 3), np.nan), "hold NaN or infinite values"),
        (np.full((1, 32, 32, 3), np.inf), "hold NaN or infinite values"),
        (np.zeros((32, 32, 3)), r"have shape \[32, 32, 3\]; expected \[B, 32, 32, 3\]"),
        (np.zeros((1, 32, 32, 4)), r"have shape \[1, 32, 32, 4\]"),
        (np.zeros((1, 3, 32, 32)), r"have shape \[1, 3, 32, 32\]"),
        (np.zeros((1, 64, 64, 3)), r"images are 64x64; this model takes \[B, 32, 32, 3\]"),
        (np.zeros((1, 32, 32, 3), np.int64), "images are int64; expected uint8, or float"),
        (np.zeros((0, 32, 32, 3)), "there is no image"),
        ([["a"]], "images"),
    ],
)
def test_wrong_images(trained, images, message):
    with pytest.raises(InputError, match=message):
        trained(images)


@pytest.mark.compiles
def test_right_images(trained):
    """uint8 and the same values as float32 or float64 give one result."""
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    expected = trained(images, deterministic=True)
    for dtype in (np.float32, np.float64):
        outputs = trained((images / 255.0).astype(dtype), deterministic=True)
        np.testing.assert_allclose(outputs.slots, expected.slots, atol=1e-5)
