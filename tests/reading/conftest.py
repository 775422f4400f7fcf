"""Images and DICOM files written on the spot, with pixels that are known."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, FileMetaDataset, dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.pixels import set_pixel_data
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    generate_uid,
)

DicomWriter = Callable[..., Path]


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


def dicom_bytes(dataset: Dataset) -> bytes:
    file = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # many are written defective on purpose
        dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


@pytest.fixture
def write_dicom(tmp_path: Path) -> DicomWriter:
    """Writes an image as DICOM: ``write_dicom(stored, name="image.dcm", WindowCenter=…)``."""

    def write(stored: NDArray[Any] | Dataset, name: str = "image.dcm", **elements: Any) -> Path:
        dataset = stored if isinstance(stored, Dataset) else dicom(stored, **elements)
        path = tmp_path / name
        path.write_bytes(dicom_bytes(dataset))
        return path

    return write


@pytest.fixture(scope="session")
def ramp() -> NDArray[np.uint16]:
    """uint16 [40, 50], every value different, 0…1999."""
    return np.arange(2000, dtype=np.uint16).reshape(40, 50)


@pytest.fixture(scope="session")
def fuzz_seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of seeds for each format that :mod:`fuzz_worker` mutates."""
    root = tmp_path_factory.mktemp("seeds")
    for kind, seeds in _seeds().items():
        (root / kind).mkdir()
        for number, data in enumerate(seeds):
            (root / kind / f"{number}").write_bytes(data)
    return root


def _seeds() -> dict[str, list[bytes]]:
    rows, columns = np.mgrid[0:48, 0:56]
    noise = np.random.default_rng(7).integers(0, 12, rows.shape)
    small = (rows * 2 + columns + noise).astype(np.uint8)
    large = (small.astype(np.uint16) * 17) << 3
    grey, deep = Image.fromarray(small), Image.fromarray(large)
    colour = Image.merge("RGB", (grey, grey.rotate(90).resize(grey.size), grey))
    images = {
        "png8": [_saved(grey, "PNG"), _saved(colour.quantize(64), "PNG"), _saved(colour.convert("RGBA"), "PNG")],
        "png16": [_saved(deep, "PNG")],
        "jpeg": [
            _saved(grey, "JPEG"),
            _saved(colour, "JPEG", progressive=True),
            _saved(colour.convert("CMYK"), "JPEG"),
        ],
        "tiff": [
            _saved(grey, "TIFF"),
            *(_saved(deep, "TIFF", compression=c) for c in ("tiff_lzw", "tiff_adobe_deflate")),
            _saved(colour, "TIFF", compression="jpeg"),
            _saved(Image.fromarray(small.astype(np.float32)), "TIFF"),
        ],
        "webp": [_saved(grey, "WEBP"), _saved(colour, "WEBP", lossless=True)],
        "bmp": [_saved(grey, "BMP"), _saved(colour, "BMP"), _saved(grey.convert("1"), "BMP")],
        "gif": [_saved(grey, "GIF")],
    }
    return {**images, **_dicom_seeds(large), "zip": [_zipped(images["png8"][0], images["jpeg"][0])]}


def _dicom_seeds(stored: NDArray[np.uint16]) -> dict[str, list[bytes]]:
    plain = dicom(stored, bits=16, WindowCenter=900, WindowWidth=1500, PatientAge="045Y", PixelPaddingValue=0)
    rle, jpeg_2000, deflated = (dcmread(BytesIO(dicom_bytes(plain))) for _ in range(3))
    rle.compress(RLELossless)
    jpeg_2000.compress(JPEG2000Lossless)
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return {
        "dicom": [dicom_bytes(plain), dicom_bytes(plain)[132:]],
        "dicom-deflated": [dicom_bytes(deflated)],
        "dicom-rle": [dicom_bytes(rle)],
        "dicom-jpeg2000": [dicom_bytes(jpeg_2000), *_bundled("MR_small_jp2klossless.dcm")],
        "dicom-jpeg": _bundled("SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb_jpeg_lossy_gdcm.dcm"),
        "dicom-jpeg-extended": _bundled("JPGExtended.dcm"),
        "dicom-jpeg-lossless": _bundled("SC_rgb_jpeg_gdcm.dcm"),
        "dicom-jpeg-ls": _bundled("MR_small_jpeg_ls_lossless.dcm", "SC_rgb_jls_lossy_line.dcm"),
    }


def _bundled(*names: str) -> list[bytes]:
    return [Path(str(get_testdata_file(name, download=False))).read_bytes() for name in names]


def _saved(image: Image.Image, form: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def _zipped(*members: bytes) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, data in enumerate(members):
            archive.writestr(f"folder/{number}.png", data)
    return file.getvalue()
