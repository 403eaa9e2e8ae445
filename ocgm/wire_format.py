"""Pieces of Google's binary formats (protocol buffers, LevelDB, TFRecord) that several readers share."""

import google_crc32c


def varint(data: bytes, position: int) -> tuple[int, int]:
    """Read an integer in groups of seven bits, lowest first.

    Returns:
      The integer, and the position behind it.

    Raises:
      ValueError: the data end within the integer, or it has more than 64 bits.
    """
    value = shift = 0
    while position < len(data) and shift < 64:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ValueError("the length of a field is damaged")


def masked_crc32c(data: bytes) -> int:
    """Return the checksum CRC-32C as the formats store it: rotated and shifted."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
