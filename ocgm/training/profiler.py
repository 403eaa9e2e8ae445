"""Traces of single steps, for TensorBoard's profile plugin, XProf or Perfetto."""

import pathlib
from typing import Any

import jax

from ocgm.errors import ConfigError
from ocgm.files import is_remote


class StepProfiler:
    """Context in which `jax.profiler` traces some steps.

    Args:
      folder: directory of the trace.
      steps: first and last step to trace, counted from 1; None to trace nothing.

    Raises:
      ConfigError: the steps are not in order, or the directory is in a bucket.
    """

    def __init__(self, folder: pathlib.Path, steps: tuple[int, int] | None):
        self._folder, self._tracing = folder, False
        self._first, self._last = steps or (0, 0)
        if steps and not 1 <= self._first <= self._last:
            raise ConfigError(
                f"--profile_steps={self._first},{self._last} must be FIRST,LAST with"
                " 1 <= FIRST <= LAST."
            )
        if steps and is_remote(folder):
            raise ConfigError(f"--profile_steps cannot write to {folder}: give a local --workdir.")

    def __enter__(self) -> "StepProfiler":
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def before_step(self, step: int) -> None:
        """Start the trace before its first step."""
        if step == self._first:
            jax.profiler.start_trace(self._folder)
            self._tracing = True

    def after_step(self, step: int, results: Any) -> None:
        """Write the trace after its last step, once the devices have computed its `results`."""
        if self._tracing and step == self._last:
            jax.block_until_ready(results)
            self._stop()

    def _stop(self) -> None:
        if self._tracing:
            jax.profiler.stop_trace()
        self._tracing = False
