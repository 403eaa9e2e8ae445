"""Reads TensorFlow's checkpoints (NAME.index beside NAME.data-00000-of-00001) without TensorFlow.

The index is a sorted table of blocks as LevelDB writes them; its values are protocol buffers (`BundleHeaderProto` under
the empty key, else `BundleEntryProto`) that say where in the data files the raw bytes of a tensor lie. Checksums of all
blocks and of all tensors read are verified.
"""

import functools
import math
import pathlib
import re
import struct
from collections.abc import Iterator

import numpy as np

from ocgm.errors import CheckpointError

_MAGIC = 0xDB4775248B80FB57
_FOOTER_SIZE, _TRAILER_SIZE = 48, 5
# By the numbers of TensorFlow's `DataType`.
_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 6: "i1", 9: "<i8", 10: "?", 19: "<f2"}
_STRING = 7
_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_STEP = "global_step"
_NOT_OF_THE_NETWORK = re.compile(r"/\.OPTIMIZER_SLOT/|^optimizer/|^save_counter$")
# Attributes of the published Slot Attention; what holds them says nothing.
_POSITIONS = ("encoder_pos", "decoder_pos")
_PARTS = (*_POSITIONS, "encoder_cnn", "layer_norm", "mlp", "slot_attention", "decoder_cnn")
_LAYER = re.compile(r"^layer(?:_with_weights)?-(\d+)$")
_GRU_BIAS = "slot_attention/gru/bias"


def read(index: pathlib.Path) -> dict[str, np.ndarray]:
    """The network's variables by their path of attributes, and "step", the iteration, if the file tells it.

    Moments of the optimiser, counters of checkpoints and strings are left out.

    Raises:
      CheckpointError: a file is missing, damaged or of a kind that is not read here.
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


def slot_attention_names(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Variables under the names of `SlotAttention.torch_entries`.

    "network/layer_with_weights-0/mlp/layer_with_weights-1/kernel" becomes "mlp/1/kernel": what holds the network is
    dropped, and so is the attribute between a position's projection and its variables. The two rows of the GRU's bias
    become "bias_input" and "bias_recurrent". Names without a part of Slot Attention stay as they are.

    Raises:
      CheckpointError: two variables get one name.
    """
    renamed = {}
    for name, tensor in tensors.items():
        path = ["mlp" if part == "feedforward" else part for part in name.split("/")]
        while path and path[0] not in _PARTS:
            del path[0]
        if path and path[0] in _POSITIONS:
            path = [path[0], path[-1]]
        short = "/".join(_LAYER.sub(r"\1", part) for part in path) or name
        if short in renamed:
            raise CheckpointError(f"The checkpoint has two variables {short!r}, one is {name!r}.")
        renamed[short] = tensor
    if _GRU_BIAS in renamed and renamed[_GRU_BIAS].shape[:-1] == (2,):
        rows = renamed.pop(_GRU_BIAS)
        renamed |= {f"{_GRU_BIAS}_input": rows[0], f"{_GRU_BIAS}_recurrent": rows[1]}
    return renamed


def masked_crc32c(data: bytes) -> int:
    """The checksum as the format stores it: CRC-32C, rotated and shifted."""
    crc = _crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _crc32c(data: bytes) -> int:
    # A byte at a time takes seconds in Python. So sqrt(size) rows of sqrt(size) bytes are done side by side, each from
    # zero, and then put in sequence, which is linear: what a row of zeros makes of each bit is found along with them.
    side = math.isqrt(len(data))
    rows = np.frombuffer(data, np.uint8, side * side).reshape(side, side)
    state = np.concatenate(
        [np.zeros(side, np.uint32), np.uint32(1) << np.arange(32, dtype=np.uint32)]
    )
    table = _crc_table()
    for column in np.pad(rows, ((0, 32), (0, 0))).T:
        state = table[(state ^ column) & 0xFF] ^ state >> 8
    of_rows, of_bits = state[:side].tolist(), state[side:].tolist()
    crc = 0xFFFFFFFF
    for row in of_rows:
        for i, bit in enumerate(of_bits):
            if crc >> i & 1:
                row ^= bit
        crc = row
    table = table.tolist()
    for byte in data[side * side :]:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


@functools.cache
def _crc_table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = table >> 1 ^ np.where(table & 1, np.uint32(0x82F63B78), np.uint32(0))
    return table


def _table(data: bytes, path: pathlib.Path) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a sorted table."""
    footer = data[-_FOOTER_SIZE:]
    if len(footer) < _FOOTER_SIZE or struct.unpack("<Q", footer[-8:])[0] != _MAGIC:
        raise CheckpointError(f"{path} is not the index of a TensorFlow checkpoint, or truncated.")
    _, position = _handle(footer, 0)  # Of the meta index.
    index, _ = _handle(footer, position)
    for _, value in _block(data, index, path):
        handle, _ = _handle(value, 0)
        yield from _block(data, handle, path)


def _handle(data: bytes, position: int) -> tuple[tuple[int, int], int]:
    """Offset and size of a block, and the position behind them."""
    offset, position = _varint(data, position)
    size, position = _varint(data, position)
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
            f"{path} is compressed, which is not read here; save the checkpoint again with"
            " TensorFlow, which writes indices uncompressed."
        )
    (restarts,) = struct.unpack("<I", block[-4:])
    key, position = b"", 0
    while position < size - 4 * (restarts + 1):
        shared, position = _varint(block, position)
        unshared, position = _varint(block, position)
        length, position = _varint(block, position)
        key = key[:shared] + block[position : position + unshared]
        position += unshared + length
        yield key, block[position - length : position]


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """An integer in groups of seven bits, lowest first, and the position behind it."""
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a protocol buffer."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            value, position = _varint(data, position)
        else:
            if wire_type == 2:
                size, position = _varint(data, position)
            else:
                size = {1: 8, 5: 4}[wire_type]
            value, position = data[position : position + size], position + size
        yield number, value


def _message(data: bytes) -> dict[int, int | bytes]:
    """Fields of a protocol buffer without repeated fields, by number."""
    return dict(_fields(data))


def _tensor(name: str, entry: dict[int, int | bytes], shard: pathlib.Path) -> np.ndarray:
    """The tensor of a `BundleEntryProto`: dtype 1, shape 2, offset 4, size 5, checksum 6, slices 7."""
    if entry[1] not in _DTYPES or 7 in entry:
        what = "in slices" if 7 in entry else f"of TensorFlow's type {entry[1]}"
        raise CheckpointError(f"{shard}: {name!r} is {what}, which is not read here.")
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
