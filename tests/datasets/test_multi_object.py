"""From entities to objects, and which records of a file are in which split."""

import numpy as np
import pytest
from picture_files import prepared

from ocgm.datasets.builders import base, multi_object, tfrecord
from ocgm.datasets.builders.from_files import SourceError
from ocgm.datasets.builders.multi_object import Part
from ocgm.datasets.builders.tfrecord import Field
from ocgm.datasets.builders.tfrecord_writer import serialized, write_records
from ocgm.datasets.clevr_with_masks import clevr_with_masks_dataset_builder as clevr
from ocgm.datasets.multi_dsprites_deepmind import multi_dsprites_deepmind_dataset_builder as sprites
from ocgm.datasets.objects_room import objects_room_dataset_builder as rooms
from ocgm.datasets.tetrominoes import tetrominoes_dataset_builder as tetrominoes


def test_entity_map():
    planes = np.zeros((4, 1, 5), np.uint8)
    planes[0, 0, :2] = 255
    planes[2, 0, 1:4] = 255
    planes[3, 0, 3] = 255  # Pixels 1 and 3 are in two planes: the last one has them; 4 is in none.
    np.testing.assert_array_equal(multi_object.entity_map(planes), [[0, 2, 2, 3, 0]])


def test_entity_map_of_a_partition():
    entities = np.random.default_rng(0).integers(0, 11, (20, 20), np.uint8)
    planes = (np.arange(11)[:, None, None] == entities) * np.uint8(255)
    for layout in (planes, np.moveaxis(np.moveaxis(planes, 0, -1).copy(), -1, 0)):
        found = multi_object.entity_map(layout)
        np.testing.assert_array_equal(found, entities)
        assert found.dtype == np.uint8


def test_objects_that_exist():
    """Entity 2 does not exist: the labels have no gap, and row i - 1 is of label i."""
    example = {
        "visibility": np.array([1, 1, 0, 1, 0], np.float32),
        "x": np.array([0, 10, 20, 30, 40], np.float32),
        "color": np.arange(15).reshape(5, 3),
    }
    objects = multi_object.visible(example)
    np.testing.assert_array_equal(objects, [1, 3])
    labels = multi_object.label_map(np.array([[0, 1, 2, 3, 4]], np.uint8), objects)
    np.testing.assert_array_equal(labels, [[0, 1, 0, 2, 0]])
    assert labels.dtype == np.uint8
    wanted = {
        "x": base.object_factor("number", 4, np.int32),
        "color": base.object_factor("number", 4, np.uint8, 3),
    }
    factors = multi_object.object_factors(example, wanted, objects)
    np.testing.assert_array_equal(factors["x"], [10, 30, 0, 0])
    np.testing.assert_array_equal(factors["color"], [(3, 4, 5), (9, 10, 11), (0,) * 3, (0,) * 3])
    assert (factors["x"].dtype, factors["color"].dtype) == (np.int32, np.uint8)


def test_colors():
    channels = np.array([0, 0.5, 1 / 255, 0.999, 1], np.float32)
    np.testing.assert_array_equal(multi_object.to_bytes(channels), [0, 127, 1, 254, 255])


def test_protocols():
    """Where the splits begin, for all to compare with the papers."""
    morl = {"train": 60_000, "test": 320, "validation": 320}
    genesis = {"test": 10_000, "validation": 10_000, "train": None}

    def sizes(parts, attribute="scanned"):
        return {part.split: getattr(part, attribute) for part in parts}

    for module in (tetrominoes, sprites):
        parts = module.Builder.PARTS
        assert tuple(parts) == module.Builder.PROTOCOLS == ("efficient_morl", "genesis")
        assert list(sizes(parts["efficient_morl"]).items()) == list(morl.items())
        assert list(sizes(parts["genesis"]).items()) == list(genesis.items())
    assert rooms.Builder.PROTOCOLS == ()
    assert list(sizes(rooms.Builder.PARTS[""]).items()) == list(genesis.items())
    assert clevr.Builder.PROTOCOLS == ("efficient_morl", "slot_attention", "genesis")
    assert sizes(clevr.Builder.PARTS["genesis"]) == genesis
    for protocol, train in (("efficient_morl", 98_500), ("slot_attention", 70_000)):
        parts = clevr.Builder.PARTS[protocol]
        assert sizes(parts) == {"train": train, "test": None, "validation": None}
        assert sizes(parts, "kept") == {"train": None, "test": 320, "validation": 320}


@pytest.fixture
def pieces(fixtures, tmp_path, new_config):
    """Makes configs for the ten published records."""
    source = tmp_path / "source"
    source.mkdir()
    content = (fixtures / "tetrominoes_mini.tfrecords").read_bytes()
    (source / "tetrominoes_train.tfrecords").write_bytes(content)

    def make(**changes):
        fields = {"name": "tetrominoes", "variant": "", "num_examples": (), "image_size": 35}
        return new_config(tmp_path, **(fields | {"manual_dir": str(source)} | changes))

    return make


@pytest.fixture
def in_order(fixtures):
    """Index in the published file of each record of a list."""
    path = fixtures / "tetrominoes_mini.tfrecords"
    records = tfrecord.read_examples(
        path, {"image": Field(np.uint8, (35, 35, 3))}, compressed=True, on_corrupt=print
    )
    images = [record["image"].tobytes() for record in records]
    return lambda records: [images.index(record["image"].tobytes()) for record in records]


def test_splits(monkeypatch, pieces, in_order):
    first = (Part("train", scanned=5), Part("test", scanned=3), Part("validation", scanned=1))
    last = (Part("test", scanned=3), Part("validation", scanned=2), Part("train"))
    monkeypatch.setattr(tetrominoes.Builder, "PARTS", {"efficient_morl": first, "genesis": last})
    records = prepared(pieces())
    assert {split: in_order(records[split]) for split in records} == {
        "train": [0, 1, 2, 3, 4],
        "test": [5, 6, 7],
        "validation": [8],
    }
    records = prepared(pieces(protocol="genesis"))
    assert {split: in_order(records[split]) for split in records} == {
        "test": [0, 1, 2],
        "validation": [3, 4],
        "train": [5, 6, 7, 8, 9],
    }


@pytest.mark.parametrize(
    "num_examples,lengths", [((6, 2, 2), (6, 2, 2)), ((1, 2, 3), (1, 2, 3)), ((6, 9, 3), (6, 1, 3))]
)
def test_num_examples(pieces, in_order, num_examples, lengths):
    """The splits follow one another at once; what the file lacks, the last one lacks."""
    train, validation, test = lengths
    records = prepared(pieces(num_examples=num_examples))
    assert in_order(records["train"]) == list(range(train))
    assert in_order(records["test"]) == list(range(train, train + test))
    assert in_order(records["validation"]) == list(range(train + test, train + test + validation))
    records = prepared(pieces(num_examples=(2, 3, 4), protocol="genesis"))
    assert in_order(records["test"] + records["validation"] + records["train"]) == list(range(9))


@pytest.mark.parametrize(
    "changes,message",
    [
        ({}, "ends after 10 of split 'train'.*num_examples"),
        ({"protocol": "genesis"}, "ends after 10 of split 'test'.*num_examples"),
        ({"num_examples": (9, 1, 1)}, "ends after 0 of split 'validation'"),
        ({"num_examples": (3, 3, 7), "protocol": "genesis"}, "ends after 0 of split 'train'"),
    ],
)
def test_short_file(pieces, changes, message):
    with pytest.raises(SourceError, match=f"tetrominoes_train.tfrecords has too few .*{message}"):
        prepared(pieces(**changes))


def test_splits_of_filtered_scenes(monkeypatch, new_config, tmp_path):
    """Runs are of the file's scenes, whichever of them are kept."""
    num_objects = [3, 10, 6, 7, 6, 3, 8, 3, 5, 9, 4, 10]
    form = clevr.Builder.forms["clevr_with_masks_train.tfrecords"]
    zeros = {name: np.zeros(shape, dtype) for name, (dtype, shape) in form.fields().items()}
    pixels = serialized(image=zeros.pop("image"), mask=zeros.pop("mask"))
    records = []
    for i, count in enumerate(num_objects):
        present = (np.arange(11) <= count).astype(np.float32)
        factors = zeros | {"visibility": present, "x": np.full(11, i, np.float32)}
        records.append(pixels + serialized(**factors))  # Joined messages are one message.
    write_records(tmp_path / "source" / "clevr_with_masks_train.tfrecords", records)
    parts = (Part("train", scanned=5), Part("test", kept=2), Part("validation", kept=1))
    monkeypatch.setattr(clevr.Builder, "PARTS", {"efficient_morl": parts})

    def scenes(**changes):
        fields = {"name": "clevr_with_masks", "image_size": 64, "num_examples": ()}
        source = {"manual_dir": str(tmp_path / "source")}
        records = prepared(new_config(tmp_path, **(fields | source | changes)))
        return {split: [int(r["factors"]["x"][0]) for r in records[split]] for split in records}

    assert scenes(variant="") == {"train": [0, 2, 4], "test": [5, 7], "validation": [8]}
    assert scenes(variant="clevr10") == {"train": [1, 3], "test": [6, 9], "validation": [11]}
    assert scenes(variant="all") == {"train": [0, 1, 2, 3, 4], "test": [5, 6], "validation": [7]}
    few = scenes(variant="clevr10", num_examples=(1, 2, 2))
    assert few == {"train": [1], "test": [3, 6], "validation": [9, 11]}
