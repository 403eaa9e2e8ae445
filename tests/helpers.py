"""Running the commands as a user does, and reading what runs left behind."""

import contextlib
import dataclasses
import io
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from unittest import mock

import jax
import ml_collections
import numpy as np
from absl import flags

from ocgm import run_dir, sharding
from ocgm.commands import dispatcher
from ocgm.training.checkpoint import CheckpointStore
from ocgm.training.step import abstract_state

ROOT = pathlib.Path(__file__).parents[1]
REFERENCE_STEPS = 20  # of the fixture `reference_run`, which saves every 5
# metrics.jsonl of a run that was killed while it wrote step 4, and resumed from step 1.
KILLED_AND_RESUMED = """\
{"step": 1, "train/loss": 5.0}
{"step": 2, "train/loss": 4.0, "note": "text"}
{"step": 3, "train/loss": 3.5}
{"step": 4, "train/lo
{"step": 2, "train/loss": 4.5}
{"step": 2, "eval/ari_fg": 0.5}
{"step": 5, "train/loss": NaN, "train/kl": Infinity}
"""


@dataclasses.dataclass(frozen=True)
class Result:
    """How a command ended and what it printed."""

    status: int
    out: str
    err: str


def command(name: str, *arguments: object) -> Result:
    """Run `ocgm NAME ARGUMENTS` in this process, which saves its start."""
    argv = ["ocgm", name, *map(str, arguments)]
    known = set(flags.FLAGS)
    out, err = io.StringIO(), io.StringIO()
    sys.modules.pop(f"ocgm.commands.{name}", None)  # Importing it defines its flags.
    with (
        mock.patch.object(sys, "argv", argv),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            dispatcher.main()
            status = 0
        except SystemExit as exit_:
            status = exit_.code or 0
        finally:
            for flag in set(flags.FLAGS) - known:
                delattr(flags.FLAGS, flag)
    return Result(status, out.getvalue(), err.getvalue())


def start(
    *arguments: object, devices: int = 2, env: Mapping[str, str] | None = None, **options
) -> subprocess.Popen:
    """Start `python ARGUMENTS` in the repository's root, with further variables `env`; its output is text."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"JAX_NUM_CPU_DEVICES": str(devices)} | (env or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def finish(process: subprocess.Popen, seconds: float = 300) -> Result:
    """Wait for a process to end."""
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return Result(process.returncode, out, err)


def write_config(folder: pathlib.Path, config: ml_collections.ConfigDict) -> pathlib.Path:
    """Write a config as a file that --config takes."""
    path = folder / "config.py"
    path.write_text(
        "from ml_collections import ConfigDict\n\n\n"
        f"def get_config():\n    config = ConfigDict({config.to_dict()!r})\n"
        "    config.model.image_size = config.data.get_ref('image_size')\n    return config\n"
    )
    return path


def saved(workdir: pathlib.Path, step: int | None = None) -> dict[str, object]:
    """Return what a run's newest checkpoint holds, or the one of `step`: host arrays by path, and data position."""
    config = run_dir.load(workdir)
    mesh = sharding.make_mesh(config.mesh)
    with CheckpointStore(workdir) as checkpoints:
        step = checkpoints.steps()[-1] if step is None else step
        restored = checkpoints.restore(abstract_state(config, mesh), step=step)
    leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(restored.state))
    content = {jax.tree_util.keystr(path): leaf for path, leaf in leaves}
    position = workdir / "checkpoints" / str(step) / "position" / "metadata"
    if (next_batch := json.loads(position.read_text())) is not None:
        content["position"] = next_batch
    return content


def saved_failure(workdir: pathlib.Path) -> dict[str, object]:
    """Return the state in failed_state/, read with the run's config."""
    shutil.copy(workdir / "config.json", workdir / "failed_state" / "config.json")
    return saved(workdir / "failed_state")


def poisoned(make_train_step: Callable, number: int, poison: Callable) -> Callable:
    """Return a `make_train_step` whose step of this number, from 1, gets a state that `poison` changed in place."""

    def make(config, mesh):
        train_step, calls = make_train_step(config, mesh), itertools.count(1)

        def step(state, batch, options):
            if next(calls) == number:
                with jax.transfer_guard("allow"):
                    poison(state)
            return train_step(state, batch, options)

        return step

    return make


def assert_same(actual: dict[str, object], expected: dict[str, object]) -> None:
    """Check that names are the same and values have the same bits."""
    assert actual.keys() == expected.keys()
    different = [
        name
        for name, value in expected.items()
        if np.asarray(actual[name]).tobytes() != np.asarray(value).tobytes()
        if actual[name] != value or isinstance(value, np.ndarray | np.generic)
    ]
    assert not different


def metrics_of(workdir: pathlib.Path, name: str) -> dict[int, float]:
    """Return the values of one metric by step, from metrics.jsonl."""
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return {row["step"]: row[name] for row in map(json.loads, lines) if name in row}


def permute_slot_noise(monkeypatch, order: np.ndarray) -> None:
    """Make standard normal draws of slots [B, K, D] come with their slots in another order."""
    draw = jax.random.normal

    def permuted(key, shape=(), dtype=float):
        noise = draw(key, shape, dtype)
        return noise[:, order] if len(shape) == 3 and shape[1] == len(order) else noise

    monkeypatch.setattr(jax.random, "normal", permuted)
