"""Published Tetrominoes and Multi-dSprites: real records by way of the disk, and bad luck."""

import errno
import gzip
import json
import os
import pathlib
import signal
import time

import helpers
import numpy as np
import pytest
from picture_files import prepared

from ocgm.data import eval_batches, get_spec, storage
from ocgm.datasets.builders import from_files, multi_object, record_stream, tfrecord
from ocgm.datasets.builders.from_files import SourceError
from ocgm.datasets.builders.tfrecord_writer import framed, serialized, write_records
from ocgm.errors import DatasetMissingError, UserError

FILE = "tetrominoes_train.tfrecords"
SPLITS = ("train", "test", "validation")  # In the order of the records.
VARIANTS = ("colored_on_grayscale", "binarized", "colored_on_colored")


@pytest.fixture
def source(fixtures, tmp_path):
    """A folder with the first ten records of Tetrominoes."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / FILE).write_bytes((fixtures / "tetrominoes_mini.tfrecords").read_bytes())
    return folder


@pytest.fixture
def config(source, new_config, tmp_path):
    fields = {"name": "tetrominoes", "variant": "", "image_size": 35, "num_examples": (6, 2, 2)}
    return new_config(tmp_path / "data", **fields, manual_dir=str(source))


@pytest.fixture
def pieces(fixtures):
    """The ten published records as serialized Examples."""
    path = fixtures / "tetrominoes_mini.tfrecords"
    return list(record_stream.read_records(path, compressed=True, on_corrupt=print))


def joined(records: dict[str, list[dict]]) -> list[dict]:
    return [record for split in SPLITS for record in records[split]]


# ---- real records


def test_tetrominoes(config, pieces):
    records = joined(prepared(config))
    assert len(records) == 10
    for record, piece in zip(records, pieces, strict=True):
        example = tfrecord.parse_example(piece)
        np.testing.assert_array_equal(record["image"], example["image"].reshape(35, 35, 3))
        masks = example["mask"].reshape(4, 35, 35)
        for label in range(4):
            np.testing.assert_array_equal(255 * (record["masks"] == label), masks[label])
        factors = record["factors"]
        for name in ("x", "y", "shape", "visibility"):
            np.testing.assert_array_equal(factors[name], example[name][1:])
        np.testing.assert_array_equal(factors["color"], 255 * example["color"][3:].reshape(3, 3))
        # Row i - 1 is of label i: the piece's upper left corner is where the factors say.
        for label in (1, 2, 3):
            rows, columns = np.nonzero(record["masks"] == label)
            corner = factors["x"][label - 1], factors["y"][label - 1]
            assert (rows.min(), columns.min()) == corner
        assert record["num_objects"] == 3


def test_same_form_as_the_stand_in(config, new_config, tmp_path):
    """So that one can take the place of the other."""
    features = storage.open_builder(config).info.features
    fields = {"name": "tetrominoes_synthetic", "variant": "", "image_size": 35}
    stand_in = storage.open_builder(new_config(tmp_path, **fields)).info.features
    assert_part_of(stand_in, features)
    fields = {"name": "multi_dsprites_deepmind", "variant": "", "num_examples": ()}
    features = storage.open_builder(new_config(tmp_path, **fields)).info.features
    fields["name"] += "_synthetic"
    stand_in = storage.open_builder(new_config(tmp_path, **fields)).info.features
    assert_part_of(features, stand_in)


def assert_part_of(part, whole) -> None:
    for name, feature in part.items():
        if name == "factors":
            assert_part_of(feature, whole[name])
        else:
            assert (feature.shape, feature.np_dtype) == (whole[name].shape, whole[name].np_dtype), (
                name
            )


@pytest.fixture
def sprites(fixtures, new_config, tmp_path):
    """Two published scenes of a variant, and the records that are made of the documented file."""

    def make(variant):
        with np.load(fixtures / f"multi_dsprites_deepmind_{variant}_first2.npz") as file:
            scenes = dict(file)
        examples = []
        for i in range(2):
            scene = {name: values[i] for name, values in scenes.items()}
            # In the file the entities are the last axis, and all factors are floats.
            scene["mask"] = np.ascontiguousarray(np.moveaxis(scene["mask"], 0, 2))
            floats = scene.keys() - {"image", "mask"}
            examples.append(
                serialized(**scene | {name: scene[name].astype(np.float32) for name in floats})
            )
        write_records(tmp_path / "m" / f"multi_dsprites_{variant}.tfrecords", 2 * examples)
        fields = {"name": "multi_dsprites_deepmind", "num_examples": (2, 1, 1), "variant": variant}
        return scenes, prepared(new_config(tmp_path, **fields, manual_dir=str(tmp_path / "m")))

    return make


@pytest.mark.parametrize("variant", VARIANTS)
def test_multi_dsprites(sprites, variant):
    scenes, records = sprites(variant)
    for i, record in enumerate(records["train"]):
        image = np.broadcast_to(scenes["image"][i], (64, 64, 3))
        np.testing.assert_array_equal(record["image"], image)
        masks = scenes["mask"][i, ..., 0]
        for label, mask in enumerate(masks):
            np.testing.assert_array_equal(255 * (record["masks"] == label), mask)
        present = scenes["visibility"][i, 1:]
        assert record["num_objects"] == present.sum()
        factors, count = record["factors"], len(present)
        for name in ("x", "y", "shape", "scale", "orientation", "visibility"):
            expected = np.where(present, scenes[name][i, 1:], 0)
            np.testing.assert_array_equal(factors[name][:count], expected.astype(np.float32))
            assert (factors[name][count:] == 0).all()
            assert len(factors[name]) == get_spec("multi_dsprites_deepmind").max_objects
        # The colours are those of the pixels, exactly.
        for label in range(1, record["num_objects"] + 1):
            pixels = record["image"][record["masks"] == label]
            assert (pixels == factors["color"][label - 1]).all()
        assert (record["image"][record["masks"] == 0] == factors["background_color"]).all()


def test_batches(config):
    (batch,) = eval_batches(config, "test", 2, extra_fields=("factors",))
    assert batch["image"].shape == (2, 35, 35, 3)
    assert batch["factors"]["color"].shape == (2, 3, 3)


# ---- bad luck


def leftovers(data_dir: str) -> list[str]:
    """What is in a data directory but complete datasets."""
    files = [path for path in pathlib.Path(data_dir).rglob("*") if path.is_file()]
    names = [str(path.relative_to(data_dir)) for path in files]
    return [name for name in names if "incomplete" in name or ".part" in name]


def check_nothing_is_left(config) -> None:
    assert not leftovers(config.data_dir)
    assert not storage.is_ready(storage.open_builder(config))


def test_missing_file(config, source):
    (source / FILE).rename(source / "other.tfrecords")
    with pytest.raises(DatasetMissingError, match=f"source/{FILE} not found"):
        prepared(config)


def test_cut_off_file(config, source):
    content = (source / FILE).read_bytes()
    (source / FILE).write_bytes(content[: len(content) * 3 // 4])
    with pytest.raises(SourceError, match=rf"{FILE} cannot be read from record \d on .*cut off"):
        prepared(config)
    check_nothing_is_left(config)


def test_damaged_record(config, source, pieces):
    data = b"".join(map(framed, pieces))
    position = data.index(pieces[3]) + 5000
    (source / FILE).write_bytes(gzip.compress(data[:position] + b"?" + data[position + 1 :]))
    with pytest.raises(SourceError, match=f"{FILE}: record 3 is damaged .*--skip_corrupt"):
        prepared(config)
    check_nothing_is_left(config)

    builder = storage.prepare(config, skip_corrupt=True)
    metadata = json.loads((pathlib.Path(builder.data_path) / "metadata.json").read_text())
    assert metadata["skipped_records"] == 1
    assert f"{FILE}: record 3 is damaged" in metadata["first_skipped"][0]
    records = joined(prepared(config))
    assert len(records) == 9
    images = [tfrecord.parse_example(piece)["image"].tobytes() for piece in pieces]
    assert [record["image"].tobytes() for record in records] == images[:3] + images[4:]


def test_damage_does_not_move_the_splits(monkeypatch, config, source, pieces):
    """Under a protocol the record after the damaged one stays where it is."""
    parts = [
        multi_object.Part(split, scanned=n) for split, n in zip(SPLITS, (6, 2, 2), strict=True)
    ]
    builder_class = type(storage.open_builder(config))
    monkeypatch.setattr(builder_class, "PARTS", {"efficient_morl": parts})
    data = b"".join(map(framed, pieces)).replace(pieces[1], bytes(len(pieces[1])))
    (source / FILE).write_bytes(gzip.compress(data))
    config.num_examples = ()
    records = prepared(config, skip_corrupt=True)
    assert {split: len(records[split]) for split in SPLITS} == {
        **{"train": 5, "test": 2, "validation": 2}
    }
    image = tfrecord.parse_example(pieces[6])["image"]
    np.testing.assert_array_equal(records["test"][0]["image"].ravel(), image)


@pytest.mark.parametrize(
    "content,message",
    [
        (b"<html>Not Found</html>", "is not the published file, which is compressed with GZIP"),
        (gzip.compress(b"a long text, but no records"), "is not a TFRecord file"),
        (gzip.compress(framed(serialized(label=[b"cat"]))), "has no feature 'image', only label"),
        (
            gzip.compress(framed(serialized(image=np.zeros(12288, np.uint8)))),
            "feature 'image' is 12288 uint8, not 3675 uint8",
        ),
    ],
    ids=("not compressed", "no records", "other features", "other shape"),
)
def test_other_file(config, source, content, message):
    (source / FILE).write_bytes(content)
    # Not damage that could be skipped.
    for skip_corrupt in (False, True):
        with pytest.raises(SourceError, match=f"{FILE}.*{message}"):
            storage.prepare(config, skip_corrupt=skip_corrupt)
    check_nothing_is_left(config)


def many(source: pathlib.Path, pieces: list[bytes], times: int) -> None:
    """Makes the file of a source longer."""
    part = gzip.compress(b"".join(map(framed, pieces)), 1)
    (source / FILE).write_bytes(times * part)


PREPARE = """
import resource, signal, sys
from ml_collections import ConfigDict
from ocgm.data import prepare

config = ConfigDict({config!r})
{before}
prepare(config)
"""


def start(config, before: str = ""):
    """Starts another process that prepares a dataset."""
    return helpers.start("-c", PREPARE.format(config=config.to_dict(), before=before))


def test_full_disk(config, source, pieces):
    """The system refuses to make a file larger than 100 kB."""
    many(source, pieces, 100)
    config.num_examples = (900, 50, 50)
    limit = (
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10**5, 10**5))"
    )
    result = helpers.finish(start(config, limit))
    assert result.status != 0
    last_line = result.err.strip().splitlines()[-1]
    assert "UserError: cannot write tetrominoes/default_n900_50_50" in last_line
    assert "File too large" in last_line
    check_nothing_is_left(config)


def test_killed_process(config, source, pieces):
    many(source, pieces, 5000)
    config.num_examples = (49_000, 500, 500)
    process = start(config)
    deadline = time.monotonic() + 60
    # Its own folder; before that TFDS writes a list of configs, whose leftovers are not one config's to clear.
    while all(".config/" in name for name in leftovers(config.data_dir)):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert leftovers(config.data_dir)
    assert not storage.is_ready(storage.open_builder(config))

    many(source, pieces, 1)
    config.num_examples = (6, 2, 2)
    other = config.copy_and_resolve_references()
    assert len(joined(prepared(other))) == 10
    # Another config's folder is not touched, its own is cleared.
    assert leftovers(config.data_dir)
    config.num_examples = (49_000, 500, 500)
    many(source, pieces, 5)
    with pytest.raises(UserError):
        prepared(config)
    assert not leftovers(config.data_dir)


def test_old_leftovers(config):
    """Of TFDS' list of configs, which all processes share: those that nobody can be writing any more."""
    folder = pathlib.Path(config.data_dir) / "tetrominoes" / ".config"
    folder.mkdir(parents=True)
    for name, age in (("incomplete.1.metadata.json", 7200), ("incomplete.2.metadata.json", 60)):
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age,) * 2)
    prepared(config)
    assert [path.name for path in folder.glob("incomplete*")] == ["incomplete.2.metadata.json"]


def test_two_processes(config, source, pieces):
    many(source, pieces, 100)
    config.num_examples = (900, 50, 50)
    results = [helpers.finish(process) for process in [start(config), start(config)]]
    assert [result.status for result in results] == [0, 0], results
    assert sum("Preparing tetrominoes" in result.err for result in results) >= 1
    assert not leftovers(config.data_dir)
    records = prepared(config)
    assert [len(records[split]) for split in SPLITS] == [900, 50, 50]


def test_file_that_may_not_be_read(monkeypatch, config):
    """Is not taken for a data directory that cannot be written."""

    def refuse(*args):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(pathlib.Path, "open", refuse)
    path = pathlib.Path("source") / FILE
    with pytest.raises(SourceError, match=f"{FILE} cannot be read: Permission denied"):
        next(record_stream.read_records(path, compressed=True, on_corrupt=print))


def test_required_files(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(SourceError, match=f"{tmp_path}/b and {tmp_path}/c not found"):
        from_files.required(tmp_path, ["a", "b", "c"])


def test_downloads(config):
    (download,) = storage.open_builder(config).downloads()
    folder = "https://storage.googleapis.com/multi-object-datasets/tetrominoes"
    assert download.url == f"{folder}/tetrominoes_train.tfrecords"
