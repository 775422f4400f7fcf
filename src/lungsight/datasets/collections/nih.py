"""NIH ChestX-ray14 (Wang et al. 2017), in its own layout or as a folder for each class."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd

from lungsight.datasets.collection import Build, BuildOptions, Collection, build_of, images_under, read_csv, years
from lungsight.radiograph import View

_TABLE = "Data_Entry_2017*.csv"
_COLUMNS = ("Image Index", "Finding Labels", "Patient Age", "View Position")


def _read(folder: Path, options: BuildOptions) -> Build:
    entries = _entries(folder)
    rows: list[dict[str, object]] = []
    left_out: Counter[str] = Counter()
    for path in images_under(folder):
        entry = entries.get(path.stem, {})
        finding = entry.get("Finding Labels", path.parent.name)
        label = label_of(finding)
        if label is None:
            left_out["neither 'No Finding' nor 'Pneumonia' among its findings"] += 1
        else:
            rows.append(_row(path, label, finding, entry))
    return build_of(rows, left_out, "nih", folder)


def _entries(folder: Path) -> dict[str, dict[str, str]]:
    """What the official table says, by image; nothing where the table is not there."""
    tables = sorted(folder.rglob(_TABLE))
    if not tables:
        return {}
    table: pd.DataFrame = read_csv(tables[-1], _COLUMNS)
    records = table.to_dict("records")
    return {Path(record["Image Index"]).stem: {str(k): str(v) for k, v in record.items()} for record in records}


def label_of(finding: str) -> str | None:
    """The label of ``Infiltration|Pneumonia`` or of a folder ``No_findings``; None where it is another finding."""
    findings = {part.strip().lower().replace("_", " ") for part in finding.split("|")}
    if "pneumonia" in findings:
        return "other_pneumonia"
    return "no_pneumonia" if findings & {"no finding", "no findings"} else None


def _row(path: Path, label: str, finding: str, entry: dict[str, str]) -> dict[str, object]:
    view = entry.get("View Position", "")
    sex = entry.get("Patient Gender") or entry.get("Patient Sex", "")  # the column was renamed in 2020
    return {
        "path": str(path),
        "label": label,
        "patient": path.stem[:8] if path.stem[:8].isdigit() else "",
        "study": path.stem if path.stem[:8].isdigit() else "",
        "site": "NIH Clinical Center",
        "finding": finding,
        "reference_standard": "report, read by software",
        "view": view if view in (View.PA, View.AP) else View.FRONTAL,
        "modality": "X-ray",
        "age": years(entry.get("Patient Age", "").rstrip("Yy")),
        "sex": sex if sex in ("M", "F") else "",
    }


NIH = Collection(
    name="nih",
    title="NIH ChestX-ray14 (Wang, Peng, Lu and others)",
    home="https://nihcc.app.box.com/v/ChestXray-NIHCC",
    licence="free to use, with the NIH Clinical Center named as the source and the paper of 2017 cited",
    labels_rest_on="radiologists' reports, read by software: the authors put its accuracy above 90%, others lower",
    traps=(
        "labels mined from reports are noisy, pneumonia most of all: it is often a guess at what caused an opacity",
        "'No Finding' means none of 14 findings, not a healthy chest",
        "adults, one hospital, square pictures: a model may know the collection by its looks",
        "many patients have dozens of images: split by patient",
        "images with other findings only are left out",
    ),
    # The images lie behind Box pages, whose links are made anew for each visit: there is nothing to fetch directly.
    how_to_get="download the images_0xx.tar.gz files and Data_Entry_2017_v2020.csv from the home page by hand "
    "(Box; no account needed), and unpack them into one folder",
    layout="Data_Entry_2017*.csv and images_0xx/images/, or No_findings/ and Pneumonia/ (with or without the table)",
    read=_read,
)
