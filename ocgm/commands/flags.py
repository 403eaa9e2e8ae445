"""Flags that several commands share: each function defines one for the module that calls it and returns its holder."""

import ast
import pathlib
from typing import Any

from absl import flags

from ocgm.commands import cli
from ocgm.errors import InputError

flags.disclaim_key_flags()  # The flags belong to the commands; --help prints those of one command.


def workdir(text: str) -> flags.FlagHolder[str]:
    """Define --workdir, which must be given, with a help text of its own."""
    return flags.DEFINE_string("workdir", None, text, required=True)


def trained_model() -> flags.FlagHolder[str]:
    """Define --workdir, which names a trained model."""
    return workdir(
        "Directory of a run or an export, or a model that ships with ocgm, such as"
        " genesis_v2/multi_dsprites."
    )


def output(files: str) -> flags.FlagHolder[str]:
    """Define --output, the directory of a command's files."""
    return flags.DEFINE_string(
        "output",
        "",
        f"Directory for {files}; by default --workdir, or the current directory for a model that"
        " ships with ocgm.",
    )


def output_folder(value: str, workdir: str) -> pathlib.Path:
    """Return the directory that --output and --workdir name; never one of the installed package."""
    from ocgm import inference

    if value:
        return cli.folder(value)
    return pathlib.Path.cwd() if inference.ships(workdir) else cli.folder(workdir)


def step() -> flags.FlagHolder[int | None]:
    """Define --step."""
    return flags.DEFINE_integer(
        "step", None, "Step of the checkpoint; by default the newest one that can be read."
    )


def split() -> flags.FlagHolder[str]:
    """Define --split."""
    return flags.DEFINE_string(
        "split", "test", "Split of the dataset: train, validation, test, or another one it has."
    )


def data_dir() -> flags.FlagHolder[str]:
    """Define --data_dir of commands that read the data of a run."""
    return flags.DEFINE_string(
        "data_dir", "", "Directory of the datasets; by default the one that the run used."
    )


def num_images(default: int, text: str, most: int | None = None) -> flags.FlagHolder[int]:
    """Define --num_images with a default, a help text and a largest value of its own."""
    return flags.DEFINE_integer("num_images", default, text, 1, most)


def batch_size(default: int) -> flags.FlagHolder[int]:
    """Define --batch_size."""
    return flags.DEFINE_integer("batch_size", default, "Number of images per batch.", 1)


def seed() -> flags.FlagHolder[int]:
    """Define --seed."""
    return flags.DEFINE_integer(
        "seed", 0, "Seed of all random draws, such as those of latents.", 0, 2**31 - 1
    )


def num_slots() -> flags.FlagHolder[int | None]:
    """Define --num_slots."""
    return flags.DEFINE_integer(
        "num_slots", None, "Number of slots; by default as many as in training.", 2
    )


class ModelOptions:
    """The flags --num_slots, --dynamic_slots and --option, as keyword arguments of a model's call."""

    def __init__(self):
        self._num_slots = num_slots()
        self._dynamic_slots = flags.DEFINE_bool(
            "dynamic_slots", False, "Stop adding slots where no pixel is left (GENESIS-V2)."
        )
        self._pairs = flags.DEFINE_multi_string(
            "option",
            [],
            "Option of the model's call, such as refinement_steps=3; may be repeated.",
        )

    @property
    def value(self) -> dict[str, Any]:
        """The options that were given, by name.

        Raises:
          InputError: an --option is not NAME=VALUE with a number, True or False as value.
        """
        options = {}
        for pair in self._pairs.value:
            name, _, value = pair.partition("=")
            try:
                options[name] = ast.literal_eval(value)
            except (SyntaxError, ValueError):
                options[name] = None
            if not isinstance(options[name], int | float):
                raise InputError(f"--option={pair} is not NAME=NUMBER, NAME=True or NAME=False.")
        if self._num_slots.value:
            options["num_slots"] = self._num_slots.value
        if self._dynamic_slots.value:
            options["dynamic_slots"] = True
        return options
