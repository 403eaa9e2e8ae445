"""Prepared datasets whose files are damaged or missing: one message that names the folder and the remedy."""

import json
import pathlib
import shutil

import numpy as np
import pytest

from ocgm.data import eval_batches, prepare, train_iterator
from ocgm.errors import UserError


@pytest.fixture
def folder(prepared_dir, data_config, tmp_path) -> pathlib.Path:
    """The folder of a small dataset in a copy of its data directory, which a test may damage."""
    data_config.data_dir = str(shutil.copytree(prepared_dir, tmp_path / "data"))
    return pathlib.Path(prepare(data_config).data_path)


def read(config) -> None:
    """Everything that training and evaluation read."""
    batches = train_iterator(config, 4, seed=0)
    for _ in range(6):
        next(batches)
    list(eval_batches(config, "test", 4))


def shard(folder: pathlib.Path, split: str = "train") -> pathlib.Path:
    return next(folder.glob(f"*-{split}.array_record-*"))


def edit_info(folder: pathlib.Path, **changes) -> None:
    path = folder / "dataset_info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


DAMAGES = {
    "no info": lambda f: (f / "dataset_info.json").unlink(),
    "empty info": lambda f: (f / "dataset_info.json").write_text(""),
    "cut info": lambda f: (f / "dataset_info.json").write_text("{"),
    "list as info": lambda f: (f / "dataset_info.json").write_text("[]"),
    "bytes as info": lambda f: (f / "dataset_info.json").write_bytes(b"\xff\xfe"),
    "unknown field": lambda f: edit_info(f, numberOfSheep=3),
    "no splits": lambda f: edit_info(f, splits=[]),
    "other splits": lambda f: edit_info(f, splits=[7]),
    "other version": lambda f: edit_info(f, version="7.0.0"),
    "other format": lambda f: edit_info(f, fileFormat="papyrus"),
    "cut metadata": lambda f: (f / "metadata.json").write_text("{"),
    "no shard": lambda f: shard(f).unlink(),
    "no shard of another split": lambda f: shard(f, "validation").unlink(),
    "empty shard": lambda f: shard(f).write_bytes(b""),
    "text as shard": lambda f: shard(f).write_text("no records " * 10_000),
    "shard of another split": lambda f: shutil.copy(shard(f, "test"), shard(f)),
    "folder as shard": lambda f: (path := shard(f), path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_files(data_config, folder, damage):
    damage(folder)
    with pytest.raises(UserError) as error:
        read(data_config)
    message = str(error.value)
    assert message.startswith(f"{folder} is damaged: delete it and prepare it again ("), message
    assert "\n" not in message and len(message) < 600


def test_remedy(data_config, folder):
    shutil.rmtree(folder)
    read(data_config)


def test_damaged_shards(data_config, folder):
    """Wherever a shard is cut or changed: the right records, or the message."""
    path, rng = shard(folder), np.random.default_rng(0)
    whole = path.read_bytes()
    expected = [batch["image"] for batch in eval_batches(data_config, "train", 4)]
    told = 0
    for i in range(30):
        data = bytearray(whole)
        if i % 3 == 0:
            data = data[: rng.integers(len(data))]
        else:
            data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        path.write_bytes(data)
        try:
            found = [batch["image"] for batch in eval_batches(data_config, "train", 4)]
        except UserError as error:
            assert f"{folder} is damaged: delete it" in str(error)
            told += 1
        else:
            np.testing.assert_array_equal(found, expected)
    assert told >= 10
