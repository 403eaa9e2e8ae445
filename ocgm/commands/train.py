"""Train a model, or resume a run.

    ocgm train --config=genesis_v2_objectsroom --workdir=runs/objectsroom

The same command resumes the run from its last checkpoint. `python -m ocgm.main` is the same.
"""

import shlex

from absl import flags as absl_flags

from ocgm.commands import cli, config_flag, flags
from ocgm.errors import InputError
from ocgm.training import cluster

_CONFIG = config_flag.Config()
_WORKDIR = flags.workdir("Directory of the run; created, or resumed if it holds the same run.")
_DISTRIBUTED = absl_flags.DEFINE_bool(
    "distributed",
    False,
    "Connect first to the other processes: under SLURM's srun, Open MPI's mpirun, or on a TPU pod.",
)
_PROFILE_STEPS = absl_flags.DEFINE_list(
    "profile_steps",
    [],
    "FIRST,LAST: trace these steps with jax.profiler, into profile/ of the run.",
)


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    if _DISTRIBUTED.value:
        cluster.connect()
    # Imported once the processes are connected, since it may initialize the devices.
    with cli.importing():
        from ocgm.training.loop import train
        from ocgm.training.writers import say

    train(_CONFIG.value, cli.folder(_WORKDIR.value), _profile_steps(_PROFILE_STEPS.value))
    say(f"done: checkpoints/, metrics.jsonl and figures/ are in {_WORKDIR.value}")
    workdir = shlex.quote(_WORKDIR.value)
    say(f"next: ocgm evaluate --workdir={workdir}")
    say(f"      ocgm segment --workdir={workdir} IMAGE_OR_FOLDER")


def _profile_steps(values: list[str]) -> tuple[int, int] | None:
    """Return the first and the last step to profile, or None where none were given.

    Raises:
      InputError: they are not two integers.
    """
    if not values:
        return None
    try:
        first, last = map(int, values)
    except ValueError:
        raise InputError(
            f"--profile_steps={','.join(values)} is not FIRST,LAST, such as 100,110."
        ) from None
    return first, last
