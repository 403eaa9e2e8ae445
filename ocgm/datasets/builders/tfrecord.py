"""Reads TFRecord files of `tf.train.Example`s without TensorFlow.

A TFRecord file is a sequence of: length (uint64), checksum of the length, record, checksum of the
record, all little-endian. A checksum is a rotated CRC32C plus a constant. DeepMind compresses the
whole file with GZIP.
"""

import contextlib
import math
import os
import pathlib
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import tqdm
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory
from isal import isal_zlib
from tensorflow_datasets.proto import tf_feature_generated_pb2 as tf_feature_pb2

from ocgm.datasets.builders.from_files import SourceError
from ocgm.datasets.builders.progress import bytes_bar
from ocgm.wire_format import masked_crc32c, varint

OnCorrupt = Callable[[SourceError], None]

# A block of the file, and what it is inflated to at most: large enough that nearly all time is
# spent in inflating, small enough to need little memory.
_BLOCK_BYTES = 2**16
_PIECE_BYTES = 2**20

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_FORMAT = 31  # For isal: the largest window, and GZIP's header and checksum.

_HEADER = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")


# ---- records


def read_records(
    path: pathlib.Path, *, compressed: bool, on_corrupt: OnCorrupt, label: str = ""
) -> Iterator[bytes | None]:
    """Yields the records of a file, which is read as a stream in little memory.

    Args:
      path: the file.
      compressed: whether the whole file is compressed with GZIP.
      on_corrupt: gets an error that names a damaged record. If it returns, None is yielded in place
        of the record, so that a record's position is always its index in the file. Where the file
        is cut off or its structure is lost, nothing after it can be found and reading ends.
      label: text in front of a progress bar over the bytes of the file; '' for no bar.

    Raises:
      SourceError: if the file cannot be read or is no such file.
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
            data = stream.take(length + _CHECKSUM.size)
            record, (checksum,) = data[:length], _CHECKSUM.unpack(data[length:])
        except (_LostError, isal_zlib.error) as error:
            on_corrupt(
                SourceError(
                    f"{path} cannot be read from record {index} on ({error}): "
                    "download it again, or prepare it with --skip_corrupt to do with the records before"
                )
            )
            return
        if masked_crc32c(record) != checksum:
            on_corrupt(
                SourceError(
                    f"{path}: record {index} is damaged (its checksum is wrong): "
                    "download the file again, or prepare it with --skip_corrupt to leave the record out"
                )
            )
            record = None
        index += 1
        bar.set_postfix_str(f"{index} records", refresh=False)
        yield record


class _LostError(Exception):
    """Nothing more can be found in a file."""


class _Stream:
    """Takes runs of bytes from an iterator of pieces."""

    def __init__(self, pieces: Iterator[bytes]):
        self._pieces = pieces
        self._data = b""
        self._position = 0

    def take(self, size: int, *, or_nothing: bool = False) -> bytes:
        """Returns the next `size` bytes; b"" at the end of the file if that is allowed there.

        Raises:
          _LostError: if there are not that many.
        """
        parts = []
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


# ---- examples


class Field(NamedTuple):
    """A feature that every record of a file has.

    Attributes:
      dtype: np.uint8 for one-byte strings, bytes for any strings, np.float32 or np.int64.
      shape: its shape; for bytes, (number of strings,).
    """

    dtype: type
    shape: tuple[int, ...]


def read_examples(
    path: pathlib.Path,
    fields: Mapping[str, Field],
    *,
    compressed: bool,
    on_corrupt: OnCorrupt,
    label: str = "",
) -> Iterator[dict[str, Any] | None]:
    """Yields some features of a file's Examples: arrays, maybe read-only, or lists of `bytes`.

    Args:
      path: the file.
      fields: which features, and what they must be. Further ones are left out.
      compressed: see `read_records`, as for `on_corrupt` and `label`.
      on_corrupt: also None is yielded as there.
      label: see there.

    Raises:
      SourceError: if the file cannot be read, or holds other Examples or something else.
    """
    records = read_records(path, compressed=compressed, on_corrupt=on_corrupt, label=label)
    with contextlib.closing(records):
        for index, record in enumerate(records):
            try:
                example = None if record is None else _select(_features(record), fields)
            except ValueError as error:
                # Not damage, for its checksum is right.
                raise SourceError(
                    f"{path}: record {index} is not one of the published file's ({error}): "
                    "get that file"
                ) from error
            yield example


def parse_example(record: bytes) -> dict[str, np.ndarray | list[bytes]]:
    """Decodes a serialized `tf.train.Example`.

    Returns:
      Features by name. Numbers are arrays [N], float32 or int64. Strings are a list, but if all are
      of one byte, which is how DeepMind's files keep pixels, a read-only array uint8 [N].

    Raises:
      ValueError: if the record is not a valid Example.
    """
    return {name: _values(feature) for name, feature in _features(record).items()}


def _select(features: dict[str, bytes], fields: Mapping[str, Field]) -> dict[str, Any]:
    chosen = {}
    for name, (dtype, shape) in fields.items():
        if name not in features:
            raise ValueError(f"it has no feature '{name}', only {', '.join(features) or 'nothing'}")
        values = _values(features[name])
        if dtype is bytes and isinstance(values, np.ndarray) and values.dtype == np.uint8:
            values = [bytes([value]) for value in values]
        found = values.dtype.type if isinstance(values, np.ndarray) else bytes
        if (found, len(values)) != (dtype, math.prod(shape)):
            raise ValueError(
                f"feature '{name}' is {len(values)} {found.__name__}, "
                f"not {math.prod(shape)} {dtype.__name__}"
            )
        chosen[name] = values if dtype is bytes else values.reshape(shape)
    return chosen


def _opaque_example() -> type[message.Message]:
    """Returns the message class of an Example whose features are left as they are on the wire.

    To make an object of every pixel takes most of the time that the library's own class needs.
    """
    file = descriptor_pb2.FileDescriptorProto(name="ocgm/example.proto", package="ocgm")
    kinds = descriptor_pb2.FieldDescriptorProto

    entry = file.message_type.add(name="Entry")
    entry.field.add(name="name", number=1, type=kinds.TYPE_STRING)
    entry.field.add(name="feature", number=2, type=kinds.TYPE_BYTES)
    features = file.message_type.add(name="Features")
    features.field.add(name="entries", number=1, label=kinds.LABEL_REPEATED, type_name="Entry")
    example = file.message_type.add(name="Example")
    example.field.add(name="features", number=1, type_name="Features")

    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("ocgm.Example"))


_Example = _opaque_example()

# First byte of a serialized feature, which says what it is a list of; it is the tag of a field with
# a length, of number 1, 2 or 3. A string of a list has the first one, too.
_STRINGS, _FLOATS, _INTEGERS = 0x0A, 0x12, 0x1A


def _features(record: bytes) -> dict[str, bytes]:
    """Returns the serialized features of an Example by name."""
    try:
        entries = _Example.FromString(record).features.entries
    except message.DecodeError as error:
        raise ValueError("it is not a tf.train.Example") from error
    return {entry.name: entry.feature for entry in entries}


def _values(feature: bytes) -> np.ndarray | list[bytes]:
    """Returns what a serialized feature holds."""
    if not feature:
        return []
    kind, (size, start) = feature[0], varint(feature, 1)
    if start + size != len(feature):
        raise ValueError("a feature is not one list")
    content = memoryview(feature)[start:]
    try:
        if kind == _STRINGS:
            return _strings(content)
        if kind == _FLOATS:
            floats = tf_feature_pb2.FloatList.FromString(content)
            return np.fromiter(floats.value, np.float32, len(floats.value))
        if kind == _INTEGERS:
            integers = tf_feature_pb2.Int64List.FromString(content)
            return np.fromiter(integers.value, np.int64, len(integers.value))
    except message.DecodeError as error:
        raise ValueError("the list of a feature is damaged") from error
    raise ValueError("a feature is no list of strings, floats or integers")


def _strings(content: memoryview) -> np.ndarray | list[bytes]:
    count, rest = divmod(len(content), 3)
    if count and not rest:
        # A string of one byte is its tag, the length 1, and the byte. Tag and length of all strings
        # are compared as one integer of two bytes, in a single pass.
        heads = np.ndarray((count,), "<u2", content, strides=(3,))
        if (heads == 0x0100 + _STRINGS).all():
            return np.ascontiguousarray(np.frombuffer(content, np.uint8)[2::3])
    return list(tf_feature_pb2.BytesList.FromString(content).value)
