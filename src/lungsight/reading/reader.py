"""Read a radiograph from any file, with the reader of its format."""

from __future__ import annotations

import hashlib
import re
import warnings
import zlib
from dataclasses import replace
from pathlib import Path

from lungsight.errors import UnreadableImageError
from lungsight.radiograph import Radiograph
from lungsight.reading.files import ImageFile
from lungsight.reading.formats import HEAD_BYTES, Format, recognise
from lungsight.reading.levels import levels_of_pixels
from lungsight.reading.limits import MAX_BYTES, check_bytes
from lungsight.reading.pillow_images import read_image
from lungsight.reading.reduction import reduced
from lungsight.reading.remote import RemoteFile

_ADDRESS = re.compile(r"<[^<>]* object at 0x[0-9a-fA-F]+>")
_FETCH = "fetch or export it again"
#: Problem and hint for a file of no known format.
NOT_AN_IMAGE = ("this is not an image that lungsight reads", "give a PNG, JPEG, TIFF, WebP, BMP or DICOM file")
#: Problem and hint for each format that is recognised, but isn't read.
_NOT_READ = {
    Format.HEIF: ("this is a HEIC or AVIF image, which lungsight doesn't read", "save it as PNG"),
    Format.GZIP: ("it is packed by gzip twice", "unpack it first"),
    Format.ZIP: ("this is a zip archive, not an image", "scan the archive, or unpack it first"),
    Format.DICOM_DIRECTORY: ("this is a disc's table of contents, not an image", "give the folder that it is in"),
}


def read_radiograph(
    source: Path | str | ImageFile | RemoteFile,
    *,
    at_least: int = 0,
    keep_identifiers: bool = False,
    keep_levels: bool = False,
    keep_header: bool = False,
) -> Radiograph:
    """Read a radiograph from a file, which may be packed by gzip. Its content decides the format, not its name.

    Formats: PNG, JPEG, TIFF, WebP, BMP, GIF, JPEG-LS, JPEG 2000, JPEG XL and DICOM.

    Args:
        source: the file.
        at_least: the pixels that the shorter side needs. An image with at least twice as many is reduced to a half, a
            quarter or an eighth, a JPEG while it is decoded. 0 keeps every pixel.
        keep_identifiers: keep the patient's ID, too.
        keep_levels: keep what a viewer shows, too: the image before a window cuts it off. Every pixel is kept then.
        keep_header: keep a DICOM file's header, too, with all identifiers in it.

    Returns:
        The radiograph: float32 [height, width] in 0…1, bright where the body is dense. ``warnings`` says what was
        assumed or repaired.

    Raises:
        UnreadableImageError: for any other file, with one sentence.
    """
    file = ImageFile.at(source) if isinstance(source, Path | str) else source
    data = file.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if recognise(data[:HEAD_BYTES]) is Format.GZIP:
        data = _unpacked(file.name, data)
    found = _format_of(file.name, data)
    try:
        # Decoders warn of details; what matters to a user is a warning of the radiograph.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if found is Format.DICOM:
                from lungsight.reading.dicom import read_dicom  # importing it takes as long as twenty images

                radiograph = read_dicom(
                    file.name,
                    data,
                    digest,
                    keep_identifiers=keep_identifiers,
                    keep_header=keep_header,
                    keep_levels=keep_levels,
                )
            else:
                radiograph = read_image(file.name, data, digest, found, 0 if keep_levels else at_least)
            return _with_levels(radiograph) if keep_levels else reduced(radiograph, at_least)
    except UnreadableImageError:
        raise
    except MemoryError as error:
        raise UnreadableImageError(
            file.name, "there is not enough memory to decode it", "close other programs"
        ) from error
    except Exception as error:  # decoders raise every kind of exception for damaged data
        raise _damaged(file.name, found, error) from error


def _format_of(name: str, data: bytes) -> Format:
    if not data:
        raise UnreadableImageError(name, "the file is empty", _FETCH)
    found = recognise(data[:HEAD_BYTES])
    if found is None:
        raise UnreadableImageError(name, *NOT_AN_IMAGE)
    if found in _NOT_READ:
        raise UnreadableImageError(name, *_NOT_READ[found])
    return found


def _unpacked(name: str, data: bytes) -> bytes:
    """The content of a gzip file, up to the limit for a file."""
    unpacking = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        unpacked = unpacking.decompress(data, MAX_BYTES + 1)
    except zlib.error as error:
        raise UnreadableImageError(name, f"the gzip data is damaged ({error})", _FETCH) from error
    check_bytes(name, len(unpacked))
    if not unpacking.eof:
        raise UnreadableImageError(name, "the gzip data is cut short", _FETCH)
    return unpacked


def _damaged(name: str, found: Format, error: Exception) -> UnreadableImageError:
    reason = " ".join(_ADDRESS.sub("it", str(error)).split()) or type(error).__name__
    if len(reason) > 160:
        reason = reason[:159] + "…"
    return UnreadableImageError(name, f"the {found} data is damaged or cut short ({reason.rstrip('.')})", _FETCH)


def _with_levels(radiograph: Radiograph) -> Radiograph:
    """With levels made of its pixels where reading kept none: the file states black and white, and no window."""
    if radiograph.levels is not None:
        return radiograph
    return replace(radiograph, levels=levels_of_pixels(radiograph.pixels, radiograph.bit_depth))
