"""The checkpoint store with a small state: what comes back, what is kept, and every kind of damage."""

import gc
import pathlib
import shutil
import threading
import time

import grain
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from ml_collections import ConfigDict

from ocgm import processes, run_dir
from ocgm.errors import CheckpointError, ConfigError
from ocgm.training.checkpoint import CheckpointStore, digest

# Orbax leaves reads that failed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def collect_failed_reads():
    yield
    gc.collect()


_KEEP_ALL = ConfigDict({"keep": 100, "keep_every_steps": 0})


def state_at(step: int) -> dict[str, jax.Array]:
    random = np.random.default_rng(step)
    return {
        "weights": jnp.asarray(random.standard_normal((40, 50)), jnp.float32),
        "bias": jnp.asarray(random.standard_normal(7), jnp.float32),
        "step": jnp.int32(step),
    }


def new_iterator() -> grain.DatasetIterator:
    return iter(grain.MapDataset.range(1000).shuffle(seed=3).batch(4).to_iter_dataset())


def abstract() -> dict[str, jax.ShapeDtypeStruct]:
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), state_at(0)
    )


def assert_is_state(actual: dict[str, jax.Array], step: int) -> None:
    jax.tree.map(np.testing.assert_array_equal, actual, state_at(step))


@pytest.fixture(scope="module")
def two_checkpoints(tmp_path_factory) -> pathlib.Path:
    """A folder with checkpoints after 3 and 5 batches; tests work on copies."""
    folder = tmp_path_factory.mktemp("two_checkpoints")
    iterator = new_iterator()
    with CheckpointStore(folder, _KEEP_ALL) as store:
        for step in range(1, 6):
            next(iterator)
            if step in (3, 5):
                store.save(step, state_at(step), iterator)
    return folder


@pytest.fixture
def workdir(two_checkpoints, tmp_path) -> pathlib.Path:
    return shutil.copytree(two_checkpoints, tmp_path / "run")


def batch_number(number: int) -> np.ndarray:
    iterator = new_iterator()
    return [next(iterator) for _ in range(number)][-1]


def test_round_trip(workdir):
    iterator = new_iterator()
    with CheckpointStore(workdir, _KEEP_ALL) as store:
        restored = store.restore(abstract(), iterator)
    assert (restored.step, restored.problems) == (5, ())
    assert_is_state(restored.state, 5)
    np.testing.assert_array_equal(next(iterator), batch_number(6))


def test_a_step_by_name(workdir):
    with CheckpointStore(workdir) as store:
        assert store.steps() == [3, 5]
        restored = store.restore(abstract(), step=3)
        assert restored.step == 3
        assert_is_state(restored.state, 3)
        with pytest.raises(CheckpointError, match=r"has no step 4; it has \[3, 5\]"):
            store.restore(abstract(), step=4)


def weights_only() -> dict[str, jax.ShapeDtypeStruct]:
    return {name: leaf for name, leaf in abstract().items() if name != "step"}


def test_a_part_of_the_state(workdir):
    """Only these fields are read and verified."""
    with CheckpointStore(workdir) as store:
        restored = store.restore(weights_only())
    assert restored.step == 5
    expected = state_at(5)
    del expected["step"]
    jax.tree.map(np.testing.assert_array_equal, restored.state, expected)


def test_no_checkpoints(tmp_path):
    with CheckpointStore(tmp_path, _KEEP_ALL) as store:
        assert store.restore(abstract(), new_iterator()) is None


def test_saving_a_step_again_changes_nothing(workdir):
    with CheckpointStore(workdir, _KEEP_ALL) as store:
        store.save(5, state_at(99))
        store.wait()
        assert_is_state(store.restore(abstract()).state, 5)


@pytest.mark.parametrize(
    "keep,keep_every_steps,kept",
    [(2, 0, [9, 10]), (1, 4, [4, 8, 10]), (3, 5, [5, 8, 9, 10]), (100, 0, list(range(1, 11)))],
)
def test_retention(tmp_path, keep, keep_every_steps, kept):
    config = ConfigDict({"keep": keep, "keep_every_steps": keep_every_steps})
    with CheckpointStore(tmp_path, config) as store:
        for step in range(1, 11):
            store.save(step, state_at(step))
    folders = sorted(int(path.name) for path in (tmp_path / "checkpoints").iterdir())
    with CheckpointStore(tmp_path) as store:
        assert store.steps() == folders == kept


# ---- damage

# Files whose bytes decide what is restored, and how many of them; damage to others may be harmless.
DECISIVE = {
    "state/d/*": 1,
    "state/manifest.ocdbt": 1,
    "state/ocdbt.process_0/d/*": 1,
    "digest/metadata": 1,
    "position/metadata": 1,
}


def truncate(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: pathlib.Path) -> None:
    path.write_bytes(b"")


def flip_bit(path: pathlib.Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def flip_last_digit(path: pathlib.Path) -> None:
    """Another valid JSON."""
    content = bytearray(path.read_bytes())
    content[max(i for i, byte in enumerate(content) if chr(byte).isdigit())] ^= 1
    path.write_bytes(content)


def remove(path: pathlib.Path) -> None:
    path.unlink()


def files_of_newest(workdir: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for path in (workdir / "checkpoints" / "5").rglob("*") if path.is_file())


def restore(workdir: pathlib.Path):
    """What a training run does at its start."""
    iterator = new_iterator()
    with CheckpointStore(workdir, _KEEP_ALL) as store:
        restored = store.restore(abstract(), iterator)
        moved = store.set_aside_after(restored.step)
    return restored, moved, next(iterator)


@pytest.mark.parametrize("damage", [truncate, empty, flip_bit, remove])
def test_damage_to_any_file(two_checkpoints, tmp_path, damage):
    """Whatever file is damaged: either it did not matter, or the checkpoint before is used and said so."""
    noticed = []
    for i, original in enumerate(files_of_newest(two_checkpoints)):
        if not original.stat().st_size:
            continue
        workdir = shutil.copytree(two_checkpoints, tmp_path / str(i))
        damage(workdir / original.relative_to(two_checkpoints))
        files_before = sum(path.is_file() for path in workdir.rglob("*"))
        restored, moved, batch = restore(workdir)
        assert_is_state(restored.state, restored.step)
        np.testing.assert_array_equal(batch, batch_number(restored.step + 1), err_msg=str(original))
        if restored.step == 5:
            assert not restored.problems and not moved
            continue
        noticed.append(original.relative_to(two_checkpoints / "checkpoints" / "5"))
        assert restored.step == 3
        (problem,) = restored.problems
        assert str(workdir / "checkpoints" / "5") in problem and "damaged" in problem
        assert moved == [workdir / "checkpoints_damaged" / "5"]
        assert sum(path.is_file() for path in workdir.rglob("*")) == files_before  # none deleted
    for pattern, count in DECISIVE.items():
        assert sum(path.match(pattern) for path in noticed) >= count, (pattern, noticed)


def test_digits_that_changed_in_json(two_checkpoints, tmp_path):
    for i, name in enumerate(("position/metadata", "digest/metadata")):
        workdir = shutil.copytree(two_checkpoints, tmp_path / str(i))
        flip_last_digit(workdir / "checkpoints" / "5" / name)
        restored, _, batch = restore(workdir)
        assert restored.step == 3
        assert "do not match" in restored.problems[0]
        np.testing.assert_array_equal(batch, batch_number(4))


def test_the_step_can_be_saved_again(workdir):
    empty(workdir / "checkpoints" / "5" / "state" / "_METADATA")
    restore(workdir)
    for name in ("5", "5_again"):
        assert (workdir / "checkpoints_damaged" / name).is_dir() == (name == "5")
    with CheckpointStore(workdir, _KEEP_ALL) as store:
        store.save(5, state_at(5), new_iterator())
    empty(workdir / "checkpoints" / "5" / "state" / "_METADATA")
    restored, moved, _ = restore(workdir)
    assert restored.step == 3
    assert moved == [workdir / "checkpoints_damaged" / "5_again"]


def test_all_damaged(workdir):
    for step in (3, 5):
        empty(workdir / "checkpoints" / str(step) / "state" / "_METADATA")
    with (
        CheckpointStore(workdir, _KEEP_ALL) as store,
        pytest.raises(CheckpointError) as error,
    ):
        store.restore(abstract(), new_iterator())
    message = str(error.value)
    assert message.startswith("No checkpoint could be read; nothing was changed on disk")
    for step in (3, 5):
        assert f"checkpoint {workdir / 'checkpoints' / str(step)} is damaged" in message
        assert (workdir / "checkpoints" / str(step)).is_dir()
    assert "another --workdir" in message


def test_full_disk(workdir, monkeypatch):
    def full(*args, **kwargs):
        raise ValueError("RESOURCE_EXHAUSTED: Error writing [OS error 28: No space left on device]")

    with CheckpointStore(workdir, _KEEP_ALL) as store:
        monkeypatch.setattr(ocp.CheckpointManager, "save", full)
        with pytest.raises(
            CheckpointError, match=r"\(No space left on device\). Earlier checkpoints"
        ):
            store.save(7, state_at(7))
        assert store.steps() == [3, 5]


def test_a_checkpoint_that_is_not_used_does_not_move_the_iterator(two_checkpoints, tmp_path):
    """The newest one is damaged, and the one before has no position, as imported ones have none."""
    for i, damaged in enumerate(("state/manifest.ocdbt", "state/_METADATA", "digest/metadata")):
        workdir, iterator = tmp_path / str(i), new_iterator()
        with CheckpointStore(workdir, _KEEP_ALL) as store:
            store.save(3, state_at(3))
        newest = workdir / "checkpoints" / "5"
        shutil.copytree(two_checkpoints / "checkpoints" / "5", newest)
        truncate(newest / damaged)
        with CheckpointStore(workdir) as store:
            assert store.restore(abstract(), iterator).step == 3
        np.testing.assert_array_equal(next(iterator), batch_number(1), err_msg=damaged)


def test_a_checkpoint_is_damaged_if_another_process_cannot_read_it(workdir, monkeypatch):
    answers = iter(["", "process 1: OSError('Stale file handle')"])

    def first_text(text):
        return text or next(answers, "")

    monkeypatch.setattr(processes, "first_text", first_text)
    iterator = new_iterator()
    with CheckpointStore(workdir, _KEEP_ALL) as store:
        restored = store.restore(abstract(), iterator)
    (problem,) = restored.problems
    assert restored.step == 3
    assert "checkpoints/5 is damaged" in problem and "process 1: OSError" in problem
    np.testing.assert_array_equal(next(iterator), batch_number(4))


def test_a_folder_that_cannot_be_made(workdir):
    """An error at once, which names the folder; not after minutes."""
    with CheckpointStore(workdir, _KEEP_ALL) as store:
        (workdir / "checkpoints").rename(workdir / "moved")
        (workdir / "checkpoints").write_text("no folder")
        start = time.monotonic()
        with pytest.raises(CheckpointError, match=f"not be saved in {workdir}/checkpoints"):
            store.save(7, state_at(7))
            store.wait()
        assert time.monotonic() - start < 30


def test_reading_while_a_run_saves_and_deletes(tmp_path):
    """With keep=1 each checkpoint vanishes when the next one is complete: a reader looks again."""
    config, read = ConfigDict({"keep": 1, "keep_every_steps": 0}), []
    with CheckpointStore(tmp_path, config) as store:
        store.save(0, state_at(0))

    def save_often():
        with CheckpointStore(tmp_path, config) as store:
            for step in range(1, 16):
                store.save(step, state_at(step))

    writer = threading.Thread(target=save_often)
    writer.start()
    while writer.is_alive():
        with CheckpointStore(tmp_path) as store:
            restored = store.restore(abstract())
        assert not restored.problems
        assert_is_state(restored.state, restored.step)
        read.append(restored.step)
    writer.join()
    assert read == sorted(read) and len(set(read)) > 2


@pytest.mark.parametrize(
    "name", ["sp ace", "50%25", "ünï #1", "new\nline", "a:b,c;d", "{x}~$HOME'\""]
)
def test_unusual_paths(tmp_path, name):
    with CheckpointStore(tmp_path / name, _KEEP_ALL) as store:
        store.save(1, state_at(1), new_iterator())
    with CheckpointStore(tmp_path / name) as store:
        assert_is_state(store.restore(abstract()).state, 1)


@pytest.mark.parametrize("name", ["run[0]", "a*", "a?b", "a\\b", "logs:", "gs:", "\udce9"])
def test_paths_that_could_be_saved_to_but_not_read_from_are_refused(tmp_path, name, monkeypatch):
    for config in (_KEEP_ALL, None):
        with pytest.raises(ConfigError, match="cannot hold checkpoints because of"):
            CheckpointStore(tmp_path / name / "run", config)
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    with pytest.raises(ConfigError, match="cannot hold checkpoints"):
        run_dir.check_workdir(pathlib.Path("run"), ConfigDict())
    assert not list((tmp_path / name).iterdir())


def test_half_of_a_save_is_ignored(workdir):
    """A process killed while it saved leaves a folder that has not got its name yet."""
    half = workdir / "checkpoints" / "7.orbax-checkpoint-tmp"
    shutil.copytree(workdir / "checkpoints" / "5", half)
    restored, moved, _ = restore(workdir)
    assert (restored.step, restored.problems, moved) == (5, (), [])


@pytest.mark.parametrize(
    ("name", "shape", "reason"),
    [
        ("bias", (8,), "shape"),
        ("gate", (8,), r"it has no array \['gate'\]"),
        ("bias", None, "do not match"),
    ],
    ids=["shape", "missing", "left_over"],
)
def test_another_model_does_not_fit(workdir, name, shape, reason):
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    leaf = shape and jax.ShapeDtypeStruct(shape, jnp.float32, sharding=device)
    other = {**abstract(), name: leaf}
    with (
        CheckpointStore(workdir) as store,
        pytest.raises(CheckpointError, match=f"damaged or does not fit .*{reason}"),
    ):
        store.restore(other)


@pytest.mark.parametrize("damage", [truncate, empty, flip_bit, remove])
def test_damage_is_noticed_in_a_part(two_checkpoints, tmp_path, damage):
    """A part has digests of its own: its damage is noticed, and damage of the rest need not matter."""
    noticed = 0
    for i, original in enumerate(files_of_newest(two_checkpoints)):
        if not original.stat().st_size:
            continue
        workdir = shutil.copytree(two_checkpoints, tmp_path / str(i))
        damage(workdir / original.relative_to(two_checkpoints))
        with CheckpointStore(workdir) as store:
            restored = store.restore(weights_only())
        for name, array in restored.state.items():
            np.testing.assert_array_equal(array, state_at(restored.step)[name])
        noticed += restored.step == 3
    assert noticed >= 3


def test_digest_sees_every_bit_and_the_order():
    tree = {"a": jnp.arange(6.0).reshape(2, 3), "n": jnp.int32(1)}
    same = int(digest(tree))
    assert int(digest(jax.tree.map(lambda leaf: leaf + 0, tree))) == same
    others = [
        {**tree, "n": jnp.int32(2)},
        {**tree, "a": tree["a"].at[0, 0].set(-0.0)},
        {**tree, "a": tree["a"][::-1]},
        {**tree, "a": tree["a"].at[1, 2].set(jnp.nextafter(5.0, 6.0))},
    ]
    digests = [int(digest(other)) for other in others]
    assert same not in digests
    assert len(set(digests)) == len(digests)


def test_digest_does_not_depend_on_the_sharding():
    mesh = jax.make_mesh((jax.device_count(),), ("data",))
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    tree = {"a": np.arange(8 * jax.device_count(), dtype=np.float32)}
    assert int(digest(jax.device_put(tree, spread))) == int(digest(jax.device_put(tree)))
