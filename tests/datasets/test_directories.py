"""Directories of datasets: on disks, never addresses."""

import pytest
from ml_collections import ConfigDict

from ocgm.datasets.builders import directories
from ocgm.errors import UserError


@pytest.mark.parametrize("address", ["gs://bucket/data", "s3://bucket", "https://host/data"])
def test_addresses_are_refused(address, monkeypatch):
    message = f"datasets are read from disks, not from {address}: prepare them on a disk of each"
    with pytest.raises(UserError, match=message):
        directories.data_dir(ConfigDict({"data_dir": address}))
    with pytest.raises(UserError, match=message):
        directories.source_dir(ConfigDict({"data_dir": "", "manual_dir": address}))
    monkeypatch.setenv("OCGM_DATA_DIR", address)
    with pytest.raises(UserError, match=message):
        directories.data_dir(ConfigDict({"data_dir": ""}))
