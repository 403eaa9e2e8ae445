"""Default configs of parts that are chosen by name, such as optimizers and objectives."""

from collections.abc import Iterable, Mapping
from typing import Any

import ml_collections

from ocgm.errors import ConfigError, check_choice, did_you_mean

# The value of a field that has no default.
REQUIRED = object()


def named_config(
    part: str, defaults: Mapping[str, Mapping[str, Any]], name: str, changes: Mapping[str, Any]
) -> ml_collections.ConfigDict:
    """Return the config of the part `name`: its defaults with `changes`.

    Args:
      part: what is configured, for messages: "objective" or "optimizer".
      defaults: the fields of each name; a value of `REQUIRED` must be in `changes`.
      name: one of `defaults`.
      changes: values of some fields.

    Raises:
      ConfigError: the name or a field is unknown, or a required field is missing.
    """
    check_choice(part, name, defaults)
    if unknown := changes.keys() - defaults[name].keys():
        raise ConfigError(
            f"{part} {name!r} has no field {_listed(sorted(unknown))}; its fields are"
            f" {_listed(defaults[name])}{did_you_mean(min(unknown), defaults[name])}"
        )
    fields = {**defaults[name], **changes}
    if missing := [field for field, value in fields.items() if value is REQUIRED]:
        raise ConfigError(f"{part} {name!r} needs a value of {_listed(missing)}.")
    return ml_collections.ConfigDict({"name": name, **fields})


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
