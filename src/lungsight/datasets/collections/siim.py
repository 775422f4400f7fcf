"""SIIM-FISABIO-RSNA COVID-19 (Lakhani et al. 2021): what radiologists saw, with boxes."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pydicom

from lungsight.datasets.collection import AGAIN, BuildOptions, Row, images_under, read_csv
from lungsight.errors import CollectionError
from lungsight.radiograph import View

_LABELS = {
    "Negative for Pneumonia": "no_pneumonia",
    "Typical Appearance": "covid19",
    "Indeterminate Appearance": "indeterminate",
    "Atypical Appearance": "atypical",
}
#: Not a patient without COVID-19: of 828 images found again among patients with a positive PCR, 193 are negative.
_NEGATIVE, _NOTHING_SEEN = "Negative for Pneumonia", ": no opacity seen"
_NUMBER = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"
_MARKS = rf"(?:(?:opacity|none)(?: {_NUMBER}){{5}} ?)+"
_HEADER = ("Rows", "Columns", "PatientID", "Modality", "ViewPosition", "PatientSex")
#: What is known of an image apart from its labels, and the original's height and width in pixels.
_Known = tuple[Row, float, float]


def rows(root: Path, options: BuildOptions) -> Iterator[Row | str]:
    """Yield the rows of ``siim``."""
    findings, marks, known = _findings(root), _marks(root), _known(root)
    for path in images_under(root / "train"):
        image = known.get(path.stem) or _from_header(path)
        if image is None:
            yield "neither in train_meta.csv nor a DICOM file with a readable header"
        elif image[0]["study"] not in findings:
            yield "its study is not in train_study_level.csv"
        else:
            yield _row(path, image, findings[str(image[0]["study"])], marks.get(path.stem, ""))


def _findings(root: Path) -> dict[str, str]:
    path = root / "train_study_level.csv"
    table = read_csv(path, ("id", *_LABELS))
    marked = table[list(_LABELS)] == "1"
    if not (marked.sum(axis=1) == 1).all():
        raise CollectionError(path, "a study has none or several of the four appearances", AGAIN)
    studies = table["id"].str.removesuffix("_study")
    return {str(study): str(name) for study, name in zip(studies, marked.idxmax(axis=1), strict=True)}


def _marks(root: Path) -> dict[str, str]:
    """What the radiologists drew in each image, in the collection's own form (see :func:`boxes_of`)."""
    path = root / "train_image_level.csv"
    table = read_csv(path, ("id", "label"))
    wrong = ~table["label"].str.fullmatch(_MARKS)
    if wrong.any():
        raise CollectionError(path, f"its row {wrong.argmax() + 2} holds no boxes as they should be", AGAIN)
    images = table["id"].str.removesuffix("_image")
    return {str(image): str(mark) for image, mark in zip(images, table["label"], strict=True)}


def _known(root: Path) -> dict[str, _Known]:
    """What train_meta.csv says (it comes with the smaller copies of the collection, whose images have no header)."""
    path = root / "train_meta.csv"
    if not path.is_file():
        return {}
    table = read_csv(path, ("imageid", "patientid", "studyid", "height", "width"))
    sizes = table[["height", "width"]].apply(pd.to_numeric, errors="coerce")
    if not (sizes > 0).all(axis=None):
        raise CollectionError(path, "a height or width is not a number of pixels", AGAIN)
    keys = table[["imageid", "patientid", "studyid"]].to_numpy()
    return {
        image: ({"patient": patient, "study": study}, height, width)
        for (image, patient, study), (height, width) in zip(keys, sizes.to_numpy(float), strict=True)
    }


def _from_header(path: Path) -> _Known | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's, about values that aren't asked for
            return _image_of(pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_HEADER)), path)
    except Exception:  # for a torn header pydicom raises a dozen kinds of error, some only when a value is asked for
        return None


def _image_of(header: pydicom.Dataset, path: Path) -> _Known:
    view, sex = str(header.get("ViewPosition", "")), str(header.get("PatientSex", ""))
    facts: Row = {
        "patient": str(header.get("PatientID", "")),
        "study": path.parent.parent.name,
        "modality": str(header.get("Modality", "")) or "X-ray",
        "view": view if view in (View.PA, View.AP) else View.FRONTAL,
        "sex": sex if sex in ("M", "F", "O") else "",
    }
    return facts, float(header.Rows), float(header.Columns)


def _row(path: Path, image: _Known, finding: str, mark: str) -> Row:
    facts, height, width = image
    boxes = boxes_of(mark, height, width)
    return {
        "path": str(path),
        "label": _LABELS[finding],
        "finding": finding,
        "reference_standard": f"radiologist appearance{_NOTHING_SEEN if finding == _NEGATIVE else ''}",
        "view": View.FRONTAL,
        "modality": "X-ray",
        **facts,
        "boxes": json.dumps(boxes) if boxes else "",
    }


def boxes_of(mark: str, height: float, width: float) -> list[list[float]]:
    """Return boxes as [x0, y0, x1, y1] in fractions of width and height.

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
