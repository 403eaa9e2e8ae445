"""Checks that the tests of all rendered datasets share."""

import pathlib
from types import ModuleType

import numpy as np
from ml_collections import ConfigDict

from ocgm.data import prepare
from ocgm.datasets.builders import base
from ocgm.datasets.builders.generated import GeneratedBuilder


def new_builder(module: ModuleType, folder: pathlib.Path, image_size: int) -> GeneratedBuilder:
    """Create the builder of a module; nothing is prepared in its folder."""
    config = base.SceneConfig(name="test", variant="default", image_size=image_size)
    return module.Builder(config=config, data_dir=str(folder))


def check_splits_differ(builder: GeneratedBuilder) -> None:
    draws = [builder.rng(split, 0).random(4) for split in builder.SPLITS]
    assert len({draw.tobytes() for draw in draws}) == 3


def check_published_factors(
    builder: GeneratedBuilder, published: type[base.SceneBuilder], folder: pathlib.Path
) -> None:
    """A record has all fields and factors of the published dataset, and masks."""
    original = published(config="default", data_dir=str(folder)).info.features
    assert set(original["factors"].keys()) < set(builder.info.features["factors"].keys())
    assert set(builder.info.features) == {*original, "masks"}
    assert builder.IMAGE_SIZES == published.IMAGE_SIZES


def check_prepared(config: ConfigDict, block: base.Records, citation: str) -> base.SceneBuilder:
    """Prepared records are those of the first block, rendered a second time."""
    prepared = prepare(config)
    assert "SYNTHETIC" in prepared.info.description
    assert citation in prepared.info.citation
    source = prepared.as_data_source("train")
    assert len(source) == 3 and len(prepared.as_data_source("test")) == 2
    for index in (0, 2):
        record = source[index]
        for name in ("image", "masks", "num_objects"):
            np.testing.assert_array_equal(record[name], block[name][index])
        for name, values in block["factors"].items():
            np.testing.assert_array_equal(record["factors"][name], values[index])
    return prepared
