"""What all commands share: parsing flags, printing errors, and the files that they write."""

import errno
import functools
import io
import json
import logging as python_logging
import pathlib
import re
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

import numpy as np
from absl import app, flags, logging

from ocgm.errors import InputError, UserError
from ocgm.files import as_path, write_atomically

Main = Callable[[list[str]], None]


def run(
    main: Main, argv: Sequence[str] | None = None, module: types.ModuleType | None = None
) -> None:
    """Run a command. A `UserError` is printed as one message on stderr, and the exit status is not zero.

    Args:
      main: the command, a function of the program's name and the arguments that are not flags.
      argv: the program's name and its arguments; `sys.argv` by default.
      module: the module that defines the command's flags; with it --help prints its docstring and these flags alone.
    """
    argv = list(sys.argv if argv is None else argv)
    if module and {"--help", "-h"} & set(argv):
        print(f"{(module.__doc__ or '').strip()}\n\nflags:{flags.FLAGS.module_help(module)}")
        return
    app.run(functools.partial(_call, main), argv=argv, flags_parser=_parse_flags)


def fail(message: str, status: int = 1) -> NoReturn:
    """Print an error message on stderr and exit."""
    print(f"error: {message}", file=sys.stderr, flush=True)
    sys.exit(status)


def _call(main: Main, argv: list[str]) -> None:
    if not flags.FLAGS["verbosity"].present:
        # Orbax logs every transfer and, where a save fails, every array; so does asyncio.
        logging.set_verbosity(logging.FATAL)
        python_logging.getLogger("asyncio").setLevel(python_logging.CRITICAL)
    try:
        main(argv)
    except UserError as error:
        fail(str(error), error.exit_status)
    except KeyboardInterrupt:  # Before training began; later it is an `Interrupted`.
        fail("interrupted.", 130)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT):
            fail(f"cannot write: {error}")
        raise


def _parse_flags(argv: list[str]) -> list[str]:
    try:
        return flags.FLAGS(_with_config_path(argv))
    # What config files raise, and ml_collections for fields that do not exist or have another type.
    except (flags.Error, UserError, AttributeError, KeyError, TypeError, ValueError) as error:
        message = " ".join(str(error).split())
        fail(
            re.sub(
                r"flag --(\w+)=None: Flag --\1 must have.*?None\.", r"--\1 is required.", message
            )
        )


def _with_config_path(argv: list[str]) -> list[str]:
    """Return the arguments with the file of the config that --config names."""
    match = re.search(r"(?:^|\0)--?config[=\0]([^\0:]*)", "\0".join(argv))
    if not match:
        return argv
    from ocgm import experiment  # It imports JAX; not all commands have a config.

    path = str(experiment.config_path(match[1]))
    return (match.string[: match.start(1)] + path + match.string[match.end(1) :]).split("\0")


def no_arguments(argv: Sequence[str]) -> None:
    """Check that only flags were given.

    Raises:
      InputError: there are other arguments.
    """
    if len(argv) > 1:
        raise InputError(f"unexpected arguments: {argv[1:]}")


def folder(value: str) -> pathlib.Path:
    """Return a path or an address gs://BUCKET/PATH as a user types it, with ~ expanded."""
    return as_path(value).expanduser()


def save_npz(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a compressed npz file atomically."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # No name is allow_pickle.
    write_atomically(path, buffer.getvalue())


def save_json(path: pathlib.Path, record: Mapping[str, object]) -> None:
    """Write a record as an indented JSON file atomically."""
    write_atomically(path, (json.dumps(record, indent=2) + "\n").encode())
