"""Parameters of other implementations: their names beside ours, and readers of their files."""

import importlib
import importlib.util

from ocgm import models
from ocgm.errors import ConfigError
from ocgm.interop.entries import Entry
from ocgm.models.base import Model


def entries_of(model: Model) -> list[Entry]:
    """Return the names of the parameters that a model's authors published, beside ours.

    They are in `parameter_names/NAME.py`, where NAME is the model's name in the registry. Models whose
    authors published no parameters do without.

    Raises:
      ConfigError: the model has no such file, or none for its settings.
    """
    name = models.name_of(model)
    module = f"ocgm.interop.parameter_names.{name}"
    entries = []
    if importlib.util.find_spec(module) is not None:
        entries = importlib.import_module(module).entries(model)
    if not entries:
        raise ConfigError(
            f"{name}: no published parameters can be imported for this model and its settings; a table of their names"
            f" belongs in ocgm/interop/parameter_names/{name}.py."
        )
    return entries
