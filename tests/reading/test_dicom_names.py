"""What names the patient is blanked; every other byte, and so every answer, stays."""

from __future__ import annotations

import gzip
from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, Sequence, dcmread
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from image_files import dicom, dicom_bytes
from lungsight.errors import UnreadableImageError
from lungsight.reading import read_radiograph
from lungsight.reading.dicom_names import stated_in, without_names

NAMES = ("Meier", "Hausarzt", "4711-0815", "Langgasse", "19570304")
STORED = np.random.default_rng(0).integers(100, 3000, (64, 64), dtype=np.uint16)


def _named(**more: object) -> Dataset:
    stated = {"PatientAge": "069Y", "StudyDate": "20260301"} | more
    made = dicom(STORED, PatientName="Meier^Anna", PatientID="4711-0815", PatientBirthDate="19570304", **stated)
    made.ReferringPhysicianName = "Hausarzt^Dr"
    made.PatientAddress = "Langgasse 7"
    made.StudyDescription = "Thorax Meier^Anna"
    item = Dataset()
    item.PatientID, item.IssuerOfPatientID = "4711-0815", "Langgasse"
    made.OtherPatientIDsSequence = Sequence([item])
    block = made.private_block(0x0019, "SOMEBODY", create=True)
    block.add_new(1, "LO", "order for 4711-0815")
    return made


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian])
def test_no_name_is_left_and_nothing_else_is_touched(syntax: str | None) -> None:
    made = _named()
    if syntax is not None:
        made.file_meta.TransferSyntaxUID = syntax
    data = dicom_bytes(made)
    blanked = without_names("x", data)
    assert len(blanked) == len(data)
    assert [name for name in NAMES if name.encode() in blanked] == []
    before, after = dcmread(BytesIO(data)), dcmread(BytesIO(blanked))
    assert after.PixelData == before.PixelData
    kept = ("StudyInstanceUID", "SOPInstanceUID", "PatientAge", "StudyDate", "Modality")
    assert [after.get(name) for name in kept] == [before.get(name) for name in kept]
    assert after.file_meta == before.file_meta


def test_the_date_of_birth_stays_where_the_age_is_reckoned_from_it(tmp_path: object) -> None:
    made = _named()
    del made.PatientAge
    blanked = without_names("x", dicom_bytes(made))
    assert b"19570304" in blanked
    assert b"Meier" not in blanked


def test_an_answer_doesn_t_depend_on_it(tmp_path: object) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path))
    data = dicom_bytes(_named())
    for name, content in (("with", data), ("without", without_names("x", data))):
        (folder / name).write_bytes(content)
    first, second = (read_radiograph(folder / name) for name in ("with", "without"))
    assert np.array_equal(first.pixels, second.pixels)
    assert (first.age, first.sex, first.view, first.warnings) == (
        second.age,
        second.sex,
        second.view,
        second.warnings,
    )
    assert first.identifiers == second.identifiers


def test_packed_files_are_unpacked() -> None:
    data = dicom_bytes(_named())
    assert without_names("x", gzip.compress(data)) == without_names("x", data)


def test_other_formats_stay() -> None:
    for data in (b"\x89PNG\r\n\x1a\n", b"", b"Meier", gzip.compress(b"Meier")):
        assert without_names("x", data) == data


@pytest.mark.parametrize("cut", [140, 200, 300])
def test_a_header_that_can_t_be_followed_is_refused_or_blank(cut: int) -> None:
    try:
        kept = without_names("x", dicom_bytes(_named())[:cut])
    except UnreadableImageError:
        return
    assert [name for name in NAMES if name.encode() in kept] == []


def test_what_is_stated() -> None:
    assert stated_in(dicom_bytes(_named())) == ("4711-0815", "2026-03-01")
    assert stated_in(b"no DICOM") == (None, None)


def test_big_endian_too() -> None:
    made = dicom(STORED.astype(">u2").view(np.uint16), PatientName="Meier^Anna", PatientID="4711-0815")
    made.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    made["PixelData"].VR = "OW"
    file = BytesIO()
    made.save_as(file, enforce_file_format=True, little_endian=False, implicit_vr=False)
    assert b"Meier" not in without_names("x", file.getvalue())
