"""Writing files so that they are whole or not there."""

import os
import pathlib


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file in one piece: a reader, or a killed process, never leaves half of it.

    Args:
      path: where to; missing folders are made, an existing file is replaced.
      content: the whole content.

    Raises:
      OSError: the folder cannot be written, or the disk is full; the old file is then still there.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, since a rename is atomic only within a file system.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
