"""Pictures: shapes, colours of single pixels, layout, and files."""

import itertools
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image
from tiny_models import fresh

from ocgm import inference
from ocgm.plots import figures, heat_map, palette

_SIDE, _NUM_SLOTS = 32, 3
_TILE, _CELL = 96, 96 + 8 + 6  # Enlarged tile; with frame and gap.
_WHITE, _NEAR_BLACK = (255, 255, 255), (38, 38, 38)


def _scene(batch_size: int = 2) -> dict[str, np.ndarray]:
    """Slot 0 is a red square in the top left quarter, slot 1 the blue rest, slot 2 is empty."""
    labels = np.ones((batch_size, _SIDE, _SIDE), np.int32)
    labels[:, :16, :16] = 0
    masks = np.moveaxis(np.eye(_NUM_SLOTS)[labels], -1, 1)[..., None]
    components = np.zeros((batch_size, _NUM_SLOTS, _SIDE, _SIDE, 3), np.float32)
    components[:, 0, ..., 0] = 1
    components[:, 1, ..., 2] = 1
    with np.errstate(divide="ignore"):
        log_masks = np.log(masks).astype(np.float32)
    images = np.sum(masks * components, axis=1)
    return {"images": images, "components": components, "log_masks": log_masks}


def _tile(figure: Image.Image, row: int, column: int, num_rows: int) -> np.ndarray:
    """The enlarged tile, cut out of a figure by counting from its lower left corner."""
    left = 12 + 4 + column * _CELL
    top = figure.height - 12 - 4 - _TILE - (num_rows - 1 - row) * _CELL
    return np.asarray(figure)[top : top + _TILE, left : left + _TILE]


@pytest.mark.parametrize("num_colors", [0, 1, 11, 24])
def test_mask_colors_are_distinct(num_colors: int) -> None:
    colors = palette.mask_colors(num_colors)
    assert colors.shape == (num_colors, 3)
    assert colors.dtype == np.uint8
    np.testing.assert_array_equal(colors, palette.mask_colors(30)[:num_colors])
    for one, other in itertools.combinations(colors.astype(int), 2):
        assert np.abs(one - other).sum() > 30


def test_segmentation_map_takes_the_largest_mask() -> None:
    masks = np.full((1, 4, 8, 8, 1), 0.2)
    masks[:, 3] = 0.4
    masks[0, :, 2, 5, 0] = [0.1, 0.5, 0.3, 0.1]
    result = palette.segmentation_map(np.log(masks))
    assert result.shape == (1, 8, 8, 3)
    assert result.dtype == np.uint8
    colors = palette.mask_colors(4)
    np.testing.assert_array_equal(result[0, 0, 0], colors[3])
    np.testing.assert_array_equal(result[0, 2, 5], colors[1])


def test_overlay_mixes_image_and_colors() -> None:
    images = np.full((1, 2, 2, 3), 0.2, np.float32)
    labels = np.array([[[0, 1], [1, 0]]])
    colors = palette.mask_colors(2)
    np.testing.assert_array_equal(
        palette.overlay(images, labels, alpha=0), np.full_like(images, 51)
    )
    np.testing.assert_array_equal(palette.overlay(images, labels, alpha=1), colors[labels])
    mixed = palette.overlay(images, labels, alpha=0.25)
    np.testing.assert_allclose(mixed[0, 0, 1], 0.75 * 51 + 0.25 * colors[1], atol=0.51)
    with pytest.raises(AssertionError, match=r"\(1, 3, 2\)"):
        palette.overlay(images, np.zeros((1, 3, 2), int), alpha=0.5)


def test_reconstruction_figure() -> None:
    scene = _scene()
    true_labels = np.zeros((2, _SIDE, _SIDE), np.uint8)
    true_labels[:, :16, :16] = 1
    decoded = scene["log_masks"][:, ::-1]
    reconstruction = 1.5 * np.ones_like(scene["images"])  # Beyond 1: cut, not wrapped.
    figure = figures.reconstruction_figure(
        scene["images"],
        reconstruction,
        scene["log_masks"],
        scene["components"],
        {"attention": decoded, "decoded": scene["log_masks"]},
        true_labels=true_labels,
    )
    num_columns = 5 + _NUM_SLOTS
    assert figure.mode == "RGB"
    assert figure.width == 24 + num_columns * _CELL - 6
    colors = [tuple(color) for color in palette.mask_colors(_NUM_SLOTS)]
    inside, outside = (20, 20), (80, 80)
    expected = [
        ((255, 0, 0), (0, 0, 255)),
        (_WHITE, _WHITE),
        (colors[0], _NEAR_BLACK),
        (colors[2], colors[1]),
        (colors[0], colors[1]),
    ]
    for row in range(2):
        for column, (square, rest) in enumerate(expected):
            tile = _tile(figure, row, column, num_rows=2)
            assert tuple(tile[inside]) == square, column
            assert tuple(tile[outside]) == rest, column
    # The mixing masks cut out the slots: the square belongs to slot 1, and slot 3 is empty.
    first, last = (_tile(figure, 1, num_columns - i, num_rows=2) for i in (_NUM_SLOTS, 1))
    assert tuple(first[inside]) == (255, 0, 0)
    for tile in (first[outside], last[inside], last[outside]):
        assert tile.min() == tile.max() > 150
    corner = figure.getpixel((12 + 7 * _CELL + 1, figure.height - 12 - 2))
    assert corner == colors[2]


def test_slots_lie_on_a_checkerboard() -> None:
    scene = _scene(batch_size=1)
    figure = figures.reconstruction_figure(
        scene["images"], scene["images"], scene["log_masks"], scene["components"]
    )
    square_slot = _tile(figure, 0, 3, num_rows=1)
    assert tuple(square_slot[20, 20]) == (255, 0, 0)
    assert len(np.unique(square_slot[48:].reshape(-1, 3), axis=0)) == 2
    empty_slot = _tile(figure, 0, 5, num_rows=1)
    assert set(np.unique(empty_slot)) == {188, 212}


@pytest.mark.parametrize("name", ["monet", "genesis_v2/multi_dsprites"])
def test_parts_of_slots_add_up_to_the_reconstruction(name: str) -> None:
    """As drawn, for models that mix with their attention masks and models that mix with their decoded masks."""
    random = np.random.default_rng(0)
    model = inference.load(name) if "/" in name else fresh(name)
    if "/" not in name:
        model.variables["params"] = jax.tree.map(
            lambda leaf: random.uniform(-0.3, 0.3, leaf.shape).astype(np.float32),
            model.variables["params"],
        )
    side = model.config.model.image_size
    images = random.random((1, side, side, 3), np.float32)
    outputs = jax.device_get(model(images))
    figure = figures.reconstruction_figure(
        images, outputs.reconstruction, outputs.log_masks, outputs.components
    )
    num_slots = outputs.slots.shape[1]
    factor = 96 // side
    tiles = [
        _tile(figure, 0, column, num_rows=1)[::factor, ::factor].astype(float)
        for column in range(3 + num_slots)
    ]
    board = 255 * palette.on_checkerboard(np.zeros((side, side, 3)), np.full((side, side, 1), -90))
    parts = np.stack(tiles[3:]) - (1 - np.asarray(outputs.masks[0])) * board
    assert np.ptp(tiles[1]) > 5
    np.testing.assert_allclose(parts.sum(axis=0), tiles[1], atol=0.5 * (num_slots + 1) + 0.1)


def test_captions_are_drawn_above_the_tiles() -> None:
    scene = _scene(batch_size=1)
    figure = figures.sample_figure(scene["images"], scene["components"], scene["log_masks"])
    head = np.asarray(figure.convert("L"))[: figure.height - 12 - 104]
    for column in range(2 + _NUM_SLOTS):
        left = 12 + column * _CELL
        assert head[:, left : left + 104].min() < 100
        assert head[:, left + 104 : left + 110].min() == 255  # It does not run into the next.


def test_sample_figure() -> None:
    scene = _scene(batch_size=3)
    figure = figures.sample_figure(scene["images"], scene["components"], scene["log_masks"])
    assert figure.width == 24 + (2 + _NUM_SLOTS) * _CELL - 6
    colors = palette.mask_colors(_NUM_SLOTS)
    assert tuple(_tile(figure, 2, 0, num_rows=3)[80, 80]) == (0, 0, 255)
    assert tuple(_tile(figure, 2, 1, num_rows=3)[80, 80]) == tuple(colors[1])
    assert tuple(_tile(figure, 0, 3, num_rows=3)[80, 80]) == (0, 0, 255)


def test_traversal_figure() -> None:
    scene = _scene(batch_size=2)
    steps = np.linspace(0, 1, 8)[:, None, None, None]
    traversals = np.stack([np.broadcast_to(steps * row, (8, _SIDE, _SIDE, 3)) for row in (0, 1)])
    slots = (scene["components"][:, 0], scene["log_masks"][:, 0])
    captions = ["image 1, slot 1\nz[3]", "z[12]"]
    figure = figures.traversal_figure(scene["images"], *slots, traversals, captions)
    width = 24 + 10 * _CELL - 6
    left = figure.width - width
    assert 60 < left < 200
    for row in range(2):
        bottom = figure.height - 12 - (1 - row) * _CELL
        beside = np.asarray(figure.convert("L"))[bottom - 104 : bottom, :left]
        assert beside.min() < 100
    scenes = figure.crop((left, 0, figure.width, figure.height))
    for row in range(2):
        tiles = [_tile(scenes, row, column, num_rows=2) for column in range(10)]
        assert tuple(tiles[0][20, 20]) == tuple(tiles[1][20, 20]) == (255, 0, 0)
        assert set(np.unique(tiles[1][60:])) == {188, 212}
        expected = np.round(255 * row * np.linspace(0, 1, 8))
        np.testing.assert_array_equal([tile[50, 50, 1] for tile in tiles[2:]], expected)
    with pytest.raises(AssertionError, match="rank"):
        figures.traversal_figure(scene["images"], *slots, traversals[0], captions)


def test_activeness_figure() -> None:
    activeness = np.zeros((4, 12))
    activeness[:, 7], activeness[2, 3] = 4.0, 1.0
    figure = heat_map.activeness_figure(activeness)
    pixels = np.asarray(figure)
    left = next(x for x in range(figure.width) if (pixels[40, x] == (51, 34, 136)).all())
    assert (pixels[40, left : left + 480] == (51, 34, 136)).all()  # The most active one on top.
    # A quarter of the variance, half the deviation: the middle of the scale.
    np.testing.assert_array_equal(pixels[56, left + 300], (0, 114, 178))
    assert pixels[72:200, left : left + 480].min() == 255
    assert pixels[:, : left - 6].min() < 100 and pixels[:, left + 486 :].min() < 100
    assert heat_map.activeness_figure(np.zeros((200, 3))).width > 6 * 200
    with pytest.raises(AssertionError, match="rank"):
        heat_map.activeness_figure(activeness[0])


def test_large_images_keep_their_size() -> None:
    images = np.zeros((1, 128, 160, 3), np.float32)
    components = np.zeros((1, 2, 128, 160, 3), np.float32)
    log_masks = np.full((1, 2, 128, 160, 1), np.log(0.5), np.float32)
    figure = figures.sample_figure(images, components, log_masks)
    assert figure.width == 24 + 4 * (160 + 8 + 6) - 6


def test_wrong_rank() -> None:
    scene = _scene(batch_size=1)
    with pytest.raises(AssertionError, match="rank"):
        figures.sample_figure(scene["images"][0], scene["components"], scene["log_masks"])
    with pytest.raises(AssertionError, match="rank"):
        figures.sample_figure(scene["images"], scene["components"][0], scene["log_masks"])
    with pytest.raises(AssertionError, match="rank"):
        palette.segmentation_map(scene["log_masks"][0])


def test_save_png_replaces_in_one_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "picture.png"
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    figures.save_png(path, pixels)
    figures.save_png(path, Image.fromarray(pixels[::-1]))
    np.testing.assert_array_equal(np.asarray(Image.open(path)), pixels[::-1])

    def disk_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", disk_full)
    with pytest.raises(OSError, match="No space"):
        figures.save_png(path, pixels)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), pixels[::-1])
    assert [entry.name for entry in path.parent.iterdir()] == ["picture.png"]
