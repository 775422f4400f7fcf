"""Chest X-rays of children from Guangzhou (Kermany et al. 2018)."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from lungsight.datasets.collection import (
    Build,
    BuildOptions,
    Collection,
    RemoteFile,
    build_of,
    images_under,
    root_holding,
)
from lungsight.radiograph import View

#: The second version's names (also Kaggle's), then the third version's.
_NAMES = (
    re.compile(r"(?P<patient>person\d+)_(?P<finding>bacteria|virus)_\d+"),
    re.compile(r"(?P<patient>(?:NORMAL\d*-)?IM-\d+)-\d+(?:-\d+)?"),
    re.compile(r"(?P<finding>BACTERIA|VIRUS|NORMAL)-(?P<patient>\d+)-\d+"),
)
_LABELS = {"NORMAL": "no_pneumonia", "PNEUMONIA": "other_pneumonia"}


def _read(folder: Path, options: BuildOptions) -> Build:
    root = root_holding(folder, "train/NORMAL", "kermany")
    rows: list[dict[str, object]] = []
    left_out: Counter[str] = Counter()
    # Kaggle's archive holds all images a second time, in chest_xray/chest_xray.
    for path in (path for side in ("train", "val", "test") for path in images_under(root / side)):
        label = _LABELS.get(path.parent.name)
        if label is None:
            left_out["in a folder other than NORMAL and PNEUMONIA"] += 1
            continue
        patient, finding = patient_and_finding(path.stem)
        rows.append(
            {
                "path": str(path),
                "label": label,
                "patient": patient,
                "site": "Guangzhou",
                "finding": finding or path.parent.name.lower(),
                "reference_standard": "physicians",
                "view": View.AP,
                "modality": "X-ray",
            }
        )
    return build_of(rows, left_out, "kermany", root)


def patient_and_finding(stem: str) -> tuple[str, str]:
    """The patient and the kind of pneumonia that a file's name tells; empty where it tells none.

    In the collection the numbers of ``train`` and ``test`` overlap, as do those of bacteria and virus, and nothing
    says whether an equal number is the same child. It is taken to be: a split by patient then may keep two
    children together, but never parts one.
    """
    for pattern in _NAMES:
        match = pattern.fullmatch(stem)
        if match:
            return match["patient"], match.groupdict().get("finding", "").lower()
    return "", ""


KERMANY = Collection(
    name="kermany",
    title="Chest X-rays of children aged 1 to 5, Guangzhou (Kermany, Zhang, Goldbaum)",
    home="https://data.mendeley.com/datasets/rscbjbr9sj",
    licence="CC BY 4.0",
    labels_rest_on="two physicians' reading, checked by a third for the test set; bacteria or virus by file name",
    traps=(
        "children aged 1 to 5: a model that sees them as negatives only learns age, not disease",
        "no age is given for any one child, so the column age stays empty",
        "an equal person number is taken for the same child, in train and test and for bacteria and virus alike; "
        "nothing in the collection confirms it",
        "Kaggle's `val` holds 16 images; the three folders are read as one, and the manifest has no split yet",
    ),
    how_to_get="`lungsight data get kermany` fetches ChestXRay2017.zip from Mendeley Data",
    layout="chest_xray/{train,val,test}/{NORMAL,PNEUMONIA}/",
    read=_read,
    downloads=(
        RemoteFile(
            "https://data.mendeley.com/public-files/datasets/rscbjbr9sj/files/"
            "f12eaf6d-6023-432f-acc9-80c9d7393433/file_downloaded",
            "ChestXRay2017.zip",
            gigabytes=1.2,
        ),
    ),
)
