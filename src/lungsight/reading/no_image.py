"""Recognise files beside images: reports, icons of a disc's viewer, files of other kinds."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import PurePath

from PIL import Image

from lungsight.reading.files import ImageFile
from lungsight.reading.formats import Format, has_image_ending, recognise
from lungsight.reading.limits import MIN_SIDE

#: A file of at most this size may be an icon, even if its first kilobyte doesn't state its size in pixels.
_ICON_BYTES = 1 << 16
#: The modalities of nearly all images: their files are passed to the reader unopened.
_OF_IMAGES = frozenset(["CR", "CT", "DR", "DX", "IO", "MG", "MR", "NM", "PT", "PX", "RF", "RG", "US", "XA"])
#: Names of DICOM objects without pixels, by modality.
_BY_MODALITY = {
    "SR": "report",
    "KO": "key object selection",
    "PR": "presentation state",
    "DOC": "document",
    "RTPLAN": "radiotherapy object",
    "RTSTRUCT": "radiotherapy object",
    "RTRECORD": "radiotherapy object",
    "ECG": "waveform",
    "HD": "waveform",
    "AU": "recording",
    "REG": "registration",
}
#: What results say of who made them. One in a folder of images is passed over, or it would be taken for an image.
OURS = "lungsight"
_NO_PIXELS = "DICOM object without pixels"
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_MODALITY = re.compile(rb"\x08\x00\x60\x00(?:CS..|..\x00\x00)([A-Z]+)|\x00\x08\x00\x60CS..([A-Z]+)", re.DOTALL)

#: Endings of files that may hold an X-ray, in a format that lungsight doesn't read.
_STILLS = ".avif .heic .heif .j2k .jp2 .jpf .jpx .jxl .mha .mhd .nii .npy .npz .nrrd .pgm .raw .svg"
_VIDEOS = ".avi .m4v .mov .mp4 .mpg .wmv"
_CONTAINERS = ".7z .bz2 .doc .docx .gz .odt .pdf .ppt .pptx .rar .tar .tgz .xz"
MAY_HOLD_IMAGES = frozenset(" ".join((_STILLS, _VIDEOS, _CONTAINERS)).split())


def kind_if_no_image(file: ImageFile, head: bytes) -> str | None:
    """The kind of a file that holds no radiograph (``report``, ``icon``, ``.gz``); None if it may hold one.

    Args:
        file: the file.
        head: its first bytes.

    Raises:
        UnreadableImageError: the file has to be opened, and can't be read.
    """
    found = recognise(head)
    if found is Format.DICOM_DIRECTORY:
        return "table of contents"
    if found is Format.DICOM:
        return _kind_of_object(file, head)
    if found is not None and found.is_image:
        return _kind_of_picture(file, head, found)
    return None if has_image_ending(file.name) else _ending(file.name)


def _kind_of_object(file: ImageFile, head: bytes) -> str | None:
    """The kind of a DICOM object without pixels.

    Most images have their modality in the first kilobyte, and are passed to the reader unopened. The class of an
    object alone isn't believed: programs that burn discs copy it from the images.
    """
    modality = _MODALITY.search(head)
    if modality is not None and (modality[1] or modality[2]).decode() in _OF_IMAGES:
        return None
    from pydicom import dcmread  # importing it takes as long as twenty images
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    if DeflatedExplicitVRLittleEndian.encode() in head:  # may unpack to far more than its size: the reader checks
        return None
    data = BytesIO(file.read_bytes())
    try:
        found = dcmread(data, force=True, specific_tags=["Manufacturer", "Modality", "SOPClassUID", *_PIXELS])
        if found.get("Manufacturer") == OURS:
            return "result of lungsight"
        if "SOPClassUID" not in found or any(keyword in found for keyword in _PIXELS):
            return None
        return _BY_MODALITY.get(str(found.get("Modality")), _NO_PIXELS)
    except Exception:  # damaged in one of many ways: the reader reports it
        return None


def _kind_of_picture(file: ImageFile, head: bytes, found: Format) -> str | None:
    if found is Format.GIF or file.size() <= _ICON_BYTES:
        head = file.read_bytes()
    try:
        with Image.open(BytesIO(head), formats=[found]) as picture:
            if min(picture.size) < MIN_SIDE:
                return "icon"
            return "animation" if found is Format.GIF and getattr(picture, "is_animated", False) else None
    except Exception:  # damaged, or stated later in the file: the reader reports it
        return None


def _ending(name: str) -> str:
    ending = PurePath(name).suffix.lower()
    return ending if re.fullmatch(r"\.[a-z0-9]{1,8}", ending) else "file without a known ending"
