"""Synthetic GQN: what is drawn, where it appears, and the TFDS builder."""

import jax
import numpy as np
import pytest
import synthetic_checks

from ocgm.datasets.builders import base, generated
from ocgm.datasets.gqn import gqn_dataset_builder as published_lib
from ocgm.datasets.gqn_synthetic import gqn_synthetic_dataset_builder as builder_lib
from ocgm.datasets.gqn_synthetic import rooms as rooms_lib
from ocgm.datasets.rendering import project

pytestmark = pytest.mark.compiles

SIDE = rooms_lib.SIDE
COUNT = 4096


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    return synthetic_checks.new_builder(builder_lib, tmp_path_factory.mktemp("none"), SIDE)


@pytest.fixture(scope="module")
def block(builder):
    """The first four rooms of the training split, ten views each, in two blocks."""
    return jax.tree.map(
        lambda *a: np.concatenate(a), *(builder.block("train", i) for i in range(2))
    )


@pytest.fixture(scope="module")
def rooms():
    return rooms_lib.draw_rooms(generated.block_generator(0, 0), COUNT)


@pytest.fixture(scope="module")
def present(rooms):
    return np.arange(rooms_lib.MAX_OBJECTS) < rooms.num_objects[:, None]


def test_pinned_draw():
    """The dataset must not change with a version of NumPy."""
    rng = generated.block_generator(0, 0)
    drawn, cameras = rooms_lib.draw_rooms(rng, 5), rooms_lib.draw_cameras(rng, 3)
    np.testing.assert_array_equal(drawn.num_objects, [2, 1, 1, 1, 3])
    np.testing.assert_array_equal(
        drawn.shape, [[7, 5, 0], [4, 0, 0], [1, 0, 0], [6, 0, 0], [4, 3, 3]]
    )
    np.testing.assert_array_equal(drawn.wall, [3, 4, 4, 3, 4])
    np.testing.assert_array_equal(drawn.floor, [0, 0, 2, 2, 0])
    for name, expected in (
        ("size", [5.469, 4.1844, 6.4552]),
        ("position", [11.6826, -0.4283, 3.2276]),
        ("color", [4.8511, 5.9021, 4.155]),
        ("yaw", [1090.2875, 464.7758, 327.5852]),
        ("lamp", [0.0947, -0.0573, 24.6856]),
        ("target", [0.3824, 4.2161, 0.0]),
    ):
        values = getattr(drawn, name)
        total = values.reshape(-1, values.shape[-1]).sum(0)
        np.testing.assert_allclose(total, expected, atol=1e-3)
    np.testing.assert_allclose(cameras[:, 3], [2.4854, 5.7193, 3.5274], atol=1e-3)


def test_rooms_are_uniform(rooms, present, assert_uniform):
    assert_uniform(rooms.num_objects, [1, 2, 3])
    assert_uniform(rooms.shape[present], list(range(1, 8)))
    assert_uniform(rooms.wall, list(range(5)))
    assert_uniform(rooms.floor, list(range(3)))
    assert_uniform(rooms.yaw[present] // 45, list(range(8)))


def test_absent_objects_are_zeros(rooms, present):
    for name in ("shape", "size", "yaw", "position", "color"):
        assert not getattr(rooms, name)[~present].any()
        assert getattr(rooms, name)[present].any()


def test_sizes(rooms):
    """Each shape's sizes fill its range, and only boxes are wider than deep."""
    ranges = {
        "box": ((0.25, 0.9), (0.25, 0.9), (0.35, 1.1)),
        "sphere": ((0.3, 1.0), (0.3, 1.0), (0.3, 1.0)),
        "cylinder": ((0.22, 1.0), (0.22, 1.0), (0.35, 1.1)),
        "capsule": ((0.35, 0.95), (0.35, 0.95), (0.7, 1.4)),
        "cone": ((0.65, 0.65), (0.65, 0.65), (0.72, 0.72)),
        "icosahedron": ((0.9, 0.9), (0.9, 0.9), (0.9, 0.9)),
        "triangle": ((1.15, 1.15), (0.24, 0.24), (1.15, 1.15)),
    }
    assert tuple(ranges) == rooms_lib.SHAPES
    for code, (name, range_) in enumerate(ranges.items(), start=1):
        size = rooms.size[rooms.shape == code]
        low, high = np.transpose(range_)
        np.testing.assert_allclose(size.min(0), low, atol=0.02)
        np.testing.assert_allclose(size.max(0), high, atol=0.02)
        error = (high - low) / np.sqrt(12 * len(size))
        assert (abs(size.mean(0) - (low + high) / 2) <= 4 * error + 1e-4).all()
        if name in ("sphere", "cylinder", "capsule"):
            np.testing.assert_array_equal(size[:, 0], size[:, 1])
    ball = rooms.size[rooms.shape == 2]
    np.testing.assert_array_equal(ball[:, 0], ball[:, 2])


def test_places(rooms, present):
    """Objects stand on the floor, anywhere in a square, and none is in another."""
    position, size = rooms.position, rooms.size
    np.testing.assert_allclose(position[..., 2], size[..., 2] / 2)
    assert 1.85 < abs(position[..., :2]).max() <= rooms_lib.REACH
    mean = position[present][:, :2].mean(0)
    np.testing.assert_allclose(mean, 0, atol=4 * 1.9 / np.sqrt(3 * present.sum()))
    radius = np.hypot(size[..., 0], size[..., 1]) / 2
    for a, b in ((0, 1), (0, 2), (1, 2)):
        both = present[:, a] & present[:, b]
        distance = np.linalg.norm((position[:, a] - position[:, b])[both, :2], axis=-1)
        assert (distance > (radius[:, a] + radius[:, b])[both] + rooms_lib.GAP - 1e-5).all()


def test_colors(rooms, present):
    """Value 1, saturation 0.65 to 0.9, any hue."""
    color = rooms.color[present]
    np.testing.assert_allclose(color.max(-1), 1)
    saturation = 1 - color.min(-1)
    assert 0.65 <= saturation.min() + 1e-6 and saturation.max() <= 0.9 + 1e-6
    assert abs(saturation.mean() - 0.775) < 4 * 0.25 / np.sqrt(12 * len(saturation))
    largest = np.bincount(color.argmax(-1), minlength=3)
    np.testing.assert_allclose(largest, len(color) / 3, atol=4 * np.sqrt(len(color) / 3))


def test_cameras(assert_uniform):
    cameras = rooms_lib.draw_cameras(generated.block_generator(0, 0), COUNT)
    assert_uniform(cameras[:, 3] // (np.pi / 4), list(range(8)))
    np.testing.assert_allclose(np.hypot(cameras[:, 0], cameras[:, 1]), 4.1, rtol=1e-5)
    for camera in cameras[:20]:
        # All face the middle, just above their own height.
        center = project(rooms_lib.view_of(camera), np.array([0, 0, 0.72]))
        np.testing.assert_allclose(center, [SIDE / 2, SIDE / 2, np.hypot(4.1, 0.02)], atol=1e-3)


def test_measured_walls():
    """Opposite a wall, its edges are in the rows in which the published pictures have them."""
    camera = rooms_lib.view_of(np.array([-4.1, 0, 0.7, 0, rooms_lib.PITCH], np.float32))
    rows = project(camera, np.array([[3.5, 0, 2.0], [3.5, 0, 0]]))[:, 1]
    # 19.2 from the fit to 24 pictures; 38.9 and 39.7 in two that show a wall from the front.
    np.testing.assert_allclose(rows, [19.2, 39.3], atol=0.7)


def test_block(block):
    image, masks, factors = block["image"], block["masks"], block["factors"]
    assert image.shape == (40, SIDE, SIDE, 3) and masks.shape == (40, SIDE, SIDE)
    assert image.dtype == masks.dtype == np.uint8
    np.testing.assert_array_equal(factors["scene"], np.repeat(np.arange(4), 10))
    np.testing.assert_array_equal(factors["view"], np.tile(np.arange(10), 4))
    for name in ("position", "shape", "color", "wall", "lamp"):
        by_room = factors[name].reshape(4, 10, -1)
        assert (by_room == by_room[:, :1]).all()
    assert (masks.max((1, 2)) <= block["num_objects"]).all()
    # Some objects are out of sight, most are not.
    seen = np.array([len(np.unique(mask)) - 1 for mask in masks])
    assert 0.75 < seen.sum() / block["num_objects"].sum() < 1


def test_masks_are_where_the_factors_say(block):
    factors, expected, found = block["factors"], 0, 0
    for index in range(40):
        camera = rooms_lib.view_of(factors["camera"][index])
        for i in range(block["num_objects"][index]):
            column, row, _ = project(camera, factors["position"][index, i])
            rows, columns = np.nonzero(block["masks"][index] == i + 1)
            if not (0 < column < SIDE and 0 < row < SIDE):
                # Objects at most 1.15 wide and 2.2 away or more.
                assert -25 < column < SIDE + 25 or not len(rows)
                continue
            expected += 1
            # The middle of a triangle is free: the nearest bar is a quarter of its height away.
            near = 10 if rooms_lib.SHAPES[factors["shape"][index, i] - 1] == "triangle" else 1.5
            distance = np.hypot(rows + 0.5 - row, columns + 0.5 - column)
            found += len(rows) > 0 and distance.min() < near
    assert expected > 35 and found > 0.9 * expected


def test_objects_have_their_colors(block):
    """The brightest channel of an object's pixels is that of its colour."""
    factors, count = block["factors"], 0
    for index in range(40):
        for i in range(block["num_objects"][index]):
            pixels = block["image"][index][block["masks"][index] == i + 1]
            color = factors["color"][index, i]
            if len(pixels) > 30 and np.sort(color)[1] < 0.8:
                assert pixels.mean(0).argmax() == color.argmax()
                count += 1
    assert count > 15


def test_looks_like_the_published_pictures(block):
    """Sky, walls and floor are as bright as in 24 published pictures."""
    image = block["image"].astype(float)
    sky = image[:, :12][block["masks"][:, :12] == 0]
    np.testing.assert_allclose(np.median(sky, axis=0), [169, 225, 247], atol=1)
    luminance = image.mean((0, 2, 3))
    np.testing.assert_allclose(luminance[24:37:6], [125, 130, 131], atol=35)
    np.testing.assert_allclose(luminance[42::6], [132, 147, 150, 148], atol=35)


def test_blocks_are_reproducible(builder, block):
    again = builder.block("train", 1)
    np.testing.assert_array_equal(again["image"], block["image"][20:])
    np.testing.assert_array_equal(again["masks"], block["masks"][20:])
    synthetic_checks.check_splits_differ(builder)


def test_small_images_take_every_second_pixel(block, tmp_path):
    config = base.SceneConfig(name="small", variant="default", image_size=32)
    small = builder_lib.Builder(config=config, data_dir=str(tmp_path)).block("train", 0)
    np.testing.assert_array_equal(small["image"], block["image"][:20, ::2, ::2])
    np.testing.assert_array_equal(small["masks"], block["masks"][:20, ::2, ::2])


def test_has_the_published_factors(builder, tmp_path):
    synthetic_checks.check_published_factors(builder, published_lib.Builder, tmp_path)


def test_record(new_config, tmp_path, block):
    config = new_config(tmp_path, name="gqn_synthetic", variant="default", num_examples=(3, 2, 2))
    synthetic_checks.check_prepared(config, block, "eslami2018neural")
