"""Directories of datasets and of the files that they are made from."""

import os
import pathlib

from ml_collections import ConfigDict


def data_dir(data_config: ConfigDict) -> pathlib.Path:
    """Return the directory of all datasets.

    This is `data_config.data_dir`, or if that is empty the environment variable OCGM_DATA_DIR, or
    if that is empty too ~/tensorflow_datasets.
    """
    chosen = data_config.data_dir or os.environ.get("OCGM_DATA_DIR") or "~/tensorflow_datasets"
    return pathlib.Path(chosen).expanduser()


def source_dir(data_config: ConfigDict) -> pathlib.Path:
    """Return the directory of the files a dataset is made from: `manual_dir`, or that of downloads."""
    if data_config.manual_dir:
        return pathlib.Path(data_config.manual_dir).expanduser()
    return data_dir(data_config) / "downloads" / data_config.name
