"""Trials of experiments/faults.py by kind, and how many of them ocgm survives."""

import collections
import contextlib
import io
import pathlib
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from experiments import fault_files, fault_runs


class Trial(NamedTuple):
    """One fault: `run` raises an AssertionError if it is not survived."""

    kind: str
    run: Callable[[], None]


# Kinds of runs: what is done, and how often.
RUN_KINDS = {
    "kill": (fault_runs.kill, 12),
    "signal": (fault_runs.stop, 8),
    "damage": (fault_runs.damage, 24),
    "shared directory": (fault_runs.share_workdir, 2),
    "two processes": (fault_runs.kill_one_process, 3),
}
MUTATED, HOSTILE = "mutated files", "hostile files"
KINDS = (*RUN_KINDS, MUTATED, HOSTILE)
NUM_MUTATED = 600


def run_trials(bench: fault_runs.Bench, kinds: Sequence[str], seed: int) -> list[Trial]:
    """Return the trials of runs, in an order in which all kinds go on alike."""
    rng = np.random.default_rng(seed)
    trials = []
    for kind in kinds:
        if kind in RUN_KINDS:
            fault, count = RUN_KINDS[kind]
            for i, child in enumerate(rng.spawn(count)):
                trial = Trial(kind, lambda f=fault, r=child: f(bench, r))
                trials.append(((i + 0.5) / count, trial))
    return [trial for _, trial in sorted(trials, key=lambda pair: pair[0])]


def file_trials(folder: pathlib.Path, kinds: Sequence[str], seed: int, count: int) -> list[Trial]:
    """Return the trials of files, `count` of them mutated ones, each in a directory of its own."""

    def new_folder() -> pathlib.Path:
        return pathlib.Path(tempfile.mkdtemp(dir=folder))

    trials = []
    if MUTATED in kinds:
        for child in np.random.default_rng(seed).spawn(count):
            trials.append(Trial(MUTATED, lambda r=child: fault_files.mutate(new_folder(), r)))
    if HOSTILE in kinds:
        for what in fault_files.HOSTILE:
            trials.append(Trial(HOSTILE, lambda w=what: fault_files.refuse(new_folder(), w)))
        for what in ("a pipe", "a device"):
            trials.append(
                Trial(HOSTILE, lambda w=what: fault_files.refuse_special(new_folder(), w))
            )
    return trials


def survey(trials: Sequence[Trial], deadline: float = float("inf")) -> dict[str, list[str]]:
    """Run trials until a time of `time.monotonic`.

    Returns:
      For each kind why trials were not survived; "" for those that were.
    """
    outcomes: dict[str, list[str]] = collections.defaultdict(list)
    for trial in trials:
        if time.monotonic() > deadline:
            break
        # What the trials print is no part of the table.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                trial.run()
                outcome = ""
            except Exception as error:
                outcome = f"{type(error).__name__}: {error}"
        outcomes[trial.kind].append(outcome)
        if outcome or trial.kind in RUN_KINDS:  # Of files there are hundreds.
            print(f"{trial.kind}: {outcome or 'survived'}", flush=True)
    return outcomes


def table(outcomes: dict[str, list[str]]) -> str:
    """Return a table of how many trials of each kind there were, and how many were survived."""
    lines = ["| Kind | Tried | Survived |", "|---|---|---|"]
    for kind, found in outcomes.items():
        lines.append(f"| {kind} | {len(found)} | {found.count('')} |")
    return "\n".join(lines)
