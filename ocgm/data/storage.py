"""Finds a dataset on disk, or makes it there."""

import contextlib
import importlib
import io
import os
import pathlib
import shutil
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from absl import logging
from ml_collections import ConfigDict

from ocgm.data import registry
from ocgm.errors import UserError
from ocgm.files import exclusive

if TYPE_CHECKING:
    from ocgm.datasets.builders.base import SceneBuilder
    from ocgm.datasets.builders.from_files import FileBuilder


def data_dir(data_config: ConfigDict) -> pathlib.Path:
    """Returns where datasets are kept.

    This is `data_config.data_dir`, or if that is empty the environment variable OCGM_DATA_DIR, or
    if that is empty too ~/tensorflow_datasets.
    """
    chosen = data_config.data_dir or os.environ.get("OCGM_DATA_DIR") or "~/tensorflow_datasets"
    return pathlib.Path(chosen).expanduser()


def source_dir(data_config: ConfigDict) -> pathlib.Path:
    """Returns where a published dataset's files are looked for: `manual_dir`, or where downloads go."""
    if data_config.manual_dir:
        return pathlib.Path(data_config.manual_dir).expanduser()
    return data_dir(data_config) / "downloads" / data_config.name


def prepare(data_config: ConfigDict, *, skip_corrupt: bool = False) -> "SceneBuilder":
    """Makes sure that a dataset is on disk.

    Several processes may prepare the same dataset at once: one of them works, the others wait. A
    dataset appears under its name only when it is complete; what an interrupted attempt left is
    removed by the next one.

    Args:
      data_config: the `data` part of a config.
      skip_corrupt: leave damaged records of the published files out, and say how many.

    Returns:
      The TFDS builder, ready to be read.

    Raises:
      DatasetMissingError: if the dataset is not there, and its files are not either.
      UserError: for an unknown dataset or variant, if a file is damaged, or if the data directory
        cannot be written.
    """
    builder = open_builder(data_config, skip_corrupt=skip_corrupt)
    spec = registry.get_spec(data_config.name)
    if is_ready(builder):
        if data_config.manual_dir and not spec.generated:
            builder.check_unchanged(source_dir(data_config))
        return builder
    if not spec.generated:
        check_source(builder, data_config)
    try:
        _make(builder, source_dir(data_config))
    except OSError as error:
        raise UserError(
            f"cannot write {builder.info.full_name} to {data_dir(data_config)}: {error}"
        ) from error
    # A new builder: the old one has not read what TFDS writes last.
    return open_builder(data_config)


def check_source(builder: "FileBuilder", data_config: ConfigDict) -> None:
    """Checks that the files of a published dataset are where they are looked for.

    Raises:
      DatasetMissingError: if one is not there.
    """
    from ocgm.datasets.builders.from_files import SourceError

    try:
        builder.source_files(source_dir(data_config))
    except SourceError as error:
        spec = registry.get_spec(data_config.name)
        raise registry.missing_error(spec, data_dir(data_config), str(error)) from error


def open_builder(data_config: ConfigDict, *, skip_corrupt: bool = False) -> "SceneBuilder":
    """Returns the TFDS builder of a dataset, whether it is on disk or not.

    Raises:
      UserError: for an unknown dataset or a field without meaning for it.
    """
    spec = registry.get_spec(data_config.name)
    builder_class = importlib.import_module(spec.builder).Builder
    config = builder_class.config_for(data_config)
    options = {} if spec.generated else {"skip_corrupt": skip_corrupt}
    # TFDS warns of every config that is not in its list, such as one with fewer images.
    with _absl_verbosity(logging.ERROR):
        return builder_class(config=config, data_dir=data_dir(data_config), **options)


def is_ready(builder: "SceneBuilder") -> bool:
    """Returns whether the dataset is on disk, whole."""
    if not builder.data_path.exists():
        return False
    if not builder.info.splits:
        raise UserError(f"{builder.data_path} is damaged: delete it and start again")
    return True


def _make(builder: "SceneBuilder", source: pathlib.Path) -> None:
    import tensorflow_datasets as tfds

    folder = pathlib.Path(builder.data_path).parent
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive(folder / ".lock"):
        if builder.data_path.exists():  # Another process made it while this one waited.
            return
        for leftover in folder.glob("incomplete.*"):  # Of a process that was killed.
            shutil.rmtree(leftover)
        print(f"Making {builder.info.full_name} in {folder}, once", file=sys.stderr)
        # TFDS speaks of downloads of unknown size and counts without a total; the builder shows a
        # bar of its own.
        tfds.disable_progress_bar()
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare(
                download_config=tfds.download.DownloadConfig(manual_dir=source)
            )


@contextlib.contextmanager
def _absl_verbosity(level: int) -> Iterator[None]:
    before = logging.get_verbosity()
    logging.set_verbosity(level)
    try:
        yield
    finally:
        logging.set_verbosity(before)
