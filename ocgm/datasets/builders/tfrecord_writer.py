"""Write small TFRecord files in the form of the published ones, for tests and benchmarks of what reads them."""

import gzip
import pathlib
import struct
from collections.abc import Iterable

import numpy as np
from tensorflow_datasets.proto import tf_example_generated_pb2

from ocgm.wire_format import masked_crc32c


def serialized(**features: np.ndarray | list[bytes]) -> bytes:
    """Return a serialized `tf.train.Example`; uint8 values become strings of one byte each."""
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
    """Return a record between its length and the checksums, as it is in a file."""
    length = struct.pack("<Q", len(record))
    checksums = (struct.pack("<I", masked_crc32c(data)) for data in (length, record))
    return length + next(checksums) + record + next(checksums)


def write_records(path: pathlib.Path, records: Iterable[bytes], compressed: bool = True) -> None:
    """Write a TFRecord file.

    Args:
      path: the file; missing directories are created.
      records: of `serialized`, or any bytes.
      compressed: whether to compress the whole file with GZIP.
    """
    data = b"".join(map(framed, records))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data, 1) if compressed else data)
