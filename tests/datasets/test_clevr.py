"""CLEVR with masks: two real records, and the crops and filters of the papers."""

import math

import numpy as np
import pytest
from picture_files import prepared
from PIL import Image

from ocgm.data import eval_batches, get_spec, storage
from ocgm.datasets.builders.tfrecord_writer import serialized, write_records
from ocgm.errors import UserError

FACTORS = ("x", "y", "z", "rotation", "pixel_coords", "size", "material", "shape", "color")
CODES = ("size", "material", "shape", "color")


@pytest.fixture(scope="module")
def scenes(fixtures):
    """The first two records of the published file, with 7 and 8 objects."""
    with np.load(fixtures / "clevr_with_masks_train_first2.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def source(scenes, tmp_path_factory):
    """A folder with the documented file of these records, each twice."""
    folder = tmp_path_factory.mktemp("clevr")
    examples = []
    for i in range(2):
        scene = {name: values[i] for name, values in scenes.items()}
        examples.append(serialized(**scene | {"visibility": scene["visibility"].astype("f4")}))
    write_records(folder / "clevr_with_masks_train.tfrecords", 2 * examples)
    return folder


@pytest.fixture
def config(source, new_config, tmp_path):
    def make(**changes):
        fields = {"name": "clevr_with_masks", "variant": "all", "num_examples": (2, 1, 1)}
        fields |= {"image_size": 128, "manual_dir": str(source)}
        return new_config(tmp_path, **(fields | changes))

    return make


def entities(scenes, i: int, top: int) -> np.ndarray:
    """The crop of the map of entities; its planes are a partition."""
    assert (scenes["mask"][i, ..., 0].astype(int).sum(0) == 255).all()
    return scenes["mask"][i, ..., 0].argmax(0)[top : top + 192, 64:256]


@pytest.mark.parametrize("size", [128, 96, 64])
def test_efficient_morl(config, scenes, size):
    records = prepared(config(protocol="efficient_morl", image_size=size))["train"]
    for i, record in enumerate(records):
        picture = Image.fromarray(scenes["image"][i])
        # Pillow's own crop and default filter, as in the authors' code.
        expected = picture.crop((64, 29, 256, 221)).resize((size, size))
        np.testing.assert_array_equal(record["image"], np.asarray(expected))
        np.testing.assert_array_equal(record["masks"], entities(scenes, i, 29))
        assert record["masks"].shape == (192, 192)


@pytest.mark.parametrize("size", [128, 96])
def test_slot_attention(config, scenes, size):
    records = prepared(config(protocol="slot_attention", image_size=size))["train"]
    step = 192 / size
    for i, record in enumerate(records):
        crop = scenes["image"][i, 29:221, 64:256].astype(float)
        labels = entities(scenes, i, 29)
        for row, column in np.random.default_rng(i).integers(0, size, (300, 2)):
            y, x = ((k + 0.5) * step - 0.5 for k in (row, column))
            y0, x0 = math.floor(y), math.floor(x)
            y1, x1 = min(y0 + 1, 191), min(x0 + 1, 191)
            upper = crop[max(y0, 0), max(x0, 0)] * (1 - x % 1) + crop[max(y0, 0), x1] * (x % 1)
            lower = crop[y1, max(x0, 0)] * (1 - x % 1) + crop[y1, x1] * (x % 1)
            expected = upper * (1 - y % 1) + lower * (y % 1)
            assert np.abs(record["image"][row, column] - expected).max() <= 0.501
            nearest = labels[math.floor((row + 0.5) * step), math.floor((column + 0.5) * step)]
            assert record["masks"][row, column] == nearest


@pytest.mark.parametrize("size", [128, 64])
def test_genesis(config, scenes, size):
    records = prepared(config(protocol="genesis", image_size=size))["train"]
    pixels = [math.floor(i * 192 / size) for i in range(size)]
    for i, record in enumerate(records):
        # The records follow one another as test, validation, train.
        crop = scenes["image"][i, 24:216, 64:256]
        np.testing.assert_array_equal(record["image"], crop[pixels][:, pixels])
        np.testing.assert_array_equal(record["masks"], entities(scenes, i, 24)[pixels][:, pixels])


def test_factors(config, scenes):
    max_objects = get_spec("clevr_with_masks").max_objects
    records = prepared(config())["train"]
    assert [record["num_objects"] for record in records] == [7, 8]
    for i, record in enumerate(records):
        assert record["factors"].keys() == {*FACTORS, "visibility"}
        for name in (*FACTORS, "visibility"):
            values = record["factors"][name]
            assert len(values) == max_objects
            np.testing.assert_array_equal(values, scenes[name][i, 1:].astype(values.dtype))
            assert values.dtype == (np.int32 if name in CODES else np.float32)
        # Row i - 1 is of label i: its pixels surround the published centre.
        for label in range(1, record["num_objects"] + 1):
            column, row, _ = record["factors"]["pixel_coords"][label - 1]
            rows, columns = np.nonzero(entities(scenes, i, 29) == label)
            if len(rows) > 50 and 64 < column < 256:
                assert rows.min() - 1 <= row - 29 <= rows.max() + 1
                assert columns.min() - 1 <= column - 64 <= columns.max() + 1


def test_batches(config):
    """Masks keep their own side where the protocol says so."""
    (batch,) = eval_batches(config(), "test", 1)
    assert batch["image"].shape == (1, 128, 128, 3)
    assert batch["masks"].shape == (1, 192, 192)


def test_config_names(config):
    def name(**changes):
        return storage.open_builder(config(num_examples=(), **changes)).builder_config.name

    assert name(variant="") == "clevr6"
    assert name(variant="", protocol="efficient_morl") == "clevr6"
    assert name(variant="clevr10", image_size=96) == "clevr10_96"
    assert name(protocol="genesis") == "all_genesis"
    with pytest.raises(UserError, match="image_size=100, but .* 128 or 96 or 64"):
        name(image_size=100)
