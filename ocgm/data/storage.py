"""Finds a dataset on disk, or generates it there."""

import contextlib
import fcntl
import importlib
import io
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from absl import logging
from ml_collections import ConfigDict

from ocgm.data import registry
from ocgm.errors import UserError

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


def data_dir(data_config: ConfigDict) -> pathlib.Path:
    """Returns where datasets are kept.

    This is `data_config.data_dir`, or if that is empty the environment variable OCGM_DATA_DIR, or
    if that is empty too ~/tensorflow_datasets.
    """
    chosen = data_config.data_dir or os.environ.get("OCGM_DATA_DIR") or "~/tensorflow_datasets"
    return pathlib.Path(chosen).expanduser()


def prepare(data_config: ConfigDict) -> "tfds.core.DatasetBuilder":
    """Makes sure that a dataset is on disk.

    Several processes may prepare the same dataset at once: one of them works, the others wait. A
    dataset appears under its name only when it is complete.

    Args:
      data_config: fields `name`, `variant`, `data_dir`, `image_size` and those of the dataset itself.

    Returns:
      The TFDS builder, ready to be read.

    Raises:
      DatasetMissingError: if the dataset is not there and cannot be generated.
      UserError: for an unknown dataset or variant, or if the data directory cannot be written.
    """
    spec = registry.get_spec(data_config.name)
    if spec.builder is None:
        raise _missing_error(spec, data_config)
    builder = _builder(spec, data_config)
    if _is_ready(builder):
        return builder
    if not spec.generated:
        raise _missing_error(spec, data_config)
    try:
        _generate(builder)
    except OSError as error:
        raise UserError(
            f"cannot write {builder.info.full_name} to {data_dir(data_config)}: {error}"
        ) from error
    return _builder(spec, data_config)


def _missing_error(spec: registry.DatasetSpec, data_config: ConfigDict) -> UserError:
    return registry.missing_error(spec, data_dir(data_config), data_config.image_size)


def _builder(spec: registry.DatasetSpec, data_config: ConfigDict) -> "tfds.core.DatasetBuilder":
    module = importlib.import_module(spec.builder)
    config = module.make_config(data_config)
    # TFDS warns of every config that is not in its list, such as one with fewer images.
    with _absl_verbosity(logging.ERROR):
        return module.Builder(config=config, data_dir=data_dir(data_config))


def _is_ready(builder: "tfds.core.DatasetBuilder") -> bool:
    if not builder.data_path.exists():
        return False
    if not builder.info.splits:
        raise UserError(f"{builder.data_path} is damaged: delete it and start again")
    return True


def _generate(builder: "tfds.core.DatasetBuilder") -> None:
    import tensorflow_datasets as tfds

    folder = pathlib.Path(builder.data_path).parent
    folder.mkdir(parents=True, exist_ok=True)
    with _exclusive(folder / ".lock"):
        if builder.data_path.exists():  # Another process made it while this one waited.
            return
        print(f"Making {builder.info.full_name} in {folder}, once", file=sys.stderr)
        # TFDS speaks of downloads of unknown size and counts without a total; the builder shows a
        # bar of its own.
        tfds.disable_progress_bar()
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare()


@contextlib.contextmanager
def _exclusive(path: pathlib.Path) -> Iterator[None]:
    """Holds a file lock, which the system frees even if the process is killed."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Waiting for another process that makes {path.parent}", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _absl_verbosity(level: int) -> Iterator[None]:
    before = logging.get_verbosity()
    logging.set_verbosity(level)
    try:
        yield
    finally:
        logging.set_verbosity(before)
