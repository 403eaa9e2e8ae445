"""Read the records of TFRecord files as a stream.

A TFRecord file is a sequence of: length (uint64), checksum of the length, record, checksum of the
record, all little-endian. DeepMind compresses the whole file with GZIP.
"""

import os
import pathlib
import struct
from collections.abc import Callable, Generator, Iterator
from typing import BinaryIO

import tqdm
from isal import isal_zlib

from ocgm.datasets.builders.from_files import SourceError
from ocgm.datasets.builders.progress import bytes_bar, size_text
from ocgm.wire_format import masked_crc32c

OnCorrupt = Callable[[SourceError], None]

# A block of the file, and the most that it is inflated to at once: large enough that nearly all time
# is spent in inflating, small enough to need little memory.
_BLOCK_BYTES = 2**16
_PIECE_BYTES = 2**20

# The largest published records have 4 MB; a damaged or hostile length must not take all memory.
_MAX_RECORD_BYTES = 2**26

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_FORMAT = 31  # For isal: the largest window, and GZIP's header and checksum.

_HEADER = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")


def read_records(
    path: pathlib.Path, *, compressed: bool, on_corrupt: OnCorrupt, label: str = ""
) -> Generator[bytes | None, None, None]:
    """Yield the records of a file, which is read as a stream in little memory.

    Args:
      path: the file.
      compressed: whether the whole file is compressed with GZIP.
      on_corrupt: called with an error that names a damaged record. If it returns, None is yielded in
        place of the record, so that a record's position is always its index in the file. Where the file
        is cut off or its structure is lost, no further record can be found and reading ends.
      label: text in front of a progress bar over the bytes of the file; '' for no bar.

    Raises:
      SourceError: if the file cannot be read or is not a TFRecord file.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            bar = bytes_bar(label, size) if label else tqdm.tqdm(disable=True)
            if compressed and file.peek(2)[:2] != _GZIP_MAGIC:
                raise SourceError(
                    f"{path} is not the published file, which is compressed with GZIP: get it again"
                )
            blocks = _blocks(file, bar)
            stream = _Stream(_inflate(blocks) if compressed else blocks)
            with bar:
                yield from _records(path, stream, bar, on_corrupt)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error


def _records(
    path: pathlib.Path, stream: "_Stream", bar: tqdm.tqdm, on_corrupt: OnCorrupt
) -> Iterator[bytes | None]:
    index = 0
    while True:
        try:
            if not (header := stream.take(_HEADER.size, or_nothing=True)):
                return
            length, checksum = _HEADER.unpack(header)
            if masked_crc32c(header[:8]) != checksum:
                if index == 0:
                    raise SourceError(f"{path} is not a TFRecord file: get the published file")
                raise _LostError("its length is damaged, so that the next ones cannot be found")
            if length > _MAX_RECORD_BYTES:
                raise _LostError(f"it would have {size_text(length)}")
            data = stream.take(length + _CHECKSUM.size)
            record, (checksum,) = data[:length], _CHECKSUM.unpack(data[length:])
        except (_LostError, isal_zlib.error) as error:  # type: ignore[misc]  # Stub of isal.
            on_corrupt(
                SourceError(
                    f"{path} cannot be read from record {index} on ({error}): download it again"
                )
            )
            return
        damaged = masked_crc32c(record) != checksum
        if damaged:
            on_corrupt(
                SourceError(
                    f"{path}: record {index} is damaged (its checksum is wrong): download the file again"
                )
            )
        index += 1
        bar.set_postfix_str(f"{index} records", refresh=False)
        yield None if damaged else record


class _LostError(Exception):
    """A file from which no further record can be read."""


class _Stream:
    """Runs of bytes from an iterator of pieces."""

    def __init__(self, pieces: Iterator[bytes]):
        self._pieces = pieces
        self._data = b""
        self._position = 0

    def take(self, size: int, *, or_nothing: bool = False) -> bytes:
        """Return the next `size` bytes; b"" at the end of the file with `or_nothing`.

        Raises:
          _LostError: if there are fewer.
        """
        parts: list[bytes] = []
        while size:
            if self._position == len(self._data):
                piece = next(self._pieces, None)
                if piece is None and or_nothing and not parts:
                    return b""
                if piece is None:
                    raise _LostError("the file is cut off")
                self._data, self._position = piece, 0
            part = self._data[self._position : self._position + size]
            parts.append(part)
            self._position += len(part)
            size -= len(part)
        return b"".join(parts)


def _blocks(file: BinaryIO, bar: tqdm.tqdm) -> Iterator[bytes]:
    while block := file.read(_BLOCK_BYTES):
        bar.update(len(block))
        yield block


def _inflate(blocks: Iterator[bytes]) -> Iterator[bytes]:
    inflater = isal_zlib.decompressobj(_GZIP_FORMAT)
    for data in blocks:
        while data:
            if inflater.eof:  # GZIP files may be strung together.
                inflater = isal_zlib.decompressobj(_GZIP_FORMAT)
            yield inflater.decompress(data, _PIECE_BYTES)
            data = inflater.unconsumed_tail or inflater.unused_data
    if not inflater.eof:
        raise _LostError("the file is cut off")
