"""What the processes of one run agree on. With one process all of it returns at once."""

import contextlib
from collections.abc import Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils

from ocgm.errors import UserError


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


# Seconds without a sign of life after which a process counts as dead. JAX's default is 100.
_HEARTBEAT_SECONDS = 30


def connect(*cluster: object) -> None:
    """Connect the processes of a TPU pod or a cluster; to be called before anything else of JAX.

    Args:
      *cluster: address of the first process, number of processes and number of this process. JAX detects them on TPU
        pods, under SLURM and under Open MPI.
    """
    jax.distributed.initialize(*cluster, heartbeat_timeout_seconds=_HEARTBEAT_SECONDS)
