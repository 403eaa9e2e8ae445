"""Keeps batches ready on the devices."""

import collections
import time
from concurrent import futures
from typing import Any

import grain
import jax
import numpy as np


class DevicePrefetcher(grain.DatasetIterator):
    """Hands out the batches of a host iterator as global device arrays, made ahead by a thread.

    `get_state` gives the position after the last batch handed out, whatever was made ahead, so a
    checkpoint taken between two batches resumes exactly; `grain.checkpoint.CheckpointSave` and
    `CheckpointRestore` take this object. An error of the host iterator is raised by `next` in the
    place of the batch that it spoiled.

    Attributes:
      wait_seconds: time that `next` waited since the start or the last `reset_wait`.
    """

    def __init__(
        self, iterator: grain.DatasetIterator, sharding: jax.sharding.NamedSharding, depth: int = 2
    ):
        """Reads nothing yet.

        Args:
          iterator: yields this process's rows of each batch, a dict of arrays [b, ...]. It must not
            be used by anybody else from now on.
          sharding: of the global batch, [B, ...].
          depth: number of batches kept ahead of the one handed out.
        """
        super().__init__()
        self.wait_seconds = 0.0
        self._iterator = iterator
        self._sharding = sharding
        self._depth = depth
        self._ahead: collections.deque[futures.Future] = collections.deque()
        # One worker: batches stay in order, and only it touches the iterator.
        self._worker = futures.ThreadPoolExecutor(1, thread_name_prefix="device-prefetch")
        self._state = iterator.get_state()

    def __next__(self) -> dict[str, jax.Array]:
        start = time.perf_counter()
        while len(self._ahead) <= self._depth:
            self._ahead.append(self._worker.submit(self._make))
        try:
            batch, self._state = self._ahead.popleft().result()
        finally:
            self.wait_seconds += time.perf_counter() - start
        return batch

    def get_state(self) -> dict[str, Any]:
        """Returns the host iterator's state after the last batch handed out."""
        return self._state

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes to a position that `get_state` gave; drops the batches made ahead."""
        self._drop()
        self._iterator.set_state(state)
        self._state = self._iterator.get_state()

    def start_prefetch(self) -> None:
        """Begins to read before the first `next`."""
        self._iterator.start_prefetch()

    def reset_wait(self) -> None:
        """Sets `wait_seconds` to zero."""
        self.wait_seconds = 0.0

    def close(self) -> None:
        """Stops the thread and closes the host iterator."""
        self._drop()
        self._worker.shutdown()
        self._iterator.close()
        super().close()

    def _make(self) -> tuple[dict[str, jax.Array], dict[str, Any]]:
        batch = next(self._iterator)
        return jax.tree.map(self._to_devices, batch), self._iterator.get_state()

    def _to_devices(self, rows: np.ndarray) -> jax.Array:
        return jax.make_array_from_process_local_data(self._sharding, rows)

    def _drop(self) -> None:
        for future in self._ahead:
            # The one that runs cannot be cancelled; `exception` waits until it is done with the
            # iterator. No module is used here, for at the interpreter's exit there is none left.
            if not future.cancel():
                future.exception()
        self._ahead.clear()
