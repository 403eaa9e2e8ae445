"""Writes TFRecord files as DeepMind's are, for tests of what reads them."""

import gzip
import pathlib
import struct
from collections.abc import Iterable

import google_crc32c
import numpy as np
from tensorflow_datasets.proto import tf_example_generated_pb2


def serialized(**features: np.ndarray | list[bytes]) -> bytes:
    """A serialized `tf.train.Example`; uint8 values become strings of one byte each."""
    example = tf_example_generated_pb2.Example()
    for name, values in features.items():
        feature = example.features.feature[name]
        if isinstance(values, list):
            feature.bytes_list.value.extend(values)
        elif values.dtype == np.uint8:
            data = values.tobytes()
            feature.bytes_list.value.extend(data[i : i + 1] for i in range(len(data)))
        elif values.dtype == np.float32:
            feature.float_list.value.extend(values.ravel().tolist())
        else:
            feature.int64_list.value.extend(values.ravel().tolist())
    return example.SerializeToString()


def framed(record: bytes) -> bytes:
    """A record with its length and the checksums."""
    length = struct.pack("<Q", len(record))
    return length + _checksum(length) + record + _checksum(record)


def _checksum(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    rotated = (crc >> 15) | (crc << 17) % 2**32
    return struct.pack("<I", (rotated + 0xA282EAD8) % 2**32)


def write_records(path: pathlib.Path, records: Iterable[bytes], compressed: bool = True) -> None:
    """Writes a TFRecord file; a record may be one of `serialized`, or anything else."""
    data = b"".join(map(framed, records))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data, 1) if compressed else data)
