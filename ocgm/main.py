"""Train a model: python -m ocgm.main --config=configs/quickstart.py --workdir=DIR."""

import jax
from absl import app, flags
from ml_collections import config_flags

from ocgm.commands import cli

_CONFIG = config_flags.DEFINE_config_file("config", None, "Experiment, a file of configs/.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run; made, or gone on with.")
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed", False, "Join the other processes of a TPU pod or GPU cluster first."
)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    if _DISTRIBUTED.value:
        jax.distributed.initialize()
    from ocgm.training.loop import train  # After the processes have met: it may touch the devices.

    train(_CONFIG.value, cli.folder(_WORKDIR.value))


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "workdir"])
    cli.run(main)
