"""What all commands share: flags parsed by absl, mistakes told in one line."""

import errno
import io
import pathlib
import sys
from collections.abc import Callable

import numpy as np
from absl import app, flags, logging

from ocgm.errors import UserError
from ocgm.files import write_atomically


def run(main: Callable[[list[str]], None]) -> None:
    """Run a command; a `UserError` becomes one message on stderr and a non-zero exit status."""

    def wrapped(argv: list[str]) -> None:
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.ERROR)  # Orbax tells every transfer.
        try:
            main(argv)
        except UserError as error:
            message, status = str(error), error.exit_status
        except OSError as error:  # A full disk, a folder that went away.
            if error.errno not in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT):
                raise
            message, status = f"cannot write: {error}", 1
        else:
            return
        print(f"error: {message}", file=sys.stderr, flush=True)
        sys.exit(status)

    app.run(wrapped)


def folder(value: str) -> pathlib.Path:
    """A path as a user types it."""
    return pathlib.Path(value).expanduser()


def model_folder(value: str) -> pathlib.Path:
    """Folder of a trained model; 'pretrained' names the one that ships with the package."""
    from ocgm.inference import PRETRAINED

    return PRETRAINED if value == "pretrained" else folder(value)


def save_npz(path: pathlib.Path, arrays: dict[str, np.ndarray]) -> None:
    """Write a compressed npz in one piece."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_atomically(path, buffer.getvalue())
