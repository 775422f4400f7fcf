"""What a header knows besides the pixels; a defective value is a warning, never a failure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from lungsight.radiograph import Radiograph, View
from lungsight.reading import read_radiograph

DicomWriter = Callable[..., Path]

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning:pydicom")  # defective on purpose


@pytest.fixture
def read(write_dicom: DicomWriter) -> Callable[..., Radiograph]:
    stored = np.arange(2000, dtype=np.uint16).reshape(40, 50)
    return lambda **elements: read_radiograph(write_dicom(stored, **elements))


def coded(value: str, **elements: Any) -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", "as the code says"
    for keyword, content in elements.items():
        setattr(item, keyword, content)
    return [item]


def with_raw(dataset_path: Path, tag: bytes, vr: bytes, value: bytes) -> None:
    """Puts an element that no library would write in front of the image module (group 0028)."""
    data = dataset_path.read_bytes()
    place = data.find(b"\x28\x00\x02\x00US")
    element = tag + vr + len(value).to_bytes(2, "little") + value
    dataset_path.write_bytes(data[:place] + element + data[place:])


def test_what_a_full_header_says(read: Callable[..., Radiograph]) -> None:
    known = read(
        Modality="cr",
        BodyPartExamined="Chest",
        ViewPosition="PA",
        ImageLaterality="U",
        PatientAge="045Y",
        PatientSex="F",
        PatientID="4711",
        PatientName="Doe^Jane",
        ImagerPixelSpacing=[0.2, 0.2],
        BurnedInAnnotation="NO",
    )
    assert (known.modality, known.body_part, known.view, known.laterality) == ("CR", "CHEST", View.PA, "U")
    assert (known.age, known.sex, known.pixel_spacing) == (45.0, "F", (0.2, 0.2))
    assert known.burned_in_annotation is False
    assert known.patient == hashlib.sha256(b"4711").hexdigest()[:16]
    assert known.warnings == ()
    assert "Doe" not in repr(known)
    assert "4711" not in repr(known)


def test_what_an_empty_header_says(read: Callable[..., Radiograph]) -> None:
    known = read(Modality="", PatientID="", PatientAge="", ViewPosition=None, PixelSpacing=None)
    fields = ("modality", "body_part", "view", "laterality", "age", "sex", "patient", "pixel_spacing")
    assert {getattr(known, field) for field in fields} == {None}
    assert known.burned_in_annotation is None
    assert known.warnings == ()


@pytest.mark.parametrize(
    ("texts", "view"),
    [
        (
            "PA|pa|P.A.|P-A|P/A|PA ERECT|CHEST PA|POSTERO_ANTERIOR|Póstero-anterior|P?STERO-ANT",
            View.PA,
        ),
        ("AP|AP PORTABLE|PORT AP|A.P.|ANTERO-POSTERIOR|AP_AXIAL|AP LORDOTIC|AP LLD", View.AP),
        ("AP SUPINE|SUPINE|SUPINE AP|a.p. liegend|DECUBITO SUPINO", View.AP_SUPINE),
        ("PA/AP|FRONTAL|FRENTE|DE FACE", View.FRONTAL),
        ("LL|LATERAL|LAT|LATERAL LEFT|LEFT LATERAL|XTABLE LATERAL|PERFIL", View.LATERAL),
        ("LLD|LLO|LAO|RAO|R.A.O.|LORDOTIC|PA OBLIQUE|SWIMMERS|LEFT LATERAL DECUB", View.OTHER),
        ("PA/LAT|AP LATERAL|PORTABLE|ERECT|L|ROUTINE|PACHEST", None),
    ],
)
def test_view_position(read: Callable[..., Radiograph], texts: str, view: View | None) -> None:
    for text in texts.split("|"):
        known = read(ViewPosition=text)
        assert (known.view, known.view_stated) == (view, text)
        assert view is not None or f"'{text}'" in known.warnings[0]


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("PA/LAT", "'PA/LAT' names both a frontal and a lateral view: only the pixels say which it is."),
        ("PORTABLE", "'PORTABLE' names no known view: only the pixels say whether it is frontal."),
        ("AP LORDOTIC", "'AP LORDOTIC' names a special projection: it is analysed as AP."),
        ("SUPINE", "'SUPINE' names no projection: AP is assumed."),
    ],
)
def test_a_view_in_doubt_is_quoted(read: Callable[..., Radiograph], text: str, warning: str) -> None:
    assert read(ViewPosition=text).warnings == (f"DICOM ViewPosition {warning}",)


def test_of_two_views_the_position_is_believed(read: Callable[..., Radiograph]) -> None:
    known = read(ViewPosition="PA", ViewCodeSequence=coded("399173006"))
    assert known.view is View.PA
    assert known.warnings == ("DICOM ViewCodeSequence says lateral: ViewPosition 'PA' is believed instead.",)
    assert read(ViewPosition="PA", ViewCodeSequence=coded("272479007")).warnings == ()
    assert read(ViewPosition="ROUTINE", ViewCodeSequence=coded("272479007")).view is View.PA


def test_an_unknown_body_part_is_quoted(read: Callable[..., Radiograph]) -> None:
    known = read(BodyPartExamined="ICU WARD")
    assert known.body_part == "ICU WARD"
    assert known.warnings == (
        "DICOM BodyPartExamined 'ICU WARD' is not a known body part: only the pixels say whether this is a chest.",
    )
    assert read(BodyPartExamined="T?RAX").warnings == read(BodyPartExamined="UNKNOWN").warnings == ()


def test_a_body_part_in_utf_8(write_dicom: DicomWriter) -> None:
    path = write_dicom(np.arange(2000, dtype=np.uint16).reshape(40, 50))
    with_raw(path, b"\x18\x00\x15\x00", b"CS", "胸部".encode())
    known = read_radiograph(path)
    assert (known.body_part, known.warnings) == ("胸部", ())


@pytest.mark.parametrize(
    ("codes", "part"),
    [
        (coded("816094009"), "CHEST"),
        (coded("T-D3000"), "CHEST"),
        (coded("1", CodeMeaning="Hand"), "HAND"),
        (coded("1", CodeMeaning="Hand") + coded("39607008"), "CHEST"),
        ([], None),
    ],
)
def test_without_a_word_the_code_says_the_body_part(
    read: Callable[..., Radiograph], codes: list[Dataset], part: str | None
) -> None:
    assert read(AnatomicRegionSequence=codes).body_part == part
    assert read(BodyPartExamined="UNKNOWN", AnatomicRegionSequence=codes).body_part == part
    assert read(BodyPartExamined="TORAX", AnatomicRegionSequence=codes).body_part == "TORAX"


@pytest.mark.parametrize(
    ("code", "view"),
    [
        ("272479007", View.PA),
        ("R-10214", View.PA),
        ("399348003", View.AP),
        ("R-10206", View.AP),
        ("399173006", View.LATERAL),
        ("R-10232", View.LATERAL),
        ("399033003", View.FRONTAL),
        ("1234", None),
    ],
)
def test_view_code(read: Callable[..., Radiograph], code: str, view: View | None) -> None:
    assert read(ViewCodeSequence=coded(code)).view is view


def test_a_supine_patient(read: Callable[..., Radiograph]) -> None:
    recumbent = coded("102538003", PatientOrientationModifierCodeSequence=coded("40199007"))
    assert read(ViewPosition="AP", PatientOrientationCodeSequence=recumbent).view is View.AP_SUPINE


@pytest.mark.parametrize(
    ("text", "years"), [("045Y", 45), ("006M", 0.5), ("012W", 84 / 365.25), ("030D", 30 / 365.25), ("000D", 0)]
)
def test_age(read: Callable[..., Radiograph], text: str, years: float) -> None:
    assert read(PatientAge=text).age == pytest.approx(years)


def test_age_by_dates(read: Callable[..., Radiograph]) -> None:
    assert read(PatientBirthDate="19600301", StudyDate="20200301").age == pytest.approx(60, abs=0.01)
    assert read(PatientBirthDate="19600301").age is None


@pytest.mark.parametrize(
    ("elements", "field", "value", "warning"),
    [
        ({"PatientAge": "81"}, "age", 81.0, "years are assumed"),
        ({"PatientAge": "999Y"}, "age", None, "'999Y' is not an age"),
        ({"PatientAge": "old"}, "age", None, "'old' is not an age"),
        ({"PatientBirthDate": "20210101", "StudyDate": "20200101"}, "age", None, "does not go with StudyDate"),
        ({"PatientBirthDate": "notadate", "StudyDate": "20200101"}, "age", None, "is not a date"),
        ({"PatientSex": "X"}, "sex", None, "'X' is none of M, F, O"),
        ({"Laterality": "Q"}, "laterality", None, "'Q' is none of L, R, U, B"),
        ({"PixelSpacing": [0.1, 0]}, "pixel_spacing", None, "is not two positive numbers"),
        ({"PixelSpacing": [0.1]}, "pixel_spacing", None, "is not two positive numbers"),
        ({"BurnedInAnnotation": "MAYBE"}, "burned_in_annotation", None, "is neither YES nor NO"),
        ({"ViewCodeSequence": []}, "view", None, ""),
    ],
)
def test_defective_values(
    read: Callable[..., Radiograph], elements: dict[str, Any], field: str, value: object, warning: str
) -> None:
    known = read(**elements)
    assert getattr(known, field) == value
    assert warning in " ".join(known.warnings)


def test_a_number_that_is_no_number(write_dicom: DicomWriter) -> None:
    path = write_dicom(np.arange(2000, dtype=np.uint16).reshape(40, 50))
    with_raw(path, b"\x18\x00\x64\x11", b"DS", b"abc\\def ")  # ImagerPixelSpacing
    known = read_radiograph(path)
    assert known.pixel_spacing is None
    assert "ImagerPixelSpacing" in known.warnings[0]


def test_by_what_an_archive_finds_the_image_again(write_dicom: DicomWriter) -> None:
    uids = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.4", "AccessionNumber": "A77", "PatientID": "4711"}
    path = write_dicom(np.arange(2000, dtype=np.uint16).reshape(40, 50), **uids)
    known = read_radiograph(path)
    assert known.identifiers.sop_instance_uid
    assert (known.identifiers.study_instance_uid, known.identifiers.series_instance_uid) == ("1.2.3", "1.2.4")
    assert (known.identifiers.accession_number, known.identifiers.patient_id) == ("A77", None)
    asked_for = read_radiograph(path, keep_identifiers=True)
    assert asked_for.identifiers.patient_id == "4711"
    assert "4711" not in repr(asked_for)


@pytest.mark.parametrize(
    ("elements", "spacing", "plane"),
    [
        ({"ImagerPixelSpacing": [0.2, 0.2]}, (0.2, 0.2), "detector"),
        ({"PixelSpacing": [0.2, 0.2]}, (0.2, 0.2), "detector"),
        ({"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.2, 0.2]}, (0.2, 0.2), "detector"),
        ({"PixelSpacing": [0.18, 0.18], "ImagerPixelSpacing": [0.2, 0.2]}, (0.18, 0.18), "patient"),
        ({"PixelSpacing": [0.18, 0.18], "PixelSpacingCalibrationType": "FIDUCIAL"}, (0.18, 0.18), "patient"),
        ({"NominalScannedPixelSpacing": [0.1, 0.1]}, (0.1, 0.1), "film"),
        ({}, None, None),
    ],
)
def test_where_a_spacing_holds(
    read: Callable[..., Radiograph],
    elements: dict[str, Any],
    spacing: tuple[float, float] | None,
    plane: str | None,
) -> None:
    known = read(**elements)
    assert (known.pixel_spacing, known.spacing_plane) == (spacing, plane)
    assert known.warnings == ()
