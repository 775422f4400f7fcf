"""Chest X-rays of children from Guangzhou (Kermany et al. 2018)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from lungsight.datasets.collection import BuildOptions, Row, images_under, rows_by_folder
from lungsight.radiograph import View

#: The second version's names (also Kaggle's), then the third version's.
_NAMES = (
    re.compile(r"(?P<patient>person\d+)_(?P<finding>bacteria|virus)_\d+"),
    re.compile(r"(?P<patient>(?:NORMAL\d*-)?IM-\d+)-\d+(?:-\d+)?"),
    re.compile(r"(?P<finding>BACTERIA|VIRUS|NORMAL)-(?P<patient>\d+)-\d+"),
)
_LABELS = {"NORMAL": "no_pneumonia", "PNEUMONIA": "other_pneumonia"}
_SAME: Row = {"site": "Guangzhou", "reference_standard": "physicians", "view": View.AP, "modality": "X-ray"}
_SAME |= {"paediatric": "yes"}


def rows(root: Path, options: BuildOptions) -> Iterator[Row | str]:
    """Yield the rows of ``kermany``."""
    # Kaggle's archive holds all images a second time, in chest_xray/chest_xray.
    paths = (path for side in ("train", "val", "test") for path in images_under(root / side))
    return rows_by_folder(paths, _LABELS, _row)


def _row(path: Path) -> Row:
    patient, finding = patient_and_finding(path.stem)
    return {"patient": patient, "finding": finding or path.parent.name.lower(), **_SAME}


def patient_and_finding(stem: str) -> tuple[str, str]:
    """Return the patient and the kind of pneumonia in a file's name, empty where it has none.

    In the collection the numbers of ``train`` and ``test`` overlap, as do those of bacteria and virus, and nothing
    says whether an equal number is the same child. It is taken to be: a split by patient then may keep two
    children together, but never parts one.
    """
    for pattern in _NAMES:
        match = pattern.fullmatch(stem)
        if match:
            return match["patient"], match.groupdict().get("finding", "").lower()
    return "", ""
