"""Any file to a radiograph: by its content, to the reader of its format."""

from __future__ import annotations

import hashlib
import re
import warnings
import zlib
from pathlib import Path

from lungsight.errors import UnreadableImageError
from lungsight.radiograph import Radiograph
from lungsight.reading.files import ImageFile
from lungsight.reading.formats import HEAD_BYTES, Format, recognise
from lungsight.reading.images import read_image
from lungsight.reading.limits import MAX_BYTES, check_bytes
from lungsight.reading.reduction import reduced
from lungsight.reading.remote import RemoteFile

_ADDRESS = re.compile(r"<[^<>]* object at 0x[0-9a-fA-F]+>")
_FETCH = "fetch or export it again"


def read_radiograph(
    source: Path | str | ImageFile | RemoteFile, *, at_least: int = 0, keep_identifiers: bool = False
) -> Radiograph:
    """The radiograph in a file: PNG, JPEG, TIFF, WebP, BMP, GIF, JPEG-LS, JPEG 2000, JPEG XL or DICOM, told by its
    content, be it packed by gzip or not.

    Pixels come out float32 [height, width] in 0…1, bright where the body is dense. What had to be assumed or
    repaired stands in ``Radiograph.warnings``. Raises UnreadableImage, with one sentence, for everything else.

    Args:
        source: the file.
        at_least: pixels that the shorter side needs; an image with twice as many or more is halved, quartered or
            taken by eighths, a JPEG while it is decoded. 0 leaves every image as it is.
        keep_identifiers: keep the patient's ID, too.
    """
    file = ImageFile.at(source) if isinstance(source, Path | str) else source
    data = file.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if recognise(data[:HEAD_BYTES]) is Format.GZIP:
        data = _unpacked(file.name, data)
    found = _format_of(file.name, data)
    try:
        # Decoders warn of what is no business of the user's; what is, they are asked for.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if found is Format.DICOM:
                from lungsight.reading.dicom import read_dicom  # takes as long to import as twenty images to judge

                return reduced(read_dicom(file.name, data, digest, keep_identifiers=keep_identifiers), at_least)
            return reduced(read_image(file.name, data, digest, found, at_least), at_least)
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
        raise UnreadableImageError(
            name, "this is not an image that lungsight reads", "give a PNG, JPEG, TIFF, WebP, BMP or DICOM file"
        )
    if found is Format.HEIF:
        raise UnreadableImageError(
            name, "this is a HEIC or AVIF picture, which lungsight doesn't read", "save it as PNG"
        )
    if found is Format.GZIP:
        raise UnreadableImageError(name, "it is packed by gzip twice", "unpack it first")
    if found is Format.ZIP:
        raise UnreadableImageError(
            name, "this is a zip archive, not an image", "scan the archive, or unpack it first"
        )
    if found is Format.DICOM_DIRECTORY:
        raise UnreadableImageError(
            name, "this is a disc's table of contents, not an image", "give the folder it lies in"
        )
    return found


def _unpacked(name: str, data: bytes) -> bytes:
    """What gzip packed, no more of it than a file may hold."""
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
