"""Write the weights of a run without its optimizer state.

    ocgm export --workdir=runs/quickstart --output=exported

The directory holds config.json, variables.npz and the run's metrics.jsonl; all commands that take a trained model take
it as --workdir.
"""

from absl import flags as absl_flags

from ocgm import inference
from ocgm.commands import cli, flags
from ocgm.files import write_atomically

_WORKDIR = flags.workdir("Directory of a run.")
_OUTPUT = absl_flags.DEFINE_string("output", None, "Directory to write.", required=True)
_STEP = flags.step()


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    trained = inference.load(_WORKDIR.value, _STEP.value)
    output = cli.folder(_OUTPUT.value)
    inference.export(trained, output)
    # The training curves are copied too, so that a report can show them.
    metrics = inference.locate(_WORKDIR.value) / "metrics.jsonl"
    if metrics.exists():  # A run that was imported and never trained has none.
        write_atomically(output / "metrics.jsonl", metrics.read_bytes())
    print(f"wrote step {trained.step:,} to {_OUTPUT.value}")
