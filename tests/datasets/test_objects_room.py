"""Objects Room: real records of its four files, and which planes are background."""

import colorsys

import numpy as np
import pytest
from picture_files import prepared

from ocgm.data import get_spec, storage
from ocgm.datasets.builders.from_files import SourceError
from ocgm.datasets.builders.tfrecord_writer import serialized, write_records
from ocgm.datasets.objects_room import backgrounds
from ocgm.errors import DatasetMissingError

FILES = ("train", "test_empty_room", "test_six_objects", "test_identical_color")
SKY = (153, 226, 249)
SKY_PART, FLOOR_PART, WALL_PART, SECOND_WALL_PART = 1, 2, 3, 4


@pytest.fixture(scope="module")
def scenes(fixtures):
    """The first two records of each published file."""
    found = {}
    for name in FILES:
        with np.load(fixtures / f"objects_room_{name}_first2.npz") as file:
            found[name] = {"image": file["image"], "planes": file["mask"][..., 0]}
    return found


def one_wall(planes: np.ndarray) -> np.ndarray:
    """The same objects with one wall: the third plane has all of it, an empty one comes last."""
    wall = planes[2:3] | planes[3:4]
    return np.concatenate([planes[:2], wall, planes[4:], np.zeros_like(wall)])


# ---- the builder


@pytest.fixture
def source(scenes, tmp_path):
    """A folder with the documented files; of `train` each record three times."""
    for name, scene in scenes.items():
        masks = scene["planes"][..., None]
        records = [serialized(image=scene["image"][i], mask=masks[i]) for i in range(2)]
        copies = 3 if name == "train" else 1
        write_records(tmp_path / "m" / f"objects_room_{name}.tfrecords", copies * records)
    return tmp_path / "m"


@pytest.fixture
def config(source, new_config, tmp_path):
    fields = {"name": "objects_room", "variant": "", "num_examples": (2, 2, 2)}
    return new_config(tmp_path / "data", **fields, manual_dir=str(source))


def test_records(config, scenes):
    records = prepared(config)
    assert list(records) == ["test", "validation", "train", *FILES[1:]]
    assert get_spec("objects_room").max_objects == 6
    for split, name in (("validation", "train"), *((name, name) for name in FILES)):
        scene = scenes[name]
        for i, record in enumerate(records[split]):
            planes = scene["planes"][i]
            np.testing.assert_array_equal(record["image"], scene["image"][i])
            objects = [plane for plane in planes[4:] if plane.any()]
            assert record["num_objects"] == record["masks"].max() == len(objects)
            for label, plane in enumerate(objects, 1):
                np.testing.assert_array_equal(255 * (record["masks"] == label), plane)
            for part, plane in enumerate(planes[:4], 1):
                np.testing.assert_array_equal(255 * (record["background_parts"] == part), plane)
            # Every pixel is an object's or of one part of the background.
            assert ((record["masks"] > 0) != (record["background_parts"] > 0)).all()
    # What the parts are is seen in the picture.
    for record in records["train"]:
        sky = record["image"][record["background_parts"] == SKY_PART]
        np.testing.assert_array_equal(np.median(sky, axis=0), SKY)
        rows = np.nonzero(record["background_parts"] == FLOOR_PART)[0]
        assert rows.max() == 63


def test_whole_test_files(config, monkeypatch, scenes):
    """The further test sets are whole files, unless num_examples says how many."""
    builder_class = type(storage.open_builder(config))
    parts = [type(part)(part.split, scanned=part.scanned and 2) for part in builder_class.PARTS[""]]
    monkeypatch.setattr(builder_class, "PARTS", {"": parts})
    config.num_examples = ()
    records = prepared(config)
    assert {split: len(found) for split, found in records.items()} == dict.fromkeys(records, 2)
    config.num_examples = (1, 1, 1)
    assert all(len(found) == 1 for found in prepared(config).values())


def test_missing_test_files(config, source):
    (source / "objects_room_test_six_objects.tfrecords").unlink()
    (source / "objects_room_test_empty_room.tfrecords").unlink()
    message = "test_empty_room.tfrecords and .*test_six_objects.tfrecords not found"
    with pytest.raises(DatasetMissingError, match=message):
        prepared(config)


def test_files_in_each_others_place(config, source):
    path = source / "objects_room_test_six_objects.tfrecords"
    path.rename(source / "objects_room_train.tfrecords")
    (source / "objects_room_test_identical_color.tfrecords").rename(path)
    (source / "objects_room_test_identical_color.tfrecords").write_bytes(path.read_bytes())
    with pytest.raises(SourceError, match="'mask' is 40960 uint8, not 28672 uint8"):
        prepared(config)


def test_downloads(config):
    urls = [download.url for download in storage.open_builder(config).downloads()]
    assert [url.rsplit("/", 1)[1] for url in urls] == [f"objects_room_{n}.tfrecords" for n in FILES]


# ---- one wall or two


def num_background_planes(image: np.ndarray, planes: np.ndarray) -> int:
    return backgrounds.num_background_planes(image, planes.argmax(0), len(planes))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("i", [0, 1])
def test_published_scenes_have_two_walls(scenes, name, i):
    image, planes = scenes[name]["image"][i], scenes[name]["planes"][i]
    assert num_background_planes(image, planes) == 4
    # Nor does it need the hint that the last plane is in use.
    spare = np.concatenate([planes, np.zeros_like(planes[:1])])
    assert num_background_planes(image, spare) == 4


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("i", [0, 1])
def test_one_wall(scenes, name, i):
    """Whichever object comes first."""
    image, planes = scenes[name]["image"][i], one_wall(scenes[name]["planes"][i])
    for _ in range(len(planes) - 4):
        assert num_background_planes(image, planes) == 3
        planes[3:-1] = np.roll(planes[3:-1], 1, axis=0)


@pytest.mark.parametrize("name", FILES[2:])
@pytest.mark.parametrize("i", [0, 1])
def test_object_of_the_walls_color(scenes, name, i):
    """Geometry tells it from a second wall."""
    planes = one_wall(scenes[name]["planes"][i])
    image = scenes[name]["image"][i].copy()
    wall = image[planes[2] > 0].mean(0)
    for plane in planes[3:]:
        image[plane > 0] = wall * 0.8
    for _ in range(len(planes) - 4):
        assert num_background_planes(image, planes) == 3
        planes[3:-1] = np.roll(planes[3:-1], 1, axis=0)


def room(second_wall: bool, hue: float, columns: slice) -> tuple[np.ndarray, np.ndarray]:
    """A room whose wall is red and has something of a hue in front, or beside it, to the floor."""
    planes = np.zeros((8, 64, 64), np.uint8)
    planes[0, :20] = planes[1, 40:] = planes[2, 20:40] = 255
    planes[:, 20:40, columns] = 0
    planes[3, 20:40, columns] = 255
    if not second_wall:  # An object that is as high as the image.
        planes[:3, :, columns] = 0
        planes[3, :, columns] = 255
    colors = [SKY, (90, 90, 60), (200, 30, 20), 160 * np.array(colorsys.hsv_to_rgb(hue, 0.9, 1))]
    image = np.zeros((64, 64, 3), np.uint8)
    for plane, color in zip(planes, colors, strict=False):
        image[plane > 0] = color
    return image, planes


WALL_HUE = colorsys.rgb_to_hsv(200, 30, 20)[0]


@pytest.mark.parametrize("columns", [slice(0, 9), slice(50, 64), slice(63, 64)])
def test_walls_and_objects_side_by_side(columns):
    assert num_background_planes(*room(True, WALL_HUE, columns)) == 4
    # A near object that hides the wall from its top to the floor, at the border.
    for hue in (WALL_HUE + 0.05, 0.3, 0.6, 0.95):
        assert num_background_planes(*room(False, hue, columns)) == 3


def test_object_in_the_middle():
    """Hides the wall, but there is wall on both sides, even if it has the same colour."""
    assert num_background_planes(*room(False, WALL_HUE, slice(20, 40))) == 3


def test_walls_that_share_a_column():
    """Where they meet the edge may be a little oblique."""
    image, planes = room(True, WALL_HUE, slice(0, 20))
    image[20:30, 20:22] = image[30, 10]
    planes[3, 20:30, 20:22], planes[2, 20:30, 20:22] = 255, 0
    assert num_background_planes(image, planes) == 4


def test_hidden_planes():
    image, planes = room(True, WALL_HUE, slice(0, 9))
    planes[3] = 0
    assert num_background_planes(image, planes) == 3
    planes[2] = 0
    assert num_background_planes(image, planes) == 3
