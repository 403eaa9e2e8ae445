"""Stopping a run on SIGTERM or SIGINT after it has saved its state."""

import pathlib
import signal
import threading
from typing import Any

import jax
from jax.experimental import multihost_utils

from ocgm.errors import UserError


class Interrupted(UserError):
    """A run was stopped by a signal; its state is saved.

    Attributes:
      exit_status: 128 + signal number, as shells have it.
    """

    def __init__(self, name: str, step: int, workdir: pathlib.Path):
        super().__init__(
            f"{name} at step {step:,}: the state is saved in {workdir}; run the same command to resume."
        )
        self.exit_status = 128 + signal.Signals[name]


class StopSignals:
    """Context in which the first SIGTERM or SIGINT sets a flag for the loop instead of ending the process.

    A second one ends the process at once. With several processes, the sync point of `jax.distributed` makes all of them
    stop at the same step when one receives SIGTERM.

    Attributes:
      name: the signal's name once `requested` has been true.
    """

    def __init__(self) -> None:
        self.name = "SIGTERM"
        self._received = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        if jax.process_count() == 1 and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *exception: object) -> None:
        self._restore()

    def requested(self, step: int) -> bool:
        """Return whether to stop after this step."""
        if jax.process_count() > 1:
            return multihost_utils.reached_preemption_sync_point(step)
        return self._received

    def _receive(self, number: int, frame: object) -> None:
        self.name, self._received = signal.Signals(number).name, True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()
