"""What the processes of one run agree on. With one process all of it returns at once."""

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from typing import NoReturn

import jax
import numpy as np
from jax.experimental import multihost_utils

from ocgm.errors import UserError, first_line

# So long a process with an error waits for others to have one, too, as all have that receive a signal.
_PATIENCE_SECONDS = 10


def first_text(text: str) -> str:
    """Return the text of the first process that has one that is not empty; the same on all processes.

    Every process has to call it, and waits for the others.
    """
    if jax.process_count() == 1:
        return text
    content = np.frombuffer(text.encode(errors="replace"), np.uint8)
    longest = max(multihost_utils.process_allgather(np.int32(content.size)).max(), 1)
    rows = multihost_utils.process_allgather(np.pad(content, (0, longest - content.size)))
    return next((row.tobytes().rstrip(b"\0").decode() for row in rows if row[0]), "")


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Context that all processes enter and leave together: where one raises an error, all raise one.

    Otherwise, those without an error would wait for the one that failed, in the next computation over all devices.

    Raises:
      UserError: another process raised an error in this context, and this process did not.
    """
    failure = None
    try:
        yield
    except Exception as error:
        failure = error
    text = first_text(f"process {jax.process_index()}: {failure!r}" if failure else "")
    if failure:
        raise failure
    if text:
        raise UserError(text)


@contextlib.contextmanager
def ending_together() -> Iterator[None]:
    """Context in which an error of this process ends it at once where there are several, unless all have one.

    JAX would wait at exit for the other processes, which wait for this one in a computation. Once it has ended, the
    others notice: they lose the connection.
    """
    try:
        yield
    except BaseException as error:
        if jax.process_count() > 1 and (_lost_another(error) or not _all_arrive()):
            _end(error)
        raise


def _lost_another(error: BaseException) -> bool:
    return isinstance(error, jax.errors.JaxRuntimeError)


def _all_arrive() -> bool:
    """Return whether all processes call this within a few seconds."""
    from orbax.checkpoint import multihost  # It takes a second to import.

    # A barrier of JAX's coordination service: one over the devices would meet what the others compute there.
    wait = multihost.get_barrier_sync_fn()
    try:
        wait(key="ocgm: all have an error", timeout_ms=1000 * _PATIENCE_SECONDS)
    except jax.errors.JaxRuntimeError:
        return False
    return True


def _end(error: BaseException) -> NoReturn:
    """Print an error and end this process, without waiting for others or closing anything."""
    number = f"process {jax.process_index()} of {jax.process_count()}"
    if _lost_another(error):
        print(
            f"error: {number} has to end, since a computation over all processes failed"
            f" ({first_line(error)[:200]}). If another process has ended, its output says"
            " why. Start all of them again with the same command to resume from the last checkpoint.",
            file=sys.stderr,
        )
    elif isinstance(error, UserError | OSError):
        print(f"error: {number}: {error}", file=sys.stderr)
    else:
        traceback.print_exception(error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(getattr(error, "exit_status", 1))
