"""Errors that a user can fix."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake that the user can fix; commands print its message and exit with `exit_status`."""

    exit_status = 1


class DatasetMissingError(UserError):
    """A dataset is not on disk and cannot be generated."""


class ImageError(UserError):
    """An image given by the user is missing or cannot be read."""


class ConfigError(UserError):
    """A config field that is unknown, of the wrong type, or impossible together with another."""


class CheckpointError(UserError):
    """Checkpoints or weights that cannot be read, or do not fit the model."""


class InputError(UserError):
    """Images of the wrong shape, type or range."""


def one_line(text: object) -> str:
    """Return a text, such as an error's, with single spaces for all line breaks and indentation."""
    return " ".join(str(text).split())


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, "" if it has none."""
    return next(iter(str(error).strip().splitlines()), "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: "; did you mean NAME?", or "." if none is near."""
    near = difflib.get_close_matches(str(name).lower(), list(known), n=1)
    return f"; did you mean {near[0]}?" if near else "."


def check_choice(field: str, value: object, choices: Iterable[str]) -> None:
    """Check that a config field has one of the values that it can have.

    Args:
      field: name of the field, for the message.
      value: its value.
      choices: the possible values.

    Raises:
      ConfigError: it has another one.
    """
    choices = tuple(choices)
    if value not in choices:
        known = ", ".join(map(repr, choices))
        near = did_you_mean(str(value), choices)
        raise ConfigError(f"{field}={value!r} is not one of {known}{near}")
