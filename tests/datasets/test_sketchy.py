"""Sketchy: a published time step, the split of the episodes, faults."""

import io
import struct

import numpy as np
import pytest
from picture_files import encoded, prepared, scenery
from PIL import Image
from tensorflow_datasets.proto import tf_example_generated_pb2

from ocgm.data import storage
from ocgm.datasets.builders.from_files import SourceError
from ocgm.datasets.builders.tfrecord_writer import serialized, write_records
from ocgm.errors import DatasetMissingError

CAMERAS = ("pixels/basket_front_left", "pixels/basket_front_right")
# left, upper, right, lower edge in the left camera's image; the right one's are 20 pixels lower.
BOXES = (
    (256, 71, 704, 519),
    (144, 71, 496, 423),
    (304, 71, 656, 423),
    (464, 71, 816, 423),
    (144, 167, 496, 519),
    (304, 167, 656, 519),
    (464, 167, 816, 519),
)


def name_of(number: int) -> str:
    return f"{10_000_313_341_320_364_000 + number}_b615a417-ce34-41a8-8411-2a1ce3f3bd07"


@pytest.fixture(scope="module")
def step(fixtures):
    """The published time step."""
    data = (fixtures / "sketchy_step.tfrecord").read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    assert len(data) == length + 16  # Length and checksums.
    return data[12:-4]


@pytest.fixture(scope="module")
def images(step) -> list[Image.Image]:
    feature = tf_example_generated_pb2.Example.FromString(step).features.feature
    return [Image.open(io.BytesIO(feature[name].bytes_list.value[0])) for name in CAMERAS]


@pytest.fixture
def config(new_config, tmp_path):
    def make(source, **changes):
        fields = {"name": "sketchy", "variant": "", "num_examples": (), "image_size": 128}
        return new_config(tmp_path / "data", manual_dir=str(source), **(fields | changes))

    return make


@pytest.fixture
def three(tmp_path, step):
    """Three episodes, in two folders, whose order is not that of their names; and other files."""
    folder = tmp_path / "source"
    write_records(folder / "b" / name_of(0), [step], compressed=False)
    write_records(folder / "a" / name_of(2), [step, step], compressed=False)
    write_records(folder / "a" / name_of(1), [step], compressed=False)
    (folder / "metadata.sqlite").write_bytes(b"SQLite")
    (folder / "a" / "lift_green__demos-00000-of-00002.tar.bz2").write_bytes(b"BZh")
    return folder


@pytest.mark.parametrize("size", [128, 64])
def test_crops(three, config, images, size):
    """All 14 images of the published step."""
    records = prepared(config(three, image_size=size))
    assert {split: len(part) for split, part in records.items()} == {
        "train": 28,
        "validation": 14,
        "test": 14,
    }
    for episode, split in enumerate(("validation", "test", "train")):
        for index, record in enumerate(records[split]):
            number, rest = divmod(index, 14)
            camera, crop = divmod(rest, 7)
            assert record["factors"] == {
                "episode": episode,
                "step": number,
                "camera": camera,
                "crop": crop,
            }
            left, upper, right, lower = BOXES[crop]
            box = (left, upper + 20 * camera, right, lower + 20 * camera)
            expected = images[camera].crop(box).resize((size, size), Image.Resampling.BILINEAR)
            np.testing.assert_array_equal(record["image"], np.asarray(expected))
            assert record["num_objects"] == 0
            assert "masks" not in record


def test_sizes_of_splits(config, tmp_path):
    """A tenth, rounded down, for validation, then the test: 39, 39 and 317 of 395."""
    for number in range(395):
        path = tmp_path / "many" / f"{number % 4}" / name_of(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    builder = storage.open_builder(config(tmp_path / "many"))
    files = builder.source_files(tmp_path / "many")
    assert [path.name for path in files] == sorted(path.name for path in files)
    seen = {}
    builder._records = lambda split, numbers, files: seen.update({split: list(numbers)})
    assert list(builder.splits(files)) == ["train", "validation", "test"]
    assert seen == {
        "validation": list(range(39)),
        "test": list(range(39, 78)),
        "train": list(range(78, 395)),
    }


def test_missing_episodes(config, tmp_path, step):
    write_records(tmp_path / "two" / name_of(0), [step], compressed=False)
    write_records(tmp_path / "two" / name_of(1), [step], compressed=False)
    with pytest.raises(DatasetMissingError, match="has 2 episodes .* unpack lift_green__demos"):
        storage.prepare(config(tmp_path / "two"))


@pytest.mark.parametrize("fault", ["cut", "size"])
def test_damaged_image(three, config, step, fault):
    good = encoded(scenery(0, 960, 600), "JPEG")
    bad = good[: len(good) // 2] if fault == "cut" else encoded(scenery(0, 96, 60), "JPEG")
    damaged = serialized(**{CAMERAS[0]: [good], CAMERAS[1]: [bad]})
    write_records(three / "a" / name_of(2), [step, damaged], compressed=False)
    message = f"{name_of(2)}: record 1, {CAMERAS[1]}"
    with pytest.raises(SourceError, match=message):
        storage.prepare(config(three))
    records = prepared(config(three), skip_corrupt=True)["train"]
    assert [r["factors"]["camera"] for r in records] == [0] * 7 + [1] * 7 + [0] * 7


def test_cut_off_file(three, config, step):
    path = three / "a" / name_of(2)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(SourceError, match=f"{name_of(2)} .*record 1"):
        storage.prepare(config(three))
    assert len(prepared(config(three), skip_corrupt=True)["train"]) == 14


def test_other_file(three, config):
    (three / "a" / name_of(2)).write_bytes(b"no TFRecord file at all, but long enough")
    with pytest.raises(SourceError, match=f"{name_of(2)} is not a TFRecord file"):
        storage.prepare(config(three))
