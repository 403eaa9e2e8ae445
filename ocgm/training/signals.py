"""Stopping a run on a signal after it has saved its state."""

import contextlib
import os
import pathlib
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import jax
from jax.experimental import multihost_utils

from ocgm.errors import UserError
from ocgm.training.writers import say

# SLURM warns with SIGUSR1 (`--signal=USR1@120`); a closed terminal sends SIGHUP.
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)

# A launcher may forward the Ctrl-C that the terminal has sent to the run as well; this is not the second one.
_SAME_CTRL_C_SECONDS = 0.3


class Interrupted(UserError):
    """A run was stopped by a signal; nothing is lost.

    Attributes:
      exit_status: 128 + signal number, as shells have it.
    """

    def __init__(self, name: str, step: int | None, workdir: pathlib.Path):
        if step is None:
            text = f"{name} before the first step: nothing is lost; run the same command again."
        else:
            text = (
                f"{name} at step {step:,}: the state is saved in {workdir}; run the same command"
                " to resume."
            )
        super().__init__(text)
        self.exit_status = 128 + signal.Signals[name]


class StopSignals:
    """Context in which SIGTERM, SIGINT, SIGHUP or SIGUSR1 stops a run without losing a step.

    While a run is set up, and within `at_once`, the signal raises `Interrupted`. Between steps it makes `requested`
    true, and the loop saves and stops. Ctrl-C after another signal ends the process at once, whatever it does.

    With several processes, the sync point of `jax.distributed` makes all of them stop at the same step when one
    receives a signal.

    Args:
      workdir: directory of the run, for messages.

    Attributes:
      name: the first signal's name; empty while there was none.
    """

    def __init__(self, workdir: pathlib.Path):
        self.name = ""
        self._workdir = workdir
        self._step: int | None = None  # the last one that the loop has asked about
        self._raising = True
        self._several, self._agreed = jax.process_count() > 1, False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                notified = self._several and number == signal.SIGTERM  # JAX has its own handler.
                # `nohup` starts a run with SIGHUP ignored, so that it survives its terminal.
                if not notified and signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._receive)
            self._start_watching()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._previous:
            signal.set_wakeup_fd(self._previous_fd)
            os.close(self._pipe)
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def requested(self, step: int) -> bool:
        """Return whether to stop after this step; to be called after each step."""
        self._step, self._raising = step, False
        if self._several and multihost_utils.reached_preemption_sync_point(step):
            self._agreed, self.name = True, self.name or "SIGTERM"
            say(f"{self.name}: stopping after step {step:,}, saving")
        return self._stopping

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Let signals raise `Interrupted`, for work that follows a save and can be repeated.

        Raises:
          Interrupted: a signal was received before or meanwhile; never with several processes, which stop together.
        """
        self._raising = True
        try:
            self.raise_if_requested()
            yield
        finally:
            self._raising = False

    def raise_if_requested(self) -> None:
        """Raise `Interrupted` if a signal was received; to be called once the state is saved."""
        if self._stopping:
            raise Interrupted(self.name, self._step, self._workdir)

    @property
    def _stopping(self) -> bool:
        # A signal that one of several processes has received must not stop that one alone.
        return self._agreed if self._several else bool(self.name)

    def _receive(self, number: int, frame: object) -> None:
        """Handle a signal in the main thread, as soon as that executes Python."""
        self.name = self.name or signal.Signals(number).name
        if self._several:
            signal.raise_signal(signal.SIGTERM)  # JAX's handler tells the other processes.
        elif self._raising:
            self._raising = False  # Once, also if there are more signals while files are closed.
            self.raise_if_requested()

    def _start_watching(self) -> None:
        # The main thread may be in a compilation or wait for a device for minutes, and handlers wait for it.
        reader, self._pipe = os.pipe()
        os.set_blocking(self._pipe, False)
        self._previous_fd = signal.set_wakeup_fd(self._pipe, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(reader,), daemon=True).start()

    def _watch(self, reader: int) -> None:
        """Answer signals at once: say what will happen, and end the process on Ctrl-C after another signal."""
        first_time = 0.0
        with open(reader, "rb", buffering=0) as numbers:
            while number := numbers.read(1):
                if number[0] not in self._previous:
                    continue
                now = time.monotonic()
                if not first_time:
                    first_time = now
                    say(f"{signal.Signals(number[0]).name}: {self._plan()}")
                elif number[0] == signal.SIGINT and now - first_time > _SAME_CTRL_C_SECONDS:
                    os._exit(128 + signal.SIGINT)

    def _plan(self) -> str:
        if self._several:
            plan = "stopping all processes after the next steps, saving"
        elif self._raising or self._step is None:
            plan = "stopping"
        else:
            plan = f"stopping after step {self._step + 1:,}, saving"
        return f"{plan}; Ctrl-C ends at once"
