"""The same phantoms in the formats that X-rays come in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    generate_uid,
)

from lungsight.datasets.phantom import Label, draw

Pixels = NDArray[np.float32]

_BITS = 12
_ENCODERS: Mapping[str, Callable[[NDArray[np.uint16]], bytes]] = {
    JPEG2000Lossless: lambda samples: imagecodecs.jpeg2k_encode(
        samples, level=0, codecformat="j2k", bitspersample=_BITS, reversible=True
    ),
    JPEGLSLossless: imagecodecs.jpegls_encode,
}


def _jpeg(pixels: Pixels, place: Path) -> None:
    Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(place.with_suffix(".jpg"), quality=90)


def _dicom(pixels: Pixels, place: Path, compression: str | None = None) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset(str(place), {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    image.Modality, image.BodyPartExamined, image.ViewPosition = "DX", "CHEST", "PA"
    image.PhotometricInterpretation, image.SamplesPerPixel = "MONOCHROME2", 1
    image.Rows, image.Columns = pixels.shape
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, _BITS, _BITS - 1, 0
    samples = np.rint(pixels * (2**_BITS - 1)).astype("<u2")
    image.PixelData = samples.tobytes()
    if compression is not None:
        image.PixelData = encapsulate([_ENCODERS[compression](samples)])
        image["PixelData"].is_undefined_length = True
        meta.TransferSyntaxUID = compression
    image.save_as(place.with_suffix(".dcm"), enforce_file_format=True)


#: What writes an image of each kind, and its height in pixels.
KINDS: Mapping[str, tuple[int, Callable[[Pixels, Path], None]]] = {
    "JPEG, 512 px": (512, _jpeg),
    "JPEG, 1024 px": (1024, _jpeg),
    "JPEG, 2000 px": (2000, _jpeg),
    "DICOM, 2000 px, uncompressed": (2000, _dicom),
    "DICOM, 2000 px, JPEG 2000": (2000, lambda pixels, place: _dicom(pixels, place, JPEG2000Lossless)),
    "DICOM, 2000 px, JPEG-LS": (2000, lambda pixels, place: _dicom(pixels, place, JPEGLSLossless)),
}


def draw_images(kind: str, folder: Path, count: int) -> list[Path]:
    """``count`` phantoms of one kind; the same ones every time."""
    size, write = KINDS[kind]
    folder.mkdir(parents=True)
    labels = list(Label)
    for seed in range(count):
        write(draw(seed, labels[seed % len(labels)], size=size).pixels, folder / f"{seed:03}")
    return sorted(folder.iterdir())
