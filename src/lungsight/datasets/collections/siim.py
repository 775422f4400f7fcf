"""SIIM-FISABIO-RSNA COVID-19 (Lakhani et al. 2021): what radiologists saw, with boxes."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pydicom

from lungsight.datasets.collection import (
    Build,
    BuildOptions,
    Collection,
    build_of,
    images_under,
    read_csv,
    root_holding,
)
from lungsight.errors import CollectionError
from lungsight.radiograph import View

_LABELS = {
    "Negative for Pneumonia": "no_pneumonia",
    "Typical Appearance": "covid19",
    "Indeterminate Appearance": "indeterminate",
    "Atypical Appearance": "atypical",
}
_NUMBER = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"
_MARKS = rf"(?:(?:opacity|none)(?: {_NUMBER}){{5}} ?)+"
_AGAIN = "get the file again"
_HEADER = ("Rows", "Columns", "PatientID", "Modality", "ViewPosition", "PatientSex")


@dataclass(frozen=True)
class _Image:
    """What is known of one image apart from its labels; sizes are those of the original, in pixels."""

    patient: str
    study: str
    height: float
    width: float
    modality: str = "X-ray"
    view: str = View.FRONTAL
    sex: str = ""


def _read(folder: Path, options: BuildOptions) -> Build:
    root = root_holding(folder, "train_study_level.csv", "siim")
    findings = _findings(root)
    marks = _marks(root)
    known = _known(root)
    rows: list[dict[str, object]] = []
    left_out: Counter[str] = Counter()
    for path in images_under(root / "train"):
        image = known.get(path.stem) or _from_header(path)
        if image is None:
            left_out["neither in train_meta.csv nor a DICOM file with a readable header"] += 1
        elif image.study not in findings:
            left_out["its study is not in train_study_level.csv"] += 1
        else:
            rows.append(_row(path, image, findings[image.study], marks.get(path.stem, "")))
    return build_of(rows, left_out, "siim", root)


def _findings(root: Path) -> dict[str, str]:
    path = root / "train_study_level.csv"
    table = read_csv(path, ("id", *_LABELS))
    marked = table[list(_LABELS)] == "1"
    if not (marked.sum(axis=1) == 1).all():
        raise CollectionError(path, "a study has none or several of the four appearances", _AGAIN)
    studies = table["id"].str.removesuffix("_study")
    return {str(study): str(name) for study, name in zip(studies, marked.idxmax(axis=1), strict=True)}


def _marks(root: Path) -> dict[str, str]:
    """What the radiologists drew in each image, in the collection's own form (see :func:`boxes_of`)."""
    path = root / "train_image_level.csv"
    table = read_csv(path, ("id", "label"))
    wrong = ~table["label"].str.fullmatch(_MARKS)
    if wrong.any():
        raise CollectionError(path, f"its row {wrong.argmax() + 2} holds no boxes as they should be", _AGAIN)
    images = table["id"].str.removesuffix("_image")
    return {str(image): str(mark) for image, mark in zip(images, table["label"], strict=True)}


def _known(root: Path) -> dict[str, _Image]:
    """What train_meta.csv says (it comes with the smaller copies of the collection, whose images have no header)."""
    path = root / "train_meta.csv"
    if not path.is_file():
        return {}
    table = read_csv(path, ("imageid", "patientid", "studyid", "height", "width"))
    sizes = table[["height", "width"]].apply(pd.to_numeric, errors="coerce")
    if not (sizes > 0).all(axis=None):
        raise CollectionError(path, "a height or width is not a number of pixels", _AGAIN)
    columns = (table[name] for name in ("imageid", "patientid", "studyid", "height", "width"))
    return {
        str(image): _Image(str(patient), str(study), float(height), float(width))
        for image, patient, study, height, width in zip(*columns, strict=True)
    }


def _from_header(path: Path) -> _Image | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's, about values that aren't asked for
            return _image_of(pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_HEADER)), path)
    except Exception:  # for a torn header pydicom raises a dozen kinds of error, some only when a value is asked for
        return None


def _image_of(header: pydicom.Dataset, path: Path) -> _Image:
    view = str(header.get("ViewPosition", ""))
    sex = str(header.get("PatientSex", ""))
    return _Image(
        patient=str(header.get("PatientID", "")),
        study=path.parent.parent.name,
        height=float(header.Rows),
        width=float(header.Columns),
        modality=str(header.get("Modality", "")) or "X-ray",
        view=view if view in (View.PA, View.AP) else View.FRONTAL,
        sex=sex if sex in ("M", "F", "O") else "",
    )


def _row(path: Path, image: _Image, finding: str, mark: str) -> dict[str, object]:
    boxes = boxes_of(mark, image.height, image.width)
    return {
        "path": str(path),
        "label": _LABELS[finding],
        "patient": image.patient,
        "study": image.study,
        "finding": finding,
        "reference_standard": "radiologist appearance",
        "view": image.view,
        "modality": image.modality,
        "sex": image.sex,
        "boxes": json.dumps(boxes) if boxes else "",
    }


def boxes_of(mark: str, height: float, width: float) -> list[list[float]]:
    """Boxes as [x0, y0, x1, y1] in fractions of width and height.

    ``mark`` is the collection's own form: ``opacity 1 x0 y0 x1 y1`` once or more in pixels, or ``none 1 0 0 1 1``.
    """
    words = mark.split()
    boxes = []
    for start in range(0, len(words) - 5, 6):
        if words[start] == "opacity":
            x0, y0, x1, y1 = (float(word) for word in words[start + 2 : start + 6])
            corners = (x0 / width, y0 / height, x1 / width, y1 / height)
            boxes.append([round(min(max(corner, 0.0), 1.0), 5) for corner in corners])
    return boxes


SIIM = Collection(
    name="siim",
    title="SIIM-FISABIO-RSNA COVID-19 Detection (Lakhani, Mongan and others)",
    home="https://www.kaggle.com/competitions/siim-covid19-detection",
    licence="the competition's rules: non-commercial use; the parts from BIMCV and RSNA RICORD have their own terms",
    labels_rest_on="radiologists' appearance of the study (Typical, Indeterminate, Atypical, Negative): not RT-PCR",
    traps=(
        "not PCR: a study 'Negative for Pneumonia' may be of a patient with COVID-19, and a typical one of another",
        "a study is not a patient: some patients have many studies, so split by patient",
        "the label is the study's; where it has several images, only one carries the boxes",
        "smaller copies are squashed to a square: boxes are kept as fractions, so that they fit any size",
    ),
    # Kaggle asks for an account and for the competition's rules to be accepted: nothing to fetch directly.
    how_to_get="with a Kaggle account, accept the competition's rules, then `kaggle competitions download -c "
    "siim-covid19-detection` and unpack it",
    layout="train_study_level.csv, train_image_level.csv and train/<study>/<series>/<image>.dcm; "
    "or train/<image>.jpg with train_meta.csv (imageid, patientid, studyid, height, width)",
    read=_read,
)
