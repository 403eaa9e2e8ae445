"""Synthetic Sketchy: what is drawn, where it appears, and the TFDS builder."""

import numpy as np
import pytest
import synthetic_checks

from ocgm.datasets.builders import generated
from ocgm.datasets.rendering import cull, project, render, stack_scenes
from ocgm.datasets.sketchy import sketchy_dataset_builder as published_lib
from ocgm.datasets.sketchy_synthetic import scenes as scenes_lib
from ocgm.datasets.sketchy_synthetic import sketchy_synthetic_dataset_builder as builder_lib
from ocgm.datasets.sketchy_synthetic import workplace

pytestmark = pytest.mark.compiles

SIDE = 64
VIEWS = 14
STEPS = 4


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    return synthetic_checks.new_builder(builder_lib, tmp_path_factory.mktemp("none"), SIDE)


@pytest.fixture(scope="module")
def block(builder):
    """The first episode of the training split: 56 records."""
    return builder.block("train", 0)


@pytest.fixture(scope="module")
def episodes():
    return [scenes_lib.draw_episode(generated.block_generator(0, i)) for i in range(600)]


def test_pinned_draw(builder):
    """The dataset must not change with a version of NumPy."""
    episode = scenes_lib.draw_episode(builder.rng("train", 0))
    np.testing.assert_allclose(episode.gripper[0], [-0.15029, 0.06825, 0.19002], atol=1e-5)
    np.testing.assert_allclose(episode.position[3].sum(0), [0.09325, -0.26136, -0.03197], atol=1e-5)
    assert episode.task == 1


def test_splits_differ(builder):
    synthetic_checks.check_splits_differ(builder)


def test_tasks_and_shapes_are_uniform(episodes, assert_uniform):
    assert_uniform(np.array([e.task for e in episodes]), [0, 1])
    shape = np.stack([e.shape for e in episodes])
    assert_uniform(shape[:, scenes_lib.BLUE], [0, 1, 2])
    assert not shape[:, [scenes_lib.RED, scenes_lib.GREEN]].any()


def test_sizes(episodes):
    """Uniform between the documented bounds; balls and cylinders are round."""
    size = np.stack([e.size for e in episodes]).astype(float)
    shape = np.stack([e.shape for e in episodes])
    low = np.array([[0.060, 0.060, 0.060], [0.040, 0.050, 0.035], [0.065, 0.065, 0.065]])
    high = np.array([[0.080, 0.080, 0.080], [0.055, 0.065, 0.050], [0.085, 0.085, 0.085]])
    part = (size - low) / (high - low)
    assert part.min() > -1e-5 and part.max() < 1 + 1e-5
    np.testing.assert_allclose(part.mean(0), 0.5, atol=4 * np.sqrt(1 / 12 / len(size)))
    blue, kind = size[:, scenes_lib.BLUE], shape[:, scenes_lib.BLUE]
    assert (blue[kind > 0, 0] == blue[kind > 0, 1]).all()
    assert (blue[kind == 1, 0] == blue[kind == 1, 2]).all()
    assert (blue[kind == 0, 0] != blue[kind == 0, 1]).all()


def test_objects_lie_apart_on_the_basket_s_floor(episodes):
    size = np.stack([e.size for e in episodes]).astype(float)
    start = np.stack([e.position[0] for e in episodes]).astype(float)
    np.testing.assert_allclose(start[..., 2], size[..., 2] / 2 - workplace.DEPTH, atol=1e-6)
    assert np.abs(start[..., :2]).max() < workplace.FLOOR / 2 - size[..., :2].max() / 2
    radius = np.hypot(size[..., 0], size[..., 1]) / 2
    for i, j in ((0, 1), (0, 2), (1, 2)):
        gap = (
            np.linalg.norm(start[:, i, :2] - start[:, j, :2], axis=1) - radius[:, i] - radius[:, j]
        )
        assert gap.min() > 0.03 - 1e-5
    # Nearly uniform over the basket: the middle is a little rarer, nothing leans to one side.
    mean = start[..., :2].mean(0)
    np.testing.assert_allclose(mean, 0, atol=4 * 0.18 / np.sqrt(3 * len(start)))


def test_story(episodes):
    """Only the green object moves, with the gripper, and ends in the air or on the red one."""
    for e in episodes[:100]:
        others = [scenes_lib.RED, scenes_lib.BLUE]
        assert (e.position[:, others] == e.position[0, others]).all()
        green, red = e.position[:, scenes_lib.GREEN], e.position[3, scenes_lib.RED]
        assert (green[:3] == green[0]).all()
        np.testing.assert_allclose(e.gripper[1, :2], green[1, :2], atol=1e-6)
        np.testing.assert_array_equal(e.gripper[2:], green[2:])
        assert 0.08 <= e.gripper[1, 2] - green[1, 2] <= 0.18
        if e.task == 0:
            assert green[3, 2] - green[0, 2] >= 0.1
            assert e.gripper_opening[3] == e.size[scenes_lib.GREEN, 0]
        else:
            stacked = (e.size[scenes_lib.RED, 2] + e.size[scenes_lib.GREEN, 2]) / 2
            np.testing.assert_allclose(green[3], red + np.array([0, 0, stacked]), atol=1e-6)
            assert e.gripper_opening[3] > e.size[scenes_lib.GREEN, 0]


def test_order_of_the_views(block):
    factors = block["factors"]
    assert (factors["episode"] == 0).all()
    views = [(s, c, k) for s in range(STEPS) for c in range(2) for k in range(7)]
    found = np.stack([factors[name] for name in ("step", "camera", "crop")], -1)
    np.testing.assert_array_equal(found, views)


def test_masks_are_where_the_objects_are(builder, block):
    """The centre of an object is in its mask unless something may be in front of it."""
    factors, masks = block["factors"], block["masks"]
    assert masks.max() <= 3 and (block["num_objects"] == 3).all()
    inside = hit = 0
    for i in range(builder.BLOCK):
        camera = workplace.camera(int(factors["camera"][i]), int(factors["crop"][i]), SIDE)
        for label in (1, 2, 3):
            column, row, depth = project(camera, factors["position"][i, label - 1])
            assert depth > 0
            if 1 <= column < SIDE - 1 and 1 <= row < SIDE - 1:
                inside += 1
                hit += masks[i, int(row), int(column)] == label
            # An object is some 8 cm wide at most: far outside of the picture is out of sight.
            far = 0.075 * camera.focal_length / depth
            if not (-far < column < SIDE + far and -far < row < SIDE + far):
                assert not (masks[i] == label).any()
    assert inside > 60
    assert hit / inside > 0.6


def test_first_crop_shows_all_objects(block):
    """At the start, the central crops show most of all three objects."""
    first = block["masks"][[0, 7]]
    area = np.stack([(first == label).sum((1, 2)) for label in (1, 2, 3)])
    assert (area > 0).mean() > 0.8
    assert area.max() < 0.1 * SIDE**2


def test_colors(block):
    """Objects have their colours, and the table is a greenish grey as in the published frames."""
    image, masks = block["image"].astype(float), block["masks"]
    for label, channel in ((1, 0), (2, 1), (3, 2)):
        assert image[masks == label].mean(0).argmax() == channel
    # Lower left corner of the lower left crops: table in both cameras.
    corner = image[np.isin(np.arange(len(image)) % 7, [4]), -8:, :8].reshape(-1, 3).mean(0)
    np.testing.assert_allclose(corner, [108, 118, 93], atol=15)


def test_crop_is_a_part_of_the_whole(builder, block):
    """The central crop, shrunk, agrees with the other crops where they overlap."""
    image = block["image"].astype(float)
    for view in (0, 7):
        centre, part = image[view], image[view + 2]  # Rows 0 to 351, columns 160 to 511.
        # The crop is 352 of 448 pixels large and begins 48 pixels from the centre crop's left.
        index = np.arange(8, 56)
        column = ((index + 0.5) * 352 / SIDE + 48) * SIDE / 448
        row = (index + 0.5) * 352 / SIDE * SIDE / 448
        looked_up = centre[row.astype(int)][:, column.astype(int)]
        difference = np.abs(looked_up - part[8:56, 8:56]).mean()
        shifted = np.abs(np.roll(looked_up, 5, axis=1) - part[8:56, 8:56]).mean()
        assert difference < 8 and difference < shifted


def test_culling_changes_nothing(builder, block):
    """Pieces out of sight are left out; the picture is the same."""
    episode = scenes_lib.draw_episode(builder.rng("train", 0))
    whole = [
        scenes_lib.scene(episode, int(i) // VIEWS, workplace.camera(i // 7 % 2, i % 7, SIDE))
        for i in range(builder.BLOCK)
    ]
    fewer = [int(cull(scene, SIDE, SIDE).pieces.num_pieces) for scene in whole]
    assert np.mean(fewer) < 0.8 * int(whole[0].pieces.num_pieces)
    rendered = render(stack_scenes(whole), SIDE, SIDE)
    np.testing.assert_array_equal(rendered.labels, block["masks"])
    np.testing.assert_array_equal(rendered.image, block["image"])


def test_record(new_config, tmp_path, block):
    config = new_config(
        tmp_path,
        name="sketchy_synthetic",
        variant="",
        image_size=SIDE,
        num_examples=(3, 2, 2),
    )
    synthetic_checks.check_prepared(config, block, "cabi2020scaling")


def test_has_the_published_factors(builder, tmp_path):
    synthetic_checks.check_published_factors(builder, published_lib.Builder, tmp_path)
    assert builder_lib.Builder.BLOCK == STEPS * VIEWS
