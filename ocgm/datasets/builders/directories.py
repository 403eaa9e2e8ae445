"""Directories of datasets and of the files that they are made from."""

import os
import pathlib

from ml_collections import ConfigDict

from ocgm.errors import UserError


def data_dir(data_config: ConfigDict) -> pathlib.Path:
    """Return the directory of all datasets.

    This is `data_config.data_dir`, or if that is empty the environment variable OCGM_DATA_DIR, or
    if that is empty too ~/tensorflow_datasets.

    Raises:
      UserError: it is an address.
    """
    chosen = data_config.data_dir or os.environ.get("OCGM_DATA_DIR") or "~/tensorflow_datasets"
    return _on_disk(chosen)


def source_dir(data_config: ConfigDict) -> pathlib.Path:
    """Return the directory of the files a dataset is made from: `manual_dir`, or that of downloads.

    Raises:
      UserError: it is an address.
    """
    if data_config.manual_dir:
        return _on_disk(data_config.manual_dir)
    return data_dir(data_config) / "downloads" / data_config.name


def _on_disk(directory: str) -> pathlib.Path:
    if "://" in directory:
        raise UserError(
            f"datasets are read from disks, not from {directory}: prepare them on a disk of each host"
            " or on one that all hosts share, or generate them while training with"
            " config.data.on_the_fly=True."
        )
    return pathlib.Path(directory).expanduser()
