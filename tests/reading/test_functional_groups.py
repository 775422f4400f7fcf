"""What an object with functional groups states there counts as if it stood at the top level."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, Sequence

from dcmtk import needs_dcmtk, shown_by_dcmtk
from lungsight.reading import read_radiograph

DicomWriter = Callable[..., Path]
GROUPS = ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"]


def item(**elements: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def groups(where: str, **sequences: Dataset) -> dict[str, Any]:
    """The elements of an object with one frame that says ``sequences`` in the one place and nothing in the other."""
    said = item(**{keyword: Sequence([content]) for keyword, content in sequences.items()})
    others = {keyword: Sequence([Dataset()]) for keyword in GROUPS if keyword != where}
    return {"NumberOfFrames": 1, where: Sequence([said]), **others}


@needs_dcmtk
@pytest.mark.parametrize("where", GROUPS)
def test_a_negative_slope(write_dicom: DicomWriter, ramp: NDArray[np.uint16], where: str) -> None:
    rescale = item(RescaleSlope=-1, RescaleIntercept=4095, RescaleType="US")
    path = write_dicom(ramp, bits=12, **groups(where, PixelValueTransformationSequence=rescale))
    read = read_radiograph(path)
    np.testing.assert_allclose(read.pixels, 1 - ramp / 1999, atol=1e-6)
    if where == GROUPS[0]:  # dcmtk looks there only
        np.testing.assert_allclose(read.pixels, shown_by_dcmtk(path, "+Wm"), atol=2e-5)
    assert read.warnings == ()


@pytest.mark.parametrize("where", GROUPS)
@pytest.mark.parametrize("function", ["LINEAR_EXACT", "SIGMOID"])
def test_a_window_and_its_function(
    write_dicom: DicomWriter, ramp: NDArray[np.uint16], where: str, function: str
) -> None:
    window = {"WindowCenter": 800, "WindowWidth": 600, "VOILUTFunction": function}
    read = read_radiograph(write_dicom(ramp, **groups(where, FrameVOILUTSequence=item(**window))))
    np.testing.assert_array_equal(read.pixels, read_radiograph(write_dicom(ramp, **window)).pixels)
    assert 0.2 < read.pixels.flat[700] < 0.4


@pytest.mark.parametrize("where", GROUPS)
def test_what_else_is_known(write_dicom: DicomWriter, ramp: NDArray[np.uint16], where: str) -> None:
    region = item(CodeValue="43799004", CodingSchemeDesignator="SCT", CodeMeaning="Chest")
    anatomy = item(FrameLaterality="U", AnatomicRegionSequence=Sequence([region]))
    measures = item(PixelSpacing=[0.2, 0.2])
    read = read_radiograph(
        write_dicom(ramp, **groups(where, FrameAnatomySequence=anatomy, PixelMeasuresSequence=measures))
    )
    assert (read.body_part, read.laterality, read.pixel_spacing) == ("CHEST", "U", (0.2, 0.2))
    assert read.warnings == ()


@needs_dcmtk
def test_two_statements(write_dicom: DicomWriter, ramp: NDArray[np.uint16]) -> None:
    """At the top level is where a radiograph's IOD states it; dcmtk believes that as well."""
    rescale = item(RescaleSlope=-1, RescaleIntercept=0)
    elements = groups(GROUPS[0], PixelValueTransformationSequence=rescale)
    path = write_dicom(ramp, bits=12, RescaleSlope=1, RescaleIntercept=0, **elements)
    read = read_radiograph(path)
    np.testing.assert_allclose(read.pixels, ramp / 1999, atol=1e-6)
    np.testing.assert_allclose(read.pixels, shown_by_dcmtk(path, "+Wm"), atol=2e-5)
    why = "is another one in the functional groups: the one at the top level is taken"
    assert read.warnings == (f"DICOM RescaleSlope {why}.",)


def test_two_that_agree(write_dicom: DicomWriter, ramp: NDArray[np.uint16]) -> None:
    elements = groups(GROUPS[1], FrameVOILUTSequence=item(WindowCenter="800.0", WindowWidth="600"))
    assert read_radiograph(write_dicom(ramp, WindowCenter="800", WindowWidth="600", **elements)).warnings == ()


def test_the_frame_before_all_frames(write_dicom: DicomWriter, ramp: NDArray[np.uint16]) -> None:
    elements = groups(GROUPS[0], PixelMeasuresSequence=item(PixelSpacing=[9, 9]))
    elements |= {GROUPS[1]: groups(GROUPS[1], PixelMeasuresSequence=item(PixelSpacing=[0.3, 0.3]))[GROUPS[1]]}
    assert read_radiograph(write_dicom(ramp, **elements)).pixel_spacing == (0.3, 0.3)
