"""Synthetic CLEVR: published scenes, the draw, the crops, and the TFDS builder."""

import numpy as np
import pytest

from ocgm.data import get_spec, prepare
from ocgm.datasets import rendering
from ocgm.datasets.builders import base, generated
from ocgm.datasets.clevr_with_masks_synthetic import (
    clevr_with_masks_synthetic_dataset_builder as lib,
)
from ocgm.datasets.clevr_with_masks_synthetic import draw as draw_lib
from ocgm.datasets.clevr_with_masks_synthetic import images as images_lib
from ocgm.datasets.clevr_with_masks_synthetic import scenes as scenes_lib

pytestmark = pytest.mark.compiles

NAME = "clevr_with_masks_synthetic"
CROP = (29, 64, 192)
PINNED = (
    [8, 5, 3, 3, 9, 10, 7, 8],
    [3, 2, 2, 3, 3, 1, 3, 2, 0, 0],
    [7, 6, 4, 7, 3, 7, 2, 7, 0, 0],
    [1.2967, 1.5677, 0.35],
    [7.1057, -6.7193, 5.4298],
)


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lib.Builder, "BLOCK", 8)
        yield


@pytest.fixture(scope="module")
def scenes():
    """128 scenes."""
    return draw_lib.draw_scenes(generated.block_generator(0, 0), (3, 10), 128)


@pytest.fixture(scope="module")
def block(tmp_path_factory):
    """The first block of a split, at 64x64."""
    folder = str(tmp_path_factory.mktemp("clevr"))
    return make_builder(folder, protocol="slot_attention").block("train", 0)


def make_builder(folder: str, **changes) -> lib.Builder:
    config = base.SceneConfig(name="small", variant="all", image_size=64, **changes)
    return lib.Builder(config=config, data_dir=folder)


@pytest.fixture(scope="module")
def published(fixtures):
    """Two published scenes: their record, and the same as ours, with fitted cameras."""
    with np.load(fixtures / "clevr_with_masks_train_first2.npz") as file:
        data = dict(file)
    number = data["visibility"].sum(1).astype(np.int32) - 1
    position = np.stack([data[f][:, 1:] for f in "xyz"], axis=-1)
    codes = {f: data[f][:, 1:].astype(np.int32) for f in ("size", "material", "shape", "color")}
    camera = [
        fit_camera(position[i, :n], data["pixel_coords"][i, 1 : n + 1])
        for i, n in enumerate(number)
    ]
    scenes = scenes_lib.Scenes(
        num_objects=number,
        **codes,
        rotation=data["rotation"][:, 1:],
        position=position,
        camera=np.array(camera, np.float32),
        lights=np.tile(scenes_lib.LIGHT_POSITIONS, (2, 1, 1)),
    )
    return data, scenes


def fit_camera(points: np.ndarray, coords: np.ndarray) -> np.ndarray:
    """Position of the camera, which the files lack, by Gauss and Newton."""

    def image(position):
        length = 35 / 32 * 320
        return rendering.project(
            rendering.look_at(position, (0, 0, 0), length, 240, 320), points
        ).ravel()

    position = np.array([7.48113, -6.50764, 5.34367])
    for _ in range(5):
        steps = np.eye(3) * 1e-3
        slopes = np.stack([(image(position + s) - image(position - s)) / 2e-3 for s in steps], -1)
        position = position + np.linalg.lstsq(slopes, coords.ravel() - image(position))[0]
    return position


# ---- published scenes


def test_published_camera(published):
    """Of the camera only the position is free; objects appear within a pixel of where they do."""
    data, scenes = published
    jitter = scenes.camera - scenes_lib.CAMERA_POSITION
    assert (np.abs(jitter) <= 0.5).all()
    coords = images_lib.pixel_coords(scenes)
    error = np.abs(coords - data["pixel_coords"][:, 1:])
    assert error[..., :2].max() <= 1
    assert error[..., 2].max() < 0.1
    assert (error[..., :2] == 0).mean() > 0.7


def test_published_masks(published):
    """Sizes, shapes and rotations of objects are as published: so are their outlines."""
    data, scenes = published
    cameras = [rendering.look_at(p, (0, 0, 0), 350, 240, 320) for p in scenes.camera]
    padded = scenes[np.arange(8) % 2]
    labels = images_lib._render_labels(padded, cameras * 4, 240, 320)[:2]
    real = data["mask"][..., 0].argmax(1)
    assert (labels == real).mean() > 0.996
    for i, number in enumerate(scenes.num_objects):
        for k in range(1, number + 1):
            both, either = (f(labels[i] == k, real[i] == k).sum() for f in (np.minimum, np.maximum))
            assert both / either > 0.94


def test_published_scenes_could_have_been_drawn(published):
    _, scenes = published
    assert images_lib.objects_visible(scenes[np.arange(8) % 2]).all()
    check_places(scenes)
    present = scenes.shape > 0
    np.testing.assert_allclose(
        scenes.position[..., 2][present], scenes_lib.RADIUS[scenes.size][present], atol=1e-6
    )


# ---- the draw


def check_places(scenes):
    """Objects are apart, and so they are along and across the camera's base position."""
    radius = scenes_lib.RADIUS[scenes.size]
    x, y = 7.48113, -6.50764
    directions = np.array([[x, y], [-y, x]]) / np.hypot(x, y)
    for i, number in enumerate(scenes.num_objects):
        for a in range(number):
            for b in range(a):
                offset = scenes.position[i, a, :2] - scenes.position[i, b, :2]
                assert np.linalg.norm(offset) - radius[i, a] - radius[i, b] > 0.25 - 1e-5
                assert np.abs(directions @ offset).min() > 0.4 - 1e-5


def test_places(scenes):
    check_places(scenes)
    present = scenes.shape > 0
    places = scenes.position[present][:, :2]
    assert (np.abs(places) <= 3).all()
    assert (np.histogram2d(*places.T, bins=3)[0] > 0.05 * len(places)).all()


def test_numbers_and_codes(assert_uniform):
    drawn = [
        draw_lib._draw_objects(
            generated.block_generator(0, i),
            3 + np.arange(512, dtype=np.int32) % 4,
            np.tile(scenes_lib.CAMERA_POSITION, (512, 1)),
            np.tile(scenes_lib.LIGHT_POSITIONS, (512, 1, 1)),
        )
        for i in range(2)
    ]
    for scenes in drawn:
        present = np.arange(10) < scenes.num_objects[:, None]
        codes = {"size": 2, "material": 2, "shape": 3, "color": 8}
        for name, bound in codes.items():
            values = getattr(scenes, name)
            assert_uniform(values[present], list(range(1, bound + 1)))
            assert not values[~present].any()
        assert_uniform(np.floor(scenes.rotation[present] / 45), list(range(8)))
        assert not scenes.position[~present].any()


def test_number_of_objects_is_uniform(scenes, assert_uniform):
    """Though most scenes that are drawn again have many objects."""
    assert_uniform(scenes.num_objects, list(range(3, 11)))
    np.testing.assert_array_equal(scenes.shape > 0, np.arange(10) < scenes.num_objects[:, None])


def test_camera_and_lights_are_moved(scenes):
    for moved, usual, most in (
        (scenes.camera, scenes_lib.CAMERA_POSITION, 0.5),
        (scenes.lights, scenes_lib.LIGHT_POSITIONS, 1.0),
    ):
        jitter = (moved - usual) / most
        assert (np.abs(jitter) < 1 + 1e-5).all()
        assert abs(jitter.mean()) < 4 / np.sqrt(3 * jitter.size)
        np.testing.assert_allclose(jitter.std(), 1 / np.sqrt(3), atol=4 / np.sqrt(jitter.size))


def test_enough_is_seen_of_every_object(scenes):
    """About 200 pixels or more of the whole picture, which is counted at a quarter of its side."""
    few = scenes[np.argsort(-scenes.num_objects, kind="stable")[:8]]
    cameras = [rendering.look_at(p, (0, 0, 0), 350, 240, 320) for p in few.camera]
    labels = images_lib._render_labels(few, cameras, 240, 320)
    pixels = [(labels[i] == k + 1).sum() for i, n in enumerate(few.num_objects) for k in range(n)]
    assert 150 < min(pixels) < 400
    assert not images_lib.objects_visible(
        draw_lib._draw_objects(
            generated.block_generator(0, 1),
            np.full(64, 10, np.int32),
            np.tile(scenes_lib.CAMERA_POSITION, (64, 1)),
            np.tile(scenes_lib.LIGHT_POSITIONS, (64, 1, 1)),
        )
    ).all()


def test_first_scene(scenes):
    """Pinned: the dataset must not change with a version of NumPy."""
    assert PINNED == (
        scenes.num_objects[:8].tolist(),
        scenes.shape[0].tolist(),
        scenes.color[0].tolist(),
        np.round(scenes.position[0, 0].astype(float), 4).tolist(),
        np.round(scenes.camera[0].astype(float), 4).tolist(),
    )


# ---- records


def test_masks(block):
    factors, masks = block["factors"], block["masks"]
    assert masks.shape == (8, 64, 64)
    for i, number in enumerate(block["num_objects"]):
        assert masks[i].max() <= number
        assert factors["visibility"][i].sum() == number
        for k in range(number):
            column, row, _ = (factors["pixel_coords"][i, k] - (64, 29, 0)) / 3
            if 2 < column < 62 and 2 < row < 62:
                rows, columns = np.nonzero(masks[i] == k + 1)
                distance = np.hypot(rows + 0.5 - row, columns + 0.5 - column).min()
                # Middles may be hidden.
                assert distance < 12


def test_pixels(block):
    """The floor is grey, about as bright as published; objects have about their colours."""
    floor = block["image"][block["masks"] == 0].astype(int)
    assert (np.ptp(floor, axis=1) < 80).mean() > 0.99
    np.testing.assert_allclose(np.median(floor, axis=0), 123, atol=10)
    right = []
    for i, k in np.argwhere(block["factors"]["shape"] > 0):
        pixels = block["image"][i][block["masks"][i] == k + 1]
        color = scenes_lib.COLORS[block["factors"]["color"][i, k]]
        if len(pixels) > 20 and np.ptp(color):
            right.append(np.median(pixels, axis=0).argmin() == color.argmin())
    assert np.mean(right) > 0.9


def test_metal_mirrors(published):
    """Metal shows what is around it: it varies more over an object than rubber does."""
    _, scenes = published
    ball = scenes[np.zeros(8, int)]
    ball.shape[:], ball.size[:], ball.color[:] = 1, 1, 8
    ball.num_objects[:] = 1
    ball.position[:, 0] = (0, 0, 0.7)
    ball.material[:4], ball.material[4:] = scenes_lib.RUBBER, scenes_lib.METAL
    images = images_lib.render_images(ball, *CROP, 64)
    spread = [np.ptp(image[22:38, 24:40].mean(-1)) for image in images]
    assert min(spread[4:]) > 1.5 * max(spread[:4])


def test_crops(scenes):
    """GENESIS' crop begins five rows higher than the others'; records have the same scenes."""
    few = scenes[np.arange(8)]
    lower = images_lib.render_masks(few, 29, 64, 192, 192)
    middle = images_lib.render_masks(few, 24, 64, 192, 192)
    assert (middle[:, 5:] == lower[:, :-5]).mean() > 0.9999
    assert (middle != lower).any()


@pytest.mark.parametrize("protocol,mask_side", [("efficient_morl", 192), ("genesis", 64)])
def test_protocols(block, tmp_path, protocol, mask_side):
    builder = make_builder(str(tmp_path), protocol=protocol)
    assert builder.info.features["masks"].shape == (mask_side, mask_side)
    assert builder.info.features["image"].shape == (64, 64, 3)
    other = builder.block("train", 0)
    assert other["masks"].shape == (8, mask_side, mask_side)
    for field, values in block["factors"].items():
        np.testing.assert_array_equal(other["factors"][field], values)
    if protocol == "efficient_morl":
        np.testing.assert_array_equal(other["image"], block["image"])
        # The middle of three by three.
        assert (other["masks"][:, 1::3, 1::3] == block["masks"]).mean() > 0.999


@pytest.mark.parametrize(
    "variant,fewest,most", [("clevr6", 3, 6), ("clevr10", 7, 10), ("all", 3, 10)]
)
def test_variants(variant, fewest, most):
    assert lib.NUM_OBJECTS[variant] == (fewest, most)
    scenes = draw_lib.draw_scenes(generated.block_generator(0, 0), (fewest, most), 32)
    assert scenes.num_objects.min() == fewest
    assert scenes.num_objects.max() == most


def test_records(new_config, tmp_path):
    config = new_config(tmp_path, name=NAME, variant="clevr6", num_examples=(3, 2, 2))
    builder = prepare(config)
    assert builder.builder_config.name == "clevr6_64_n3_2_2"
    assert builder.protocol == "efficient_morl"
    assert "synthetic" in builder.info.description.lower()
    sizes = {split: len(builder.as_data_source(split)) for split in builder.info.splits}
    assert sizes == {"train": 3, "validation": 2, "test": 2}
    records = [r for split in sizes for r in builder.as_data_source(split)]
    assert len({r["image"].tobytes() for r in records}) == 7
    assert all(3 <= r["num_objects"] <= 6 for r in records)
    block = builder.block("train", 0)
    for i, record in enumerate(records[:3]):
        for field in ("image", "masks", "num_objects"):
            np.testing.assert_array_equal(record[field], block[field][i])
        for field, values in block["factors"].items():
            np.testing.assert_array_equal(record["factors"][field], values[i])
    assert get_spec(NAME).max_objects == scenes_lib.MAX_OBJECTS
    assert get_spec(NAME).image_size == lib.Builder.IMAGE_SIZES[0]
    assert lib.Builder.BLOCK % images_lib.BATCH == 0
