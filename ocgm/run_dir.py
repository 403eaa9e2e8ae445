"""Configs on disk: the resolved config of a run is saved beside its checkpoints."""

import json
import pathlib

import ml_collections

from ocgm.errors import ConfigError
from ocgm.files import write_atomically

# Fields that may differ when a run goes on: they do not change what has been computed so far.
_FREE_FIELDS = (
    "num_train_steps",
    "max_train_minutes",
    "log_every_steps",
    "checkpoint.",
    "evaluation.",
    "mesh.",
    "data.data_dir",
)


def flatten(config: ml_collections.ConfigDict) -> dict[str, object]:
    """{"model.num_slots": 5, ...} of a nested config, tuples as lists as JSON has them."""
    flat = {}
    for key, value in json.loads(to_json(config)).items():
        if isinstance(value, dict):
            flat.update({f"{key}.{k}": v for k, v in value.items()})
        else:
            flat[key] = value
    return flat


def to_json(config: ml_collections.ConfigDict) -> str:
    """JSON text of a config, keys sorted."""
    return json.dumps(config.to_dict(), indent=2, sort_keys=True) + "\n"


def from_json(text: str) -> ml_collections.ConfigDict:
    """Config of a JSON text; lists become tuples."""
    return ml_collections.ConfigDict(json.loads(text, object_hook=_tuples))


def _tuples(fields: dict) -> dict:
    return {name: _tuple(value) for name, value in fields.items()}


def _tuple(value: object) -> object:
    return tuple(map(_tuple, value)) if isinstance(value, list) else value


def load(workdir: pathlib.Path) -> ml_collections.ConfigDict:
    """The config of the run in `workdir`.

    Raises:
      ConfigError: there is no run, or its config.json is not JSON.
    """
    path = workdir / "config.json"
    if not path.is_file():
        raise ConfigError(f"{workdir} holds no run (there is no config.json). Train one first.")
    try:
        return from_json(path.read_text())
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path} is not valid JSON ({error}).") from error


def check_workdir(workdir: pathlib.Path, config: ml_collections.ConfigDict) -> None:
    """Check that `workdir` holds no run, or one of the same config; writes nothing.

    Raises:
      ConfigError: it holds a run with another config.
    """
    if not (workdir / "config.json").exists():
        return
    old, new = flatten(load(workdir)), flatten(config)
    differences = [
        f"config.{field}: {old.get(field, 'absent')!r} there, {new.get(field, 'absent')!r} now"
        for field in sorted(old.keys() | new.keys())
        if old.get(field) != new.get(field) and not field.startswith(_FREE_FIELDS)
    ]
    if differences:
        raise ConfigError(
            f"--workdir={workdir} holds a run with another config:\n  "
            + "\n  ".join(differences)
            + "\nGo on with that run's settings, or give another --workdir."
        )


def claim_workdir(workdir: pathlib.Path, config: ml_collections.ConfigDict) -> None:
    """Make `workdir` this run's.

    Raises:
      ConfigError: it cannot be written, or holds a run with another config.
    """
    check_workdir(workdir, config)
    try:
        write_atomically(workdir / "config.json", to_json(config).encode())
    except OSError as error:
        raise ConfigError(
            f"--workdir={workdir} cannot be written: {error.strerror}. Give a folder that you may"
            " write to, on a disk with free space."
        ) from error
