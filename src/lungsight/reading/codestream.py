"""The size in pixels that compressed image data states of itself."""

from __future__ import annotations

import struct

_SIZ = b"\xff\x4f\xff\x51"
_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  "
_START_OF_FRAME = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_START_OF_SCAN = 0xDA


def size_of(data: bytes) -> tuple[int, int] | None:
    """(rows, columns) of a JPEG, JPEG-LS or JPEG 2000 codestream; None where ``data`` is neither."""
    if data.startswith(b"\xff\xd8"):
        return _jpeg_size(data)
    if data.startswith((_SIZ, _JP2_SIGNATURE)):
        return _jpeg_2000_size(data)
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """From the start-of-frame marker (ITU-T T.81 B.2.2, T.87 C.2.2)."""
    place = 2
    while place + 9 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF or marker in _STANDALONE:
            place += 1 if marker == 0xFF else 2
            continue
        if marker == _START_OF_SCAN:
            return None
        if marker in _START_OF_FRAME:
            rows, columns = struct.unpack_from(">HH", data, place + 5)
            return rows, columns
        place += 2 + int(struct.unpack_from(">H", data, place + 2)[0])
    return None


def _jpeg_2000_size(data: bytes) -> tuple[int, int] | None:
    """From the SIZ marker (ITU-T T.800 A.5.1)."""
    place = data.find(_SIZ)
    if place < 0 or place + 24 > len(data):
        return None
    width, height, left, top = struct.unpack_from(">IIII", data, place + 8)
    return height - top, width - left
