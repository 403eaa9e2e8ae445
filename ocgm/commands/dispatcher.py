"""The commands by name: runs the one that the command line names."""

import importlib
import sys
from collections.abc import Sequence

import ocgm
from ocgm.commands import cli
from ocgm.errors import did_you_mean

# In the order in which a user meets them; ocgm/commands has a module for each.
COMMANDS = {
    "train": "Train a model, or resume a run.",
    "evaluate": "Evaluate a trained model on held-out images.",
    "sample": "Sample scenes from a model's prior.",
    "segment": "Segment your own images.",
    "latents": "Measure and draw what the dimensions of a model's latents do.",
    "list_models": "List the trained models that ship with ocgm.",
    "describe": "Print the parameters, output shapes and resolved fields of a config.",
    "data": "List, prepare or preview datasets.",
    "export": "Write the weights of a run without its optimizer state.",
    "convert": "Convert a checkpoint of the authors into a run.",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command that the command line names.

    Args:
      argv: the program's name, the command, and its arguments; `sys.argv` by default.
    """
    name, *arguments = (sys.argv if argv is None else argv)[1:] or ["--help"]
    if name in ("--help", "-help", "-h", "help"):
        if arguments and name == "help":
            main(["ocgm", arguments[0], "--help"])
        else:
            cli.guarded(print, _overview())
    elif name == "--version":
        print(f"ocgm {ocgm.__version__}")
    elif name not in COMMANDS:
        cli.fail(
            f"there is no command '{name}'{did_you_mean(name, COMMANDS)}"
            " `ocgm --help` lists the commands."
        )
    else:
        with cli.importing():
            module = cli.guarded(importlib.import_module, f"ocgm.commands.{name}")
        cli.run(module.main, [f"ocgm {name}", *arguments], module)


def _overview() -> str:
    """Return one line for each command."""
    lines = [f"  {name:12s} {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "ocgm: object-centric generative models in JAX\n",
            "usage: ocgm COMMAND [--flag=VALUE ...]\n",
            *lines,
            "\n`ocgm COMMAND --help` prints the flags of a command.",
        ]
    )
