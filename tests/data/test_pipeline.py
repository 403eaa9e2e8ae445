"""Batches: order, resuming, sharding, resizing."""

import dataclasses

import grain
import numpy as np
import orbax.checkpoint as ocp
import pytest
from ml_collections import ConfigDict

from ocgm.data import eval_batches, open_builder, pipeline, prepare, train_iterator
from ocgm.errors import UserError

TRAIN, TEST = 20, 12  # Sizes of the fixture's splits.


def take(iterator, count: int) -> list[np.ndarray]:
    return [next(iterator)["image"] for _ in range(count)]


@pytest.fixture
def stored(data_config) -> dict[bytes, int]:
    """Position of each training image, by its bytes."""
    source = prepare(data_config).as_data_source("train")
    positions = {record["image"].tobytes(): i for i, record in enumerate(source)}
    assert len(positions) == TRAIN
    return positions


def order(images: list[np.ndarray], stored: dict[bytes, int]) -> list[int]:
    return [stored[image.tobytes()] for image in np.concatenate(images)]


def test_training_batches(data_config):
    batch = next(train_iterator(data_config, 8, seed=0))
    assert list(batch) == ["image"]
    assert batch["image"].shape == (8, 64, 64, 3)
    assert batch["image"].dtype == np.uint8


def test_every_epoch_has_every_image_in_a_new_order(data_config, stored):
    # 20 images are 2.5 batches of 8, so epochs end inside batches.
    seen = order(take(train_iterator(data_config, 8, seed=3), 10), stored)
    epochs = [seen[i : i + TRAIN] for i in range(0, 80, TRAIN)]
    assert all(sorted(epoch) == list(range(TRAIN)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 4


def test_order_depends_on_the_seed_alone(data_config, stored):
    first, again, other = (
        order(take(train_iterator(data_config, 4, seed=seed), 5), stored) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("steps", [0, 1, 2, 7])
def test_resume_through_a_checkpoint(data_config, tmp_path, steps):
    iterator = train_iterator(data_config, 8, seed=5)
    take(iterator, steps)
    with ocp.CheckpointManager(tmp_path) as manager:
        args = ocp.args.Composite(data=grain.checkpoint.CheckpointSave(iterator))
        manager.save(steps, args=args)
        expected = take(iterator, 4)  # Crosses the end of an epoch.
        manager.wait_until_finished()
        restored = train_iterator(data_config, 8, seed=5)
        args = ocp.args.Composite(data=grain.checkpoint.CheckpointRestore(restored))
        manager.restore(steps, args=args)
    np.testing.assert_array_equal(take(restored, 4), expected)


@pytest.mark.parametrize("count", [2, 4])
def test_processes_share_the_global_batch(data_config, count):
    whole = take(train_iterator(data_config, 8, seed=1), 6)
    parts = [take(train_iterator(data_config, 8, 1, i, count), 6) for i in range(count)]
    assert parts[0][0].shape[0] == 8 // count
    for step, expected in enumerate(whole):
        np.testing.assert_array_equal(np.concatenate([part[step] for part in parts]), expected)


def test_nearest_resize(data_config):
    large = next(eval_batches(data_config, "test", 4))
    for size in (32, 48):
        data_config.image_size = size
        small = next(eval_batches(data_config, "test", 4))
        source = [int(i * 64 / size) for i in range(size)]
        for field in ("image", "masks"):
            np.testing.assert_array_equal(small[field], large[field][:, source][:, :, source])
    assert next(train_iterator(data_config, 2, seed=0))["image"].shape == (2, 48, 48, 3)


def test_evaluation_batches(data_config):
    batches = list(eval_batches(data_config, "test", 5))
    assert [list(batch["valid"]) for batch in batches] == [[True] * 5] * 2 + [
        [True] * 2 + [False] * 3
    ]
    for batch in batches:
        assert batch["image"].shape == (5, 64, 64, 3)
        assert batch["masks"].shape == (5, 64, 64)
        assert {field: array.dtype for field, array in batch.items()} == {
            "image": np.uint8,
            "masks": np.uint8,
            "num_objects": np.int32,
            "valid": bool,
        }
    together = {f: np.concatenate([b[f][b["valid"]] for b in batches]) for f in batches[0]}
    records = list(prepare(data_config).as_data_source("test"))
    for field in ("image", "masks", "num_objects"):
        np.testing.assert_array_equal(together[field], [record[field] for record in records])


def test_evaluation_of_the_first_images(data_config):
    batches = list(eval_batches(data_config, "test", 4, num_images=6))
    assert [batch["valid"].sum() for batch in batches] == [4, 2]


def test_evaluation_by_two_processes(data_config):
    whole = list(eval_batches(data_config, "test", 8, 9))
    parts = [list(eval_batches(data_config, "test", 8, 9, i, 2)) for i in range(2)]
    assert len(whole) == len(parts[0]) == len(parts[1]) == 2
    for expected, left, right in zip(whole, *parts, strict=True):
        for field, array in expected.items():
            np.testing.assert_array_equal(np.concatenate([left[field], right[field]]), array)


def test_no_two_iterators_share_state(data_config):
    first, second = (train_iterator(data_config, 4, seed=0) for _ in range(2))
    take(first, 3)
    assert first.get_state() != second.get_state()


# ---- scenes that are made while training


@pytest.fixture
def endless(new_config, tmp_path) -> ConfigDict:
    return new_config(
        tmp_path,
        name="tetrominoes_synthetic",
        variant="",
        image_size=35,
        num_examples=(),
        on_the_fly=True,
    )


def test_endless_scenes(endless, tmp_path):
    """They are the records of the prepared dataset, go on behind its end, and need no disk."""
    batches = take(train_iterator(endless, 96, seed=0), 4)  # Crosses the border of a block.
    assert not list(tmp_path.iterdir())
    assert len({image.tobytes() for image in np.concatenate(batches)}) == 4 * 96
    stored = prepare(ConfigDict({**endless, "num_examples": (384, 3, 3)}))
    records = [record["image"] for record in stored.as_data_source("train")]
    np.testing.assert_array_equal(np.concatenate(batches), records)
    held_out = next(eval_batches(endless, "test", 3, 3))
    for field in ("image", "masks", "num_objects"):
        expected = [record[field] for record in stored.as_data_source("test")]
        np.testing.assert_array_equal(held_out[field], expected)
    with pytest.raises(
        UserError, match="num_images=321, but test of tetrominoes_synthetic has 320"
    ):
        eval_batches(endless, "test", 3, 321)


def test_endless_scenes_resume_and_are_shared(endless):
    iterator = train_iterator(endless, 8, seed=1)
    expected = take(iterator, 60)
    resumed = train_iterator(endless, 8, seed=1)
    take(resumed, 3)
    state = resumed.get_state()
    resumed = train_iterator(endless, 8, seed=1)
    resumed.set_state(state)
    np.testing.assert_array_equal(take(resumed, 57), expected[3:])
    parts = [take(train_iterator(endless, 8, 1, i, 2), 60) for i in range(2)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), expected)
    assert (take(train_iterator(endless, 8, seed=2), 1)[0] != expected[0]).any()


def test_endless_scenes_of_several_pictures(endless, monkeypatch):
    """Neighbours that show one scene are in different batches, and each picture comes once."""
    spec = dataclasses.replace(pipeline.get_spec(endless.name), grouped=True)
    monkeypatch.setattr(pipeline, "get_spec", lambda name: spec)
    monkeypatch.setattr(pipeline, "_BLOCKS_MIXED", 4)
    builder = open_builder(endless)
    blocks = [builder.block("train", i)["image"] for i in range(4)]
    position = {image.tobytes(): i for i, image in enumerate(np.concatenate(blocks))}
    window = len(position)
    batches = take(train_iterator(endless, 32, seed=0), window // 32)
    seen = [[position[image.tobytes()] for image in batch] for batch in batches]
    assert sorted(sum(seen, [])) == list(range(window))
    assert all(len({i // builder.BLOCK for i in batch}) == 4 for batch in seen)


def test_scenes_of_a_fixed_list_are_not_endless(data_config):
    data_config.on_the_fly = True
    with pytest.raises(UserError, match="on_the_fly=True, but multi_dsprites is not a dataset"):
        train_iterator(data_config, 4, seed=0)


# ---- mistakes


@pytest.mark.parametrize(
    "use,message",
    [
        (lambda c: train_iterator(c, 5, 0, 0, 2), "batch_size=5 must be a positive multiple of 2"),
        (lambda c: train_iterator(c, 0, 0), "batch_size=0 must be a positive multiple of 1"),
        (lambda c: eval_batches(c, "test", 4, 13), "num_images=13, but test of multi_dsprites has"),
        (lambda c: eval_batches(c, "test", 4, 0), "num_images=0, but test"),
        (lambda c: eval_batches(c, "tset", 4), "no split 'tset' in multi_dsprites"),
    ],
)
def test_errors(data_config, use, message):
    with pytest.raises(UserError, match=message):
        use(data_config)


@pytest.mark.parametrize("size", [0, 65])
def test_image_size_errors(data_config, size):
    data_config.image_size = size
    with pytest.raises(UserError, match=f"image_size={size}, but multi_dsprites has 1 to 64"):
        train_iterator(data_config, 4, seed=0)
