"""Fixtures of the tests of single datasets."""

import pathlib
import shutil

import pytest


@pytest.fixture
def source(tree, tmp_path) -> pathlib.Path:
    """A copy of a module's `tree` of published files, which a test may damage."""
    return pathlib.Path(shutil.copytree(tree, tmp_path / "source"))
