"""Errors that a user can fix."""


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
