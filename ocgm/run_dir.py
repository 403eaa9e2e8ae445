"""The directory of a run: its config, which run it belongs to, and its metrics."""

import json
import math
import os
import pathlib

import ml_collections
import numpy as np

from ocgm.errors import ConfigError, UserError
from ocgm.files import write_atomically

Series = tuple[np.ndarray, np.ndarray]  # steps, values

# Fields that may change when a run is resumed: what has been computed so far does not depend on them.
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
    """Return {"model.num_slots": 5, ...} of a nested config, with tuples as lists as in JSON."""
    flat = {}
    for key, value in json.loads(to_json(config)).items():
        if isinstance(value, dict):
            flat.update({f"{key}.{k}": v for k, v in value.items()})
        else:
            flat[key] = value
    return flat


def to_json(config: ml_collections.ConfigDict) -> str:
    """Return a config as JSON text with sorted keys."""
    return json.dumps(config.to_dict(), indent=2, sort_keys=True) + "\n"


def from_json(text: str) -> ml_collections.ConfigDict:
    """Return the config of a JSON text; lists become tuples."""
    return ml_collections.ConfigDict(json.loads(text, object_hook=_tuples))


def _tuples(fields: dict) -> dict:
    return {name: _tuple(value) for name, value in fields.items()}


def _tuple(value: object) -> object:
    return tuple(map(_tuple, value)) if isinstance(value, list) else value


def load(workdir: pathlib.Path) -> ml_collections.ConfigDict:
    """Read the config of the run in `workdir`.

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
            + "\nResume it with the same config, or give another --workdir."
        )


def claim_workdir(workdir: pathlib.Path, config: ml_collections.ConfigDict) -> None:
    """Create `workdir` and write the config of its run.

    Raises:
      ConfigError: it cannot be written, or holds a run with another config.
    """
    check_workdir(workdir, config)
    try:
        write_atomically(workdir / "config.json", to_json(config).encode())
    except OSError as error:
        raise ConfigError(
            f"--workdir={workdir} cannot be written: {error.strerror}. Give a directory with write"
            " permission, on a disk with free space."
        ) from error


def read_metrics(path: str | os.PathLike[str]) -> dict[str, Series]:
    """Read a `metrics.jsonl`: one JSON object per line, with "step" and scalars by name.

    Where a step was logged twice, by a run that was killed and resumed from its last checkpoint, the later line counts.
    A line that was cut off by a kill is left out, as are values that are not finite.

    Returns:
      Name -> (steps, values), float64 [N] each, in order of steps.

    Raises:
      UserError: there is no such file.
    """
    try:
        lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise UserError(f"There are no metrics: {path} does not exist.") from error
    values: dict[str, dict[int, float]] = {}
    for line in lines:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        step = record.pop("step")
        for name, value in record.items():
            if isinstance(value, int | float) and math.isfinite(value):
                values.setdefault(name, {})[step] = value
    return {
        name: (np.array(sorted(by_step), float), np.array([by_step[s] for s in sorted(by_step)]))
        for name, by_step in values.items()
    }
