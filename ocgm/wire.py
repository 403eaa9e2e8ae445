"""Pieces of Google's binary formats (protocol buffers, LevelDB, TFRecord) that several readers share."""

import google_crc32c


def varint(data: bytes, position: int) -> tuple[int, int]:
    """Read an integer in groups of seven bits, lowest first.

    Returns:
      The integer, and the position behind it.
    """
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


def masked_crc32c(data: bytes) -> int:
    """Return the checksum CRC-32C as the formats store it: rotated and shifted."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
