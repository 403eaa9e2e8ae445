"""Download the files of published datasets."""

import pathlib
from typing import TYPE_CHECKING

from ml_collections import ConfigDict

from ocgm.data import registry
from ocgm.datasets.builders import archives, downloads
from ocgm.datasets.builders.directories import data_dir, source_dir
from ocgm.errors import UserError

if TYPE_CHECKING:
    from ocgm.datasets.builders.from_files import FileBuilder


def fetch(builder: "FileBuilder", data_config: ConfigDict, *, download: bool = True) -> None:
    """Download and unpack the files of a published dataset that are missing.

    Args:
      builder: the dataset's builder.
      data_config: the `data` part of its config; with a `manual_dir` nothing is downloaded.
      download: whether to download at all; otherwise files are only looked for.

    Raises:
      UserError: if a file is missing in the end; the message names it and the place where it belongs.
    """
    directory = source_dir(data_config)
    wanted = builder.downloads() if download and not data_config.manual_dir else ()
    missing = builder.missing_source(directory)
    if wanted and (missing or any(_is_unfinished(item, directory) for item in wanted)):
        missing = _download(builder, wanted, directory, data_dir(data_config))
    if missing:
        spec = registry.get_spec(data_config.name)
        how = f" To get it, {spec.how_to_get};" if spec.how_to_get else ""
        raise UserError(
            f"{spec.title}: {missing}.{how} if the files are in another directory, pass --manual_dir=DIR"
        )


def _is_unfinished(item: downloads.Download, directory: pathlib.Path) -> bool:
    file = directory / item.name
    packed = item.unpack and file.exists() and not archives.target(file).exists()
    return packed or file.with_name(f"{item.name}.part").exists()


def _download(
    builder: "FileBuilder",
    wanted: tuple[downloads.Download, ...],
    directory: pathlib.Path,
    data_dir: pathlib.Path,
) -> str:
    """Download files, and return what is missing nevertheless; '' if nothing is."""
    hints = []
    try:
        for item in wanted:
            file = downloads.fetch(item, directory, data_dir / "downloads" / "checksums.tsv")
            if item.unpack:
                if archives.target(file).exists():
                    hints.append(f"; to unpack {item.name} again, delete {archives.target(file)}")
                archives.unpack(file)
    except UserError as error:
        # Users who cannot download here may have the file from elsewhere.
        return f"{error}; files belong in {directory}"
    missing = builder.missing_source(directory)
    return missing and missing + "".join(hints)
