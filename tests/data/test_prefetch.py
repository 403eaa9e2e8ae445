"""The device prefetcher."""

import pathlib
import subprocess
import sys
import time

import grain
import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from ocgm.data import DevicePrefetcher, train_iterator


class Numbers(grain.DatasetIterator):
    """Yields batches that hold 0, 1, 2, ... and can be slow or fail."""

    def __init__(self, end: int = 1000, pause: float = 0.0, fail_at: int = -1):
        super().__init__()
        self.position, self.end, self.pause, self.fail_at = 0, end, pause, fail_at

    def __next__(self):
        time.sleep(self.pause)
        if self.position == self.fail_at:
            raise OSError("disk on fire")
        if self.position == self.end:
            raise StopIteration
        self.position += 1
        return {"image": np.full((4, 2), self.position - 1, np.int32)}

    def get_state(self):
        return {"position": self.position}

    def set_state(self, state):
        self.position = state["position"]


@pytest.fixture(scope="module")
def sharding():
    devices = np.array(jax.devices()[:2])
    mesh = jax.sharding.Mesh(devices, ("data",))
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))


def values(prefetcher, count: int) -> list[int]:
    return [int(next(prefetcher)["image"][0, 0]) for _ in range(count)]


def wait_for(condition):
    limit = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.005)


def test_order_and_sharding(sharding):
    prefetcher = DevicePrefetcher(Numbers(), sharding)
    batch = next(prefetcher)["image"]
    assert isinstance(batch, jax.Array)
    assert batch.sharding == sharding
    assert batch.shape == (4, 2)
    assert values(prefetcher, 5) == [1, 2, 3, 4, 5]
    prefetcher.close()


@pytest.mark.parametrize("depth", [0, 1, 2, 5])
def test_depth(sharding, depth):
    numbers = Numbers()
    prefetcher = DevicePrefetcher(numbers, sharding, depth)
    next(prefetcher)
    ahead = (
        depth + 1 if depth else 0
    )  # Those in the queue, and the one that waits for a place in it.
    wait_for(lambda: numbers.position == 1 + ahead)
    time.sleep(0.02)
    assert numbers.position == 1 + ahead
    prefetcher.close()


def test_state_is_that_of_the_batches_handed_out(sharding):
    numbers = Numbers()
    prefetcher = DevicePrefetcher(numbers, sharding, depth=3)
    assert prefetcher.get_state() == {"position": 0}
    for step in range(1, 6):
        next(prefetcher)
        wait_for(lambda step=step: numbers.position == step + 4)
        assert prefetcher.get_state() == {"position": step}
    prefetcher.close()


def test_set_state(sharding):
    prefetcher = DevicePrefetcher(Numbers(pause=0.01), sharding, depth=3)
    values(prefetcher, 5)
    prefetcher.set_state({"position": 2})
    assert prefetcher.get_state() == {"position": 2}
    assert values(prefetcher, 4) == [2, 3, 4, 5]
    prefetcher.close()


def test_resume_through_a_checkpoint(sharding, data_config, tmp_path):
    def images(prefetcher, count):
        return [np.asarray(next(prefetcher)["image"]) for _ in range(count)]

    prefetcher = DevicePrefetcher(train_iterator(data_config, 8, seed=5), sharding)
    images(prefetcher, 4)
    with ocp.CheckpointManager(tmp_path) as manager:
        args = ocp.args.Composite(data=grain.checkpoint.CheckpointSave(prefetcher))
        manager.save(4, args=args)
        expected = images(prefetcher, 4)
        manager.wait_until_finished()
        restored = DevicePrefetcher(train_iterator(data_config, 8, seed=5), sharding)
        args = ocp.args.Composite(data=grain.checkpoint.CheckpointRestore(restored))
        manager.restore(4, args=args)
    np.testing.assert_array_equal(images(restored, 4), expected)
    # The same state restores a bare iterator, too.
    bare = train_iterator(data_config, 8, seed=5)
    bare.set_state({"next_index": 4})
    np.testing.assert_array_equal(next(bare)["image"], expected[0])


def test_waiting_is_counted(sharding):
    prefetcher = DevicePrefetcher(Numbers(pause=0.05), sharding)
    assert prefetcher.wait_seconds == 0
    values(prefetcher, 4)
    assert 0.15 < prefetcher.wait_seconds < 1
    prefetcher.reset_wait()
    assert prefetcher.wait_seconds == 0
    prefetcher.close()


def test_no_wait_when_the_consumer_is_slower(sharding):
    numbers = Numbers(pause=0.1)
    prefetcher = DevicePrefetcher(numbers, sharding)
    next(prefetcher)
    wait_for(lambda: numbers.position == 3)
    time.sleep(0.05)  # The last of them goes to the device.
    prefetcher.reset_wait()
    values(prefetcher, 2)
    assert prefetcher.wait_seconds < 0.08
    prefetcher.close()


def test_error_comes_after_the_good_batches(sharding):
    prefetcher = DevicePrefetcher(Numbers(fail_at=3), sharding, depth=5)
    assert values(prefetcher, 3) == [0, 1, 2]
    with pytest.raises(OSError, match="disk on fire"):
        next(prefetcher)
    assert prefetcher.get_state() == {"position": 3}
    prefetcher.close()


def test_end_of_data(sharding):
    prefetcher = DevicePrefetcher(Numbers(end=3), sharding)
    assert [int(batch["image"][0, 0]) for batch in prefetcher] == [0, 1, 2]
    prefetcher.close()


def test_close(sharding):
    numbers = Numbers(pause=0.01)
    prefetcher = DevicePrefetcher(numbers, sharding)
    next(prefetcher)
    prefetcher.close()
    position = numbers.position
    time.sleep(0.05)
    assert numbers.position == position
    prefetcher.close()
    with pytest.raises(ValueError, match="closed iterator"):
        next(prefetcher)


def test_exit_without_close():
    program = f"""
import sys
import jax, numpy as np
sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})
from test_prefetch import DevicePrefetcher, Numbers
mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",))
spec = jax.sharding.PartitionSpec("data")
prefetcher = DevicePrefetcher(Numbers(pause=0.001), jax.sharding.NamedSharding(mesh, spec))
print(len([next(prefetcher) for _ in range(20)]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "20\n"), done.stderr
    assert "Exception ignored" not in done.stderr
