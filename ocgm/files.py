"""Atomic writes, file locks, and errors of the disk."""

import contextlib
import fcntl
import os
import pathlib
import sys
from collections.abc import Iterator

from ocgm.errors import UserError


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file in one piece: neither readers nor a killed process see half of it.

    Args:
      path: the file; missing directories are created, an existing file is replaced.
      content: the whole content.

    Raises:
      OSError: the directory cannot be written, or the disk is full; the old file is then still there.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same directory, since a rename is atomic only within a file system.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def exclusive(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold a file lock, which the system releases even if the process is killed.

    Args:
      path: the lock, a file that is created. A process that waits for it prints the directory that is being written.
    """
    path = pathlib.Path(path)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Waiting for another process that is writing {path.parent}", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def write_errors(what: str, note: str = "") -> Iterator[None]:
    """Turn an `OSError` into a `UserError` that reads "cannot write WHAT: REASON; NOTE".

    Args:
      what: what could not be written, and where.
      note: what that means for the user.
    """
    try:
        yield
    except OSError as error:
        reason = "; ".join(filter(None, [error.strerror or str(error), note]))
        raise UserError(f"cannot write {what}: {reason}") from error
