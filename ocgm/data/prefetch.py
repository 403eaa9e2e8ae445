"""Batches that are made and moved to the devices ahead of their use."""

import atexit
import time
import weakref
from typing import Any

import grain
import jax


class DevicePrefetcher(grain.experimental.ThreadPrefetchDatasetIterator):
    """Grain's prefetch thread over a host iterator, with global device arrays and a clock.

    `get_state` returns the position after the last batch returned by `next`, whatever was made ahead, so
    a checkpoint taken between two batches resumes exactly; `grain.checkpoint.CheckpointSave` and
    `CheckpointRestore` take this object. An error of the host iterator is raised by `next` in the
    place of the batch that it spoiled.

    Attributes:
      wait_seconds: time spent in `next` since the start or the last `reset_wait`.
    """

    def __init__(
        self, iterator: grain.DatasetIterator, sharding: jax.sharding.NamedSharding, depth: int = 1
    ):
        """Create the prefetcher; nothing is read yet.

        Args:
          iterator: yields this process's rows of each batch, a dict of arrays [b, ...]. Only the
            prefetcher may use it from now on.
          sharding: of the global batch, [B, ...].
          depth: number of batches in the queue; the thread holds one more.
        """
        super().__init__(_OnDevices(iterator, sharding), depth)
        self.wait_seconds = 0.0
        self._is_closed = False
        # Or the thread, a daemon, is still in JAX when the interpreter exits, which may abort.
        reference = weakref.ref(self)

        def close() -> None:
            if (alive := reference()) is not None:
                alive.close()

        atexit.register(close)

    def __next__(self) -> dict[str, jax.Array]:
        start = time.perf_counter()
        try:
            return super().__next__()
        finally:
            self.wait_seconds += time.perf_counter() - start

    def close(self) -> None:
        """Stop the thread and close the host iterator."""
        # Once only: Grain closes a deleted iterator again, when its modules may be gone.
        if not self._is_closed:
            self._is_closed = True
            super().close()

    def reset_wait(self) -> None:
        """Set `wait_seconds` to zero."""
        self.wait_seconds = 0.0


class _OnDevices(grain.DatasetIterator):
    """The batches of a host iterator as global arrays."""

    def __init__(self, iterator: grain.DatasetIterator, sharding: jax.sharding.NamedSharding):
        super().__init__(iterator)
        self._iterator, self._sharding = iterator, sharding

    def __next__(self) -> dict[str, jax.Array]:
        return jax.tree.map(
            lambda rows: jax.make_array_from_process_local_data(self._sharding, rows),
            next(self._iterator),
        )

    def get_state(self) -> dict[str, Any]:
        """Return the state of the host iterator."""
        return self._iterator.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        """Set the state of the host iterator."""
        self._iterator.set_state(state)
