"""Write ArrayRecord shards."""

import contextlib
import errno
import os
import pathlib
from collections.abc import Callable, Iterable

from array_record.python import array_record_module

# A shard is closed when it holds this many bytes: few files, none too large to copy.
_SHARD_BYTES = 256 * 2**20
# Compressed less than by default: a quarter faster to write, and at most an eighth larger.
_OPTIONS = "group_size:1,zstd:1"
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.ENOENT)


def write_shards(records: Iterable[bytes], stem: pathlib.Path) -> list["Shard"]:
    """Write records one by one to the files STEM.part0, STEM.part1, ...

    Args:
      records: serialized records.
      stem: path of the files without their suffix.

    Returns:
      The shards in order; none if there are no records.

    Raises:
      OSError: if a file cannot be written.
    """
    shards: list[Shard] = []
    with contextlib.ExitStack() as open_shard:
        for record in records:
            if not shards or shards[-1].num_bytes > _SHARD_BYTES:
                open_shard.close()
                shards.append(Shard(stem.with_name(f"{stem.name}.part{len(shards)}")))
                open_shard.callback(shards[-1].close)
            shards[-1].write(record)
    return shards


class Shard:
    """An ArrayRecord file that is written; errors are `OSError`s.

    Attributes:
      path: the file.
      num_records: records written so far.
      num_bytes: their size before compression.
    """

    def __init__(self, path: pathlib.Path):
        self.path = path
        self.num_records = self.num_bytes = 0
        self._writer = array_record_module.ArrayRecordWriter(os.fspath(path), _OPTIONS)

    def write(self, record: bytes) -> None:
        """Append a record."""
        self._call(self._writer.write, record)
        self.num_records += 1
        self.num_bytes += len(record)

    def close(self) -> None:
        """Write what is buffered and close the file."""
        self._call(self._writer.close)

    def _call(self, function: Callable[..., None], *args: bytes) -> None:
        try:
            function(*args)
        except RuntimeError as error:  # ArrayRecord raises nothing else, with the reason as text.
            code = next((c for c in _DISK_ERRORS if os.strerror(c) in str(error)), errno.EIO)
            raise OSError(code, os.strerror(code), os.fspath(self.path)) from error
