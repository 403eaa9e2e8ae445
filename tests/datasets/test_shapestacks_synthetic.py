"""Synthetic ShapeStacks: towers and their stability, cameras, and the TFDS builder."""

import dataclasses

import jax
import numpy as np
import pytest
import synthetic_checks

from ocgm.datasets.builders import generated
from ocgm.datasets.rendering import project
from ocgm.datasets.shapestacks import shapestacks_dataset_builder as published_lib
from ocgm.datasets.shapestacks_synthetic import scenes as scenes_lib
from ocgm.datasets.shapestacks_synthetic import shapestacks_synthetic_dataset_builder as builder_lib
from ocgm.datasets.shapestacks_synthetic import towers as towers_lib

pytestmark = pytest.mark.compiles

SIDE = 64
COUNT = 8192


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    return synthetic_checks.new_builder(builder_lib, tmp_path_factory.mktemp("none"), SIDE)


@pytest.fixture(scope="module")
def block(builder):
    """The first four towers of the training split, in two blocks."""
    return jax.tree.map(lambda *a: np.concatenate(a), *(builder.block("train", i) for i in (0, 1)))


@pytest.fixture(scope="module")
def towers():
    """Towers of all shapes."""
    return towers_lib.draw_towers(generated.block_generator(0, 0), np.zeros(COUNT, bool))


@pytest.fixture(scope="module")
def towers_of_blocks():
    return towers_lib.draw_towers(generated.block_generator(0, 1), np.ones(COUNT, bool))


def assert_share(values: np.ndarray, expected: float) -> None:
    deviation = np.sqrt(expected * (1 - expected) / len(values))
    assert abs(values.mean() - expected) < 4 * deviation


def test_pinned_draw():
    """The dataset must not change with a version of NumPy."""
    drawn = towers_lib.draw_towers(generated.block_generator(0, 0), np.zeros(8, bool))
    np.testing.assert_array_equal(drawn.height, [5, 3, 2, 2, 6, 6, 5, 5])
    np.testing.assert_array_equal(drawn.com_violation, [0, 0, 0, 0, 0, 0, 0, 2])
    np.testing.assert_array_equal(drawn.surface_violation, [0, 0, 0, 1, 0, 4, 0, 0])
    np.testing.assert_array_equal(drawn.shape.sum(0), [16, 16, 11, 10, 16, 5])
    np.testing.assert_array_equal(drawn.yaw.sum(0), [143, 262, 472, 92, 0, 357])
    np.testing.assert_array_equal(drawn.color.sum((0, 2)), [2295, 3060, 2550, 2040, 2040, 765])
    np.testing.assert_allclose(drawn.size.sum((0, 1)), [25.5596, 26.2599, 26.3875], atol=1e-3)
    np.testing.assert_allclose(drawn.position.sum((0, 1)), [-6.4497, 22.6558, 64.2399], atol=1e-3)
    around = scenes_lib.draw_surroundings(generated.block_generator(0, 0), 6)
    np.testing.assert_array_equal(around.wall, [3, 1, 0, 0, 4, 5])
    np.testing.assert_array_equal(around.floor, [3, 4, 3, 5, 4, 0])
    np.testing.assert_array_equal(around.light, [4, 0, 3, 0, 4, 2])


def test_violations_are_as_built(towers, towers_of_blocks):
    """What is found wrong is what was built in, and nothing else, at every level."""
    number = np.arange(1, 1 + towers_lib.MAX_OBJECTS)
    for built in (towers, towers_of_blocks):
        com, surface = towers_lib.violations(built)
        np.testing.assert_array_equal(com, built.com_violation[:, None] == number)
        np.testing.assert_array_equal(surface, built.surface_violation[:, None] == number)


def make_towers(shape, size, yaw, position) -> towers_lib.Towers:
    """One tower of two blocks."""

    def padded(values, dtype):
        values = np.asarray(values, dtype)
        rows = [(0, towers_lib.MAX_OBJECTS - 2)] + [(0, 0)] * (values.ndim - 1)
        return np.pad(values, rows)[None]

    nothing = np.zeros(1, np.int32)
    return towers_lib.Towers(
        height=nothing + 2,
        com_violation=nothing,
        surface_violation=nothing,
        shape=padded(shape, np.int32),
        size=padded(size, np.float32),
        yaw=padded(yaw, np.int32),
        position=padded(position, np.float32),
        color=np.zeros((1, towers_lib.MAX_OBJECTS, 3), np.uint8),
        unique_colors=nothing,
    )


@pytest.mark.parametrize(
    ("shape", "yaw", "beside", "tips", "is_round"),
    [
        (towers_lib.CUBOID, 0, (0.49, 0.24), False, False),
        (towers_lib.CUBOID, 0, (0.51, 0.0), True, False),
        (towers_lib.CUBOID, 0, (0.0, 0.26), True, False),
        # Turned by a quarter, the long side is along y.
        (towers_lib.CUBOID, 90, (0.0, 0.49), False, False),
        (towers_lib.CUBOID, 90, (0.26, 0.0), True, False),
        (towers_lib.STANDING_CYLINDER, 0, (0.35, 0.35), False, False),
        (towers_lib.STANDING_CYLINDER, 0, (0.36, 0.36), True, False),
        (towers_lib.LYING_CYLINDER, 0, (0.0, 0.2), False, True),
        (towers_lib.LYING_CYLINDER, 0, (0.1, 0.0), True, True),
        (towers_lib.SPHERE, 0, (0.0, 0.0), False, True),
        (towers_lib.SPHERE, 0, (0.1, 0.0), True, True),
    ],
)
def test_violations_of_two_blocks(shape, yaw, beside, tips, is_round):
    size = (1, 0.5, 1) if shape in (towers_lib.CUBOID, towers_lib.LYING_CYLINDER) else (1, 1, 1)
    tower = make_towers(
        [shape, towers_lib.CUBOID],
        [size, (0.6, 0.6, 0.6)],
        [yaw, 30],
        [(1, 2, 0.5), (1 + beside[0], 2 + beside[1], 1.3)],
    )
    com, surface = towers_lib.violations(tower)
    assert com[0].tolist() == [tips] + 5 * [False]
    assert surface[0].tolist() == [is_round] + 5 * [False]


def test_centre_of_mass_is_weighted():
    """A light block far out on a heavy one: their common centre decides."""
    names = ("shape", "size", "yaw", "position")
    two = make_towers(
        [towers_lib.CUBOID, towers_lib.CUBOID],
        [(0.6, 0.6, 1), (1, 1, 1)],
        [0, 0],
        [(0, 0, 0.5), (0.2, 0, 1.5)],
    )
    arrays = {name: getattr(two, name).copy() for name in names}
    arrays["shape"][0, 2] = towers_lib.SPHERE
    arrays["size"][0, 2] = 1
    # The ball has pi / 6 of the block's mass.
    for x, tips in ((0.48, False), (0.5, True)):
        arrays["position"][0, 2] = (x, 0, 2.5)
        tower = dataclasses.replace(two, **arrays)
        com, _ = towers_lib.violations(tower)
        expected = (0.2 + np.pi / 6 * x) / (1 + np.pi / 6) > 0.3
        assert com[0, 0] == expected == tips


def test_shares(towers, towers_of_blocks, assert_uniform):
    for built in (towers, towers_of_blocks):
        assert_uniform(built.height, list(range(2, 7)))
        stable = (built.com_violation == 0) & (built.surface_violation == 0)
        assert_share(stable, 0.5)
        # Any block that bears another one.
        for height in range(2, 7):
            violator = (built.com_violation + built.surface_violation)[built.height == height]
            assert_uniform(violator[violator > 0], list(range(1, height)))
    assert_share(towers.surface_violation > 0, 0.25)
    assert not ((towers.surface_violation > 0) & (towers.com_violation > 0)).any()
    assert not towers_of_blocks.surface_violation.any()


def test_shapes(towers, towers_of_blocks, assert_uniform):
    assert set(np.unique(towers_of_blocks.shape)) == {0, towers_lib.CUBOID}
    number = np.arange(1, 7)
    top = number == towers.height[:, None]
    violator = number == towers.surface_violation[:, None]
    assert_uniform(towers.shape[top], [1, 2, 3, 4])
    assert_uniform(towers.shape[violator], [towers_lib.LYING_CYLINDER, towers_lib.SPHERE])
    others = (number < towers.height[:, None]) & ~violator
    assert_uniform(towers.shape[others], [towers_lib.CUBOID, towers_lib.STANDING_CYLINDER])
    assert not towers.shape[number > towers.height[:, None]].any()


def test_sizes_and_places(towers):
    there = towers.shape > 0
    size = towers.size[there]
    assert 0.5 <= size.min() < 0.51 and 0.99 < size.max() <= 1
    assert abs(size.mean() - 0.75) < 4 * np.sqrt(1 / 48 / (len(size)))
    across = np.isin(towers.shape, (towers_lib.STANDING_CYLINDER, towers_lib.SPHERE))
    np.testing.assert_array_equal(towers.size[across, 0], towers.size[across, 1])
    lying = towers.shape == towers_lib.LYING_CYLINDER
    np.testing.assert_array_equal(towers.size[lying, 0], towers.size[lying, 2])
    # Every block stands on the one below.
    bottom = np.where(there, towers.position[..., 2] - towers.size[..., 2] / 2, 0)
    np.testing.assert_allclose(bottom[:, 0], 0, atol=1e-6)
    top = towers.position[..., 2] + towers.size[..., 2] / 2
    np.testing.assert_allclose(bottom[:, 1:][there[:, 1:]], top[:, :-1][there[:, 1:]], atol=1e-5)
    # The top block is shifted by up to 2.
    last = towers.position[np.arange(COUNT), towers.height - 1, :2]
    assert abs(last).max() <= 2 and abs(last).max() > 1.99
    np.testing.assert_allclose(last.mean(0), 0, atol=4 * np.sqrt(4 / 3 / COUNT))


def test_colors(towers, assert_uniform):
    there = towers.shape > 0
    assert_uniform(towers.unique_colors, [0, 1])
    assert_uniform(towers.color[:, 0], towers_lib.COLORS.tolist())
    unique = towers.unique_colors == 1
    code = (towers.color / 255) @ [1, 2, 4]
    for index in np.flatnonzero(unique):
        colors = code[index, there[index]]
        assert len(set(colors)) == len(colors)
    full = ~unique & (towers.height == 6)
    different = [len(set(row)) == 6 for row in code[full]]
    assert np.mean(different) < 0.05  # 6! / 6^6 = 0.015.


def test_surroundings(assert_uniform):
    drawn = scenes_lib.draw_surroundings(generated.block_generator(0, 0), COUNT)
    for values, count in ((drawn.wall, 6), (drawn.floor, 6), (drawn.light, 5)):
        assert_uniform(values, list(range(count)))


@pytest.mark.parametrize(
    ("number", "ball", "foot"),
    [(1, (68, 85, 66), (69, 86, 151)), (2, (69, 88, 71), (70, 89, 166))],
)
def test_cameras_are_the_published_ones(number, ball, foot):
    """A published tower's ball and lowest block are where the published pictures show them.

    `ball` is its left, right and upper edge and `foot` the block's left, right and lower edge in
    the middle, in pixels of the square of 196.
    """
    camera = scenes_lib.camera(number, 196)
    center = np.array([-0.09111, 1.14601, 3.09584])
    (column, row, depth), (foot_column, _, _) = project(
        camera, np.array([center, (-0.16811, 1.11852, 0.38742)])
    )
    radius = 0.34077 * camera.focal_length / depth
    edges = column - radius, column + radius, row - radius
    np.testing.assert_allclose(edges, ball, atol=1.5)
    np.testing.assert_allclose(foot_column, (foot[0] + foot[1]) / 2, atol=1.5)
    toward = camera.position[:2] - (-0.16811, 1.11852)
    front = np.array([-0.16811, 1.11852]) + 0.36033 * toward / np.linalg.norm(toward)
    np.testing.assert_allclose(project(camera, np.array([*front, 0]))[1], foot[2], atol=1.5)


def test_block(builder, block):
    image, masks, factors = block["image"], block["masks"], block["factors"]
    assert image.shape == (64, SIDE, SIDE, 3) and masks.shape == (64, SIDE, SIDE)
    assert image.dtype == masks.dtype == np.uint8
    np.testing.assert_array_equal(block["num_objects"], factors["height"])
    np.testing.assert_array_equal(factors["scene"], np.repeat(np.arange(4), 16))
    np.testing.assert_array_equal(factors["viewpoint"], np.tile(np.arange(1, 17), 4))
    broken = factors["com_violation"] + factors["surface_violation"]
    np.testing.assert_array_equal(factors["stable"], broken == 0)
    for name in ("height", "position", "stable", "color"):
        towers = factors[name].reshape(4, 16, -1)
        assert (towers == towers[:, :1]).all()
    assert (masks.max((1, 2)) <= block["num_objects"]).all()


def test_towers_of_cuboids(block, tmp_path):
    cuboids = builder_lib.Builder(config="blocks_all", data_dir=str(tmp_path)).block("train", 0)
    assert cuboids["factors"]["shape"].max() == towers_lib.CUBOID
    assert not cuboids["factors"]["surface_violation"].any()
    assert block["factors"]["shape"].max() > towers_lib.CUBOID


def test_has_the_published_factors(builder, tmp_path):
    synthetic_checks.check_published_factors(builder, published_lib.Builder, tmp_path)
    assert set(builder_lib.Builder.VARIANTS) == set(published_lib.Builder.VARIANTS)


def test_masks_are_where_the_factors_say(block):
    """Blocks that are not hidden show their colour at their projected centres, or close to it."""
    factors, found, expected = block["factors"], 0, 0
    for index in range(64):
        camera = scenes_lib.camera(factors["viewpoint"][index], SIDE)
        for i in range(factors["height"][index]):
            column, row, _ = project(camera, factors["position"][index, i])
            mask = block["masks"][index] == i + 1
            if not (2 < column < SIDE - 2 and 2 < row < SIDE - 2):
                continue
            expected += 1
            rows, columns = np.nonzero(mask)
            if len(rows) and np.hypot(rows - row + 0.5, columns - column + 0.5).min() < 1:
                found += 1
            pixels = block["image"][index][mask]
            dark = factors["color"][index, i] == 0
            if len(pixels) > 30:
                # Blocks have no other colour, but for a highlight and for mixed pixels at edges.
                assert np.median(pixels[:, dark]) < 50 < pixels[:, ~dark].max()
    assert expected > 150 and found > 0.9 * expected


def test_blocks_are_reproducible(builder, block):
    again = builder.block("train", 1)
    np.testing.assert_array_equal(again["image"], block["image"][32:])
    np.testing.assert_array_equal(again["masks"], block["masks"][32:])
    synthetic_checks.check_splits_differ(builder)


def test_record(new_config, tmp_path, block):
    config = new_config(
        tmp_path, name="shapestacks_synthetic", variant="default", num_examples=(3, 2, 2)
    )
    synthetic_checks.check_prepared(config, block, "groth2018shapestacks")
