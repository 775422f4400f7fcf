"""Read a radiograph from a DICOM file, with pydicom."""

from __future__ import annotations

import zlib
from dataclasses import replace
from io import BytesIO

from pydicom import Dataset, dcmread
from pydicom.filereader import read_dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

from lungsight.errors import UnreadableImageError
from lungsight.radiograph import Radiograph
from lungsight.reading.dicom_geometry import put_right
from lungsight.reading.dicom_header import Header, fields_of
from lungsight.reading.dicom_pixels import grey_pixels
from lungsight.reading.limits import MAX_BYTES, check_bytes, check_size, several_images
from lungsight.reading.no_image import OURS

_PREAMBLE = 132
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def read_dicom(
    name: str,
    data: bytes,
    sha256: str,
    *,
    keep_identifiers: bool = False,
    keep_header: bool = False,
    keep_levels: bool = False,
) -> Radiograph:
    """Read a DICOM file of one frame, with or without a preamble.

    Args:
        name: of the file, for messages.
        data: its content.
        sha256: of the file, before gzip is unpacked.
        keep_identifiers: keep the patient's ID, too.
        keep_levels: keep what a viewer shows, too.
        keep_header: keep the whole header, too: for the objects that go back to an archive.

    Raises:
        UnreadableImageError: it holds no single radiograph.
        Exception: whatever pydicom and the decoders raise for damaged data.
    """
    _refuse_deflated_bomb(name, data)
    dataset = dcmread(BytesIO(data), force=True)
    _refuse_without_image(name, dataset)
    _state_transfer_syntax(name, dataset)
    header = Header(dataset)
    pixels, levels = grey_pixels(name, dataset, header, keep_levels=keep_levels)
    known = fields_of(header, keep_identifiers=keep_identifiers)
    radiograph = Radiograph(
        pixels=pixels,
        file=name,
        sha256=sha256,
        bit_depth=int(dataset.BitsStored) if "BitsStored" in dataset else int(dataset.BitsAllocated),
        levels=levels,
        header=_without_pixels(dataset) if keep_header else None,
        **known,
    )
    return replace(put_right(radiograph, header), warnings=tuple(header.warnings))


def _without_pixels(dataset: Dataset) -> Dataset:
    """The header alone, also without the bytes of the file that pydicom keeps beside it."""
    for keyword in _PIXELS:
        if keyword in dataset:
            delattr(dataset, keyword)
    dataset.buffer = None
    return dataset


def _refuse_without_image(name: str, dataset: Dataset) -> None:
    if dataset.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage or "DirectoryRecordSequence" in dataset:
        raise UnreadableImageError(
            name, "this is a disc's table of contents, not an image", "give the folder that it is in"
        )
    if dataset.get("Manufacturer") == OURS:
        raise UnreadableImageError(name, "this is a result of lungsight, not a radiograph", "give the image itself")
    if not any(keyword in dataset for keyword in _PIXELS):
        modality = Header(dataset).text("Modality")
        kind = f" ({modality})" if modality else ""
        raise UnreadableImageError(
            name, f"this DICOM file{kind} holds no pixels", "give the image, not a report or plan"
        )
    if not ("Rows" in dataset and "Columns" in dataset):
        raise UnreadableImageError(name, "this DICOM file does not state its size in pixels", "export it again")
    check_size(name, int(dataset.Rows), int(dataset.Columns))
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise several_images(name, f"{frames} frames")


def _state_transfer_syntax(name: str, dataset: Dataset) -> None:
    """Set the transfer syntax of a file without a meta header, which is uncompressed, as pydicom found it."""
    if stated := dataset.file_meta.get("TransferSyntaxUID"):
        if not stated.is_transfer_syntax:
            raise UnreadableImageError(name, f"its transfer syntax {stated} is unknown", "export it uncompressed")
        return
    implicit, little = dataset.original_encoding
    if implicit:
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    else:
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _refuse_deflated_bomb(name: str, data: bytes) -> None:
    """Only the deflated transfer syntax is unpacked while the header is read, and states no size."""
    if DeflatedExplicitVRLittleEndian.encode() not in data[:4096]:
        return
    file = BytesIO(data)
    file.seek(_PREAMBLE if data[_PREAMBLE - 4 : _PREAMBLE] == b"DICM" else 0)
    read_dataset(
        file, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, _vr, _length: tag.group != 2
    )
    inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(), MAX_BYTES + 1)
    check_bytes(name, len(inflated))
