"""What of the datasets is on disk: read from the files that TFDS wrote, without opening builders where possible."""

import dataclasses
import json
import pathlib

from ocgm.data import registry, storage
from ocgm.datasets.builders import downloads
from ocgm.datasets.builders.progress import size_text


@dataclasses.dataclass(frozen=True)
class Entry:
    """A dataset and what of it is on disk.

    Attributes:
      spec: the dataset's entry in the registry.
      state: 'prepared', 'not prepared', 'damaged', 'files found' or 'files missing'.
      details: one line for each form that is on disk, each unfinished download, and what is missing.
    """

    spec: registry.DatasetSpec
    state: str
    details: list[str]


def entries(data_dir: pathlib.Path) -> list[Entry]:
    """Return all datasets of the registry in order.

    Args:
      data_dir: where datasets are kept; it need not exist.
    """
    return [_entry(spec, data_dir) for spec in registry.DATASETS.values()]


def _entry(spec: registry.DatasetSpec, data_dir: pathlib.Path) -> Entry:
    forms = _forms_on_disk(data_dir / spec.name)
    states = [state for state, _ in forms]
    directory = data_dir / "downloads" / spec.name
    details = [*(text for _, text in forms), *downloads.unfinished(directory)]
    if "damaged" in states:
        return Entry(spec, "damaged", details)
    if "prepared" in states:
        return Entry(spec, "prepared", details)
    if spec.generated or spec.name == "folder":
        return Entry(spec, "not prepared", details)
    if not directory.is_dir():
        return Entry(spec, "files missing", details)
    config = registry.default_config(spec.name)
    config.data_dir = str(data_dir)
    missing = storage.open_builder(config).missing_source(directory)
    if missing:
        return Entry(spec, "files missing", [*details, missing])
    return Entry(spec, "files found", details)


def _forms_on_disk(directory: pathlib.Path) -> list[tuple[str, str]]:
    """Return states and descriptions of the directories CONFIG/VERSION."""
    forms = []
    for path in sorted(directory.glob("*/*")):
        if path.parent.name.startswith(".") or path.name.startswith(".") or not path.is_dir():
            continue
        name = f"{path.parent.name}/{path.name}"
        if path.name.startswith("incomplete."):
            forms.append(("unfinished", f"{path.parent.name}: in preparation, or interrupted"))
            continue
        try:
            forms.append(("prepared", f"{name}: {_describe(path)}"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"damaged ({type(error).__name__}: {error})"
            forms.append(("damaged", f"{name}: {reason}; delete {path} and prepare it again"))
    return forms


def _describe(path: pathlib.Path) -> str:
    info = json.loads((path / "dataset_info.json").read_text())
    counts = {}
    for split in info["splits"]:
        lengths = [int(length) for length in split["shardLengths"]]
        stem = f"{info['name']}-{split['name']}.{info['fileFormat']}"
        for i in range(len(lengths)):
            (path / f"{stem}-{i:05}-of-{len(lengths):05}").stat()
        counts[split["name"]] = sum(lengths)
    if not counts:
        raise ValueError("it has no splits")
    text = f"{counts_text(counts)}, {size_text(bytes_in(path))}"
    skipped = json.loads((path / "metadata.json").read_text()).get("skipped_records")
    return f"{text}, {skipped} damaged records left out" if skipped else text


def counts_text(counts: dict[str, int]) -> str:
    """Return the sizes of splits as text, such as 'train 60,000, test 320'."""
    return ", ".join(f"{split} {count:,}" for split, count in counts.items())


def bytes_in(directory: pathlib.Path) -> int:
    """Return the sizes of a directory's files in bytes, added up."""
    return sum(file.stat().st_size for file in directory.iterdir())
