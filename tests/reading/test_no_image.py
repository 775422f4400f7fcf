"""What lies beside images on a disc or in a folder: passed over and counted, and never an image among it."""

from __future__ import annotations

import gzip
import zipfile
from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    BasicTextSRStorage,
    DigitalXRayImageStorageForPresentation,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    RTPlanStorage,
)

from lungsight.errors import UnreadableImageError
from lungsight.reading import ImageFile, read_radiograph, walk_images

OBJECTS = [
    ("SR", BasicTextSRStorage, "report"),
    ("PR", GrayscaleSoftcopyPresentationStateStorage, "presentation state"),
    ("KO", KeyObjectSelectionDocumentStorage, "key object selection"),
    ("DOC", EncapsulatedPDFStorage, "document"),
    ("RTPLAN", RTPlanStorage, "radiotherapy object"),
    ("OT", "1.2.3.4.5", "DICOM object without pixels"),
    ("", "1.2.3.4.5", "DICOM object without pixels"),
]


def _object(modality: str, of_class: str, *, in_meta: str | None = None, implicit: bool = False) -> Dataset:
    syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    found = Dataset()
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = syntax
    found.file_meta.MediaStorageSOPClassUID = in_meta or of_class
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID = "1.2.3"
    found.SOPClassUID = of_class
    if modality:
        found.Modality = modality
    found.PatientID = "p"
    return found


def _film(modality: str = "DX", side: int = 80) -> Dataset:
    image = _object(modality, DigitalXRayImageStorageForPresentation)
    image.Rows = image.Columns = side
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit, image.PixelRepresentation, image.SamplesPerPixel = 7, 0, 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.PixelData = np.random.default_rng(0).integers(0, 255, (side, side), np.uint8).tobytes()
    return image


def _picture(side: int, form: str = "PNG", **settings: object) -> bytes:
    data = BytesIO()
    noise = np.random.default_rng(side).integers(0, 255, (side, side), np.uint8)
    Image.fromarray(noise).save(data, form, **settings)
    return data.getvalue()


def _animation() -> bytes:
    frames = [Image.new("L", (100, 100), grey) for grey in (20, 200)]
    data = BytesIO()
    frames[0].save(data, "GIF", save_all=True, append_images=frames[1:])
    return data.getvalue()


def _walked(folder: Path) -> tuple[list[str], dict[str, int]]:
    passed_over: Counter[str] = Counter()
    found = [
        found.name if isinstance(found, ImageFile) else str(found)
        for found in walk_images([folder], passed_over=passed_over)
    ]
    return found, dict(passed_over)


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("name", ["SR000001", "report.dcm"])
@pytest.mark.parametrize(("modality", "of_class", "kind"), OBJECTS)
def test_an_object_without_pixels_is_passed_over(
    tmp_path: Path, modality: str, of_class: str, kind: str, name: str, implicit: bool
) -> None:
    _film().save_as(tmp_path / "image.dcm", enforce_file_format=True)
    _object(modality, of_class, implicit=implicit).save_as(tmp_path / name, enforce_file_format=True)
    assert _walked(tmp_path) == ([str(tmp_path / "image.dcm")], {kind: 1})


def test_the_class_in_the_file_s_meta_header_may_be_that_of_an_image(tmp_path: Path) -> None:
    _film().save_as(tmp_path / "image.dcm", enforce_file_format=True)
    report = _object("SR", BasicTextSRStorage, in_meta=DigitalXRayImageStorageForPresentation)
    report.save_as(tmp_path / "SR1")
    assert _walked(tmp_path) == ([str(tmp_path / "image.dcm")], {"report": 1})


@pytest.mark.parametrize("modality", ["SR", "PR", "DOC", "OT", "", "RTIMAGE"])
def test_what_holds_pixels_is_never_passed_over(tmp_path: Path, modality: str) -> None:
    _film(modality).save_as(tmp_path / "IM1", enforce_file_format=True)
    assert _walked(tmp_path) == ([str(tmp_path / "IM1")], {})


def test_given_by_name_it_is_read_and_says_what_is_wrong(tmp_path: Path) -> None:
    _object("SR", BasicTextSRStorage).save_as(tmp_path / "SR1", enforce_file_format=True)
    (found,) = walk_images([tmp_path / "SR1"])
    assert isinstance(found, ImageFile)
    with pytest.raises(UnreadableImageError, match=r"this DICOM file \(SR\) holds no pixels"):
        read_radiograph(found)


def test_a_damaged_object_is_left_to_the_reader(tmp_path: Path) -> None:
    whole = BytesIO()
    _object("SR", BasicTextSRStorage).save_as(whole, enforce_file_format=True)
    (tmp_path / "SR1.dcm").write_bytes(whole.getvalue()[:300])
    assert _walked(tmp_path)[1] == {}


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize(("side", "is_icon"), [(16, True), (31, True), (32, False), (64, False), (200, False)])
def test_icons_are_passed_over_in_every_format(tmp_path: Path, form: str, side: int, is_icon: bool) -> None:
    (tmp_path / "image.png").write_bytes(_picture(300))
    (tmp_path / f"a.{form.lower()}").write_bytes(_picture(side, form))
    found, passed_over = _walked(tmp_path)
    assert passed_over == ({"icon": 1} if is_icon else {})
    assert len(found) == (1 if is_icon else 2)


def test_an_icon_whose_size_stands_behind_its_first_kilobyte(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(_picture(300))
    (tmp_path / "a.jpg").write_bytes(_picture(24, "JPEG", comment=b"x" * 5000))
    assert _walked(tmp_path)[1] == {"icon": 1}


def test_an_animation_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(_picture(300))
    (tmp_path / "wait.gif").write_bytes(_animation())
    assert _walked(tmp_path)[1] == {"animation": 1}


def test_files_of_other_kinds_are_counted_by_their_endings(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(_picture(300))
    for name in ("a.mov", "b.MOV", "c.avi", "d.doc", "notes", "index.html", "x.y z"):
        (tmp_path / name).write_bytes(b"some content that is no image")
    passed_over = _walked(tmp_path)[1]
    assert passed_over == {".mov": 2, ".avi": 1, ".doc": 1, ".html": 1, "file without a known ending": 2}


def test_a_compressed_file_is_counted_or_read(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(_picture(300))
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"no image"))
    found, passed_over = _walked(tmp_path)
    assert len(found) + sum(passed_over.values()) == 2


def test_a_disc_in_an_archive(tmp_path: Path) -> None:
    image, report = BytesIO(), BytesIO()
    _film().save_as(image, enforce_file_format=True)
    _object("SR", BasicTextSRStorage).save_as(report, enforce_file_format=True)
    with zipfile.ZipFile(tmp_path / "cd.zip", "w") as disc:
        disc.writestr("IMAGES/IM1", image.getvalue())
        disc.writestr("IMAGES/SR1", report.getvalue())
        disc.writestr("viewer/icon.png", _picture(16))
        disc.writestr("viewer/icon.jpg", _picture(16, "JPEG"))
        disc.writestr("viewer/v.exe", b"MZ")
    found, passed_over = _walked(tmp_path / "cd.zip")
    assert [Path(name).name for name in found] == ["IM1"]
    assert passed_over == {"report": 1, "icon": 2, ".exe": 1}
