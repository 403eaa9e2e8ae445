"""Datasets on disk.

  python -m ocgm.data list                 all datasets, and what of them is on disk
  python -m ocgm.data prepare NAME         download or generate one
  python -m ocgm.data preview NAME         a picture of its first images, masks and labels

--help names the flags.
"""

import sys

from absl import flags
from ml_collections import ConfigDict

from ocgm.commands import cli
from ocgm.data import registry, storage
from ocgm.errors import InputError

_DATA_DIR = flags.DEFINE_string(
    "data_dir", "", "Where datasets are kept; $OCGM_DATA_DIR or ~/tensorflow_datasets by default."
)
# Which form of the dataset, as the fields of config.data.
_VARIANT = flags.DEFINE_string(
    "variant", "", "Which of the scenes; the dataset's first by default."
)
_PROTOCOL = flags.DEFINE_string(
    "protocol", "", "Whose splits and preprocessing; the dataset's first by default."
)
_IMAGE_SIZE = flags.DEFINE_integer(
    "image_size", None, "Side of the stored images in pixels; the papers' by default.", 1
)
_NUM_EXAMPLES = flags.DEFINE_list(
    "num_examples", [], "Most images of train, validation and test: --num_examples=60000,320,320."
)
_SPRITES_PATH = flags.DEFINE_string(
    "sprites_path", "", "The dSprites npz file, of sprite datasets; else formulas draw the sprites."
)
_MANUAL_DIR = flags.DEFINE_string(
    "manual_dir", "", "Folder with the published files, or with your pictures."
)
_DOWNLOAD = flags.DEFINE_bool("download", True, "prepare: download files that are missing.")
_SKIP_CORRUPT = flags.DEFINE_bool("skip_corrupt", False, "prepare: leave damaged records out.")
_SPLIT = flags.DEFINE_string("split", "train", "preview: which split.")
_NUM_IMAGES = flags.DEFINE_integer("num_images", 24, "preview: how many images.", 1)
_OUTPUT = flags.DEFINE_string("output", "", "preview: the PNG file; NAME_SPLIT.png by default.")

_FORM = {
    "data_dir",
    "variant",
    "protocol",
    "image_size",
    "num_examples",
    "sprites_path",
    "manual_dir",
}
# The flags that a command takes.
_COMMANDS = {
    "list": {"data_dir"},
    "prepare": _FORM | {"download", "skip_corrupt"},
    "preview": _FORM | {"split", "num_images", "output"},
}


def main(argv: list[str]) -> None:
    if len(argv) == 1:
        print(sys.modules["__main__"].__doc__.strip())
        return
    command, *names = argv[1:]
    _check(command, names)
    from ocgm.commands import datasets, preview  # With TFDS, which takes a second.

    if command == "list":
        config = ConfigDict({"data_dir": _DATA_DIR.value})
        lines = datasets.overview(storage.data_dir(config))
    elif command == "prepare":
        config = _data_config(names[0])
        lines = datasets.prepare(config, download=_DOWNLOAD.value, skip_corrupt=_SKIP_CORRUPT.value)
    else:
        output = cli.folder(_OUTPUT.value or f"{names[0]}_{_SPLIT.value}.png")
        lines = preview.write(_data_config(names[0]), _SPLIT.value, _NUM_IMAGES.value, output)
    for line in lines:
        print(line, flush=True)


def _check(command: str, names: list[str]) -> None:
    """Checks the words and flags of the command line, before anything heavy is imported."""
    if command not in _COMMANDS:
        raise InputError(f"unknown command '{command}'; there are {', '.join(_COMMANDS)}")
    expected = 0 if command == "list" else 1
    if len(names) != expected:
        found = f"not {len(names)} names" + (f" ({' '.join(names)})" if names else "")
        wants = "the name of one dataset" if expected else "no name"
        raise InputError(f"{command} takes {wants}, {found}; `list` shows all datasets")
    if names:
        registry.get_spec(names[0])
    mine = set().union(*_COMMANDS.values())
    for flag in sorted(mine - _COMMANDS[command]):
        if flags.FLAGS[flag].present:
            raise InputError(f"{command} does not take --{flag}")


def _data_config(name: str) -> ConfigDict:
    try:
        num_examples = tuple(map(int, _NUM_EXAMPLES.value))
    except ValueError:
        raise InputError(
            f"--num_examples={','.join(_NUM_EXAMPLES.value)} is not three whole numbers, such as "
            "60000,320,320"
        ) from None
    config = registry.default_config(name)
    config.update(
        data_dir=_DATA_DIR.value,
        variant=_VARIANT.value,
        protocol=_PROTOCOL.value,
        image_size=_IMAGE_SIZE.value or config.image_size,
        num_examples=num_examples,
        sprites_path=_SPRITES_PATH.value,
        manual_dir=_MANUAL_DIR.value,
    )
    return config


if __name__ == "__main__":
    cli.run(main)
