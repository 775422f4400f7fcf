"""Image files made on the spot, of samples that are known."""

from __future__ import annotations

import warnings
from io import BytesIO
from typing import Any

import tifffile
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.encaps import encapsulate
from pydicom.pixels import set_pixel_data
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid


def dicom(
    stored: NDArray[Any], *, photometric: str = "MONOCHROME2", bits: int | None = None, **elements: Any
) -> Dataset:
    """An uncompressed DX image with these stored values; ``elements`` are set by keyword, last."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["lungsight"])
    dataset.Modality = "DX"
    set_pixel_data(dataset, stored, photometric, bits or 8 * stored.itemsize, generate_instance_uid=False)
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def compressed(stored: NDArray[Any], data: bytes, syntax: str, **elements: Any) -> Dataset:
    """The DX image of :func:`dicom` with ``data``, a codestream, in place of its pixels."""
    dataset = dicom(stored, **elements)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([data])
    dataset["PixelData"].is_undefined_length = True
    return dataset


def dicom_bytes(dataset: Dataset) -> bytes:
    file = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # many are written defective on purpose
        dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def tiff(samples: NDArray[Any], **options: Any) -> bytes:
    """As tifffile writes it."""
    file = BytesIO()
    tifffile.imwrite(file, samples, **options)
    return file.getvalue()
