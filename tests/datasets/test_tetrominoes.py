"""Tetrominoes: the renderer against published records, the draw, and the TFDS builder."""

import numpy as np
import pytest

from ocgm.data import eval_batches, prepare
from ocgm.datasets.builders import base, generated
from ocgm.datasets.builders.record_stream import read_records as read_tfrecord
from ocgm.datasets.builders.tfrecord import parse_example
from ocgm.datasets.tetrominoes_synthetic import scenes as scenes_lib
from ocgm.datasets.tetrominoes_synthetic import tetrominoes_synthetic_dataset_builder as builder_lib
from ocgm.errors import UserError

NATIVE = 35


def read_records(path) -> list[dict[str, np.ndarray]]:
    """The features of all records, as they are."""
    records = read_tfrecord(path, compressed=True, on_corrupt=print)
    return [parse_example(record) for record in records]


@pytest.fixture(scope="module")
def scenes():
    """8,192 scenes."""
    drawn = [scenes_lib.draw_scenes(generated.block_generator(0, i), 256) for i in range(32)]
    return scenes_lib.Scenes(
        **{f: np.concatenate([getattr(d, f) for d in drawn]) for f in ("x", "y", "shape", "color")}
    )


def test_published_records(fixtures):
    """Drawn from their factors, the published records come out byte by byte."""
    records = read_records(fixtures / "tetrominoes_mini.tfrecords")
    assert len(records) == 10
    factors = {f: np.stack([r[f] for r in records]).astype(int) for f in ("x", "y", "shape")}
    colors = np.stack([r["color"] for r in records]).reshape(10, 4, 3).astype(np.uint8)
    rendered = scenes_lib.render_scenes(
        scenes_lib.Scenes(**{f: a[:, 1:] for f, a in factors.items()}, color=colors[:, 1:])
    )
    images = np.stack([r["image"] for r in records]).reshape(10, NATIVE, NATIVE, 3)
    masks = np.stack([r["mask"] for r in records]).reshape(10, 4, NATIVE, NATIVE)
    np.testing.assert_array_equal(rendered["image"], images)
    for label in range(4):
        np.testing.assert_array_equal(255 * (rendered["masks"] == label), masks[:, label])


def test_shapes():
    grids = {tuple(tuple(row) for row in rows.split("/")) for rows in scenes_lib.SHAPES.values()}
    assert len(grids) == 17
    assert all(sum(row.count("1") for row in grid) == 4 for grid in grids)


def test_shapes_and_colors_are_uniform(scenes, assert_uniform):
    assert_uniform(scenes.shape.ravel(), list(scenes_lib.SHAPES))
    colors = [(0, 0, 1), (0, 1, 0), (0, 1, 1), (1, 0, 0), (1, 0, 1), (1, 1, 0)]
    assert_uniform(scenes.color.reshape(-1, 3), colors)
    # Pairs of pieces, too: neither shapes nor colours of a scene depend on one another.
    same_color = (scenes.color[:, 0] == scenes.color[:, 1]).all(-1)
    same_shape = scenes.shape[:, 0] == scenes.shape[:, 1]
    for same, chance in ((same_color, 1 / 6), (same_shape, 1 / 17)):
        assert abs(same.mean() - chance) < 4 * np.sqrt(chance / len(same))


def test_positions(scenes):
    """Any position inside the image is taken, the same by all three pieces."""
    for code, rows in scenes_lib.SHAPES.items():
        grid = rows.split("/")
        chosen = scenes.shape == code
        for position, cells in ((scenes.x, len(grid)), (scenes.y, len(grid[0]))):
            np.testing.assert_array_equal(
                np.unique(position[chosen]), np.arange(NATIVE - 5 * cells + 1)
            )
    for position in (scenes.x, scenes.y):
        error = position.std() / np.sqrt(len(position))
        np.testing.assert_allclose(position.mean(0), position.mean(), atol=4 * error)


def test_positions_are_as_published(scenes, fixtures):
    """Pieces that keep out of each other's way are more often near the borders."""
    records = read_records(fixtures / "tetrominoes_mini.tfrecords")
    published = {f: np.stack([r[f] for r in records]).astype(int) for f in ("x", "y", "shape")}

    def near_border(x, y, shape):
        grids = [scenes_lib.SHAPES[code].split("/") for code in shape.ravel()]
        last = np.array([(NATIVE - 5 * len(grid), NATIVE - 5 * len(grid[0])) for grid in grids])
        part = np.stack([x.ravel(), y.ravel()], axis=-1) / last
        return ((part < 0.2) | (part >= 0.8)).mean()

    share = near_border(scenes.x, scenes.y, scenes.shape)
    assert share > 0.5  # Uniform positions would give 0.4 or a little more.
    published_share = near_border(**{f: a[:, 1:] for f, a in published.items()})
    assert abs(share - published_share) < 3 * np.sqrt(0.25 / 60)


def test_pieces_do_not_overlap(scenes):
    rendered = scenes_lib.render_scenes(scenes)
    areas = np.stack([(rendered["masks"] == label).sum((1, 2)) for label in range(4)], -1)
    np.testing.assert_array_equal(areas, np.tile([NATIVE**2 - 300, 100, 100, 100], (8192, 1)))
    # Pieces may touch, as they do in the published files.
    left, right = rendered["masks"][:, :, :-1], rendered["masks"][:, :, 1:]
    touching = ((left != right) & (left > 0) & (right > 0)).any((1, 2)).mean()
    assert 0.15 < touching < 0.25


def test_masks_are_where_the_image_is(scenes):
    rendered = scenes_lib.render_scenes(scenes)
    np.testing.assert_array_equal(rendered["masks"] > 0, rendered["image"].any(-1))


def test_record_and_resize(new_config, tmp_path):
    config = new_config(
        tmp_path, name="tetrominoes_synthetic", variant="", image_size=35, num_examples=(300, 5, 3)
    )
    builder = prepare(config)
    assert builder.builder_config.name == "default_n300_5_3"
    assert "byte by\nbyte" in builder.info.description
    assert "multiobjectdatasets19" in builder.info.citation
    sizes = {split: len(builder.as_data_source(split)) for split in builder.info.splits}
    assert sizes == {"train": 300, "validation": 5, "test": 3}

    record = builder.as_data_source("train")[0]
    assert record["image"].shape == (NATIVE, NATIVE, 3)
    assert record["image"].dtype == record["masks"].dtype == np.uint8
    assert record["num_objects"] == 3
    factors = record["factors"]
    # Pinned: the dataset must not change with a version of NumPy.
    np.testing.assert_array_equal(factors["x"], [15, 4, 15])
    np.testing.assert_array_equal(factors["y"], [10, 16, 5])
    np.testing.assert_array_equal(factors["shape"], [13, 6, 2])
    np.testing.assert_array_equal(factors["color"], [(255, 0, 255), (0, 255, 0), (0, 255, 0)])

    scenes = scenes_lib.Scenes(
        **{f: factors[f][None] for f in ("x", "y", "shape")}, color=factors["color"][None] // 255
    )
    rendered = scenes_lib.render_scenes(scenes)
    np.testing.assert_array_equal(record["image"], rendered["image"][0])
    np.testing.assert_array_equal(record["masks"], rendered["masks"][0])

    (native,) = eval_batches(config, "test", 3)
    config.image_size = 32
    (small,) = eval_batches(config, "test", 3)
    source = [int(i * 35 / 32) for i in range(32)]
    for field in ("image", "masks"):
        np.testing.assert_array_equal(small[field], native[field][:, source][:, :, source])
    np.testing.assert_array_equal(small["num_objects"], [3, 3, 3])


def test_records_depend_on_split_and_index_alone(new_config, tmp_path):
    def images(split, *num_examples):
        config = new_config(
            tmp_path, name="tetrominoes_synthetic", variant="", num_examples=num_examples
        )
        return [record["image"] for record in prepare(config).as_data_source(split)]

    many = images("train", 300, 1, 1)
    np.testing.assert_array_equal(images("train", 260, 2, 2), many[:260])
    assert len({image.tobytes() for image in many}) == 300
    parts = [images(split, 4, 4, 4) for split in base.SPLITS]
    assert len({image.tobytes() for part in parts for image in part}) == 12


def test_config_names(new_config):
    def name(**changes):
        config = builder_lib.Builder.config_for(
            new_config("/d", name="tetrominoes_synthetic", **changes)
        )
        return config if isinstance(config, str) else config.name

    assert name(variant="", num_examples=()) == "default"
    assert name(variant="default", num_examples=(60_000, 320, 320)) == "default"
    assert name(variant="", num_examples=(2, 3, 4)) == "default_n2_3_4"


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"variant": "plain"}, "tetrominoes_synthetic has the variants default, not 'plain'"),
        ({"num_examples": (1, 2)}, "expected three numbers from 1 up"),
        (
            {"sprites_path": "/f.npz"},
            "sprites_path='/f.npz', but tetrominoes_synthetic has no sprites",
        ),
    ],
)
def test_config_errors(new_config, changes, message):
    with pytest.raises(UserError, match=message):
        builder_lib.Builder.config_for(
            new_config("/d", **{"name": "tetrominoes_synthetic", "variant": ""} | changes)
        )
