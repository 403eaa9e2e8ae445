"""Records on the wire are what TFDS makes of them."""

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_generated_pb2 as tf_example_pb2

from ocgm.datasets.builders import base
from ocgm.datasets.builders.serialization import Serializer

PHASE = tfds.features.Tensor(shape=(2, 2), dtype=np.float32)
FEATURES = base.record_features(
    5,
    {
        "x": base.object_factor("number", 3, np.float32),
        "scale": base.scene_factor("number", np.float32),
        "color": base.object_factor("number", 3, np.uint8, 3),
        "seen": base.object_factor("class", 2, np.bool_),
        "file": base.Factor(tfds.features.Text(), "scene", "class"),
        "texture": base.Factor(tfds.features.FeaturesDict({"phase": PHASE}), "scene", "number"),
    },
    background_parts=True,
)


@pytest.fixture
def record():
    rng = np.random.default_rng(0)
    return {
        "image": rng.integers(0, 256, (5, 5, 3), np.uint8),
        "masks": np.zeros((5, 5), np.uint8),
        "background_parts": np.full((5, 5), 10, np.uint8),
        "num_objects": 7,
        "factors": {
            "x": np.array([0.1, -np.inf, 3], np.float32),
            "scale": 0.25,
            "color": rng.integers(0, 256, (3, 3), np.uint8),
            "seen": np.array([True, False]),
            "file": "ä.png",
            "texture": {"phase": rng.normal(size=(2, 2)).astype(np.float32)},
        },
    }


def test_same_as_tfds(record):
    specs = FEATURES.get_serialized_info()
    theirs = tfds.core.example_serializer.ExampleSerializer(specs).serialize_example(
        FEATURES.encode_example(record)
    )
    ours = Serializer(FEATURES)(record)
    assert tf_example_pb2.Example.FromString(ours) == tf_example_pb2.Example.FromString(theirs)
    read = FEATURES.deserialize_example_np(ours)
    np.testing.assert_array_equal(read["image"], record["image"])
    np.testing.assert_array_equal(read["factors"]["x"], record["factors"]["x"])


def test_other_records(record):
    serialize = Serializer(FEATURES)
    for change in (
        {"image": np.zeros((5, 6, 3), np.uint8)},
        {"image": np.zeros((5, 5, 3), np.float32)},
        {"more": 1},
        {"factors": record["factors"] | {"x": np.zeros(4, np.float32)}},
        {"factors": {}},
    ):
        with pytest.raises(ValueError):
            serialize(record | change)
