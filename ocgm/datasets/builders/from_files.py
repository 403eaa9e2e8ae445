"""What the builders of published datasets share: they read files that the user has."""

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
      skip_corrupt: leave damaged records out and count them in `skipped`; else they are errors.

    Attributes:
      skipped: damaged records that were left out, each named by file and index; they are also in
        the dataset's metadata: their number `skipped_records`, and `first_skipped`.
    """

    MANUAL_DOWNLOAD_INSTRUCTIONS: ClassVar[str]

    def __init__(self, *, skip_corrupt: bool = False, **kwargs: Any):
        self._skip_corrupt = skip_corrupt
        self.skipped: list[str] = []
        super().__init__(**kwargs)

    def downloads(self) -> tuple[Download, ...]:
        """Returns what can be downloaded for this config; () if it must be got by hand."""
        return ()

    @abc.abstractmethod
    def source_files(self, folder: pathlib.Path) -> list[pathlib.Path]:
        """Returns the files, or folders, below `folder` that this config needs.

        Raises:
          SourceError: if one is not there; the message says which and where it should be.
        """

    @abc.abstractmethod
    def splits(self, files: list[pathlib.Path]) -> dict[str, Iterator[base.Record]]:
        """Returns the records of each split, to be read one split after the other, in this order.

        Args:
          files: what `source_files` returned.
        """

    def check_unchanged(self, folder: pathlib.Path) -> None:
        """Checks, if the dataset is on disk and its files are named again, that they are the same.

        Published files do not change, so nothing is done unless a subclass knows better.

        Args:
          folder: where the files are.

        Raises:
          SourceError: if they are not what the dataset was made of.
        """

    def on_corrupt(self, error: SourceError) -> None:
        """Notes a damaged record that is left out.

        Raises:
          SourceError: `error`, unless damaged records are to be skipped.
        """
        if not self._skip_corrupt:
            raise error
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
    """Returns the paths of files in a folder.

    Raises:
      SourceError: if some are not there; it names them all.
    """
    paths = [folder / name for name in names]
    if missing := [str(path) for path in paths if not path.is_file()]:
        raise SourceError(f"{' and '.join(missing)} not found")
    return paths
