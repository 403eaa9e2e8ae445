"""What all commands share: parsing flags, printing errors, and the files that they write."""

import contextlib
import functools
import io
import json
import logging as python_logging
import math
import os
import pathlib
import re
import signal
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import numpy as np
from absl import app, flags, logging

from ocgm.commands import explanations
from ocgm.errors import InputError, UserError, did_you_mean
from ocgm.files import as_path, write_atomically

_T = TypeVar("_T")
Main = Callable[[list[str]], None]

_HELP = {"--help", "-help", "-h", "--helpfull", "--helpshort"}


def run(
    main: Main, argv: Sequence[str] | None = None, module: types.ModuleType | None = None
) -> None:
    """Run a command. An error that a user can mend is printed as one message on stderr, and the status is not zero.

    Args:
      main: the command, a function of the program's name and the arguments that are not flags.
      argv: the program's name and its arguments; `sys.argv` by default.
      module: the module that defines the command's flags; --help prints its docstring and these flags alone. By default
        the program itself.
    """
    argv = list(sys.argv if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # Names of files need not be text.
    if _HELP & set(argv):
        module = module or sys.modules["__main__"]
        guarded(functools.partial(_print_help, argv, module))
        return
    app.run(
        functools.partial(guarded, main),
        argv=argv,
        flags_parser=functools.partial(guarded, _parse_flags),
    )


def fail(message: str, status: int = 1) -> NoReturn:
    """Print an error message on stderr and exit."""
    print(f"error: {message}", file=sys.stderr, flush=True)
    sys.exit(status)


def guarded(function: Callable[..., _T], *arguments: object) -> _T:
    """Call a function, and end the program with one message where it raises an error that a user can mend."""
    try:
        result = function(*arguments)
        if sys.stdout:
            sys.stdout.flush()  # At exit, an error here would be a traceback.
        return result
    except UserError as error:
        fail(str(error), error.exit_status)
    except KeyboardInterrupt:  # Before training began; later it is an `Interrupted`.
        fail("interrupted.", 130)
    except BrokenPipeError:  # Of `ocgm data list | head -1`, which needs no message.
        _abandon_output()
        sys.exit(128 + signal.SIGPIPE)
    except Exception as error:
        message = explanations.explain(error)
        if message is None:
            raise
        _abandon_output()
        fail(message)


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Let Ctrl-C end the program at once; libraries that are being imported may swallow a KeyboardInterrupt."""

    def quit_(number: int, frame: object) -> None:
        print("error: interrupted.", file=sys.stderr, flush=True)
        os._exit(130)

    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, quit_)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _abandon_output() -> None:
    """Send what is still buffered for stdout to nowhere, if it cannot be written; Python tries again at exit."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_help(argv: list[str], module: types.ModuleType) -> None:
    print(f"{(module.__doc__ or '').strip()}\n\nflags:{flags.FLAGS.module_help(module)}")
    if "config" in flags.FLAGS:
        parser: Any = flags.FLAGS["config"].parser  # Of `config_flag`.
        print(f"\n{parser.help_text(argv)}")


def _parse_flags(argv: list[str]) -> list[str]:
    try:
        arguments = flags.FLAGS(argv)
    except flags.UnrecognizedFlagError as error:
        first, dot, _ = error.flagname.partition(".")
        if dot and first in flags.FLAGS:
            fail(f"--{error.flagname} needs --{first}.")
        fail(f"there is no flag --{error.flagname}{did_you_mean(first, flags.FLAGS)}")
    # What ml_collections raises for a value of another type, and absl.
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        message = re.sub(
            r"^flag (--\w+)=None: Flag \1 must.*", r"\1 is required.", explanations.text_of(error)
        )
        fail(message.removeprefix("flag "))
    if not flags.FLAGS["verbosity"].present:
        # Orbax logs every transfer and, where a save fails, every array; so does asyncio.
        logging.set_verbosity(logging.FATAL)
        python_logging.getLogger("asyncio").setLevel(python_logging.CRITICAL)
    return arguments


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
    """Write a record as an indented JSON file atomically; numbers that are NaN or infinite become null."""
    text = json.dumps(_without_nan(record), indent=2, allow_nan=False)
    write_atomically(path, (text + "\n").encode())


def _without_nan(value: object) -> object:
    """Return a record with None for all numbers that JSON does not have."""
    if isinstance(value, Mapping):
        return {name: _without_nan(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
