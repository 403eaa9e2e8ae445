"""Read TFRecord files of `tf.train.Example`s without TensorFlow."""

import contextlib
import math
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory
from tensorflow_datasets.proto import tf_feature_generated_pb2 as tf_feature_pb2

from ocgm.datasets.builders.from_files import SourceError
from ocgm.datasets.builders.record_stream import OnCorrupt, read_records
from ocgm.wire_format import varint


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
    """Yield some features of a file's Examples: arrays, possibly read-only, or lists of `bytes`.

    Args:
      path: the file.
      fields: the features to read, and the form that they must have. Further ones are left out.
      compressed: see `read_records`.
      on_corrupt: see `read_records`; None is yielded as there.
      label: see `read_records`.

    Raises:
      SourceError: if the file cannot be read, or holds records of another form.
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
    """Decode a serialized `tf.train.Example`.

    Returns:
      Features by name. Numbers are arrays [N], float32 or int64. Strings are a list, or if all have
      one byte, as the pixels in DeepMind's files, a read-only array uint8 [N].

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
        chosen[name] = values if dtype is bytes else np.reshape(values, shape)
    return chosen


def _opaque_example() -> type[message.Message]:
    """Return the message class of an Example whose features are left as they are on the wire.

    The library's own class spends most of its time on making an object of every pixel.
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

# First byte of a serialized feature, the kind of its list: the tag of a field with a length, of
# number 1, 2 or 3. A string of a list has the first one, too.
_STRINGS, _FLOATS, _INTEGERS = 0x0A, 0x12, 0x1A


def _features(record: bytes) -> dict[str, bytes]:
    """Return the serialized features of an Example by name."""
    try:
        entries = _Example.FromString(record).features.entries
    except message.DecodeError as error:
        raise ValueError("it is not a tf.train.Example") from error
    return {entry.name: entry.feature for entry in entries}


def _values(feature: bytes) -> np.ndarray | list[bytes]:
    """Return the values of a serialized feature."""
    if not feature:
        return []
    kind, (size, start) = feature[0], varint(feature, 1)
    if start + size != len(feature):
        raise ValueError("a feature is not a single list")
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
