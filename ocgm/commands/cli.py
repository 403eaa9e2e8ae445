"""What all commands share: flags parsed by absl, mistakes told in one line."""

import ast
import errno
import io
import logging as python_logging
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from absl import app, flags, logging

from ocgm.errors import InputError, UserError
from ocgm.files import write_atomically


def run(main: Callable[[list[str]], None]) -> None:
    """Run a command; a `UserError` becomes one message on stderr and a non-zero exit status."""

    def wrapped(argv: list[str]) -> None:
        if not flags.FLAGS["verbosity"].present:
            # Orbax tells every transfer and, of a save that fails, every array; so does asyncio.
            logging.set_verbosity(logging.FATAL)
            python_logging.getLogger("asyncio").setLevel(python_logging.CRITICAL)
        try:
            main(argv)
        except UserError as error:
            message, status = str(error), error.exit_status
        except KeyboardInterrupt:  # Before training began; later it is an `Interrupted`.
            message, status = "interrupted.", 130
        except OSError as error:  # A full disk, a folder that went away.
            if "Failed loading config file" in str(error):  # ml_collections tells it on first use.
                message, status = f"--config: {str(error).splitlines()[-1].strip()}", 1
            elif error.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT):
                message, status = f"cannot write: {error}", 1
            else:
                raise
        else:
            return
        print(f"error: {message}", file=sys.stderr, flush=True)
        sys.exit(status)

    app.run(wrapped, flags_parser=_parse_flags)


def _parse_flags(argv: list[str]) -> list[str]:
    try:
        return app.parse_flags_with_usage(argv)
    # What config files raise, and ml_collections for fields that do not exist or have another type.
    except (UserError, AttributeError, KeyError, TypeError, ValueError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        sys.exit(1)


def parse_options(pairs: list[str]) -> dict[str, Any]:
    """["refinement_steps=3"] -> {"refinement_steps": 3}.

    Raises:
      InputError: a pair is not NAME=VALUE with a number or True or False as value.
    """
    options = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            options[name] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            raise InputError(
                f"--option={pair} is not NAME=NUMBER, NAME=True or NAME=False."
            ) from None
    return options


def folder(value: str) -> pathlib.Path:
    """A path as a user types it."""
    return pathlib.Path(value).expanduser()


def model_folder(value: str) -> pathlib.Path:
    """Folder of a trained model; 'pretrained' and 'pretrained:slot_attention' name those that ship with the package."""
    from ocgm.inference import PRETRAINED, PRETRAINED_SLOT_ATTENTION

    shipped = {"pretrained": PRETRAINED, "pretrained:slot_attention": PRETRAINED_SLOT_ATTENTION}
    return shipped.get(value) or folder(value)


def output_folder(value: str, workdir: pathlib.Path) -> pathlib.Path:
    """Where a command writes: the folder given, else the model's, but never into the installed package."""
    from ocgm.inference import PRETRAINED

    if value:
        return folder(value)
    return pathlib.Path.cwd() if workdir.parent == PRETRAINED.parent else workdir


def save_npz(path: pathlib.Path, arrays: dict[str, np.ndarray]) -> None:
    """Write a compressed npz in one piece."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_atomically(path, buffer.getvalue())
