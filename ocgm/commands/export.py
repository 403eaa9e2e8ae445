"""Write a run's weights without optimiser state: python -m ocgm.export --workdir=DIR --output=FOLDER."""

from absl import app, flags

from ocgm import inference
from ocgm.commands import cli
from ocgm.files import write_atomically

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of a run.")
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder to write; can be given as --workdir elsewhere."
)
_STEP = flags.DEFINE_integer("step", None, "Checkpoint to use; the newest sound one by default.")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    trained = inference.load(cli.folder(_WORKDIR.value), _STEP.value)
    output = cli.folder(_OUTPUT.value)
    inference.export(trained, output)
    # The training curves go along: a report on the export shows them.
    metrics = (cli.folder(_WORKDIR.value) / "metrics.jsonl").read_bytes()
    write_atomically(output / "metrics.jsonl", metrics)
    print(f"wrote step {trained.step:,} to {_OUTPUT.value}")


if __name__ == "__main__":
    flags.mark_flags_as_required(["workdir", "output"])
    cli.run(main)
