"""Synthetic Objects Room: the room against published pictures, the draw, and the TFDS builder."""

import dataclasses

import numpy as np
import pytest

from ocgm.data import get_spec, prepare
from ocgm.datasets import rendering
from ocgm.datasets.builders import generated
from ocgm.datasets.objects_room import backgrounds
from ocgm.datasets.objects_room_synthetic import images as images_lib
from ocgm.datasets.objects_room_synthetic import objects_room_synthetic_dataset_builder as lib
from ocgm.datasets.objects_room_synthetic import scenes as scenes_lib

pytestmark = pytest.mark.compiles

NAME = "objects_room_synthetic"
SPLITS = (
    "train",
    "validation",
    "test",
    "test_empty_room",
    "test_six_objects",
    "test_identical_color",
)
PINNED = (
    [5, 4, 4, 4, 6, 6, 5, 6],
    [4, 1, 7, 4, 1, 0],
    [-1.0271, 3.2516, 0.705, -1.2648, -0.1311],
    [-1.8558, 0.8212, 0.2192, -1.126, -1.769, 0.2438],
)


def draw(split: str, count: int = 4096) -> scenes_lib.Scenes:
    return scenes_lib.draw_scenes(generated.block_generator(0, 0), split, count)


@pytest.fixture(scope="module")
def scenes():
    return draw("train")


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lib.Builder, "BLOCK", 16)
        yield


@pytest.fixture(scope="module")
def make_block(tmp_path_factory):
    """Makes the first block of a split."""
    builder = lib.Builder(config="default", data_dir=str(tmp_path_factory.mktemp("rooms")))
    blocks = {}

    def make(split):
        if split not in blocks:
            blocks[split] = builder.block(split, 0)
        return blocks[split]

    return make


def test_published_rooms(fixtures, scenes):
    """Sky, floor and walls of two empty rooms are where they are in the published pictures."""
    with np.load(fixtures / "objects_room_test_empty_room_first2.npz") as file:
        planes = file["mask"][..., 0].argmax(1)
        images = file["image"]
    # Where the cameras were, fitted to the edges of the walls.
    yaw, pitch = np.radians([[32.34 + 180, 11.26 + 180], [7.13, -1.26]])
    place = -3.41 * np.stack([np.cos(yaw), np.sin(yaw)])
    camera = np.stack([*place, np.full(2, 0.705), yaw, pitch], axis=-1)
    empty = draw("test_empty_room", lib.Builder.BLOCK)
    camera = np.concatenate([camera, empty.camera[2:]]).astype(np.float32)
    rendered = images_lib.render_scenes(dataclasses.replace(empty, camera=camera))
    parts = rendered["background_parts"][:2]
    assert (parts == planes + 1).mean() > 0.99
    # The sky has the published colour, but for its border.
    sky = (153, 226, 249)
    assert tuple(np.median(images[planes == 0], axis=0)) == sky
    np.testing.assert_array_equal(np.median(rendered["image"][:2][parts == 1], axis=0), sky)


@pytest.mark.parametrize(
    "split,numbers",
    [
        ("train", [1, 2, 3]),
        ("validation", [1, 2, 3]),
        ("test", [1, 2, 3]),
        ("test_empty_room", [0]),
        ("test_six_objects", [6]),
        ("test_identical_color", [4, 5, 6]),
    ],
)
def test_objects(split, numbers, assert_uniform):
    scenes = draw(split, 1024)
    assert_uniform(scenes.num_objects, numbers)
    present = np.arange(6) < scenes.num_objects[:, None]
    np.testing.assert_array_equal(scenes.shape > 0, present)
    for values in (scenes.size, scenes.position, scenes.rotation, scenes.color):
        assert not values[~present].any()
    if numbers != [0]:
        assert_uniform(scenes.shape[present], list(range(1, 8)))
        assert_uniform(np.floor(scenes.rotation[present] / (2 * np.pi) * 8), list(range(8)))


def test_colors(assert_uniform):
    scenes = draw("test_identical_color", 2048)
    present = scenes.shape > 0
    shared = np.broadcast_to(scenes.color[:, :1], scenes.color.shape)
    np.testing.assert_array_equal(scenes.color[present], shared[present])
    others = draw("test_six_objects", 256).color
    assert len(np.unique(others.reshape(-1, 3), axis=0)) == 6 * 256
    for color in (scenes.color[:, 0], scenes.floor_color, scenes.wall_color):
        assert_uniform(np.floor(10 * color[:, 0]), list(range(10)))
        assert_uniform(np.floor(5 * (color[:, 1] - 0.75) / 0.25), list(range(5)))
        assert_uniform(np.floor(5 * (color[:, 2] - 0.9) / 0.1), list(range(5)))


def test_cameras_stand_on_a_ring_and_face_its_middle(scenes, assert_uniform):
    x, y, z, yaw, pitch = scenes.camera.T
    np.testing.assert_allclose(np.hypot(x, y), 3.41, rtol=1e-5)
    np.testing.assert_allclose(x * np.sin(yaw), y * np.cos(yaw), atol=1e-5)
    assert (x * np.cos(yaw) + y * np.sin(yaw) < 0).all()
    assert np.unique(z).size == 1
    assert_uniform(np.floor((yaw + np.pi) / np.pi * 4), list(range(8)))
    assert_uniform(np.floor((np.degrees(pitch) + 10) / 2.5), list(range(8)))
    assert_uniform(np.floor((scenes.light[:, 0] + 2.5) / 0.625), list(range(8)))


@pytest.mark.parametrize("split", ["train", "test_six_objects"])
def test_places(split):
    """Objects stand on the floor, inside the square, in view and apart."""
    scenes = draw(split, 512)
    present = scenes.shape > 0
    np.testing.assert_allclose(scenes.position[..., 2], scenes.size[..., 2] / 2, atol=1e-6)
    floor = scenes.position[..., :2]
    assert (np.abs(floor) <= 1.9).all()
    assert np.abs(floor).max() > 1.85
    offset = floor - scenes.camera[:, None, :2]
    yaw = scenes.camera[:, 3:4]
    ahead = offset[..., 0] * np.cos(yaw) + offset[..., 1] * np.sin(yaw)
    aside = offset[..., 0] * np.sin(yaw) - offset[..., 1] * np.cos(yaw)
    assert (ahead[present] > 1).all()
    half_view = np.tan(np.radians(50.15 / 2))
    assert (np.abs(aside / ahead)[present] <= half_view + 1e-4).all()
    assert np.abs(aside / ahead)[present].max() > 0.95 * half_view
    # No part of an object is inside another one, whatever their rotations.
    reach = np.where(scenes.shape == 1, np.hypot(*np.moveaxis(scenes.size, -1, 0)[:2]), 0)
    reach = np.maximum(reach, scenes.size[..., 0]) / 2
    for a in range(6):
        for b in range(a):
            both = present[:, a] & present[:, b]
            apart = np.linalg.norm(floor[:, a] - floor[:, b], axis=-1) - reach[:, a] - reach[:, b]
            assert (apart[both] > 0.05 - 1e-6).all()


def test_sizes(scenes):
    for code, name in enumerate(scenes_lib.SHAPES, start=1):
        width, depth, height = scenes.size[scenes.shape == code].T
        assert width.std() > 0.03
        assert ((0.25 <= height) & (height <= 0.8)).all()
        if name in ("sphere", "icosahedron"):
            np.testing.assert_array_equal(width, height)
        if name not in ("box", "triangle"):
            np.testing.assert_array_equal(width, depth)
        if name == "capsule":
            assert (height > width).all()


@pytest.mark.parametrize("split", ["train", "test_six_objects", "test_empty_room"])
def test_masks(make_block, split):
    block = make_block(split)
    masks, parts, factors = block["masks"], block["background_parts"], block["factors"]
    np.testing.assert_array_equal(parts == 0, masks > 0)
    for i, number in enumerate(block["num_objects"]):
        assert masks[i].max() <= number
        seen = np.isin(np.arange(1, 7), masks[i])
        np.testing.assert_array_equal(factors["visibility"][i] > 0, seen)
    present = factors["shape"] > 0
    if present.any():
        assert factors["visibility"][present].mean() > 0.9


def test_objects_are_where_the_factors_say(make_block):
    block = make_block("train")
    factors = block["factors"]
    distances = []
    for i, k in np.argwhere(factors["visibility"] > 0):
        x, y, z, yaw, pitch = factors["camera"][i]
        forward = np.array([np.cos(yaw), np.sin(yaw), np.tan(pitch)])
        length = rendering.focal_length(50.15, 64)
        camera = rendering.look_at((x, y, z), forward + (x, y, z), length, 64, 64)
        column, row, _ = rendering.project(camera, factors["position"][i, k])
        rows, columns = np.nonzero(block["masks"][i] == k + 1)
        distances.append(np.hypot(rows + 0.5 - row, columns + 0.5 - column).min())
    # Some middles are hidden, or those of open triangles.
    assert np.quantile(distances, 0.75) < 1
    assert np.quantile(distances, 0.95) < 6


def test_objects_have_their_colors(make_block):
    """The light is white: an object's pixels have about its hue, of the three main ones."""
    block = make_block("test_six_objects")
    right = []
    for i, k in np.argwhere(block["factors"]["visibility"] > 0):
        pixels = block["image"][i][block["masks"][i] == k + 1]
        if len(pixels) >= 40:
            strongest = np.median(pixels, axis=0).argmax()
            right.append(np.rint(3 * block["factors"]["color"][i, k, 0]) % 3 == strongest)
    assert np.mean(right) > 0.9


def test_walls():
    """Two walls are in view or, now and then, one; they are beside one another."""
    scenes = draw("test_empty_room", 64)
    parts = np.concatenate(
        [images_lib.render_scenes(scenes[i : i + 16])["background_parts"] for i in (0, 16, 32, 48)]
    )
    shares = [(parts == part).mean() for part in (1, 2, 3, 4)]
    # As in the published pictures, where sky, floor and walls take a third each.
    np.testing.assert_allclose([*shares[:2], sum(shares[2:])], 1 / 3, atol=0.08)
    has = np.stack([(parts == part).any((1, 2)) for part in (1, 2, 3, 4)], axis=-1)
    assert has[:, :3].all()
    assert 0 < (~has[:, 3]).mean() < 0.25
    for picture in parts[has[:, 3]]:
        first, second = (np.flatnonzero((picture == part).any(0)) for part in (3, 4))
        assert min(first[-1], second[-1]) - max(first[0], second[0]) < 3


def test_number_parts():
    rendered = np.array([[[0, 0, 5], [2, 6, 5], [1, 1, 1]], [[0, 0, 0], [4, 4, 6], [1, 1, 6]]])
    expected = [[[1, 1, 4], [3, 0, 4], [2, 2, 2]], [[1, 1, 1], [3, 3, 0], [2, 2, 0]]]
    np.testing.assert_array_equal(images_lib.number_parts(rendered.astype(np.uint8)), expected)


def test_first_scene():
    """Pinned: the dataset must not change with a version of NumPy."""
    scenes = draw("test_identical_color", 64)
    assert PINNED == (
        list(scenes.num_objects[:8]),
        list(scenes.shape[0]),
        [round(float(v), 4) for v in scenes.camera[0]],
        [round(float(v), 4) for v in scenes.position[5].ravel()[:6]],
    )


def test_blocks_are_reproducible(make_block, tmp_path):
    again = lib.Builder(config="default", data_dir=str(tmp_path)).block("train", 0)
    first = make_block("train")
    for field in ("image", "masks", "background_parts", "num_objects"):
        np.testing.assert_array_equal(again[field], first[field])
    for field, values in first["factors"].items():
        np.testing.assert_array_equal(again["factors"][field], values)


def test_records(new_config, make_block, tmp_path):
    builder = prepare(new_config(tmp_path, name=NAME, variant="", num_examples=(3, 2, 2)))
    assert builder.builder_config.name == "default_n3_2_2"
    assert "synthetic" in builder.info.description.lower()
    sizes = {split: len(builder.as_data_source(split)) for split in builder.info.splits}
    assert sizes == dict(zip(SPLITS, (3, 2, 2, 2, 2, 2), strict=True))
    block = make_block("train")
    records = list(builder.as_data_source("train"))
    for field in ("image", "masks", "background_parts", "num_objects"):
        np.testing.assert_array_equal([r[field] for r in records], block[field][:3])
    for field, values in block["factors"].items():
        np.testing.assert_array_equal([r["factors"][field] for r in records], values[:3])
    images = [r["image"].tobytes() for split in SPLITS for r in builder.as_data_source(split)]
    assert len(set(images)) == 13
    assert all(r["num_objects"] == 6 for r in builder.as_data_source("test_six_objects"))
    spec = get_spec(NAME)
    assert spec.max_objects == scenes_lib.MAX_OBJECTS
    assert spec.image_size == scenes_lib.IMAGE_SIZE


def test_walls_are_told_from_objects(make_block):
    """The rule of the published files' reader finds how many walls are in view, as here is known."""
    right, walls_seen = [], []
    for split, num_planes in (("train", 7), ("test_six_objects", 10), ("test_identical_color", 10)):
        records = make_block(split)
        for image, masks, parts in zip(
            records["image"], records["masks"], records["background_parts"], strict=True
        ):
            walls = [part for part in (3, 4) if (parts == part).any()]
            # Planes as in the files: sky, floor, walls in view, then objects.
            planes = [parts == part for part in (1, 2, *walls)]
            planes += [masks == label for label in np.unique(masks[masks > 0])]
            entities = np.argmax(planes, axis=0).astype(np.uint8)
            found = backgrounds.num_background_planes(image, entities, num_planes)
            walls_seen.append(len(walls))
            right.append(found == 2 + len(walls))
    assert 1 <= walls_seen.count(1) < walls_seen.count(2)
    assert all(right)
