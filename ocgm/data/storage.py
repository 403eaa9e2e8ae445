"""Datasets on disk: open them, and prepare those that are not there."""

import contextlib
import importlib
import io
import pathlib
import shutil
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from absl import logging
from ml_collections import ConfigDict

from ocgm.data import registry
from ocgm.datasets.builders.directories import data_dir, source_dir
from ocgm.errors import UserError, one_line
from ocgm.files import exclusive, write_errors

if TYPE_CHECKING:
    from ocgm.datasets.builders.base import SceneBuilder


# Files that TFDS writes in milliseconds are left over if they are older.
_LEFTOVER_SECONDS = 3600


def prepare(data_config: ConfigDict, *, skip_corrupt: bool = False) -> "SceneBuilder":
    """Return the builder of a dataset after making sure that the dataset is on disk.

    Several processes may prepare the same dataset at once: one of them writes it, the others wait. A
    dataset appears under its name only when it is complete; what an interrupted attempt left is
    removed by the next one. Nothing is downloaded.

    Args:
      data_config: the `data` part of a config.
      skip_corrupt: leave out damaged records of the published files, and count them.

    Returns:
      The TFDS builder, ready to be read.

    Raises:
      DatasetMissingError: if neither the dataset nor its files are on disk.
      UserError: for an unknown dataset or variant, if a file is damaged, or if the data directory
        cannot be written.
    """
    builder = open_builder(data_config, skip_corrupt=skip_corrupt)
    spec = registry.get_spec(data_config.name)
    source = source_dir(data_config)
    if is_ready(builder):
        if data_config.manual_dir and not spec.generated:
            with damage(pathlib.Path(builder.data_path)):
                builder.check_unchanged(source)
        return builder
    if not spec.generated and (missing := builder.missing_source(source)):
        raise registry.missing_error(spec, data_dir(data_config), missing)
    with write_errors(f"{builder.info.full_name} to {data_dir(data_config)}"):
        _write(builder, source)
    # A new builder: the old one has not read what TFDS writes last.
    return open_builder(data_config)


def open_builder(data_config: ConfigDict, *, skip_corrupt: bool = False) -> "SceneBuilder":
    """Return the TFDS builder of a dataset, whether it is on disk or not.

    Args:
      data_config: the `data` part of a config.
      skip_corrupt: see `prepare`.

    Raises:
      UserError: for an unknown dataset, a field that has no meaning for it, or damaged files of a prepared dataset.
    """
    spec = registry.get_spec(data_config.name)
    builder_class = importlib.import_module(spec.builder).Builder
    config = builder_class.config_for(data_config)
    options = {} if spec.generated else {"skip_corrupt": skip_corrupt}
    name = config if isinstance(config, str) else config.name
    top = data_dir(data_config)
    # TFDS warns of every config that is not in its list, such as one with fewer images.
    with (
        _absl_verbosity(logging.ERROR),
        damage(top / spec.name / name / str(builder_class.VERSION)),
    ):
        return builder_class(config=config, data_dir=top, **options)


@contextlib.contextmanager
def damage(folder: pathlib.Path) -> Iterator[None]:
    """Turn any error while a prepared dataset is read into a `UserError` that names its folder and the remedy."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # TFDS, protocol buffers and ArrayRecord raise nearly every kind.
        if not folder.exists():
            raise
        reason = one_line(error)[:300] or type(error).__name__
        raise UserError(
            f"{folder} is damaged: delete it and prepare it again ({reason})"
        ) from error


def is_ready(builder: "SceneBuilder") -> bool:
    """Return whether a dataset is on disk and complete.

    Raises:
      UserError: if it is there but damaged.
    """
    folder = pathlib.Path(builder.data_path)
    if not folder.exists():
        return False
    with damage(folder):
        if not builder.info.splits:
            raise ValueError("there is no dataset_info.json, or no split in it")
        shards = [shard for split in builder.info.splits.values() for shard in split.filepaths]
        if missing := [shard.name for shard in shards if not shard.exists()]:
            raise FileNotFoundError(f"{missing[0]} is missing")
        len(builder.info.metadata)  # It is read only now.
    return True


def _write(builder: "SceneBuilder", source: pathlib.Path) -> None:
    import tensorflow_datasets as tfds

    directory = pathlib.Path(builder.data_path).parent
    directory.mkdir(parents=True, exist_ok=True)
    with exclusive(directory / ".lock"):
        if builder.data_path.exists():  # Another process wrote it while this one waited.
            return
        for leftover in directory.glob("incomplete.*"):  # From a process that was killed.
            shutil.rmtree(leftover)
        for leftover in directory.parent.glob(".config/incomplete.*"):
            # All configs share this directory, so another process may be writing to it now.
            if time.time() - leftover.stat().st_mtime > _LEFTOVER_SECONDS:
                leftover.unlink(missing_ok=True)
        print(f"Preparing {builder.info.full_name} in {directory}, once", file=sys.stderr)
        # TFDS reports downloads of unknown size and counts without a total; the builder shows a
        # progress bar of its own.
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
