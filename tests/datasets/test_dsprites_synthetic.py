"""dSprites from formulas: against published images, the splits, and the TFDS builder."""

import numpy as np
import pytest

from ocgm.data import prepare
from ocgm.datasets.builders import generated
from ocgm.datasets.dsprites import dsprites_dataset_builder as published_lib
from ocgm.datasets.dsprites_synthetic import dsprites_synthetic_dataset_builder as builder_lib
from ocgm.datasets.sprites import sprites
from ocgm.errors import UserError

SIZES = {"train": 663_552, "validation": 36_864, "test": 36_864}


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    return builder_lib.Builder(data_dir=str(tmp_path_factory.mktemp("none")))


def test_every_sprite_is_in_one_split(builder):
    """The blocks of all splits together name each of the 737,280 images once."""
    indices = published_lib.sprite_indices()
    assert {split: len(index) for split, index in indices.items()} == SIZES
    assert dict(zip(builder.SPLITS, builder.SIZES, strict=True)) == SIZES
    everything = np.sort(np.concatenate(list(indices.values())))
    np.testing.assert_array_equal(everything, np.arange(sprites.NUM_SPRITES))
    # Blocks divide the splits, so that none is short.
    assert all(size % builder.BLOCK == 0 for size in SIZES.values())
    for split, index in indices.items():
        last = SIZES[split] // builder.BLOCK - 1
        for number in (0, 1, last):
            found = builder.block(split, number)["factors"]["sprite"][:, 0]
            start = number * builder.BLOCK
            np.testing.assert_array_equal(found, index[start : start + builder.BLOCK])


def test_order_is_pinned_and_mixed(builder):
    factors = builder.block("train", 0)["factors"]
    np.testing.assert_array_equal(factors["sprite"][:4, 0], [59531, 502200, 352298, 142835])
    # 256 images of a random order: all shapes, scales and columns are there.
    classes = factors["classes"][:, 0]
    for column, size in enumerate((3, 6, 40, 32, 32)):
        counts = np.bincount(classes[:, column], minlength=size)
        mean = len(classes) / size
        assert len(counts) == size
        np.testing.assert_allclose(counts, mean, atol=5 * np.sqrt(mean))


def test_images_and_factors_agree(builder):
    records = builder.block("test", 3)
    masks, factors = records["masks"], records["factors"]
    assert masks.max() == 1 and records["image"].dtype == masks.dtype == np.uint8
    np.testing.assert_array_equal(records["image"], 255 * masks[..., None].repeat(3, -1))
    assert (records["num_objects"] == 1).all()
    shape, scale = factors["shape"][:, 0], factors["scale"][:, 0].astype(float)
    area = masks.sum((1, 2))
    # A square of 19.2 pixels at scale 1, an ellipse with semi-axes of 12.75 and 7.25.
    for code, whole in ((1, 19.2**2), (2, np.pi * 12.75 * 7.25)):
        of_code = shape == code
        np.testing.assert_allclose(area[of_code], whole * scale[of_code] ** 2, rtol=0.09)
    rows, columns = np.indices(masks.shape[1:]) + 0.5
    for position, coordinate in (("x", columns), ("y", rows)):
        centre = (masks * coordinate).sum((1, 2)) / area
        expected = 16 + 32 * factors[position][:, 0]
        # The centre of mass of a heart is not the point about which it turns.
        np.testing.assert_allclose(centre, expected, atol=2.5)
        symmetric = shape < 3
        np.testing.assert_allclose(centre[symmetric], expected[symmetric], atol=0.6)


def test_blocks_are_the_same_twice(builder):
    first, again = builder.block("validation", 5), builder.block("validation", 5)
    np.testing.assert_array_equal(first["image"], again["image"])
    assert isinstance(builder, generated.GeneratedBuilder)


def test_record(new_config, tmp_path, builder):
    config = new_config(tmp_path, name="dsprites_synthetic", variant="", num_examples=(3, 2, 2))
    prepared = prepare(config)
    assert "SYNTHETIC" in prepared.info.description
    assert "dsprites17" in prepared.info.citation
    for split, count in zip(builder.SPLITS, (3, 2, 2), strict=True):
        source, block = prepared.as_data_source(split), builder.block(split, 0)
        assert len(source) == count
        record = source[count - 1]
        np.testing.assert_array_equal(record["image"], block["image"][count - 1])
        np.testing.assert_array_equal(record["masks"], block["masks"][count - 1])
        for name, values in block["factors"].items():
            np.testing.assert_array_equal(record["factors"][name], values[count - 1])


def test_there_are_no_more(new_config):
    config = new_config("/d", name="dsprites_synthetic", variant="", num_examples=(700_000, 1, 1))
    with pytest.raises(UserError, match="there are at most"):
        builder_lib.Builder.config_for(config)


def test_same_form_as_published(builder, tmp_path):
    published = published_lib.Builder(config="default", data_dir=str(tmp_path))
    assert repr(published.info.features) == repr(builder.info.features)
