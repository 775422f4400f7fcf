"""Read the header of compressed image data: codec, size, depth and sign of its samples."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum

_SIZ = b"\xff\x4f\xff\x51"
_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  "
_JXL = b"\xff\x0a"
_JXL_SIGNATURE = b"\x00\x00\x00\x0cJXL "
_JXL_BOXES = (b"jxlc", b"jxlp")
_JXL_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_END_OF_IMAGE = b"\xff\xd9"
_START_OF_FRAME = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_START_OF_SCAN = 0xDA
_JPEG_LS = 0xF7
_LOSSLESS = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_JFIF, _ADOBE = 0xE0, 0xEE
_RGB_LETTERS = (b"RGB", b"rgb")


class Codec(StrEnum):
    """The compression of image data."""

    JPEG = "JPEG"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"
    JPEG_XL = "JPEG XL"


@dataclass(frozen=True, slots=True)
class Stream:
    """The header of compressed image data.

    Attributes:
        codec: HTJ2K counts as JPEG 2000.
        rows: height in pixels.
        columns: width in pixels.
        samples: per pixel; 0 for JPEG XL, of which only the size is read.
        bits: of the deepest sample; 0 for JPEG XL.
        signed: whether samples may be negative; only JPEG 2000 states it.
        lossless_process: a JPEG of the lossless process, which few programs read.
        colour: ``YBR_FULL`` or ``RGB`` if a JPEG of three samples states it; else None.
    """

    codec: Codec
    rows: int
    columns: int
    samples: int
    bits: int
    signed: bool = False
    lossless_process: bool = False
    colour: str | None = None


def stream_of(data: bytes) -> Stream | None:
    """The header of a codestream, or of a file that wraps one; None if ``data`` begins with neither."""
    if data.startswith(b"\xff\xd8"):
        return _jpeg(data)
    if data.startswith((_SIZ, _JP2_SIGNATURE)):
        return _jpeg_2000(data)
    if data.startswith((_JXL, _JXL_SIGNATURE)):
        return _jpeg_xl(data)
    return None


def has_end(data: bytes) -> bool:
    """Whether a JPEG has its end marker. Its two bytes can't occur within compressed samples."""
    return data.rfind(_END_OF_IMAGE) > data.rfind(b"\xff\xda")


def _jpeg(data: bytes) -> Stream | None:
    """From the start-of-frame marker (ITU-T T.81 B.2.2, T.87 C.2.2) and the APP markers before it (colour)."""
    at, colour = 2, None
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF or marker in _STANDALONE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker == _START_OF_SCAN:
            return None
        if marker in _START_OF_FRAME:
            return _frame(data, at, marker, colour)
        colour = _colour_by(marker, data[at + 4 : at + 16]) or colour
        at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    return None


def _frame(data: bytes, at: int, marker: int, colour: str | None) -> Stream:
    bits, rows, columns, samples = struct.unpack_from(">BHHB", data, at + 4)
    names = data[at + 10 : at + 10 + 3 * samples : 3]
    return Stream(
        codec=Codec.JPEG_LS if marker == _JPEG_LS else Codec.JPEG,
        rows=rows,
        columns=columns,
        samples=samples,
        bits=bits,
        lossless_process=marker in _LOSSLESS,
        colour=None if samples != 3 else "RGB" if names in _RGB_LETTERS else colour,
    )


def _colour_by(marker: int, content: bytes) -> str | None:
    """JFIF means YCbCr; Adobe states the colours (T.872 6.1, 6.5.3), but 0 only means no conversion."""
    if marker == _JFIF and content.startswith(b"JFIF"):
        return "YBR_FULL"
    if marker == _ADOBE and content.startswith(b"Adobe") and content[11:12] == b"\x01":
        return "YBR_FULL"
    return None


def _jpeg_2000(data: bytes) -> Stream | None:
    """From the SIZ marker (ITU-T T.800 A.5.1)."""
    at = data.find(_SIZ)
    if at < 0 or at + 43 > len(data):
        return None
    width, height, left, top = struct.unpack_from(">IIII", data, at + 8)
    (samples,) = struct.unpack_from(">H", data, at + 40)
    depths = data[at + 42 : at + 42 + 3 * samples : 3]
    return Stream(
        codec=Codec.JPEG_2000,
        rows=height - top,
        columns=width - left,
        samples=samples,
        bits=max((depth & 0x7F for depth in depths), default=0) + 1,
        signed=any(depth & 0x80 for depth in depths),
    )


def _jpeg_xl(data: bytes) -> Stream | None:
    """From the size header (ISO/IEC 18181-1, D.2), whose bits run from the lowest of each byte."""
    box = max((data.find(name, 0, 4096) for name in _JXL_BOXES), default=-1)
    at = data.find(_JXL, max(box, 0))
    if at < 0 or at + 12 > len(data):
        return None
    bits = _Bits(int.from_bytes(data[at + 2 : at + 12], "little"))
    small = bits.take(1)
    rows = _jxl_side(bits, small)
    ratio = bits.take(3)
    if ratio == 0:
        columns = _jxl_side(bits, small)
    else:
        wide, high = _JXL_RATIOS[ratio - 1]
        columns = rows * wide // high
    return Stream(codec=Codec.JPEG_XL, rows=rows, columns=columns, samples=0, bits=0)


def _jxl_side(bits: _Bits, small: int) -> int:
    if small:
        return 8 * (bits.take(5) + 1)
    return bits.take((9, 13, 18, 30)[bits.take(2)]) + 1


@dataclass(slots=True)
class _Bits:
    left: int

    def take(self, count: int) -> int:
        taken = self.left & ((1 << count) - 1)
        self.left >>= count
        return taken
