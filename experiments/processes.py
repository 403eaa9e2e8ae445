"""Functions called in processes of their own, so that the peak memory measured there is their own."""

import multiprocessing
import resource
from collections.abc import Callable
from concurrent import futures
from typing import Any

from absl import flags


def in_new_process(function: Callable[..., Any], *args: object) -> Any:
    """Calls a function of a module in a new process, which has no more memory than it needs."""
    spawn = multiprocessing.get_context("spawn")
    with futures.ProcessPoolExecutor(1, spawn, _mark_flags_as_parsed) as pool:
        return pool.submit(function, *args).result()


def _mark_flags_as_parsed() -> None:
    flags.FLAGS.mark_as_parsed()


def peak_mib() -> float:
    """Largest memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
