"""Recognise the format of a file by its first bytes: endings are often missing or wrong."""

from __future__ import annotations

import struct
from enum import StrEnum
from pathlib import PurePath

HEAD_BYTES = 1024
"""The number of bytes that :func:`recognise` needs."""

_DICOM_DIRECTORY = b"1.2.840.10008.1.3.10"
_DIB_HEADERS = (12, 40, 52, 56, 64, 108, 124)
_VR = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT OB OF OW PN SH SL SQ SS ST TM UI UL UN US UT".split())


class Format(StrEnum):
    """The format of a file. The value is Pillow's name if Pillow reads the format."""

    PNG = "PNG"
    JPEG = "JPEG"
    TIFF = "TIFF"
    WEBP = "WEBP"
    BMP = "BMP"
    GIF = "GIF"
    JPEG_2000 = "JPEG 2000"
    JPEG_XL = "JPEG XL"
    HEIF = "HEIF"
    DICOM = "DICOM"
    DICOM_DIRECTORY = "DICOMDIR"
    ZIP = "ZIP"
    GZIP = "gzip"

    @property
    def is_image(self) -> bool:
        """Whether a file of this format is an image."""
        return self not in (Format.DICOM_DIRECTORY, Format.ZIP, Format.GZIP)


_PICTURE_ENDINGS = (
    ".png .apng .jpg .jpeg .jpe .jfif .tif .tiff .webp .bmp .dib .gif .jp2 .j2k .j2c .jpc .jpf .jpx .jls"
)
_OTHER_ENDINGS = ".jxl .heic .heif .avif .dcm .dicom .dic .ima"
_ENDINGS = frozenset(f"{_PICTURE_ENDINGS} {_OTHER_ENDINGS}".split())


def has_image_ending(name: str) -> bool:
    """Whether the ending of a file name, before an optional ``.gz``, is that of an image."""
    path = PurePath(name)
    if path.suffix.lower() == ".gz":
        path = path.with_suffix("")
    return path.suffix.lower() in _ENDINGS


def recognise(head: bytes) -> Format | None:
    """The format of a file that begins with ``head`` (:data:`HEAD_BYTES` of it); None if it isn't known."""
    if head[128:132] == b"DICM":
        return Format.DICOM_DIRECTORY if _DICOM_DIRECTORY in head else Format.DICOM
    for signature, found in _SIGNATURES:
        if head.startswith(signature):
            return found
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Format.WEBP
    if head[:2] == b"BM" and len(head) >= 18 and struct.unpack_from("<I", head, 14)[0] in _DIB_HEADERS:
        return Format.BMP
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return Format.HEIF
    if _begins_like_a_data_set(head):
        return Format.DICOM
    return None


_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", Format.PNG),
    (b"\xff\xd8\xff", Format.JPEG),
    (b"II*\0", Format.TIFF),
    (b"MM\0*", Format.TIFF),
    (b"II+\0", Format.TIFF),
    (b"MM\0+", Format.TIFF),
    (b"GIF87a", Format.GIF),
    (b"GIF89a", Format.GIF),
    (b"PK\x03\x04", Format.ZIP),
    (b"PK\x05\x06", Format.ZIP),
    (b"\x1f\x8b\x08", Format.GZIP),
    (b"\x00\x00\x00\x0cjP  \r\n", Format.JPEG_2000),
    (b"\xff\x4f\xff\x51", Format.JPEG_2000),
    (b"\x00\x00\x00\x0cJXL \r\n", Format.JPEG_XL),
    (b"\xff\x0a", Format.JPEG_XL),
)
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")


def _begins_like_a_data_set(head: bytes) -> bool:
    """DICOM without a preamble begins with an element of group 0002 or 0008, in either byte order."""
    if len(head) < 8:
        return False
    for order in "<>":
        group, element, length = struct.unpack_from(f"{order}HHI", head)
        if group in (0x0002, 0x0008) and element <= 0x1200 and (head[4:6] in _VR or length <= HEAD_BYTES):
            return True
    return False
