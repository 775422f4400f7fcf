"""Result objects are what the standard wants, in the patient's own study, and the same whenever they are made."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicom_phantom import phantom_pixels
from lungsight.dicom_results import codes
from lungsight.dicom_results.geometry import mask_on_stored
from lungsight.dicom_results.objects import Kind, ResultObject, ResultObjects, kinds_of
from lungsight.dicom_results.source_image import SourceImage
from lungsight.errors import LungsightError
from lungsight.evaluation.grade import Grade, Shortcut
from lungsight.inference import INCONCLUSIVE, Detector, Finding, Status
from lungsight.package.stated_grade import StatedGrade
from lungsight.radiograph import Placement

Find = Callable[..., Finding]
ALL = tuple(Kind)


def made(detector: Detector, finding: Finding, *kinds: Kind) -> dict[Kind, ResultObject]:
    return {one.kind: one for one in ResultObjects(detector, kinds or ALL).of(finding)}


def read(one: ResultObject) -> Dataset:
    return dcmread(BytesIO(one.as_bytes()))


def _errors(program: str, *paths: Path) -> list[str]:
    if shutil.which(program) is None:
        pytest.skip(f"dicom3tools' {program} is not installed")
    done = subprocess.run([program, *map(str, paths)], capture_output=True, check=False)
    return [line for line in (done.stdout + done.stderr).decode("latin-1").splitlines() if line.startswith("Error")]


@pytest.fixture
def files(keeping: Detector, found: Find, tmp_path: Path) -> dict[str, Path]:
    """The phantom and its four objects."""
    paths = {"image": tmp_path / "0.dcm"}
    for kind, one in made(keeping, found(0)).items():
        paths[kind] = tmp_path / f"{kind}.dcm"
        paths[kind].write_bytes(one.as_bytes())
    return paths


@pytest.mark.parametrize("kind", ["image", *ALL])
def test_a_validator_finds_no_error(files: dict[str, Path], kind: str) -> None:
    assert _errors("dciodvfy", files[kind]) == []


def test_image_and_results_are_one_study(files: dict[str, Path]) -> None:
    assert _errors("dcentvfy", *files.values()) == []


def test_dcmtk_reads_report_and_presentation_state(files: dict[str, Path]) -> None:
    if shutil.which("dsrdump") is None:
        pytest.skip("dcmtk is not installed")
    dumped = subprocess.run(["dsrdump", "+Pl", str(files[Kind.SR])], capture_output=True, check=True).stdout
    shown = dumped.decode("latin-1")  # the phantom's own character set
    for word in ("Pneumonia caused by SARS-CoV-2", "Has interpretation", "PRELIMINARY", "UNVERIFIED", "Image Region"):
        assert word in shown
    checked = subprocess.run(["dcmpschk", str(files[Kind.GSPS])], capture_output=True, text=True, check=False)
    assert "Test passed" in checked.stdout + checked.stderr


def test_the_same_finding_makes_the_same_bytes(keeping: Detector, found: Find) -> None:
    first, second = (made(keeping, found(0)) for _ in range(2))
    assert list(first) == [Kind.SC, Kind.SR, Kind.GSPS, Kind.SEG]
    assert {kind: one.as_bytes() for kind, one in first.items()} == {
        kind: one.as_bytes() for kind, one in second.items()
    }


def test_uids_tell_images_kinds_and_packages_apart(keeping: Detector, found: Find, monkeypatch: Any) -> None:
    of_one = {one.uid for one in made(keeping, found(0)).values()}
    of_other = {one.uid for one in made(keeping, found(1)).values()}
    monkeypatch.setattr(keeping.package, "sha256", "0" * 64)
    of_other_package = {one.uid for one in made(keeping, found(0)).values()}
    assert len(of_one | of_other | of_other_package) == 12


def test_they_are_in_the_study_of_the_image_and_say_who_made_them(keeping: Detector, found: Find) -> None:
    finding = found(0)
    source = finding.radiograph.header
    for one in map(read, made(keeping, finding).values()):
        for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "IssuerOfPatientID", "AccessionNumber"):
            assert one.get(keyword) == source.get(keyword), keyword
        assert one.SeriesInstanceUID != source.SeriesInstanceUID
        assert one.Manufacturer == "lungsight"
        assert one.ContributingEquipmentSequence[0].SoftwareVersions
        assert "not for diagnosis" in one.SeriesDescription


def test_the_time_is_the_earliest_at_which_they_can_have_been_made(keeping: Detector, found: Find) -> None:
    report = made(keeping, found(0), Kind.SR)[Kind.SR].dataset
    assert (report.ContentDate, report.ContentTime) == ("20261130", "080001")
    older = made(keeping, found(1, ContentDate="20150301"), Kind.SR)[Kind.SR].dataset
    assert older.ContentDate == "20260102"  # when the package was made
    undated = dict.fromkeys(("ContentDate", "AcquisitionDate", "SeriesDate", "StudyDate"), "")
    assert made(keeping, found(2, **undated), Kind.SR)[Kind.SR].dataset.ContentDate == "20260102"
    assert keeping.description.created == datetime(2026, 1, 2, tzinfo=UTC)


def test_refused_and_unread_images_get_nothing(keeping: Detector, found: Find) -> None:
    lateral = found(0, ViewPosition="LL", ViewCodeSequence=[])
    assert lateral.status is Status.REFUSED
    assert made(keeping, lateral) == {}
    assert made(keeping, Finding("x", Status.ERROR, None)) == {}
    assert made(keeping, replace(found(0), radiograph=None)) == {}


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("value", ["", "not a uid"])
def test_without_a_uid_there_is_one_sentence(keeping: Detector, found: Find, keyword: str, value: str) -> None:
    with pytest.raises(LungsightError, match=keyword):
        made(keeping, found(0, **{keyword: value}))


def test_a_class_that_is_no_radiograph_is_refused() -> None:
    header = Dataset()
    header.StudyInstanceUID = header.SeriesInstanceUID = header.SOPInstanceUID = "1.2.3"
    header.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    with pytest.raises(LungsightError, match="CT Image Storage"):
        SourceImage.of("x.dcm", header)


@pytest.mark.parametrize(
    "changed",
    [
        {"PatientSex": "W"}, {"StudyDate": "yesterday"}, {"PatientBirthDate": "19701350"}, {"StudyTime": "morning"},
        {"BodyPartExamined": ""}, {"PatientName": None, "StudyID": None, "AccessionNumber": None},
        {"SpecificCharacterSet": "NONSENSE"}, {"PatientOrientation": []}, {"InstanceNumber": None},
        {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "陈^小明"},
        {"FrameOfReferenceUID": "1.2.3.4"}, {"ImagerPixelSpacing": None},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1"},
    ],
)  # fmt: skip
def test_a_defective_header_makes_all_objects_all_the_same(
    keeping: Detector, found: Find, tmp_path: Path, changed: dict[str, Any]
) -> None:
    finding = found(0, **changed)
    assert finding.status is Status.READ
    objects = made(keeping, finding)
    assert [read(one).PatientID for one in objects.values()] == ["P-0"] * 4
    assert len(groups(objects[Kind.SR])) > 1
    (tmp_path / "sr.dcm").write_bytes(objects[Kind.SR].as_bytes())
    assert _errors("dciodvfy", tmp_path / "sr.dcm") == []


def test_the_picture_holds_image_outline_and_words(keeping: Detector, found: Find) -> None:
    capture = read(made(keeping, found(0), Kind.SC)[Kind.SC])
    pixels = capture.pixel_array
    assert capture.Modality == "OT"
    assert capture.BurnedInAnnotation == "NO"
    assert max(pixels.shape[:2]) <= 1500
    words = pixels[:, -448:]
    assert (words.max(axis=2) > 200).mean() > 0.01  # letters
    yellow = (pixels[..., 0] > 180) & (pixels[..., 1] > 170) & (pixels[..., 2] < 140)
    assert yellow.sum() > 200


def groups(one: ResultObject) -> list[Any]:
    report = hd.sr.Comprehensive3DSR.from_dataset(read(one))
    return report.content.get_planar_roi_measurement_groups()


def test_the_report_states_the_answer_and_where_its_evidence_is(keeping: Detector, found: Find) -> None:
    finding = found(0)
    answer, *others = groups(made(keeping, finding, Kind.SR)[Kind.SR])
    assert answer.tracking_identifier == "Signs of COVID-19 (research)"
    assert answer.finding_type == codes.FINDINGS["covid19"]
    (probability,) = answer.get_measurements(name=codes.PROBABILITY)
    assert probability.value == pytest.approx(100 * finding.probabilities["covid19"], abs=0.006)
    assert probability.unit == codes.PERCENT
    (interpretation,) = answer.get_qualitative_evaluations(name=codes.HAS_INTERPRETATION)
    assert interpretation.value == codes.interpretation(str(finding.decision), "covid19")
    (grade,) = answer.get_qualitative_evaluations(name=codes.GRADE)
    assert grade.value == codes.NO_GRADE
    assert {group.finding_type for group in others} <= {codes.CLASS_ACTIVATION, codes.FINDINGS["other_pneumonia"]}
    assert [group for group in others if group.finding_type == codes.CLASS_ACTIVATION]


@pytest.mark.parametrize(
    ("decision", "code"),
    [("covid19", codes.POSITIVE), (INCONCLUSIVE, codes.INDETERMINATE), ("no_pneumonia", codes.NEGATIVE)],
)
def test_what_a_decision_is_called(keeping: Detector, found: Find, decision: str, code: Any) -> None:
    report = made(keeping, replace(found(0), decision=decision), Kind.SR)[Kind.SR]
    (stated,) = groups(report)[0].get_qualitative_evaluations(name=codes.HAS_INTERPRETATION)
    assert stated.value == code


def test_another_class_has_a_group_only_if_it_is_the_decision(keeping: Detector, found: Find) -> None:
    for decision in ("other_pneumonia", "no_pneumonia", "covid19"):
        report = made(keeping, replace(found(0), decision=decision), Kind.SR)[Kind.SR]
        named = [group.finding_type for group in groups(report)]
        assert (codes.FINDINGS["other_pneumonia"] in named) == (decision == "other_pneumonia")


def test_every_grade_has_its_code() -> None:
    assert set(codes.GRADES) == set(Grade)
    assert set(codes.SHORTCUTS) == set(Shortcut)
    stated = StatedGrade(Grade.INTERNAL_ONLY, "", "", Shortcut.FOUND)
    assert [value.value for _, value in codes.grade_codes(stated)] == ["G-INTERNAL", "S-FOUND"]
    short = [*codes.GRADES.values(), *codes.SHORTCUTS.values(), codes.NO_GRADE.value]
    assert all(len(code) <= 16 for code in short)  # a longer one would be a Long Code Value, which viewers don't read


@pytest.mark.parametrize(
    ("orientation", "mirrored", "turned"),
    [(["L", "F"], False, 0), (["R", "F"], True, 0), (["R", "H"], False, 180), (["F", "R"], False, 90)],
)
def test_regions_are_on_the_stored_pixels(
    keeping: Detector, found: Find, orientation: list[str], mirrored: bool, turned: int
) -> None:
    """Of an image that is stored mirrored or turned, results are mirrored or turned back."""
    upright = phantom_pixels(0)
    placement = Placement(upright.shape[1], upright.shape[0], mirrored, turned)
    finding = found(0, mask_on_stored(upright, placement), PatientOrientation=orientation)
    assert (finding.placement.mirrored, finding.placement.turned) == (mirrored, turned)
    one = made(keeping, finding, Kind.SEG, Kind.SR)
    lungs = mask_on_stored(finding.lungs.on(*upright.shape), placement)
    assert (read(one[Kind.SEG]).pixel_array.astype(bool) == lungs).mean() > 0.98
    x, y = groups(one[Kind.SR])[0].roi.value.T[:2]
    for axis, values in ((0, x), (1, y)):
        inside = np.flatnonzero(lungs.any(axis=axis))
        assert (values.min(), values.max() - 1) == pytest.approx((inside.min(), inside.max()), abs=4)


def test_kinds_are_read_in_any_order_and_others_refused() -> None:
    assert kinds_of("SR, sc") == (Kind.SC, Kind.SR)
    for words in ("", "pm", "sc,xx"):
        with pytest.raises(LungsightError, match="sc, sr, gsps, seg"):
            kinds_of(words)
