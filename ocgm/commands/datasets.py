"""What `python -m ocgm.data` does: an overview of all datasets, and preparing one."""

import json
import pathlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ml_collections import ConfigDict

from ocgm.data import registry, storage
from ocgm.datasets.builders import downloads
from ocgm.datasets.builders.progress import size_text
from ocgm.errors import UserError

if TYPE_CHECKING:
    from ocgm.datasets.builders.base import SceneBuilder
    from ocgm.datasets.builders.from_files import FileBuilder

_ROW = "{:33}  {:38}  {:>4}  {:>2}  {:5}  {:10}  {}"


# ---- list


def overview(data_dir: pathlib.Path) -> Iterator[str]:
    """Yields the lines of a table of all datasets and of what is on disk.

    Args:
      data_dir: where datasets are kept; it need not exist.
    """
    yield _ROW.format("name", "title", "side", "K", "masks", "kind", "state")
    for spec in registry.DATASETS.values():
        forms = _forms_on_disk(data_dir / spec.name)
        states = [state for state, _ in forms]
        folder = data_dir / "downloads" / spec.name
        details = [*(text for _, text in forms), *downloads.unfinished(folder)]
        if "damaged" in states:
            state = "damaged"
        elif "prepared" in states:
            state = "prepared"
        elif spec.generated or spec.name == "folder":
            state = "not prepared"
        elif not folder.is_dir():
            state = "files missing"
        else:
            problem = _source_problem(spec, data_dir)
            state = "files missing" if problem else "files found"
            details += [problem] if problem else []
        yield _ROW.format(
            spec.name,
            spec.title,
            spec.image_size,
            spec.num_slots,
            "yes" if spec.has_masks else "no",
            _kind(spec),
            state,
        )
        yield from (f"    {detail}" for detail in details)
    yield f"\nside in pixels and K are the papers'; the data directory is {data_dir}"


def _kind(spec: registry.DatasetSpec) -> str:
    if spec.name == "folder":
        return "yours"
    if not spec.generated:
        return "published"
    return "look-alike" if spec.name.endswith("_synthetic") else "generated"


def _forms_on_disk(folder: pathlib.Path) -> list[tuple[str, str]]:
    """Returns states and descriptions of the folders CONFIG/VERSION, from TFDS' files alone."""
    forms = []
    for path in sorted(folder.glob("*/*")):
        if path.parent.name.startswith(".") or path.name.startswith(".") or not path.is_dir():
            continue
        name = f"{path.parent.name}/{path.name}"
        if path.name.startswith("incomplete."):
            forms.append(("unfinished", f"{path.parent.name}: being made, or interrupted"))
            continue
        try:
            forms.append(("prepared", f"{name}: {_describe_form(path)}"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            forms.append(
                (
                    "damaged",
                    f"{name}: damaged ({type(error).__name__}: {error}); delete {path} and "
                    "prepare it again",
                )
            )
    return forms


def _describe_form(path: pathlib.Path) -> str:
    info = json.loads((path / "dataset_info.json").read_text())
    counts = {}
    for split in info["splits"]:
        lengths = [int(length) for length in split["shardLengths"]]
        for i in range(len(lengths)):
            shard = (
                f"{info['name']}-{split['name']}.{info['fileFormat']}-{i:05}-of-{len(lengths):05}"
            )
            (path / shard).stat()
        counts[split["name"]] = sum(lengths)
    if not counts:
        raise ValueError("it has no splits")
    metadata = json.loads((path / "metadata.json").read_text())
    text = f"{_counts_text(counts)}, {size_text(_bytes_in(path))}"
    skipped = metadata.get("skipped_records")
    return f"{text}, {skipped} damaged records left out" if skipped else text


def _counts_text(counts: dict[str, int]) -> str:
    return ", ".join(f"{split} {count:,}" for split, count in counts.items())


def _bytes_in(folder: pathlib.Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def _source_problem(spec: registry.DatasetSpec, data_dir: pathlib.Path) -> str:
    """Returns what is missing of a published dataset's files; '' if nothing is."""
    from ocgm.datasets.builders.from_files import SourceError

    config = registry.default_config(spec.name)
    config.data_dir = str(data_dir)
    try:
        storage.open_builder(config).source_files(storage.source_dir(config))
    except SourceError as error:
        return str(error)
    return ""


# ---- prepare


def prepare(
    data_config: ConfigDict, *, download: bool = True, skip_corrupt: bool = False
) -> Iterator[str]:
    """Makes sure that a dataset is on disk, and yields the lines of a summary.

    Args:
      data_config: the `data` part of a config. With a `manual_dir` nothing is downloaded.
      download: whether to download files that are missing, if there is an address.
      skip_corrupt: leave damaged records out.

    Raises:
      UserError: see `storage.prepare` and `downloads.fetch`.
    """
    builder = storage.open_builder(data_config, skip_corrupt=skip_corrupt)
    check_image_size(builder, data_config)
    if storage.is_ready(builder):
        builder = storage.prepare(data_config)
        yield f"{builder.info.full_name} is there already: {builder.data_path}"
        yield from _summary(builder)
        return
    if not registry.get_spec(data_config.name).generated:
        _get_source(builder, data_config, download)
    start = time.monotonic()
    builder = storage.prepare(data_config, skip_corrupt=skip_corrupt)
    seconds = time.monotonic() - start
    count = sum(_counts(builder).values())
    yield f"{builder.info.full_name} is ready: {builder.data_path}"
    yield from _summary(builder)
    yield f"  {seconds:.1f} s, {count / seconds:,.0f} records/s"


def check_image_size(builder: "SceneBuilder", data_config: ConfigDict) -> None:
    """Checks that images are stored at the side that is asked for.

    Raises:
      UserError: if they are stored at another one, and made smaller when they are read.
    """
    native = builder.info.features["image"].shape[0]
    if not builder.IMAGE_SIZES and data_config.image_size != native:
        raise UserError(
            f"image_size={data_config.image_size}, but {data_config.name} is always stored at "
            f"{native} pixels; --config.data.image_size of training takes fewer of them"
        )


def _summary(builder: "SceneBuilder") -> Iterator[str]:
    size = size_text(_bytes_in(pathlib.Path(builder.data_path)))
    yield f"  {_counts_text(_counts(builder))} records, {size}"
    metadata = builder.info.metadata or {}
    if skipped := metadata.get("skipped_records"):
        first = metadata["first_skipped"]
        yield f"  {skipped} damaged records were left out, the first of them:"
        yield from (f"    {text}" for text in first)


def _counts(builder: "SceneBuilder") -> dict[str, int]:
    return {name: split.num_examples for name, split in builder.info.splits.items()}


def _get_source(builder: "FileBuilder", data_config: ConfigDict, download: bool) -> None:
    """Downloads what is missing of a published dataset's files.

    Raises:
      UserError: if a file is missing in the end; the message says which, and where it belongs.
    """
    from ocgm.datasets.builders.from_files import SourceError

    folder = storage.source_dir(data_config)
    wanted = builder.downloads() if download and not data_config.manual_dir else ()
    try:
        if not (wanted and downloads.unfinished(folder)):
            builder.source_files(folder)
            return
    except SourceError as error:
        if not wanted:
            raise _missing(data_config, str(error)) from error
    pins = storage.data_dir(data_config) / "downloads" / "checksums.tsv"
    unpacked_before = downloads.unpacked(folder)
    try:
        for item in wanted:
            file = downloads.fetch(item, folder, pins)
            if item.unpack:
                downloads.unpack(file, folder)
    except UserError as error:
        # Whoever cannot download here may have the file from elsewhere.
        raise _missing(data_config, f"{error}; {folder} is where files belong") from error
    try:
        builder.source_files(folder)
    except SourceError as error:
        hint = "".join(
            f"; to unpack {name} once more, delete {mark}" for name, mark in unpacked_before.items()
        )
        raise _missing(data_config, f"{error}{hint}") from error


def _missing(data_config: ConfigDict, reason: str) -> UserError:
    spec = registry.get_spec(data_config.name)
    return UserError(
        f"{spec.title}: {reason}. To get it, {spec.how_to_get}; files that are elsewhere are found "
        "with --manual_dir=FOLDER"
    )
