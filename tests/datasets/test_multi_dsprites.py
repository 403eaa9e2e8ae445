"""The scenes of Multi-dSprites and their TFDS builder."""

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
import tensorflow_datasets as tfds

from ocgm.data import prepare
from ocgm.datasets.multi_dsprites import multi_dsprites_dataset_builder as builder_lib
from ocgm.datasets.multi_dsprites import scenes as scenes_lib
from ocgm.datasets.sprites import sprite_scenes, sprites
from ocgm.errors import UserError


def assert_same_scenes(a: sprite_scenes.Scenes, b: sprite_scenes.Scenes):
    for field in ("background", "num_objects", "sprite", "color"):
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field))


@pytest.fixture(scope="module")
def plain():
    return scenes_lib.draw_scenes("plain", (300, 30, 30))


@pytest.fixture(scope="module")
def unique():
    return scenes_lib.draw_scenes("unique", (300, 30, 30))


def test_first_draws(plain):
    """The published data start with these scenes."""
    train = plain["train"]
    np.testing.assert_array_equal(train.background[:2], [(191, 191, 0), (0, 255, 127)])
    np.testing.assert_array_equal(train.num_objects[:2], [3, 2])
    np.testing.assert_array_equal(train.sprite[0], [536_110, 499_748, 529_202, -1])
    np.testing.assert_array_equal(train.sprite[1], [325_213, 495_077, -1, -1])
    np.testing.assert_array_equal(
        train.color[0], [(191, 191, 127), (127, 255, 63), (63, 127, 63), (0, 0, 0)]
    )
    np.testing.assert_array_equal(train.color[1, :2], [(0, 0, 127), (255, 0, 127)])


def test_one_stream(plain, unique):
    """All six parts come from one generator: plain first, each part after the one before."""
    rng = random.Random(0)

    def color():
        return [scenes_lib._LEVELS[rng.randint(0, 4)] for _ in range(3)]

    def draw_scene(unique):
        colors = [color()]
        sprite = []
        for _ in range(rng.randint(1, 4)):
            sprite.append(rng.randint(0, 737_279))
            colors.append(color())
            while unique and colors[-1] in colors[:-1]:
                colors[-1] = color()
        return colors, sprite

    def check(scenes, size, unique):
        for row in range(size):
            colors, sprite = draw_scene(unique)
            if row < 5:
                n = scenes.num_objects[row]
                assert n == len(sprite)
                np.testing.assert_array_equal(scenes.background[row], colors[0])
                np.testing.assert_array_equal(scenes.color[row, :n], colors[1:])
                np.testing.assert_array_equal(scenes.sprite[row, :n], sprite)

    for split, size in scenes_lib.SPLIT_SIZES.items():
        check(plain[split], size, False)
    check(unique["train"], 50_000, True)
    check(unique["validation"], 5, True)


@pytest.mark.compiles
def test_small_sets_are_prefixes(plain):
    small = scenes_lib.draw_scenes("plain", (7, 3, 2))
    for split, size in zip(scenes_lib.SPLIT_SIZES, (7, 3, 2), strict=True):
        assert len(small[split]) == size
        assert_same_scenes(small[split], plain[split][:size])


def colors_of(scenes: sprite_scenes.Scenes):
    for row, n in enumerate(scenes.num_objects):
        yield [tuple(scenes.background[row]), *map(tuple, scenes.color[row, :n])]


def test_unique_colors(plain, unique):
    assert all(len(set(colors)) == len(colors) for colors in colors_of(unique["train"]))
    # The plain variant does repeat colours, or the test above would show nothing.
    assert any(len(set(colors)) < len(colors) for colors in colors_of(plain["train"]))


def test_vivid_variant():
    """Unique colours at the corners of the colour cube, all equally far from the grey between them."""
    train = scenes_lib.draw_scenes("vivid", (300, 3, 3))["train"]
    assert (train.background == 127).all()
    assert all(len(set(colors)) == len(colors) for colors in colors_of(train))
    used = {color for _, *colors in colors_of(train) for color in colors}
    assert used == set(itertools.product((0, 255), repeat=3))
    assert set(train.num_objects) == {1, 2, 3, 4}


def test_ranges(plain):
    train = plain["train"]
    assert set(train.num_objects) == {1, 2, 3, 4}
    assert set(np.unique(train.color)) == {0, 63, 127, 191, 255}
    np.testing.assert_array_equal((train.sprite >= 0).sum(1), train.num_objects)
    assert train.sprite.max() < sprites.NUM_SPRITES


def test_later_sprites_are_in_front():
    # Squares with the same centre, 20 and 10 pixels wide.
    big, small = 5 * 40_960, 0
    scenes = sprite_scenes.Scenes(
        background=np.full((3, 3), 63, np.uint8),
        num_objects=np.array([2, 2, 3], np.int32),
        sprite=np.array([[big, small, -1, -1], [small, big, -1, -1], [big, small, big, -1]]),
        color=np.arange(36, dtype=np.uint8).reshape(3, 4, 3),
    )
    rendered = sprite_scenes.render_scenes(scenes)
    masks = rendered["masks"]
    area = [[int((m == k).sum()) for k in range(5)] for m in masks]
    assert area[0][1:] == [300, 100, 0, 0]
    assert area[1][1:] == [0, 400, 0, 0]
    assert area[2][1:] == [0, 0, 400, 0]
    np.testing.assert_allclose(
        rendered["visibility"], [[0.75, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    )
    assert rendered["visibility"].dtype == np.float32
    for image, label, background, color in zip(
        rendered["image"], masks, scenes.background, scenes.color, strict=True
    ):
        np.testing.assert_array_equal(image, np.vstack([background, color])[label])


def test_record(data_config):
    source = prepare(data_config).as_data_source("train")
    assert len(source) == 20
    record = source[0]
    scenes = scenes_lib.draw_scenes("plain", (1, 1, 1))["train"]
    rendered = sprite_scenes.render_scenes(scenes)
    np.testing.assert_array_equal(record["image"], rendered["image"][0])
    np.testing.assert_array_equal(record["masks"], rendered["masks"][0])
    assert record["image"].dtype == record["masks"].dtype == np.uint8
    assert record["num_objects"] == 3
    factors = record["factors"]
    np.testing.assert_array_equal(factors["sprite"], [536_110, 499_748, 529_202, -1])
    np.testing.assert_array_equal(factors["background_color"], [191, 191, 0])
    np.testing.assert_array_equal(factors["shape"], [3, 3, 3, 0])
    np.testing.assert_allclose(factors["scale"], [0.6, 0.5, 0.5, 0], rtol=1e-6)
    np.testing.assert_allclose(factors["x"], [17 / 31, 1 / 31, 25 / 31, 0], rtol=1e-6)
    np.testing.assert_allclose(factors["y"], [14 / 31, 4 / 31, 18 / 31, 0], rtol=1e-6)
    np.testing.assert_array_equal(factors["color"], scenes.color[0])
    np.testing.assert_array_equal(factors["visibility"], rendered["visibility"][0])
    assert factors["orientation"].dtype == np.float32


def test_splits_start_with_the_same_scenes_at_any_size(data_config):
    builder = prepare(data_config)
    full = scenes_lib.draw_scenes("plain", (20, 10, 12))
    for split in ("validation", "test"):
        stored = [r["factors"]["sprite"] for r in builder.as_data_source(split)]
        np.testing.assert_array_equal(stored, full[split].sprite)


def test_written_without_tensorflow(data_config):
    builder = prepare(data_config)
    assert builder.info.file_format == tfds.core.FileFormat.ARRAY_RECORD
    assert "tensorflow" not in sys.modules
    assert "GENESIS" in builder.info.description
    assert "engelcke2020genesis" in builder.info.citation


def test_config_names(new_config):
    def name(**changes):
        config = builder_lib.Builder.config_for(new_config("/d", **changes))
        return config if isinstance(config, str) else config.name

    assert name(num_examples=()) == "plain"
    assert name(variant="unique", num_examples=(50_000, 10_000, 10_000)) == "unique"
    assert name(variant="", num_examples=()) == "plain"
    assert name() == "plain_n20_10_12"
    assert name(variant="unique", sprites_path="/f.npz") == "unique_real_n20_10_12"


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"variant": "pink"}, "variants plain, unique, vivid, not 'pink'"),
        ({"num_examples": (1, 2)}, r"num_examples=\(1, 2\): expected three"),
        ({"num_examples": (1, 0, 1)}, "expected three numbers from 1"),
        ({"num_examples": (1, 1, 10_001)}, r"at most \(50000, 10000, 10000\)"),
    ],
)
def test_config_errors(new_config, changes, message):
    with pytest.raises(UserError, match=message):
        builder_lib.Builder.config_for(new_config("/d", **changes))


@pytest.fixture
def small_dsprites(monkeypatch, tmp_path):
    """A dSprites file of 40 images: mirror images of ours, so that they can be told apart."""
    monkeypatch.setattr(sprites, "NUM_SPRITES", 40)
    images = sprite_scenes.analytic_sprites(np.arange(40))[:, :, ::-1].astype(np.uint8)
    path = tmp_path / "dsprites.npz"
    np.savez_compressed(path, imgs=images, latents_classes=np.zeros((40, 6), np.int64))
    return path, images.astype(bool)


def test_real_sprites(small_dsprites, new_config, tmp_path):
    path, images = small_dsprites
    np.testing.assert_array_equal(sprite_scenes.real_sprites(path)([3, 39]), images[[3, 39]])
    config = new_config(tmp_path, sprites_path=str(path), num_examples=(2, 1, 1))
    builder = prepare(config)
    assert builder.builder_config.name == "plain_real_n2_1_1"
    record = builder.as_data_source("train")[0]
    front = record["num_objects"]
    index = record["factors"]["sprite"][front - 1]
    np.testing.assert_array_equal(record["masks"] == front, images[index])


def test_hostile_npz_files(small_dsprites, tmp_path):
    os.mkfifo(tmp_path / "fifo.npz")
    with pytest.raises(UserError, match="no dSprites file at .*fifo.npz"):
        sprite_scenes.real_sprites(tmp_path / "fifo.npz")
    head = b"\x93NUMPY\x02\x00" + (2**32 - 1).to_bytes(4, "little") + bytes(20_000_000)
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("imgs.npy", head)
    del head
    tracemalloc.start()
    with pytest.raises(UserError, match=r"bomb.npz is not the dSprites npz file.*version \(2, 0\)"):
        sprite_scenes.real_sprites(tmp_path / "bomb.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6


def test_real_sprites_errors(small_dsprites, new_config, tmp_path):
    path, images = small_dsprites
    with pytest.raises(UserError, match="no dSprites file at .*gone.npz"):
        prepare(new_config(tmp_path, sprites_path=str(tmp_path / "gone.npz")))
    wrong = tmp_path / "wrong.npz"
    np.savez(wrong, imgs=images[:5].astype(np.uint8))
    with pytest.raises(UserError, match=r"wrong.npz is not the dSprites npz.*\(5, 64, 64\)"):
        sprite_scenes.real_sprites(wrong)
    np.savez(wrong, pictures=images)
    with pytest.raises(UserError, match="expected an entry 'imgs'"):
        sprite_scenes.real_sprites(wrong)
    wrong.write_bytes(path.read_bytes()[:500])
    with pytest.raises(UserError, match="is not the dSprites npz"):
        sprite_scenes.real_sprites(wrong)


def test_failed_preparation_leaves_nothing(monkeypatch, new_config, tmp_path):
    config = new_config(tmp_path, num_examples=(600, 1, 1))
    render = sprite_scenes.render_scenes
    calls = []

    def failing(*args):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return render(*args)

    monkeypatch.setattr(sprite_scenes, "render_scenes", failing)
    with pytest.raises(KeyboardInterrupt):
        prepare(config)
    assert not list(tmp_path.rglob("*.array_record*"))
    assert not list(tmp_path.rglob("1.1.0"))
    monkeypatch.undo()
    assert len(prepare(config).as_data_source("train")) == 600


@pytest.mark.compiles
def test_killed_preparation_does_not_look_complete(new_config, tmp_path):
    config = new_config(tmp_path, num_examples=(3, 2, 2))
    program = (
        "import sys, time, ml_collections\n"
        "from ocgm.data import prepare\n"
        "from ocgm.datasets.sprites import sprite_scenes as scenes\n"
        # Stops where the training split is written and the others are not.
        "render = scenes.render_scenes\n"
        "def slow(part, *args):\n"
        "    if len(part) == 2: print('half', file=sys.__stdout__, flush=True); time.sleep(60)\n"
        "    return render(part, *args)\n"
        "scenes.render_scenes = slow\n"
        f"prepare(ml_collections.ConfigDict({config.to_dict()!r}))\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)
    assert not list(tmp_path.rglob("1.1.0"))
    assert len(list(tmp_path.rglob("incomplete.*"))) == 1
    assert len(prepare(config).as_data_source("train")) == 3
    assert len(list(tmp_path.rglob("1.1.0"))) == 1
    assert not list(tmp_path.rglob("incomplete.*"))


def test_concurrent_preparation(monkeypatch, new_config, tmp_path, capsys):
    config = new_config(tmp_path, num_examples=(2, 1, 1))
    made = []
    make = builder_lib.Builder.download_and_prepare

    def count(self, **options):
        made.append(self)
        time.sleep(0.2)  # Gives the other thread time to arrive.
        make(self, **options)

    monkeypatch.setattr(builder_lib.Builder, "download_and_prepare", count)
    results = []
    threads = [threading.Thread(target=lambda: results.append(prepare(config))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert [len(builder.as_data_source("test")) for builder in results] == [1, 1]
    assert "Waiting for another process" in capsys.readouterr().err


def test_damaged_folder(new_config, tmp_path):
    config = new_config(tmp_path, num_examples=(1, 1, 1))
    builder = prepare(config)
    os.remove(builder.data_path / "dataset_info.json")
    with pytest.raises(UserError, match="is damaged: delete it"):
        prepare(config)
