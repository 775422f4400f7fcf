"""DICOM files as a whole: every transfer syntax, with and without preamble, and what is no single image."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_modality_lut, apply_windowing, set_pixel_data
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from image_files import compressed
from lungsight.errors import UnreadableImageError
from lungsight.radiograph import View
from lungsight.reading import read_radiograph

DicomWriter = Callable[..., Path]

#: What pydicom ships that is one grey frame of at least 32 pixels a side. Those in a group hold the same pixels.
SAME_PIXELS = (
    [f"MR_small{end}.dcm" for end in ("", "_RLE", "_bigendian", "_expb", "_implicit", "_padded", "_jp2klossless")]
    + ["MR_small_jpeg_ls_lossless.dcm"],
    ["liver_1frame.dcm", "liver_expb_1frame.dcm"],
)
OTHER_GREY = ("693_J2KI.dcm", "CT_small.dcm", "J2K_pixelrep_mismatch.dcm", "JPEG2000.dcm")
#: One colour frame of 100 × 100, in every compression: ten bars of these colours.
BAR_COLOURS = (
    *((255, 0, 0), (255, 128, 128), (0, 255, 0), (128, 255, 128), (0, 0, 255), (128, 128, 255)),
    *((level, level, level) for level in (0, 64, 192, 255)),
)
BARS = (
    "SC_rgb_dcmtk_+eb+cr.dcm",
    "SC_rgb_dcmtk_+eb+cy+n1.dcm",
    "SC_rgb_dcmtk_+eb+cy+n2.dcm",
    "SC_rgb_dcmtk_+eb+cy+np.dcm",
    "SC_rgb_dcmtk_+eb+cy+s2.dcm",
    "SC_rgb_dcmtk_+eb+cy+s4.dcm",
    "SC_rgb_gdcm_KY.dcm",
    "SC_rgb_jls_lossy_line.dcm",
    "SC_rgb_jls_lossy_sample.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_jpeg_lossy_gdcm.dcm",
    "SC_rgb_rle.dcm",
    "SC_rgb_rle_16bit.dcm",
    "SC_rgb_rle_32bit.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
)


def bundled(name: str) -> Path:
    path = get_testdata_file(name, download=False)
    assert path is not None
    return Path(str(path))


def refusal(path: Path) -> str:
    with pytest.raises(UnreadableImageError) as caught:
        read_radiograph(path)
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize("names", SAME_PIXELS)
def test_the_same_pixels_in_every_transfer_syntax(names: list[str]) -> None:
    expected = read_radiograph(bundled(names[0]))
    assert np.ptp(expected.pixels) > 0.5
    for name in names[1:]:
        np.testing.assert_array_equal(read_radiograph(bundled(name)).pixels, expected.pixels, err_msg=name)


@pytest.mark.parametrize("name", OTHER_GREY)
def test_grey_images_agree_with_pydicom(name: str) -> None:
    """By pydicom's own functions; where there is no window, from the smallest to the largest value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = dcmread(bundled(name))
        values = apply_modality_lut(dataset.pixel_array, dataset).astype(float)
    low, high = values.min(), values.max()
    if "WindowWidth" in dataset:
        first = -(2 ** (dataset.BitsStored - 1)) * dataset.PixelRepresentation
        low, high = apply_modality_lut(np.array([first, first + 2**dataset.BitsStored - 1]), dataset)
        values = apply_windowing(values, dataset)
    read = read_radiograph(bundled(name))
    assert read.bit_depth == dataset.BitsStored
    np.testing.assert_allclose(read.pixels, (values - low) / (high - low), atol=1e-5)


@pytest.mark.parametrize("name", BARS)
def test_colour_in_every_compression(name: str) -> None:
    """At the bars' middles BT.601 says how bright they are; subsampled and lossy ones stay within two hundredths."""
    read = read_radiograph(bundled(name))
    expected = np.array(BAR_COLOURS) @ (0.299, 0.587, 0.114) / 255
    assert read.pixels[5::10, 50] == pytest.approx(expected, abs=0.02)
    assert "colour" in " ".join(read.warnings)


@pytest.mark.parametrize("name", ["examples_palette.dcm", "examples_rgb_color.dcm", "examples_jpeg2k.dcm"])
def test_ultrasound_in_colour_comes_out_grey(name: str) -> None:
    read = read_radiograph(bundled(name))
    assert read.modality == "US"
    assert read.pixels.ndim == 2
    assert np.ptp(read.pixels) > 0.9


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
    ],
    ids=lambda syntax: syntax.name,
)
def test_what_is_written_is_read(write_dicom: DicomWriter, ramp: NDArray[np.uint16], syntax: UID) -> None:
    dataset = Dataset()  # not the one that was read, which remembers its byte order
    for element in dcmread(write_dicom(ramp, bits=12)):
        dataset.add(element)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax.is_encapsulated else syntax
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = ramp.astype(">u2").tobytes()
    elif syntax.is_encapsulated:
        dataset.compress(syntax, generate_instance_uid=False)
    read = read_radiograph(write_dicom(dataset))
    assert read.bit_depth == 12
    np.testing.assert_allclose(read.pixels, ramp / np.float32(1999), atol=1e-7)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_depths_and_signs(write_dicom: DicomWriter, bits: int, signed: bool) -> None:
    low = -(2 ** (bits - 1)) if signed else 0
    kind = ("i" if signed else "u") + ("1" if bits == 8 else "2")
    stored = np.linspace(low, low + 2**bits - 1, 2000).astype(kind).reshape(40, 50)
    read = read_radiograph(write_dicom(stored, bits=bits))
    assert read.bit_depth == bits
    np.testing.assert_allclose(read.pixels, (stored - float(low)) / (2**bits - 1), atol=1e-6)


def test_eight_bits_read_as_from_a_png(write_dicom: DicomWriter) -> None:
    stored = np.full((40, 40), 100, dtype=np.uint8)
    stored[0, 0] = 51
    assert read_radiograph(write_dicom(stored)).pixels[0, 0] == np.float32(0.2)


def test_without_preamble_and_without_meta_header(write_dicom: DicomWriter, ramp: NDArray[np.uint16]) -> None:
    path = write_dicom(ramp)
    whole = path.read_bytes()
    expected = read_radiograph(path).pixels
    path.write_bytes(whole[132:])
    np.testing.assert_array_equal(read_radiograph(path).pixels, expected)
    meta_ends = 144 + int.from_bytes(whole[140:144], "little")
    path.write_bytes(whole[meta_ends:])
    np.testing.assert_array_equal(read_radiograph(path).pixels, expected)


@pytest.mark.parametrize("name", ["rtplan.dcm", "rtstruct.dcm", "test-SR.dcm", "waveform_ecg.dcm", "reportsi.dcm"])
def test_a_data_set_without_pixels(name: str) -> None:
    assert "holds no pixels; give the image, not a report or plan" in refusal(bundled(name))


@pytest.mark.parametrize("name", ["SC_rgb_rle_2frame.dcm", "examples_ybr_color.dcm"])
def test_a_clip(name: str) -> None:
    assert "frames; save the one X-ray image" in refusal(bundled(name))


def test_a_disc_directory() -> None:
    assert "disc's table of contents" in refusal(bundled("DICOMDIR"))


@pytest.mark.parametrize("name", ["MR_truncated.dcm", "JPEG2000-embedded-sequence-delimiter.dcm"])
def test_damaged(name: str) -> None:
    assert "fetch or export it again" in refusal(bundled(name))


def test_a_bomb_by_its_header(write_dicom: DicomWriter, ramp: NDArray[np.uint16]) -> None:
    assert "limit 100 million" in refusal(write_dicom(ramp, Rows=60_000, Columns=60_000))


def test_a_bomb_by_its_compressed_data(write_dicom: DicomWriter, ramp: NDArray[np.uint16]) -> None:
    dataset = compressed(ramp, imagecodecs.jpeg2k_encode(ramp, level=0, codecformat="j2k"), JPEG2000Lossless)
    size = dataset.PixelData.find(b"\xff\x4f\xff\x51") + 8
    dataset.PixelData = dataset.PixelData[:size] + (60_000).to_bytes(4, "big") * 2 + dataset.PixelData[size + 8 :]
    path = write_dicom(dataset)
    assert "the header says 50 × 40 pixels, the compressed data 60000 × 60000" in refusal(path)


def test_a_bomb_by_deflation(
    write_dicom: DicomWriter, ramp: NDArray[np.uint16], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lungsight.reading.dicom.MAX_BYTES", 1 << 20)
    monkeypatch.setattr("lungsight.reading.limits.MAX_BYTES", 1 << 20)
    dataset = dcmread(write_dicom(ramp))
    dataset.add_new(0x00091001, "OB", bytes(1 << 22))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = write_dicom(dataset)
    assert path.stat().st_size < 1 << 15
    assert "more than any radiograph needs" in refusal(path)


def test_an_unknown_photometric_interpretation(write_dicom: DicomWriter, ramp: NDArray[np.uint16]) -> None:
    assert "'HSV' is not known" in refusal(write_dicom(ramp, PhotometricInterpretation="HSV"))


def test_a_grey_secondary_capture_in_rgb(write_dicom: DicomWriter) -> None:
    samples = np.repeat((np.arange(2000) % 256).astype(np.uint8).reshape(40, 50, 1), 3, axis=2)
    dataset = dcmread(write_dicom(samples[..., 0]))
    set_pixel_data(dataset, samples, "RGB", 8)
    read = read_radiograph(write_dicom(dataset))
    np.testing.assert_array_equal(read.pixels, samples[..., 0] / np.float32(255))
    assert read.warnings == ()


REAL: dict[str, dict[str, Any]] = {
    "nih_1.dcm": {"modality": "DX", "body_part": "CHEST", "view": None, "age": 81.0, "sex": "M", "bit_depth": 8},
    "nih_4.dcm": {"modality": "DX", "body_part": "RIBCAGE", "view": None, "bit_depth": 8},
    "nih_5.dcm": {"modality": "CT", "body_part": "CHEST", "bit_depth": 8},
    "fuji_cr_mono1_10bit.dcm": {"modality": "CR", "view": View.PA, "bit_depth": 10},
}


@pytest.mark.shared
@pytest.mark.parametrize("name", REAL)
def test_real_files(shared_data: Path, name: str) -> None:
    read = read_radiograph(shared_data / "dicom" / name)
    assert {field: getattr(read, field) for field in REAL[name]} == REAL[name]
    assert np.ptp(read.pixels) > 0.9


@pytest.mark.shared
def test_a_real_inverted_image(shared_data: Path) -> None:
    """LINEAR window 550 ± 512 on 10 bits, then inverted, worked out here pixel by pixel."""
    path = shared_data / "dicom" / "fuji_cr_mono1_10bit.dcm"
    dataset: Dataset = dcmread(path)
    stored = dataset.pixel_array.astype(float)
    expected = 1 - np.clip((stored - 549.5) / 1023 + 0.5, 0, 1)
    np.testing.assert_allclose(read_radiograph(path).pixels, expected, atol=1e-6)
