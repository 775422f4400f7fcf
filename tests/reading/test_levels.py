"""What a viewer shows: every level that the file holds, and through the first window what a model sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset

from image_files import tiff
from lungsight.radiograph import Levels, Radiograph
from lungsight.reading import read_radiograph

DicomWriter = Callable[..., Path]
SAME = 1 / 128


def levels_of(path: Path) -> tuple[Radiograph, Levels]:
    radiograph = read_radiograph(path, keep_levels=True)
    assert radiograph.levels is not None
    return radiograph, radiograph.levels


def table(entries: list[int]) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries), 0, 12])
    item.add_new("LUTData", "US", entries)
    return item


@st.composite
def headers(draw: st.DrawFn) -> dict[str, Any]:
    """What decides how stored values are shown."""
    elements: dict[str, Any] = {"photometric": draw(st.sampled_from(["MONOCHROME1", "MONOCHROME2"]))}
    if draw(st.booleans()):
        elements["RescaleSlope"] = draw(st.sampled_from([0.5, 1, 2.25, -1, -3]))
        elements["RescaleIntercept"] = draw(st.sampled_from([-1024, 0, 0.5]))
    if draw(st.booleans()):
        count = draw(st.integers(1, 3))
        elements["WindowCenter"] = [draw(st.integers(-1000, 3000)) for _ in range(count)]
        elements["WindowWidth"] = [draw(st.integers(0, 4000)) for _ in range(count)]
        elements["VOILUTFunction"] = draw(st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID", "OTHER"]))
    if draw(st.booleans()):
        elements["VOILUTSequence"] = [table(sorted(draw(st.lists(st.integers(0, 4095), min_size=2, max_size=9))))]
    if draw(st.booleans()):
        elements["PixelPaddingValue"] = draw(st.sampled_from([0, 7, 1999, 5000]))
    return elements


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(headers())
def test_through_the_first_window_a_reader_sees_what_the_model_saw(
    write_dicom: DicomWriter, ramp: NDArray[np.uint16], elements: dict[str, Any]
) -> None:
    path = write_dicom(ramp, bits=12, **elements)
    radiograph, levels = levels_of(path)
    np.testing.assert_allclose(levels.shown(), radiograph.pixels, atol=SAME)
    plain = read_radiograph(path)
    np.testing.assert_array_equal(radiograph.pixels, plain.pixels)  # and asking for it changes nothing else
    assert radiograph.warnings == plain.warnings
    assert plain.levels is None


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (2.5, -1000), (0.0625, 3)])
def test_a_narrow_window_loses_no_level(
    write_dicom: DicomWriter, ramp: NDArray[np.uint16], photometric: str, slope: float, intercept: float
) -> None:
    elements = {"WindowCenter": 50, "WindowWidth": 20, "RescaleSlope": slope, "RescaleIntercept": intercept}
    _, levels = levels_of(write_dicom(ramp, bits=12, photometric=photometric, **elements))
    assert levels.values.dtype == np.uint16
    numbers = levels.at_zero + levels.per_level * levels.values
    np.testing.assert_allclose(numbers, ramp * slope + intercept)
    assert (levels.per_level < 0) is (photometric == "MONOCHROME1")
    assert levels.highest == 1999


def test_the_header_s_windows_are_presets_by_its_names(write_dicom: DicomWriter, ramp: NDArray[np.uint16]) -> None:
    _, levels = levels_of(
        write_dicom(
            ramp,
            bits=12,
            WindowCenter=[1000.5, 300.5],
            WindowWidth=[1001, 201],
            WindowCenterWidthExplanation=["NORMAL", "SOFT"],
        )
    )
    assert [(w.name, w.center, w.width) for w in levels.windows] == [
        ("NORMAL", 1000, 1000),
        ("SOFT", 300, 200),
        ("full range", 999.5, 1999),
    ]


def test_padding_stays_black_in_every_window(write_dicom: DicomWriter, ramp: NDArray[np.uint16]) -> None:
    stored = ramp.copy()
    stored[:, :5] = 3000
    _, levels = levels_of(write_dicom(stored, bits=12, PixelPaddingValue=3000, WindowCenter=-5, WindowWidth=2))
    assert levels.padded
    for window in levels.windows:
        assert not levels.shown(window)[:, :5].any()
    assert levels.values[:, 5:].min() == 1


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_a_picture_keeps_its_own_levels(tmp_path: Path, bits: int) -> None:
    stored = np.linspace(0, 2**bits - 1, 2000).astype(np.uint8 if bits == 8 else np.uint16).reshape(40, 50)
    Image.fromarray(stored).save(tmp_path / "image.png")
    radiograph, levels = levels_of(tmp_path / "image.png")
    np.testing.assert_array_equal(levels.values, stored)
    np.testing.assert_allclose(levels.shown(), radiograph.pixels, atol=1e-5)
    assert radiograph.pixel_spacing is radiograph.spacing_plane is None


def test_numbers_without_end_are_spread_over_16_bits(tmp_path: Path) -> None:
    samples = np.random.default_rng(1).normal(0, 1e6, (40, 50))
    (tmp_path / "image.tif").write_bytes(tiff(samples))
    radiograph, levels = levels_of(tmp_path / "image.tif")
    np.testing.assert_allclose(levels.shown(), radiograph.pixels, atol=1e-4)


def test_every_pixel_is_kept_whatever_a_network_needs(tmp_path: Path) -> None:
    Image.new("L", (900, 800), 77).save(tmp_path / "image.jpg")
    radiograph = read_radiograph(tmp_path / "image.jpg", at_least=100, keep_levels=True)
    assert radiograph.levels is not None
    assert radiograph.levels.values.shape == radiograph.pixels.shape == (800, 900)


def test_levels_are_turned_and_stretched_as_the_pixels_are(
    write_dicom: DicomWriter, ramp: NDArray[np.uint16]
) -> None:
    elements = {"PatientOrientation": ["R", "H"], "PixelSpacing": [0.4, 0.2], "ViewPosition": "PA"}
    radiograph, levels = levels_of(write_dicom(ramp, bits=12, **elements))
    assert radiograph.pixels.shape == levels.values.shape == (80, 50)
    assert radiograph.turned == 180
    np.testing.assert_allclose(levels.shown(), radiograph.pixels, atol=SAME)


def test_one_value_everywhere(write_dicom: DicomWriter) -> None:
    radiograph, levels = levels_of(write_dicom(np.full((40, 40), 9, np.uint16), bits=12))
    np.testing.assert_allclose(levels.shown(), radiograph.pixels, atol=SAME)
