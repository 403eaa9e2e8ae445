"""Reader of TensorFlow checkpoints (NAME.index beside NAME.data-00000-of-00001) that needs no TensorFlow.

The index is a sorted table of blocks as LevelDB writes them; its values are protocol buffers (`BundleHeaderProto` under
the empty key, else `BundleEntryProto`) that hold the position of a tensor's bytes in the data files. Checksums of all
blocks and of all tensors read are verified.
"""

import pathlib
import re
import struct
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from ocgm.errors import CheckpointError
from ocgm.wire_format import masked_crc32c, varint

_MAGIC = 0xDB4775248B80FB57
_FOOTER_SIZE, _TRAILER_SIZE = 48, 5
# By the numbers of TensorFlow's `DataType`.
_DTYPES = {
    1: "<f4",
    2: "<f8",
    3: "<i4",
    4: "u1",
    6: "i1",
    9: "<i8",
    10: "?",
    14: jnp.bfloat16,
    19: "<f2",
}
_STRING = 7
_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_STEP = "global_step"
_NOT_OF_THE_NETWORK = re.compile(r"/\.OPTIMIZER_SLOT/|^optimizer/|^save_counter$")


def read(index: pathlib.Path) -> dict[str, np.ndarray]:
    """Read the network's variables by their path of attributes, and the iteration as "step" where the file has it.

    Moments of the optimiser, counters of checkpoints and strings are left out.

    Raises:
      CheckpointError: a file is missing, damaged or of an unsupported kind.
    """
    try:
        entries = dict(_table(index.read_bytes(), index))
        header = _message(entries.pop(b"", b""))
        shards, big_endian = header.get(1, 0), header.get(2, 0)
        if not shards or big_endian:
            raise CheckpointError(f"{index}: not the index of a little-endian checkpoint.")
        tensors = {}
        for key, value in entries.items():
            name = key.decode().removesuffix(_SUFFIX)
            entry = _message(value)
            if entry[1] != _STRING and not _NOT_OF_THE_NETWORK.search(name):
                shard = f"{index.stem}.data-{entry.get(3, 0):05}-of-{shards:05}"
                tensors[name] = _tensor(name, entry, index.with_name(shard))
    except (IndexError, KeyError, ValueError, struct.error) as error:
        raise CheckpointError(f"{index} is damaged or truncated ({error!r}).") from error
    if _STEP in tensors:
        tensors["step"] = tensors.pop(_STEP)
    return tensors


def _table(data: bytes, path: pathlib.Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values of a sorted table."""
    footer = data[-_FOOTER_SIZE:]
    if len(footer) < _FOOTER_SIZE or struct.unpack("<Q", footer[-8:])[0] != _MAGIC:
        raise CheckpointError(f"{path} is not the index of a TensorFlow checkpoint, or truncated.")
    _, position = _handle(footer, 0)  # Of the meta index.
    index, _ = _handle(footer, position)
    for _, value in _block(data, index, path):
        handle, _ = _handle(value, 0)
        yield from _block(data, handle, path)


def _handle(data: bytes, position: int) -> tuple[tuple[int, int], int]:
    """Read offset and size of a block; return them and the position behind them."""
    offset, position = varint(data, position)
    size, position = varint(data, position)
    return (offset, size), position


def _block(
    data: bytes, handle: tuple[int, int], path: pathlib.Path
) -> Iterator[tuple[bytes, bytes]]:
    offset, size = handle
    block, trailer = data[offset : offset + size], data[offset + size :][:_TRAILER_SIZE]
    compression, checksum = struct.unpack("<BI", trailer)
    if masked_crc32c(block + trailer[:1]) != checksum:
        raise CheckpointError(f"{path} is damaged: a checksum is wrong.")
    if compression:
        raise CheckpointError(
            f"{path} is compressed, which is not supported; save the checkpoint again with"
            " TensorFlow, which writes indices uncompressed."
        )
    (restarts,) = struct.unpack("<I", block[-4:])
    key, position = b"", 0
    while position < size - 4 * (restarts + 1):
        shared, position = varint(block, position)
        unshared, position = varint(block, position)
        length, position = varint(block, position)
        key = key[:shared] + block[position : position + unshared]
        position += unshared + length
        yield key, block[position - length : position]


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield number and value of each field of a protocol buffer."""
    position = 0
    while position < len(data):
        tag, position = varint(data, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            value: Any
            value, position = varint(data, position)
        else:
            if wire_type == 2:
                size, position = varint(data, position)
            else:
                size = {1: 8, 5: 4}[wire_type]
            value, position = data[position : position + size], position + size
        yield number, value


def _message(data: bytes) -> dict[int, Any]:
    """Return the fields of a protocol buffer without repeated fields, by number."""
    return dict(_fields(data))


def _tensor(name: str, entry: dict[int, Any], shard: pathlib.Path) -> np.ndarray:
    """Read the tensor of a `BundleEntryProto`: dtype 1, shape 2, offset 4, size 5, checksum 6, slices 7."""
    if entry[1] not in _DTYPES or 7 in entry:
        what = "in slices" if 7 in entry else f"of TensorFlow's type {entry[1]}"
        raise CheckpointError(f"{shard}: {name!r} is {what}, which is not supported.")
    if not shard.is_file():
        raise CheckpointError(f"{shard}: no such file; it belongs beside the index.")
    sizes = [_message(dim).get(1, 0) for number, dim in _fields(entry.get(2, b"")) if number == 2]
    offset, size = entry.get(4, 0), entry.get(5, 0)
    with shard.open("rb") as file:
        file.seek(offset)
        data = file.read(size)
    if len(data) < size:
        raise CheckpointError(f"{shard} is truncated: {name!r} reaches beyond its end.")
    if masked_crc32c(data) != struct.unpack("<I", entry[6])[0]:
        raise CheckpointError(f"{shard} is damaged: the checksum of {name!r} is wrong.")
    return np.frombuffer(data, _DTYPES[entry[1]]).reshape(sizes)
