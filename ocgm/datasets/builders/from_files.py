"""Base class of the builders of published datasets, which read files."""

import abc
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from ocgm.datasets.builders import base
from ocgm.datasets.builders.downloads import Download
from ocgm.errors import UserError


class SourceError(UserError):
    """A file of a published dataset is missing, damaged, or not what it should be."""


class FileBuilder(base.SceneBuilder, skip_registration=True):
    """Writes the records of a published dataset's files; a subclass reads them.

    A subclass sets `MANUAL_DOWNLOAD_INSTRUCTIONS`, TFDS' text on where the files come from.

    Args:
      skip_corrupt: leave out damaged records and count them in `skipped`; otherwise they are errors.

    Attributes:
      skipped: damaged records that were left out, each named by file and index; the dataset's
        metadata holds their number, `skipped_records`, and `first_skipped`.
    """

    MANUAL_DOWNLOAD_INSTRUCTIONS: ClassVar[str]

    def __init__(self, *, skip_corrupt: bool = False, **kwargs: Any):
        self._skip_corrupt = skip_corrupt
        self.skipped: list[str] = []
        super().__init__(**kwargs)

    def downloads(self) -> tuple[Download, ...]:
        """Return the downloads for this config; () if files must be downloaded by hand."""
        return ()

    @abc.abstractmethod
    def source_files(self, folder: pathlib.Path) -> list[pathlib.Path]:
        """Return the files, or directories, below `folder` that this config needs.

        Raises:
          SourceError: if one is missing; the message names it and the place where it belongs.
        """

    def missing_source(self, folder: pathlib.Path) -> str:
        """Return what is missing of the source files in `folder`; '' if they are all there."""
        try:
            self.source_files(folder)
        except SourceError as error:
            return str(error)
        return ""

    @abc.abstractmethod
    def splits(self, files: list[pathlib.Path]) -> dict[str, Iterator[base.Record]]:
        """Return the records of each split, to be read one split after the other, in this order.

        Args:
          files: the result of `source_files`.
        """

    def check_unchanged(self, folder: pathlib.Path) -> None:
        """Check that the files of a dataset that is on disk are those that it was prepared from.

        Published files do not change, so this checks nothing unless a subclass overrides it.

        Args:
          folder: directory of the files.

        Raises:
          SourceError: if the files have changed.
        """

    def on_corrupt(self, error: SourceError) -> None:
        """Count a damaged record that is left out.

        Raises:
          SourceError: unless damaged records are skipped; the message says how to skip them.
        """
        if not self._skip_corrupt:
            raise SourceError(
                f"{error}; or leave damaged records out: `ocgm data prepare {self.name} --skip_corrupt`"
            ) from error
        self.skipped.append(str(error))

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        files = self.source_files(pathlib.Path(dl_manager.manual_dir))
        return {
            split: self._generate_examples(split, records)
            for split, records in self.splits(files).items()
        }

    def _generate_examples(
        self, split: str, records: Iterator[base.Record]
    ) -> Iterator[tuple[int, base.Record]]:
        yield from base.first(records, self.most(split))
        self.info.metadata["skipped_records"] = len(self.skipped)
        self.info.metadata["first_skipped"] = self.skipped[:3]


def required(folder: pathlib.Path, names: Iterable[str]) -> list[pathlib.Path]:
    """Return the paths of files in a directory.

    Raises:
      SourceError: if some are missing; the message names all of them.
    """
    paths = [folder / name for name in names]
    if missing := [str(path) for path in paths if not path.is_file()]:
        raise SourceError(f"{' and '.join(missing)} not found")
    return paths
