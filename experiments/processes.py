"""Calls in new processes, so that the peak memory measured there is that of the call alone."""

import multiprocessing
import resource
from collections.abc import Callable
from concurrent import futures
from typing import Any

from absl import flags


def in_new_process(function: Callable[..., Any], *args: object) -> Any:
    """Call a module-level function in a new process and return its result."""
    spawn = multiprocessing.get_context("spawn")
    with futures.ProcessPoolExecutor(1, spawn, _mark_flags_as_parsed) as pool:
        return pool.submit(function, *args).result()


def _mark_flags_as_parsed() -> None:
    flags.FLAGS.mark_as_parsed()


def peak_mib() -> float:
    """Return the peak memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
