"""Try to break ocgm by kills, signals, damages, shared directories, several processes and hostile files.

    python -m experiments.faults            # make faults: all kinds, at most 15 minutes
    python -m experiments.faults --kinds=kill,damage --seed=7

Runs of a tiny experiment are disturbed at random moments, and must then resume to the result of an undisturbed run, bit
by bit. Files that were damaged or made on purpose must be read, or refused with one message that names them. Prints how
many trials of each kind survived, and why others did not; the exit status is 1 if any did not.
"""

import pathlib
import secrets
import sys
import tempfile
import time

from absl import flags

from experiments import fault_runs, fault_trials
from experiments.fault_trials import KINDS
from ocgm.commands import cli
from ocgm.errors import UserError, did_you_mean

# A trial that has begun is finished.
_MINUTES = 13

_KINDS = flags.DEFINE_list("kinds", [], f"Some of {', '.join(KINDS)}; all by default.")
_SEED = flags.DEFINE_integer("seed", None, "Seed of all choices; a new one by default.")


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    kinds = _KINDS.value or KINDS
    for kind in kinds:
        if kind not in KINDS:
            raise UserError(
                f"--kinds: no kind {kind!r} in {', '.join(KINDS)}{did_you_mean(kind, KINDS)}"
            )
    seed = secrets.randbits(32) if _SEED.value is None else _SEED.value
    print(f"seed {seed}", flush=True)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        trials = fault_trials.file_trials(folder, kinds, seed, fault_trials.NUM_MUTATED)
        if fault_trials.RUN_KINDS.keys() & set(kinds):
            trials += fault_trials.run_trials(fault_runs.Bench(folder), kinds, seed)
        outcomes = fault_trials.survey(trials, start + _MINUTES * 60)
    print(f"\n{fault_trials.table(outcomes)}\n\n{(time.monotonic() - start) / 60:.1f} minutes")
    if left := len(trials) - sum(map(len, outcomes.values())):
        print(f"{left} trials were left out, since time was up.")
    if any(any(found) for found in outcomes.values()):
        sys.exit(1)


if __name__ == "__main__":
    cli.run(main)
