"""Synthetic APC: what is drawn, where it appears, and the TFDS builder."""

import numpy as np
import pytest
import synthetic_checks

from ocgm.datasets.apc import apc_dataset_builder as published_lib
from ocgm.datasets.apc_synthetic import apc_synthetic_dataset_builder as builder_lib
from ocgm.datasets.apc_synthetic import scenes as scenes_lib
from ocgm.datasets.apc_synthetic.objects import PRODUCTS
from ocgm.datasets.builders import generated
from ocgm.datasets.rendering import axis_rotation, project, yaw

pytestmark = pytest.mark.compiles

SIDE = 64
FRAMES = 15


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    return synthetic_checks.new_builder(builder_lib, tmp_path_factory.mktemp("none"), SIDE)


@pytest.fixture(scope="module")
def block(builder):
    """The first four scenes of the training split, one of them empty: 60 records."""
    return builder.block("train", 0)


@pytest.fixture(scope="module")
def scenes():
    return scenes_lib.draw_scenes(generated.block_generator(0, 0), 4800)


def test_pinned_draw(builder):
    """The dataset must not change with a version of NumPy."""
    drawn = scenes_lib.draw_scenes(builder.rng("train", 0), 4)
    np.testing.assert_array_equal(drawn.environment, [1, 0, 0, 0])
    np.testing.assert_array_equal(drawn.product, [19, 21, 14, 17])
    np.testing.assert_array_equal(drawn.pose, [2, 0, 2, 0])
    np.testing.assert_allclose(drawn.position.sum(0), [0.79217, -0.14071, 0.0195], atol=1e-5)
    np.testing.assert_allclose(drawn.yaw.sum(), 564.6, atol=1e-2)


def test_splits_differ(builder):
    synthetic_checks.check_splits_differ(builder)


def test_environments_and_products_are_uniform(scenes, assert_uniform):
    assert_uniform(scenes.environment, [0, 1])
    assert_uniform(scenes.product, list(range(24)))
    pairs = scenes.environment * 24 + scenes.product
    assert_uniform(pairs, list(range(48)))
    assert abs(scenes.empty.mean() - 0.05) < 4 * np.sqrt(0.05 * 0.95 / len(scenes.empty))


def test_poses(scenes, assert_uniform):
    for number, product in enumerate(PRODUCTS):
        assert_uniform(scenes.pose[scenes.product == number], list(product.poses))


def test_objects_are_in_the_bin_or_tote(scenes):
    """All corners of the bounding box are inside and the lowest ones are on the floor."""
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / 2
    turns = (np.eye(3), axis_rotation(1, 90), axis_rotation(0, 90))
    for i in range(600):
        rotation = yaw(float(scenes.yaw[i])) @ turns[scenes.pose[i]]
        box = signs * PRODUCTS[scenes.product[i]].size
        corners = scenes.position[i].astype(float) + box @ rotation.T
        shelf = scenes.environment[i] == 0
        np.testing.assert_allclose(corners[:, 2].min(), -0.04 if shelf else 0.0, atol=1e-5)
        assert corners[:, 2].max() < 0.235
        low, high = ((0, 0.44) if shelf else (-0.17, 0.17)), scenes.bin_width[i] / 2
        assert corners[:, 0].min() > low[0] and corners[:, 0].max() < low[1]
        assert np.abs(corners[:, 1]).max() < (high if shelf else 0.23)


def test_products_fill_their_bounding_boxes():
    """Every part lies in the box, and some part touches each of its six sides."""
    for product in PRODUCTS:
        low, high = np.full(3, np.inf), np.full(3, -np.inf)
        for part in product.parts:
            for piece in part.shape:
                rotation = part.rotation @ piece.rotation
                centre = part.position + part.rotation @ piece.position
                # Bounds of round pieces have a margin of one part in a hundred.
                half = np.abs(rotation) @ ((piece.upper - piece.lower) / 2)
                middle = centre + rotation @ ((piece.upper + piece.lower) / 2)
                low, high = np.minimum(low, middle - half), np.maximum(high, middle + half)
        half_size = np.array(product.size) / 2
        np.testing.assert_allclose(high, half_size, rtol=0.06, err_msg=product.name)
        np.testing.assert_allclose(-low, half_size, rtol=0.06, err_msg=product.name)


def test_camera_poses_are_the_published_ones():
    """Positions in the frame of the bin, in metres, from the published scene's camera file."""
    published = {
        0: (-0.304, -0.152, 0.119),
        2: (-0.337, 0.000, 0.118),
        4: (-0.303, 0.151, 0.118),
        5: (-0.298, 0.148, 0.180),
        9: (-0.299, -0.148, 0.182),
        10: (-0.284, -0.142, 0.241),
        14: (-0.285, 0.142, 0.242),
    }
    for frame, position in published.items():
        camera = scenes_lib.camera(0, frame, 128)
        np.testing.assert_allclose(camera.position, position, atol=0.005)
    np.testing.assert_allclose(
        scenes_lib.camera(0, 0, 128).rotation[2], [0.907, 0.422, 0], atol=4e-3
    )
    # The optical centre, column 298.4 of 640 and row 247.5 of 480, in the central square.
    np.testing.assert_allclose(
        camera.principal_point, [(298.4 - 80) / 3.75, 247.5 / 3.75], rtol=1e-5
    )


def test_masks_are_where_the_object_is(builder, block):
    factors, masks = block["factors"], block["masks"]
    empty = block["num_objects"] == 0
    assert masks.max() == 1 and not masks[empty].any()
    inside = hit = 0
    for i in np.flatnonzero(~empty):
        camera = scenes_lib.camera(factors["environment"][i], factors["frame"][i], SIDE)
        column, row, depth = project(camera, factors["position"][i, 0])
        reach = 0.5 * np.linalg.norm(factors["size"][i, 0]) * camera.focal_length / depth
        rows, columns = np.nonzero(masks[i])
        # A ball around the object holds its mask, but for what perspective adds.
        assert (np.hypot(columns - column, rows - row) < 1.3 * reach + 2).all()
        if 1 <= column < SIDE - 1 and 1 <= row < SIDE - 1:
            inside += 1
            hit += masks[i, int(row), int(column)]
    assert inside > 30
    # Something else is in front at times: the shelf's lip and the foam.
    assert hit / inside > 0.8


def test_frames_of_a_scene_are_neighbours(block):
    factors = block["factors"]
    np.testing.assert_array_equal(factors["scene"], np.repeat(np.arange(4), FRAMES))
    np.testing.assert_array_equal(factors["frame"], np.tile(np.arange(FRAMES), 4))
    for name in ("environment", "object", "position", "yaw", "pose", "size"):
        values = factors[name].reshape(4, FRAMES, -1)
        assert (values == values[:, :1]).all()
    for scene in block["image"].reshape(4, FRAMES, -1):
        assert len({image.tobytes() for image in scene}) == FRAMES


def test_looks(block):
    """Totes are red; on a shelf the foam is dark and the lip below is bright, as published."""
    image, environment = block["image"].astype(float), block["factors"]["environment"]
    background = np.where(block["masks"][..., None] == 0, image, np.nan)
    red, green, _ = np.moveaxis(np.nanmean(background, axis=(1, 2)), -1, 0)
    assert (red[environment == 1] > 2 * green[environment == 1]).all()
    assert (red[environment == 0] < 1.5 * green[environment == 0]).all()
    shelf = image[environment == 0]
    np.testing.assert_allclose(shelf[:, :18, :4].mean((0, 1, 2)), [66, 60, 72], atol=15)
    # Means of the three published frames, cut and scaled: 98 to 114, 86 to 101, 85 to 97.
    np.testing.assert_allclose(shelf.mean((0, 1, 2)), [106, 92, 91], atol=25)


def test_record(new_config, tmp_path, block):
    config = new_config(
        tmp_path, name="apc_synthetic", variant="", image_size=SIDE, num_examples=(3, 2, 2)
    )
    prepared = synthetic_checks.check_prepared(config, block, "zeng2017multiview")
    assert list(prepared.info.metadata["environments"]) == ["shelf", "tote"]
    names = list(prepared.info.metadata["objects"])
    assert names == sorted(names) and len(names) == 24


def test_has_the_published_factors(builder, tmp_path):
    synthetic_checks.check_published_factors(builder, published_lib.Builder, tmp_path)
