"""Datasets on disk: ocgm data list | prepare NAME | preview NAME.

  ocgm data list                 print all datasets, and what of them is on disk
  ocgm data prepare NAME         download or generate a dataset
  ocgm data preview NAME         write an image of its first records: images, masks and factors

--help prints the flags.
"""

import itertools
import pathlib
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from absl import flags
from ml_collections import ConfigDict

from ocgm.commands import cli
from ocgm.data import registry
from ocgm.errors import InputError, UserError, did_you_mean

if TYPE_CHECKING:
    from ocgm.datasets.builders.base import Record, SceneBuilder

_DATA_DIR = flags.DEFINE_string(
    "data_dir", "", "Directory of all datasets; $OCGM_DATA_DIR or ~/tensorflow_datasets by default."
)
# The fields of config.data.
_VARIANT = flags.DEFINE_string("variant", "", "Variant of the dataset; its first by default.")
_PROTOCOL = flags.DEFINE_string(
    "protocol", "", "Paper whose splits and preprocessing are used; the dataset's first by default."
)
_IMAGE_SIZE = flags.DEFINE_integer(
    "image_size", None, "Side of the stored images in pixels; that of the papers by default.", 1
)
_NUM_EXAMPLES = flags.DEFINE_list(
    "num_examples",
    [],
    "Largest numbers of train, validation and test images: --num_examples=60000,320,320.",
)
_SPRITES_PATH = flags.DEFINE_string(
    "sprites_path", "", "dSprites npz file for datasets of sprites; drawn from formulas by default."
)
_MANUAL_DIR = flags.DEFINE_string(
    "manual_dir", "", "Directory of the published files, or of your own images."
)
_DOWNLOAD = flags.DEFINE_bool("download", True, "prepare: download files that are missing.")
_SKIP_CORRUPT = flags.DEFINE_bool("skip_corrupt", False, "prepare: leave out damaged records.")
_SPLIT = flags.DEFINE_string("split", "train", "preview: split to read.")
_NUM_IMAGES = flags.DEFINE_integer("num_images", 24, "preview: number of images.", 1)
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
# Flags of each subcommand.
_COMMANDS = {
    "list": {"data_dir"},
    "prepare": _FORM | {"download", "skip_corrupt"},
    "preview": _FORM | {"split", "num_images", "output"},
}
_ROW = "{:33}  {:38}  {:>4}  {:>2}  {:5}  {:10}  {}"


def main(argv: list[str]) -> None:
    """Run the subcommand named by the first positional argument."""
    if len(argv) == 1:
        print(__doc__.strip())
        return
    command, *names = argv[1:]
    _check(command, names)
    if command == "list":
        lines = _list()
    elif command == "prepare":
        lines = _prepare(_data_config(names[0]))
    else:
        output = cli.folder(_OUTPUT.value or f"{names[0]}_{_SPLIT.value}.png")
        lines = _preview(_data_config(names[0]), output)
    for line in lines:
        print(line, flush=True)


def _check(command: str, names: list[str]) -> None:
    """Check the words and flags of the command line before anything heavy is imported."""
    if command not in _COMMANDS:
        near = did_you_mean(command, _COMMANDS)
        raise InputError(f"unknown command '{command}'; there are {', '.join(_COMMANDS)}{near}")
    expected = 0 if command == "list" else 1
    if len(names) != expected:
        found = f"not {len(names)} names" + (f" ({' '.join(names)})" if names else "")
        wants = "the name of one dataset" if expected else "no name"
        raise InputError(f"{command} takes {wants}, {found}; `ocgm data list` prints all datasets")
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


# ---- list


def _list() -> Iterator[str]:
    from ocgm.data import inventory
    from ocgm.datasets.builders.directories import data_dir

    directory = data_dir(ConfigDict({"data_dir": _DATA_DIR.value}))
    yield _ROW.format("name", "title", "side", "K", "masks", "kind", "state")
    for entry in inventory.entries(directory):
        spec = entry.spec
        masks = "yes" if spec.has_masks else "no"
        numbers = (spec.image_size, spec.num_slots, masks)
        yield _ROW.format(spec.name, spec.title, *numbers, _kind(spec), entry.state)
        yield from (f"    {detail}" for detail in entry.details)
    yield f"\nside (pixels) and K are those of the papers; the data directory is {directory}"


def _kind(spec: registry.DatasetSpec) -> str:
    if spec.name == "folder":
        return "yours"
    if not spec.generated:
        return "published"
    stand_ins = {other.stand_in for other in registry.DATASETS.values()}
    return "synthetic" if spec.name in stand_ins else "generated"


# ---- prepare


def _prepare(config: ConfigDict) -> Iterator[str]:
    from ocgm.data import source_files, storage

    builder = storage.open_builder(config, skip_corrupt=_SKIP_CORRUPT.value)
    _check_image_size(builder, config)
    if storage.is_ready(builder):
        builder = storage.prepare(config)
        yield f"{builder.info.full_name} is already prepared: {builder.data_path}"
        yield from _summary(builder)
        return
    if not registry.get_spec(config.name).generated:
        source_files.fetch(builder, config, download=_DOWNLOAD.value)
    start = time.monotonic()
    builder = storage.prepare(config, skip_corrupt=_SKIP_CORRUPT.value)
    seconds = time.monotonic() - start
    count = sum(split.num_examples for split in builder.info.splits.values())
    yield f"{builder.info.full_name} is ready: {builder.data_path}"
    yield from _summary(builder)
    yield f"  {seconds:.1f} s, {count / seconds:,.0f} records/s"


def _check_image_size(builder: "SceneBuilder", config: ConfigDict) -> None:
    """Check that images are stored at the side in `config`, not resized when they are read."""
    native = builder.info.features["image"].shape[0]
    if not builder.IMAGE_SIZES and config.image_size != native:
        raise UserError(
            f"image_size={config.image_size}, but {config.name} is always stored at "
            f"{native} pixels; training resizes images with --config.data.image_size"
        )


def _summary(builder: "SceneBuilder") -> Iterator[str]:
    from ocgm.data import inventory
    from ocgm.datasets.builders.progress import size_text

    counts = {name: split.num_examples for name, split in builder.info.splits.items()}
    size = size_text(inventory.bytes_in(pathlib.Path(builder.data_path)))
    yield f"  {inventory.counts_text(counts)} records, {size}"
    metadata = builder.info.metadata or {}
    if skipped := metadata.get("skipped_records"):
        yield f"  {skipped} damaged records were left out, the first of them:"
        yield from (f"    {text}" for text in metadata.get("first_skipped", []))


# ---- preview


def _preview(config: ConfigDict, output: pathlib.Path) -> Iterator[str]:
    from ocgm.data import storage
    from ocgm.plots import contact_sheet, figures

    builder, split, spec = (
        storage.open_builder(config),
        _SPLIT.value,
        registry.get_spec(config.name),
    )
    _check_image_size(builder, config)
    stream = _records(builder, config.name)
    if spec.grouped:
        stream = _one_of_each_scene(stream, spec.grouped)
    records = list(itertools.islice(stream, _NUM_IMAGES.value))
    name, what = builder.info.full_name, "scenes" if spec.grouped else "images"
    title = f"{spec.title}:  {name}, {split}, {len(records)} {what}"
    figures.save_png(output, contact_sheet.contact_sheet(records, title, builder.factors))
    yield f"wrote {output}: {len(records)} images of {name}, {split}"


def _records(builder: "SceneBuilder", name: str) -> Iterator["Record"]:
    """Return the records of a split; a generated dataset need not be on disk and is not written there."""
    from ocgm.data import storage

    ready, split = storage.is_ready(builder), _SPLIT.value
    if not ready and not registry.get_spec(name).generated:
        raise UserError(
            f"{builder.info.full_name} is not at {builder.data_path}; run `ocgm data prepare {name}`"
        )
    splits = list(builder.info.splits) if ready else builder.SPLITS
    if split not in splits:
        near = did_you_mean(split, splits)
        raise UserError(f"no split '{split}' in {name}; there are {', '.join(splits)}{near}")
    return _stored(builder, name) if ready else builder.generate(split)


def _stored(builder: "SceneBuilder", name: str) -> Iterator["Record"]:
    from ocgm.data import storage
    from ocgm.data.pipeline import reading_order

    source = builder.as_data_source(_SPLIT.value)
    for i in reading_order(name, len(source)):
        with storage.damage(pathlib.Path(builder.data_path)):
            record = source[i]
        yield record


def _one_of_each_scene(records: Iterable["Record"], factor: str) -> Iterator["Record"]:
    seen = set()
    for record in records:
        scene = int(record["factors"][factor])
        if scene not in seen:
            seen.add(scene)
            yield record
