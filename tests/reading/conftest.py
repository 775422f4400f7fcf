"""Images and DICOM files written on the spot, with pixels that are known."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    RLELossless,
)

from image_files import compressed, dicom, dicom_bytes, tiff

DicomWriter = Callable[..., Path]


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
    return {
        **images,
        **_deep_seeds(small, large),
        **_dicom_seeds(large),
        "zip": [_zipped(images["png8"][0], images["jpeg"][0])],
    }


def _deep_seeds(small: NDArray[np.uint8], large: NDArray[np.uint16]) -> dict[str, list[bytes]]:
    colour = np.stack([large, large[::-1], large], axis=-1)
    twelve = large >> 4
    return {
        "png16-colour": [imagecodecs.png_encode(colour), imagecodecs.png_encode(np.stack([large, large], axis=-1))],
        "tiff-deep": [
            tiff(large.astype(np.float64), compression="zlib"),
            tiff(large.astype(">i4"), byteorder=">", photometric="miniswhite"),
            tiff(colour, photometric="rgb", compression="lzw", predictor=True, tile=(32, 32)),
            tiff(colour, photometric="rgb", planarconfig="separate", compression="packbits"),
            tiff(twelve, bitspersample=12),
        ],
        "jpeg-deep": [
            imagecodecs.jpeg8_encode(twelve, level=90, bitspersample=12),
            imagecodecs.jpeg8_encode(large, lossless=True, bitspersample=16, predictor=4),
        ],
        "jpeg-2000": [imagecodecs.jpeg2k_encode(large, level=0), imagecodecs.jpeg2k_encode(colour, level=40)],
        "jpeg-xl": [
            imagecodecs.jpegxl_encode(large, lossless=True),
            imagecodecs.jpegxl_encode(small, level=80),
        ],
    }


def _dicom_seeds(stored: NDArray[np.uint16]) -> dict[str, list[bytes]]:
    plain = dicom(stored, bits=16, WindowCenter=900, WindowWidth=1500, PatientAge="045Y", PixelPaddingValue=0)
    rle, deflated = (dcmread(BytesIO(dicom_bytes(plain))) for _ in range(2))
    rle.compress(RLELossless)
    twelve = stored >> 4
    jpeg_2000 = compressed(stored, imagecodecs.jpeg2k_encode(stored, level=0, codecformat="j2k"), JPEG2000Lossless)
    htj2k = compressed(stored, imagecodecs.htj2k_encode(stored), HTJ2KLossless)
    extended = imagecodecs.jpeg8_encode(twelve, level=90, bitspersample=12)
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return {
        "dicom": [dicom_bytes(plain), dicom_bytes(plain)[132:]],
        "dicom-deflated": [dicom_bytes(deflated)],
        "dicom-rle": [dicom_bytes(rle)],
        "dicom-jpeg2000": [dicom_bytes(jpeg_2000), *_bundled("MR_small_jp2klossless.dcm")],
        "dicom-jpeg": _bundled("SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb_jpeg_lossy_gdcm.dcm"),
        "dicom-htj2k": [dicom_bytes(htj2k)],
        "dicom-jpeg-extended": [
            *_bundled("JPGExtended.dcm"),
            dicom_bytes(compressed(twelve, extended, JPEGExtended12Bit, bits=12)),
        ],
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
