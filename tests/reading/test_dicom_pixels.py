"""From stored values to 0…1: rescale, tables, windows, padding, inversion. Expected values are worked out by hand or
by pydicom's own functions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.pixels import apply_windowing

from dcmtk import needs_dcmtk, shown_by_dcmtk
from lungsight.reading import read_radiograph
from lungsight.reading.dicom_header import Header
from lungsight.reading.dicom_pixels import _by_window

DicomWriter = Callable[..., Path]


def table(first: int, bits: int, entries: list[int]) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", entries)
    return item


@settings(max_examples=60, deadline=None)
@given(
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    center=st.floats(-500, 5000),
    width=st.floats(1.5, 5000),
)
def test_windows_agree_with_pydicom(function: str, center: float, width: float) -> None:
    dataset = Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsStored, dataset.PixelRepresentation = 12, 0
    dataset.VOILUTFunction = function
    dataset.WindowCenter, dataset.WindowWidth = round(center, 3), round(width, 3)
    values = np.linspace(0, 4095, 500)
    shown = _by_window(values, Header(dataset))
    assert shown is not None
    np.testing.assert_allclose(shown, apply_windowing(values, dataset) / 4095, atol=2e-6)


def test_the_first_of_several_windows(write_dicom: DicomWriter, ramp: NDArray[np.uint16]) -> None:
    read = read_radiograph(write_dicom(ramp, WindowCenter=[500.5, 9], WindowWidth=[1001, 9]))
    np.testing.assert_allclose(read.pixels, np.clip(ramp / 1000, 0, 1), atol=1e-6)


def test_the_window_applies_to_rescaled_values(write_dicom: DicomWriter, ramp: NDArray[np.uint16]) -> None:
    elements = {"RescaleSlope": 2, "RescaleIntercept": -1000, "WindowCenter": 0, "WindowWidth": 1000}
    read = read_radiograph(write_dicom(ramp, VOILUTFunction="LINEAR_EXACT", **elements))
    np.testing.assert_allclose(read.pixels, np.clip((ramp * 2.0 - 1000) / 1000 + 0.5, 0, 1), atol=1e-6)


def test_a_voi_table(write_dicom: DicomWriter, ramp: NDArray[np.uint16]) -> None:
    """256 entries for the values 100…355; below and above, the first and last hold."""
    entries = [16 * n for n in range(256)]
    read = read_radiograph(write_dicom(ramp, VOILUTSequence=[table(100, 12, entries)]))
    expected = np.array(entries)[np.clip(ramp.astype(int) - 100, 0, 255)] / 4095
    np.testing.assert_allclose(read.pixels, expected, atol=1e-6)


def test_a_modality_table(write_dicom: DicomWriter, ramp: NDArray[np.uint16]) -> None:
    item = table(0, 16, list(range(4000, 2000, -1)))
    item.ModalityLUTType = "US"
    read = read_radiograph(write_dicom(ramp, ModalityLUTSequence=[item]))
    np.testing.assert_allclose(read.pixels, 1 - ramp / 1999, atol=1e-6)


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted"),
    [
        ("MONOCHROME2", None, False),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME1", None, True),
        ("MONOCHROME1", "INVERSE", True),
        ("MONOCHROME1", "LIN OD", True),
    ],
)
def test_inversion(
    write_dicom: DicomWriter, ramp: NDArray[np.uint16], photometric: str, shape: str | None, inverted: bool
) -> None:
    read = read_radiograph(write_dicom(ramp, photometric=photometric, PresentationLUTShape=shape))
    expected = ramp / 1999
    np.testing.assert_allclose(read.pixels, 1 - expected if inverted else expected, atol=1e-6)
    assert read.warnings == ()


@needs_dcmtk
@pytest.mark.parametrize(("photometric", "shape"), [("MONOCHROME1", "IDENTITY"), ("MONOCHROME2", "INVERSE")])
def test_contradictory_polarity(
    write_dicom: DicomWriter, ramp: NDArray[np.uint16], photometric: str, shape: str
) -> None:
    path = write_dicom(ramp, photometric=photometric, PresentationLUTShape=shape)
    read = read_radiograph(path)
    expected = ramp / 1999
    np.testing.assert_allclose(read.pixels, expected if shape == "IDENTITY" else 1 - expected, atol=1e-6)
    np.testing.assert_allclose(read.pixels, shown_by_dcmtk(path, "+Wm"), atol=2e-5)
    why = f"{shape} contradicts PhotometricInterpretation {photometric}"
    assert read.warnings == (f"DICOM PresentationLUTShape {why}: {shape} is believed.",)


@pytest.mark.parametrize("keyword", ["WindowCenter", "WindowWidth"])
def test_the_first_window_that_can_be_used(write_dicom: DicomWriter, ramp: NDArray[np.uint16], keyword: str) -> None:
    windows: dict[str, Any] = {"WindowCenter": [9.5, 500.5, 3], "WindowWidth": [7, 1001, 5]}
    windows[keyword][0] = ""
    read = read_radiograph(write_dicom(ramp, **windows))
    assert read.warnings == ("DICOM WindowCenter has no usable first window: window 2 is taken.",)
    np.testing.assert_allclose(read.pixels, np.clip(ramp / 1000, 0, 1), atol=1e-6)


@pytest.mark.parametrize("windows", [{"WindowCenter": ["", ""], "WindowWidth": ["", 7]}, {"WindowCenter": ["", 7]}])
def test_no_window_that_can_be_used(
    write_dicom: DicomWriter, ramp: NDArray[np.uint16], windows: dict[str, Any]
) -> None:
    read = read_radiograph(write_dicom(ramp, **windows))
    np.testing.assert_allclose(read.pixels, ramp / 1999, atol=1e-6)


def colour(grey: NDArray[np.integer[Any]], kind: str, middle: int) -> NDArray[np.uint16]:
    """[height, width, 3] that shows ``grey`` in RGB or YBR."""
    others = grey if kind == "RGB" else np.full_like(grey, middle)
    return np.stack([grey, others, others], axis=-1).astype(np.uint16)


@pytest.mark.parametrize("kind", ["RGB", "YBR_FULL"])
@pytest.mark.parametrize(("stored", "used"), [(16, 16), (16, 12), (12, 12), (16, 14), (10, 10)])
def test_deep_colour_keeps_its_depth(write_dicom: DicomWriter, kind: str, stored: int, used: int) -> None:
    """An image saved in colour, by a program that keeps its twelve bits: none is lost."""
    grey = np.linspace(0, 2**used - 1, 2000).astype(np.int64).reshape(40, 50)
    read = read_radiograph(write_dicom(colour(grey, kind, 2 ** (used - 1)), photometric=kind, bits=stored))
    np.testing.assert_allclose(read.pixels, grey / (2**used - 1), atol=1e-6)
    expected = (f"Only {used} of {stored} bits are used: {2**used - 1} is taken as white.",) if used < stored else ()
    assert read.warnings == expected


@pytest.mark.parametrize("kind", ["RGB", "YBR_FULL"])
def test_deep_colours(write_dicom: DicomWriter, kind: str) -> None:
    """Red, green and blue of twelve bits, by the weights of BT.601."""
    rgb = np.eye(3, dtype=np.float64)[np.arange(2000).reshape(40, 50) % 3] * 4095
    stored = rgb if kind == "RGB" else convert_twelve_bits(rgb)
    read = read_radiograph(write_dicom(np.rint(stored).astype(np.uint16), photometric=kind, bits=12))
    np.testing.assert_allclose(read.pixels, rgb @ (0.299, 0.587, 0.114) / 4095, atol=1e-3)
    assert read.warnings == ("The image holds colour: only its brightness is used.",)


def convert_twelve_bits(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """To YBR_FULL by PS3.3 C.7.6.3.1.2."""
    light = rgb @ (0.299, 0.587, 0.114)
    blue, red = (rgb[..., 2] - light) / 1.772, (rgb[..., 0] - light) / 1.402
    return np.clip(np.stack([light, blue + 2048, red + 2048], axis=-1), 0, 4095)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_air_and_does_not_count(
    write_dicom: DicomWriter, ramp: NDArray[np.uint16], photometric: str
) -> None:
    stored = ramp + np.uint16(1000)
    stored[:5] = 65000
    read = read_radiograph(write_dicom(stored, photometric=photometric, PixelPaddingValue=65000))
    inside = (ramp[5:] - 250) / 1749
    assert (read.pixels[:5] == 0).all()
    np.testing.assert_allclose(read.pixels[5:], inside if photometric == "MONOCHROME2" else 1 - inside, atol=1e-6)


def test_a_range_of_padding(write_dicom: DicomWriter, ramp: NDArray[np.uint16]) -> None:
    read = read_radiograph(write_dicom(ramp, PixelPaddingValue=0, PixelPaddingRangeLimit=99))
    expected = np.where(ramp < 100, 0, (ramp.astype(float) - 100) / 1899)
    np.testing.assert_allclose(read.pixels, expected, atol=1e-6)


def test_padding_of_signed_pixels_written_as_unsigned(write_dicom: DicomWriter) -> None:
    stored = np.arange(2000, dtype=np.int16).reshape(40, 50)
    stored[:5] = -2000
    path = write_dicom(stored)
    data = path.read_bytes()
    assert data.count(b"\x28\x00\x03\x01US\x02\x00\x01\x00") == 1  # PixelRepresentation, after which padding comes
    element = b"\x28\x00\x20\x01US\x02\x00" + (65536 - 2000).to_bytes(2, "little")
    place = data.find(b"\x28\x00\x03\x01US\x02\x00\x01\x00") + 10
    path.write_bytes(data[:place] + element + data[place:])
    read = read_radiograph(path)
    assert (read.pixels[:5] == 0).all()
    np.testing.assert_allclose(read.pixels[5:], (stored[5:] - 250) / 1749, atol=1e-6)


DEFECTS: list[tuple[dict[str, Any], str]] = [
    ({"WindowCenter": 100, "WindowWidth": 0}, "WindowWidth 0 is too small"),
    ({"WindowCenter": 9000, "WindowWidth": 10}, "shows nothing of the image"),
    ({"RescaleSlope": 0, "RescaleIntercept": 5}, "RescaleSlope is zero"),
    ({"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 5000}, "covers the whole image"),
    ({"VOILUTSequence": [Dataset()]}, "VOILUTSequence has no descriptor of three numbers"),
    ({"VOILUTSequence": [table(0, 12, [])]}, "VOILUTSequence is empty"),
    ({"ModalityLUTSequence": [Dataset()]}, "ModalityLUTSequence has no descriptor of three numbers"),
]


@pytest.mark.parametrize(("elements", "warning"), DEFECTS)
def test_what_is_defective_is_not_applied(
    write_dicom: DicomWriter, ramp: NDArray[np.uint16], elements: dict[str, Any], warning: str
) -> None:
    read = read_radiograph(write_dicom(ramp, **elements))
    assert any(warning in sentence for sentence in read.warnings), read.warnings
    np.testing.assert_allclose(read.pixels, ramp / 1999, atol=1e-6)


def test_an_unknown_voi_function_is_taken_as_linear(write_dicom: DicomWriter, ramp: NDArray[np.uint16]) -> None:
    read = read_radiograph(write_dicom(ramp, WindowCenter=500.5, WindowWidth=1001, VOILUTFunction="CUBIC"))
    assert "'CUBIC' is not known: LINEAR is assumed" in read.warnings[0]
    np.testing.assert_allclose(read.pixels, np.clip(ramp / 1000, 0, 1), atol=1e-6)


def test_an_image_of_one_value(write_dicom: DicomWriter) -> None:
    read = read_radiograph(write_dicom(np.full((40, 40), 700, dtype=np.uint16)))
    assert (read.pixels == 0).all()
    assert read.warnings == ("Every pixel has the same value.",)


def test_thirty_two_bits(write_dicom: DicomWriter) -> None:
    stored = (np.arange(2000, dtype=np.uint32) * 2_000_000).reshape(40, 50)
    elements = {"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31, "PixelData": stored.tobytes()}
    read = read_radiograph(write_dicom(stored.astype(np.uint16), **elements))
    np.testing.assert_allclose(read.pixels, stored / stored.max(), atol=1e-6)


@pytest.mark.parametrize(("keyword", "kind"), [("FloatPixelData", "<f4"), ("DoubleFloatPixelData", "<f8")])
def test_floating_point(write_dicom: DicomWriter, ramp: NDArray[np.uint16], keyword: str, kind: str) -> None:
    dataset = dcmread(write_dicom(ramp))
    for absent in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(dataset, absent)
    dataset.BitsAllocated = 8 * np.dtype(kind).itemsize
    setattr(dataset, keyword, (ramp / 7).astype(kind).tobytes())
    read = read_radiograph(write_dicom(dataset))
    np.testing.assert_allclose(read.pixels, ramp / 1999, atol=1e-6)
    assert read.warnings == ()
