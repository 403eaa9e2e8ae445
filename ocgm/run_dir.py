"""The directory of a run: its config, which run it belongs to, and its metrics."""

import contextlib
import json
import math
import os
import pathlib
import re
from collections.abc import Iterator

import jax
import ml_collections
import numpy as np

from ocgm import processes
from ocgm.errors import ConfigError, UserError
from ocgm.files import absolute, as_path, exclusive, is_remote, write_atomically

_LOCK = ".lock"

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
      ConfigError: there is no run, or its config.json is damaged.
    """
    path = workdir / "config.json"
    if not path.is_file():
        raise ConfigError(f"{workdir} holds no run (there is no config.json). Train one first.")
    try:
        config = from_json(path.read_text(encoding="utf-8"))
        for part in ("data", "evaluation", "model"):
            if not isinstance(config[part], ml_collections.ConfigDict):
                raise TypeError(f"'{part}' is no object")
    # What reading and parsing raise, and ml_collections for JSON that is no object.
    except (AttributeError, KeyError, OSError, RecursionError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{path} is damaged ({error}). Delete it and run the training command again with the"
            " same --config: it is written anew, and the checkpoints stay."
        ) from error
    return config


def check_path(workdir: pathlib.Path) -> None:
    """Check that checkpoints in `workdir` can be read again.

    Orbax looks for their parts with a glob pattern, and TensorStore takes a backslash for a slash.

    Raises:
      ConfigError: its absolute path has characters that they would misread.
    """
    path = str(absolute(workdir)).removeprefix("gs://")
    found = re.search(r"[*?\[\\\udc80-\udcff]|gs:(?=/|$)", path)
    if found:
        raise ConfigError(
            f"{path!a} cannot hold checkpoints because of {found[0]!a} in it: choose a path without"
            " any of * ? [ \\, without a directory whose name ends in 'gs:', and in UTF-8."
        )


def check_workdir(workdir: pathlib.Path, config: ml_collections.ConfigDict) -> None:
    """Check that a run can be written to `workdir`; writes nothing.

    Raises:
      ConfigError: it holds a run with another config, or its path cannot hold checkpoints.
      UserError: another process is writing it.
    """
    check_path(workdir)
    with processes.together():
        if jax.process_index() == 0:  # Others would meet this one's attempt to get the lock.
            if not is_remote(workdir) and (workdir / _LOCK).exists():
                with exclusive(workdir / _LOCK, wait=False):
                    pass
            _check_same_config(workdir, config)


@contextlib.contextmanager
def claim_workdir(workdir: pathlib.Path, config: ml_collections.ConfigDict) -> Iterator[None]:
    """Create `workdir`, write the config of its run, and keep other runs out of it within this context.

    All processes of a run enter the context; the first of them holds the lock.

    Raises:
      ConfigError: it cannot be written, or holds a run with another config.
      UserError: another process is writing it.
    """
    with contextlib.ExitStack() as stack:
        with processes.together():
            if jax.process_index() == 0:
                stack.enter_context(_claimed(workdir, config))
        yield


@contextlib.contextmanager
def _claimed(workdir: pathlib.Path, config: ml_collections.ConfigDict) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            if not is_remote(workdir):  # Buckets have neither directories nor locks.
                workdir.mkdir(parents=True, exist_ok=True)
                stack.enter_context(exclusive(workdir / _LOCK, wait=False))
            _check_same_config(workdir, config)  # Now that no other run can write one.
            write_atomically(workdir / "config.json", to_json(config).encode())
        except OSError as error:
            raise ConfigError(
                f"--workdir={workdir} cannot be written: {error.strerror}. Give a directory with"
                " write permission, on a disk with free space."
            ) from error
        yield


def _check_same_config(workdir: pathlib.Path, config: ml_collections.ConfigDict) -> None:
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


def read_metrics(path: str | os.PathLike[str]) -> dict[str, Series]:
    """Read a `metrics.jsonl`: one JSON object per line, with "step" and scalars by name.

    Where a step was logged twice, by a run that was killed and resumed from its last checkpoint, the later line counts.
    Lines that are damaged or were cut off by a kill are left out, as are values that are not finite.

    Returns:
      Name -> (steps, values), float64 [N] each, in order of steps.

    Raises:
      UserError: there is no such file, or it cannot be read.
    """
    try:
        text = as_path(path).read_bytes().decode(errors="replace")
    except FileNotFoundError as error:
        raise UserError(f"There are no metrics: {path} does not exist.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    values: dict[str, dict[float, float]] = {}
    for record in map(_record, text.split("\n")):
        for name, value in record.items():
            values.setdefault(name, {})[record["step"]] = value
    values.pop("step", None)
    return {
        name: (np.array(sorted(by_step), float), np.array([by_step[s] for s in sorted(by_step)]))
        for name, by_step in values.items()
    }


def _record(line: str) -> dict[str, float]:
    """Return the finite numbers of a line of metrics with a step; an empty dict for other lines."""
    try:
        numbers = {
            name: float(value)
            for name, value in json.loads(line).items()
            if isinstance(value, int | float)
        }
    except (AttributeError, OverflowError, RecursionError, ValueError):
        return {}
    finite = {name: value for name, value in numbers.items() if math.isfinite(value)}
    return finite if "step" in finite else {}
