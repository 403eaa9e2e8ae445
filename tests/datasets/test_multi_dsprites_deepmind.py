"""DeepMind's Multi-dSprites: published scenes, the draw, the textures and the TFDS builder."""

import colorsys

import numpy as np
import pytest

from ocgm.data import eval_batches, get_spec, prepare
from ocgm.datasets.builders import base, generated
from ocgm.datasets.builders.colors import hsv_to_rgb
from ocgm.datasets.multi_dsprites_deepmind_synthetic import (
    multi_dsprites_deepmind_synthetic_dataset_builder as builder_lib,
)
from ocgm.datasets.multi_dsprites_deepmind_synthetic import scenes as scenes_lib
from ocgm.datasets.multi_dsprites_deepmind_synthetic import textures as textures_lib
from ocgm.datasets.sprites import sprite_scenes, sprites
from ocgm.errors import UserError

PUBLISHED = ("colored_on_grayscale", "binarized", "colored_on_colored")
VARIANTS = (*PUBLISHED, "textured")
NAME = "multi_dsprites_deepmind_synthetic"


@pytest.fixture
def published(fixtures):
    def load(variant):
        """Two published scenes, and the same as ours."""
        with np.load(fixtures / f"multi_dsprites_deepmind_{variant}_first2.npz") as file:
            data = dict(file)
        present = data["visibility"][:, 1:]
        shape = np.where(present, data["shape"][:, 1:].astype(int) - 1, 0)
        # Published angles are reduced; this is one of the dSprites angles they stand for.
        turns = np.array([4, 2, 1])[shape]
        inverse = np.array([pow(n, -1, 39) for n in (4, 2, 1)])[shape]
        steps = np.rint(data["orientation"][:, 1:] * turns * 39 / (2 * np.pi)).astype(int)
        scale, x, y = (data[f][:, 1:] for f in ("scale", "x", "y"))
        classes = np.rint([10 * scale - 5, steps * inverse % 39, 31 * x, 31 * y]).astype(int)
        index = np.ravel_multi_index((shape, *classes), (3, 6, 40, 32, 32))
        colors = np.broadcast_to(data["color"], (*data["color"].shape[:2], 3))
        scenes = sprite_scenes.Scenes(
            background=scenes_lib.to_bytes(colors[:, 0]),
            num_objects=present.sum(1).astype(np.int32),
            sprite=np.where(present, index, -1),
            color=np.where(present[..., None], scenes_lib.to_bytes(colors[:, 1:]), 0),
        )
        return data, scenes

    return load


@pytest.mark.parametrize("variant", PUBLISHED)
def test_published_scenes(published, variant):
    """Rendered from their factors, masks are wrong by 3 pixels at most and colours exact."""
    data, scenes = published(variant)
    records = sprite_scenes.records(scenes, sprite_scenes.analytic_sprites)
    masks = data["mask"][..., 0] == 255
    for scene, k in np.ndindex(masks.shape[:2]):
        assert ((records["masks"][scene] == k) != masks[scene, k]).sum() <= 3
    agree = records["masks"] == masks.argmax(1)
    assert agree.mean() > 0.999
    image = np.broadcast_to(data["image"], records["image"].shape)
    np.testing.assert_array_equal(records["image"][agree], image[agree])
    present = data["visibility"][:, 1:]
    factors = records["factors"]
    np.testing.assert_array_equal(factors["shape"][present], data["shape"][:, 1:][present])
    np.testing.assert_allclose(factors["x"][present], data["x"][:, 1:][present], atol=1e-6)
    np.testing.assert_allclose(
        sprites.reduced_orientation(factors["shape"] - 1, factors["orientation"])[present],
        data["orientation"][:, 1:][present],
        atol=1e-5,
    )


@pytest.mark.parametrize("variant", PUBLISHED)
def test_published_scenes_could_have_been_drawn(published, variant):
    data, scenes = published(variant)
    fewest, most = scenes_lib.VARIANTS[variant].num_objects
    assert data["shape"].shape[1] == 1 + most
    assert ((fewest <= scenes.num_objects) & (scenes.num_objects <= most)).all()
    if variant == "colored_on_grayscale":
        assert (np.ptp(scenes.background, axis=1) == 0).all()
        hsv = np.array([colorsys.rgb_to_hsv(*c) for c in data["color"][:, 1:].reshape(-1, 3)])
        assert (hsv[:, 1:] >= 0.5).all()


def draw(variant: str, blocks: int) -> sprite_scenes.Scenes:
    rngs = [generated.block_generator(0, i) for i in range(blocks)]
    parts = [scenes_lib.draw_scenes(rng, variant, 256) for rng in rngs]
    fields = ("background", "num_objects", "sprite", "color")
    return sprite_scenes.Scenes(
        **{f: np.concatenate([getattr(part, f) for part in parts]) for f in fields}
    )


@pytest.mark.parametrize(
    "variant,num_objects",
    [
        ("colored_on_grayscale", [2, 3, 4, 5]),
        ("binarized", [2, 3]),
        ("colored_on_colored", [1, 2, 3, 4]),
        ("textured", [2, 3, 4, 5]),
    ],
)
def test_objects(variant, num_objects, assert_uniform):
    scenes = draw(variant, 16)
    assert_uniform(scenes.num_objects, num_objects)
    present = scenes.sprite >= 0
    np.testing.assert_array_equal(present, np.arange(5) < scenes.num_objects[:, None])
    assert (scenes.color[~present] == 0).all()
    factors = sprites.factors_from_index(scenes.sprite[present])
    assert_uniform(factors.shape, [0, 1, 2])
    assert_uniform(np.rint(10 * factors.scale), [5, 6, 7, 8, 9, 10])
    assert_uniform(np.rint(31 * factors.x), list(range(32)))
    assert_uniform(np.rint(31 * factors.y), list(range(32)))
    assert_uniform(np.rint(factors.orientation * 39 / (2 * np.pi)), list(range(40)))


def eighths(channel: np.ndarray) -> np.ndarray:
    # The last of the 256 values does not occur: the channel is floor(255 c).
    return np.floor(channel / 255 * 8)


def test_colors(assert_uniform):
    scenes = draw("colored_on_grayscale", 16)
    assert (np.ptp(scenes.background, axis=1) == 0).all()
    assert_uniform(eighths(scenes.background[:, 0]), list(range(8)))
    colors = scenes.color[scenes.sprite >= 0]
    assert len(np.unique(colors, axis=0)) > 0.99 * len(colors)
    hsv = np.array([colorsys.rgb_to_hsv(*(c + 0.5)) for c in colors]) / (1, 1, 255)
    assert_uniform(np.floor(8 * hsv[:, 0]), list(range(8)))
    # Eighths of 0.5 to 1; flooring the colour moves a few over an edge.
    for part in (hsv[:, 1], hsv[:, 2]):
        assert part.min() > 0.49
        assert_uniform(np.clip(np.floor(16 * part), 8, 15), list(range(8, 16)))

    scenes = draw("colored_on_colored", 16)
    for colors in (scenes.background, scenes.color[scenes.sprite >= 0]):
        for channel in colors.T:
            assert_uniform(eighths(channel), list(range(8)))
        np.testing.assert_allclose(np.corrcoef(colors.T), np.eye(3), atol=0.06)

    scenes = draw("binarized", 1)
    assert (scenes.background == 0).all()
    assert (scenes.color[scenes.sprite >= 0] == 255).all()


def test_hsv():
    hsv = np.random.default_rng(0).random((100, 3))
    hsv[:7] = [(k / 6, 1, 1) for k in range(7)]
    expected = [colorsys.hsv_to_rgb(*row) for row in hsv]
    np.testing.assert_allclose(hsv_to_rgb(*hsv.T), expected, atol=1e-12)


def texture(pattern: str, period: float, angle: float = 0.0) -> textures_lib.Textures:
    """A texture of one entity with the colours 0, 1 and 2."""
    code = textures_lib.PATTERNS.index(pattern)
    return textures_lib.Textures(
        pattern=np.array([[code]], np.int32),
        period=np.array([[period]], np.float32),
        angle=np.array([[angle]], np.float32),
        phase=np.zeros((1, 1, 2), np.float32),
        color=np.arange(3, dtype=np.uint8).reshape(1, 1, 3, 1).repeat(3, -1),
    )


@pytest.mark.parametrize(
    "pattern,period,angle,rows",
    [
        ("stripes", 2, 0, ["001122", "001122", "001122"]),
        ("stripes", 1, np.pi / 2, ["000000", "111111", "222222"]),
        ("checks", 1, 0, ["012012", "120120", "201201"]),
        ("checks", 2, 0, ["001122", "001122", "112200"]),
        ("dots", 4, 0, ["011002", "111122", "111122"]),
    ],
)
def test_patterns(pattern, period, angle, rows):
    image = textures_lib.paint(np.zeros((1, 3, 6), np.uint8), texture(pattern, period, angle))
    assert image.shape == (1, 3, 6, 3)
    np.testing.assert_array_equal(image[0, ..., 0], [list(map(int, row)) for row in rows])


def test_textures_are_uniform(assert_uniform):
    rng = np.random.default_rng(0)
    palette = rng.integers(256, size=(2000, 6, 3)).astype(np.uint8)
    textures = textures_lib.draw_textures(rng, palette)
    assert_uniform(textures.pattern.ravel(), [0, 1, 2])
    assert_uniform(np.floor(textures.period.ravel()), [3, 4, 5])
    assert_uniform(np.floor(8 * textures.angle.ravel() / np.pi), list(range(8)))
    assert_uniform(np.floor(8 * textures.phase.ravel()), list(range(8)))
    np.testing.assert_array_equal(textures.color[:, :, 0], palette)
    assert_uniform(textures.color[:, 1:, 1:].ravel() // 32, list(range(8)))
    shades = textures.color[:, 0] / np.maximum(palette[:, 0, None], 1)
    bright = (palette[:, 0] > 100).all(-1)
    np.testing.assert_allclose(shades[bright, 1], 0.8, atol=0.01)
    np.testing.assert_allclose(shades[bright, 2], 0.6, atol=0.01)


@pytest.fixture(scope="module")
def stored(new_config, tmp_path_factory):
    """Makes the config of a small dataset on disk, once for each variant."""
    folder = tmp_path_factory.mktemp("deepmind")

    def make(variant):
        config = new_config(folder, name=NAME, variant=variant, num_examples=(260, 4, 3))
        prepare(config)
        return config

    return make


@pytest.mark.parametrize("variant", VARIANTS)
def test_records(stored, variant):
    config = stored(variant)
    builder = prepare(config)
    assert builder.builder_config.name == f"{variant}_n260_4_3"
    assert "our own design" in builder.info.description
    assert "emami2021efficientmorl" in builder.info.citation
    records = list(builder.as_data_source("train"))
    assert len(records) == 260
    scenes = draw(variant, 2)
    for field, values in (("sprite", scenes.sprite), ("color", scenes.color)):
        np.testing.assert_array_equal([r["factors"][field] for r in records], values[:260])
    np.testing.assert_array_equal([r["num_objects"] for r in records], scenes.num_objects[:260])
    rendered = sprite_scenes.render_scenes(scenes[:260])
    np.testing.assert_array_equal([r["masks"] for r in records], rendered["masks"])
    images = np.stack([r["image"] for r in records])
    if variant != "textured":
        np.testing.assert_array_equal(images, rendered["image"])
    factors = {f: np.stack([r["factors"][f] for r in records]) for f in ("shape", "orientation")}
    limit = np.array([0, np.pi / 2, np.pi, 2 * np.pi])[factors["shape"]]
    present = factors["shape"] > 0
    assert (factors["orientation"] < limit)[present].all()
    assert (factors["orientation"] > 0.9 * limit)[present].any()
    assert (factors["orientation"][~present] == 0).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_batches(stored, variant):
    config = stored(variant)
    batches = list(eval_batches(config, "test", 2))
    assert [list(batch["valid"]) for batch in batches] == [[True, True], [True, False]]
    assert batches[0]["image"].shape == (2, 64, 64, 3)
    config.image_size = 32
    small = next(eval_batches(config, "test", 2))
    for field in ("image", "masks"):
        np.testing.assert_array_equal(small[field], batches[0][field][:, ::2, ::2])
    for masks, count in zip(batches[0]["masks"], batches[0]["num_objects"], strict=True):
        assert masks.any() and masks.max() <= count


def test_first_record(stored):
    """Pinned: the dataset must not change with a version of NumPy."""
    record = prepare(stored("")).as_data_source("train")[0]
    assert record["num_objects"] == 4
    factors = record["factors"]
    np.testing.assert_array_equal(factors["sprite"], [646984, 64006, 522302, 581827, -1])
    np.testing.assert_array_equal(factors["background_color"], [223, 223, 223])
    np.testing.assert_array_equal(factors["color"][0], [32, 151, 6])


def test_stored_textures_give_the_image(stored):
    records = list(prepare(stored("textured")).as_data_source("train"))
    stack = {f: np.stack([r[f] for r in records]) for f in ("image", "masks", "num_objects")}
    names = ("pattern", "period", "angle", "phase", "color")
    textures = textures_lib.Textures(
        **{f: np.stack([r["factors"]["texture"][f] for r in records]) for f in names}
    )
    np.testing.assert_array_equal(textures_lib.paint(stack["masks"], textures), stack["image"])
    first = np.stack([r["factors"]["color"] for r in records])
    present = np.arange(5) < stack["num_objects"][:, None]
    np.testing.assert_array_equal(textures.color[:, 1:, 0][present], first[present])
    # Sprites are multi-coloured: all of those that are not almost covered.
    for image, masks in zip(stack["image"], stack["masks"], strict=True):
        for label in range(6):
            pixels = image[masks == label]
            if len(pixels) > 80:
                assert len(np.unique(pixels, axis=0)) in (2, 3)


def test_records_depend_on_split_and_index_alone(new_config, stored, tmp_path):
    many = prepare(stored("textured"))
    config = new_config(tmp_path, name=NAME, variant="textured", num_examples=(3, 2, 2))
    few = prepare(config)
    for split in base.SPLITS:
        for a, b in zip(few.as_data_source(split), many.as_data_source(split), strict=False):
            np.testing.assert_array_equal(a["image"], b["image"])
    images = [r["image"].tobytes() for s in base.SPLITS for r in many.as_data_source(s)]
    assert len(set(images)) == 267


def test_config_names(new_config):
    def name(**changes):
        config = builder_lib.Builder.config_for(new_config("/d", name=NAME, **changes))
        return config if isinstance(config, str) else config.name

    assert name(variant="", num_examples=()) == "colored_on_grayscale"
    assert name(variant="textured", num_examples=(60_000, 320, 320)) == "textured"
    assert name(variant="binarized", sprites_path="/f.npz") == "binarized_real_n20_10_12"
    assert get_spec(NAME).max_objects == scenes_lib.MAX_OBJECTS


def test_real_sprites_are_asked_for(new_config, tmp_path):
    missing = str(tmp_path / "gone.npz")
    config = new_config(tmp_path, name=NAME, variant="textured", sprites_path=missing)
    with pytest.raises(UserError, match="no dSprites file at .*gone.npz"):
        prepare(config)


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"variant": "plain"}, "has the variants colored_on_grayscale, binarized, .*not 'plain'"),
        ({"num_examples": (1, 0, 1)}, "expected three numbers from 1 up"),
        ({"protocol": "genesis"}, "has one protocol, not .genesis."),
    ],
)
def test_config_errors(new_config, changes, message):
    with pytest.raises(UserError, match=message):
        builder_lib.Builder.config_for(new_config("/d", **{"name": NAME, "variant": ""} | changes))
