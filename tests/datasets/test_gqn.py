"""GQN rooms_ring_camera: the published wire format, which files are which split, faults."""

import io

import numpy as np
import pytest
from picture_files import encoded, prepared, scenery
from PIL import Image

from ocgm.data import storage
from ocgm.datasets.builders.from_files import SourceError
from ocgm.datasets.builders.tfrecord_writer import serialized, write_records
from ocgm.errors import DatasetMissingError

# File -> number of its scenes.
FILES = {
    "train/0002-of-2160.tfrecord": 2,
    "train/2124-of-2160.tfrecord": 1,
    "train/2125-of-2160.tfrecord": 1,
    "train/2160-of-2160.tfrecord": 2,
    "test/240-of-240.tfrecord": 3,
}
SPLITS = {"train": (0, 1), "validation": (2, 3), "test": (4,)}


def scene(seed: int, frames: list[bytes] | None = None) -> bytes:
    """A serialized room."""
    cameras = np.random.default_rng(seed).normal(size=50).astype(np.float32)
    frames = frames or [encoded(scenery(100 * seed + i, 64, 64), "JPEG") for i in range(10)]
    return serialized(frames=frames, cameras=cameras)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gqn")
    for number, (name, count) in enumerate(FILES.items()):
        write_records(
            folder / name, [scene(10 * number + i) for i in range(count)], compressed=False
        )
    # What is left of a transfer, and another part of the bucket.
    (folder / "train" / "0003-of-2160.tfrecord.part").write_bytes(b"half")
    (folder / "README").write_text("GQN")
    return folder


@pytest.fixture
def config(source, new_config, tmp_path):
    def make(**changes):
        fields = {"name": "gqn", "variant": "", "num_examples": (), "manual_dir": str(source)}
        return new_config(tmp_path, **(fields | changes))

    return make


def test_records(config):
    records = prepared(config())
    for split, numbers in SPLITS.items():
        counts = list(FILES.values())
        seeds = [10 * number + i for number in numbers for i in range(counts[number])]
        assert len(records[split]) == 10 * len(seeds)
        for index, record in enumerate(records[split]):
            room, view = divmod(index, 10)
            assert set(record) == {"image", "num_objects", "factors"}
            with Image.open(
                io.BytesIO(encoded(scenery(100 * seeds[room] + view, 64, 64), "JPEG"))
            ) as picture:
                np.testing.assert_array_equal(record["image"], np.asarray(picture))
            cameras = np.random.default_rng(seeds[room]).normal(size=(10, 5))
            assert record["factors"]["scene"] == room and record["factors"]["view"] == view
            np.testing.assert_array_equal(
                record["factors"]["camera"], cameras[view].astype(np.float32)
            )
            assert record["num_objects"] == 0


def test_every_second_pixel(config):
    records, small = prepared(config()), prepared(config(image_size=32))
    for split in SPLITS:
        for record, half in zip(records[split], small[split], strict=True):
            np.testing.assert_array_equal(half["image"], record["image"][::2, ::2])


def test_num_examples_counts_images(config):
    records = prepared(config(num_examples=(13, 1, 2)))
    assert {split: len(part) for split, part in records.items()} == {
        "train": 13,
        "validation": 1,
        "test": 2,
    }
    assert [r["factors"]["scene"] for r in records["train"]] == [0] * 10 + [1] * 3


def test_folder_of_the_bucket(source, config, tmp_path):
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "rooms_ring_camera").symlink_to(source)
    assert len(prepared(config(manual_dir=str(tmp_path / "bucket")))["test"]) == 30


@pytest.mark.parametrize(
    "names,message",
    [
        ((0, 4), r"at least one of train/2125-of-2160.tfrecord to train/2160-of-2160.tfrecord: "),
        ((2, 4), r"at least one of train/0001-of-2160.tfrecord to train/2124-of-2160.tfrecord: "),
        ((0, 2), r"at least one of test/001-of-240.tfrecord"),
        ((4,), r"one of train/0001-.*, and one of train/2125-"),
    ],
)
def test_missing_files(names, message, config, tmp_path):
    for number in names:
        write_records(tmp_path / "some" / list(FILES)[number], [scene(1)], compressed=False)
    with pytest.raises(DatasetMissingError, match=message):
        storage.prepare(config(manual_dir=str(tmp_path / "some")))


def test_damaged_frame(config, tmp_path):
    """One view of a room is cut off, in the middle of its JPEG data."""
    frames = [encoded(scenery(i, 64, 64), "JPEG") for i in range(10)]
    frames[3] = frames[3][: len(frames[3]) // 2]
    frames[4] = encoded(scenery(4, 32, 32), "JPEG")
    folder = tmp_path / "damaged"
    for name in FILES:
        write_records(folder / name, [scene(1)], compressed=False)
    write_records(
        folder / "train/0002-of-2160.tfrecord", [scene(1), scene(2, frames)], compressed=False
    )
    damaged = config(manual_dir=str(folder))
    with pytest.raises(SourceError, match="0002-of-2160.tfrecord: record 1, frame 3"):
        storage.prepare(damaged)
    records = prepared(damaged, skip_corrupt=True)["train"]
    views = [r["factors"]["view"] for r in records if r["factors"]["scene"] == 1]
    assert views == [0, 1, 2, 5, 6, 7, 8, 9]
    assert storage.open_builder(damaged).info.metadata["skipped_records"] == 2


def test_damaged_record(config, tmp_path):
    folder = tmp_path / "damaged"
    for name in FILES:
        write_records(folder / name, [scene(1), scene(2), scene(3)], compressed=False)
    path = folder / "test/240-of-240.tfrecord"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    damaged = config(manual_dir=str(folder))
    with pytest.raises(SourceError, match="240-of-240.tfrecord: record 1 is damaged"):
        storage.prepare(damaged)
    records = prepared(damaged, skip_corrupt=True)["test"]
    assert [r["factors"]["scene"] for r in records] == [0] * 10 + [2] * 10


def test_other_records(config, tmp_path):
    for name in FILES:
        write_records(tmp_path / "other" / name, [serialized(image=[b"abc"])], compressed=False)
    with pytest.raises(SourceError, match="record 0 .*no feature 'frames'"):
        storage.prepare(config(manual_dir=str(tmp_path / "other")))
