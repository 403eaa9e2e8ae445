"""Paths on disks and in buckets, atomic writes, file locks, and errors of the disk."""

import contextlib
import fcntl
import functools
import importlib.util
import os
import pathlib
import re
import secrets
import socket
import sys
import time
import zipfile
from collections.abc import Iterator
from typing import IO

from ocgm.errors import UserError

# Temporary files have names of their own, so that a long name of the file that they become does no harm.
_TEMPORARY = ".ocgm-{}.tmp"
# A write that is alive changes its temporary file every few seconds, so one this old is left from a process that was
# killed. Process numbers prove nothing, since containers that share a disk have the same ones.
_LEFTOVER_SECONDS = 24 * 3600


# An object in a bucket takes at most one write a second, and each write has the whole object.
_SECONDS_BETWEEN_WRITES = 30


def as_path(value: str | os.PathLike[str]) -> pathlib.Path:
    """Return the path of a file or directory, or one of the same interface for an address gs://BUCKET/PATH.

    Raises:
      UserError: it is an address of another kind, or gcsfs, which reads and writes buckets, is not installed.
    """
    text = os.fspath(value)
    scheme = re.match(r"\w[\w+.-]*://", text)
    if not scheme:
        return pathlib.Path(value)
    if scheme[0] != "gs://":
        raise UserError(
            f"{text} is not supported: give a directory, or an address gs://BUCKET/PATH."
        )
    if not importlib.util.find_spec("gcsfs"):
        raise UserError(f"{text} needs gcsfs: pip install 'ocgm[gcs]'.")
    from etils import epath  # It imports for a tenth of a second, and few runs are in buckets.

    return epath.Path(text)


def is_remote(path: pathlib.Path) -> bool:
    """Return whether a path is an address in a bucket."""
    return str(path).startswith("gs://")


def absolute(path: pathlib.Path) -> pathlib.Path:
    """Return the absolute path of a file or directory; an address as it is."""
    return path if is_remote(path) else path.absolute()


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file in one piece: neither readers nor a killed process see half of it.

    Temporary files that killed processes left in the directory are removed once they are a day old.

    Args:
      path: the file or address; missing directories are created, an existing file is replaced.
      content: the whole content.

    Raises:
      OSError: the directory cannot be written, or the disk is full; the old file is then still there.
    """
    path = as_path(path)
    if is_remote(path):
        path.write_bytes(content)  # Objects appear when they are complete.
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path.parent)
    # In the same directory, since a rename is atomic only within a file system.
    temporary = path.with_name(_TEMPORARY.format(secrets.token_hex(8)))
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@functools.cache  # Once per process, since a directory may hold very many files.
def _remove_leftovers(folder: pathlib.Path) -> None:
    oldest = time.time() - _LEFTOVER_SECONDS
    for path in folder.glob(_TEMPORARY.format("*")):
        with contextlib.suppress(OSError):  # Another process may remove it, too.
            if path.stat().st_mtime < oldest:
                path.unlink()


def open_to_append(path: pathlib.Path) -> IO[str]:
    """Open a text file for whole lines; what a killed process left of a line is ended first.

    An object in a bucket is written anew every half minute and when it is closed.
    """
    before = path.read_bytes() if path.exists() else b""
    file: IO[str]
    if is_remote(path):
        file = _AppendedObject(path, before)  # type: ignore[assignment]
    else:
        file = open(path, "a", buffering=1)
    if before and not before.endswith(b"\n"):
        file.write("\n")
    return file


class _AppendedObject:
    """What `open_to_append` needs of a file, for an object in a bucket."""

    def __init__(self, path: pathlib.Path, content: bytes):
        self._path, self._content = path, content
        self.close()  # So that it exists, and can be written.

    def write(self, text: str) -> None:
        self._content += text.encode()
        if time.monotonic() - self._written > _SECONDS_BETWEEN_WRITES:
            self.close()

    def close(self) -> None:
        self._path.write_bytes(self._content)
        self._written = time.monotonic()


def unpacked_bytes(file: pathlib.Path | IO[bytes]) -> int | None:
    """Return the bytes that a zip file, such as npz, unpacks to by its table of contents; None for other files.

    The zipfile module and NumPy unpack no more than that.
    """
    if not zipfile.is_zipfile(file):
        return None
    with zipfile.ZipFile(file) as archive:
        return sum(member.file_size for member in archive.infolist())


@contextlib.contextmanager
def exclusive(path: str | os.PathLike[str], wait: bool = True) -> Iterator[None]:
    """Hold a file lock, which the system releases even if the process is killed.

    Where the file system has no locks, as on some network disks, a warning is printed instead.

    Args:
      path: the lock, a file that is created and says which process holds it.
      wait: wait for a process that holds it, and print which one, instead of raising an error.

    Raises:
      UserError: another process holds the lock, and `wait` is false.
    """
    path = pathlib.Path(path)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read() or "its name is not known"
            if not wait:
                raise UserError(
                    f"another process is writing {path.parent}: {holder}. Wait until it has ended, or"
                    " use another directory."
                ) from None
            print(
                f"Waiting for another process that is writing {path.parent}: {holder}",
                file=sys.stderr,
            )
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            print(
                f"warning: {path.parent} cannot be locked ({error.strerror}): make sure that no"
                " other process writes it",
                file=sys.stderr,
            )
        since = time.strftime("%Y-%m-%d %H:%M:%S %Z")
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}, since {since}")
        file.flush()
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
