"""NIH ChestX-ray14 (Wang et al. 2017), in its own layout or as a folder for each class."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lungsight.datasets.collection import BuildOptions, Row, images_under, read_csv, years
from lungsight.radiograph import View

_TABLES = ("Data_Entry_2017*.csv", "Data_Entry_2017*.csv.gz")
_COLUMNS = ("Image Index", "Finding Labels", "Patient Age", "View Position")


def rows(folder: Path, options: BuildOptions) -> Iterator[Row | str]:
    """Yield the rows of ``nih``."""
    entries = _entries(options.nih_table or _table_in(folder))
    for path in images_under(folder):
        entry = entries.get(path.stem, {})
        finding = entry.get("Finding Labels", path.parent.name)
        label = label_of(finding)
        if label is None:
            yield "neither 'No Finding' nor 'Pneumonia' among its findings"
        else:
            yield _row(path, label, finding, entry)


def _table_in(folder: Path) -> Path | None:
    return next((table for pattern in _TABLES for table in sorted(folder.rglob(pattern), reverse=True)), None)


def _entries(table: Path | None) -> dict[str, dict[str, str]]:
    """What the official table says, by image; nothing where there is none."""
    if table is None:
        return {}
    records = read_csv(table, _COLUMNS).to_dict("records")
    return {Path(record["Image Index"]).stem: {str(k): str(v) for k, v in record.items()} for record in records}


def label_of(finding: str) -> str | None:
    """Return the label of ``Infiltration|Pneumonia`` or of a folder ``No_findings``; None for another finding."""
    findings = {part.strip().lower().replace("_", " ") for part in finding.split("|")}
    if "pneumonia" in findings:
        return "other_pneumonia"
    return "no_pneumonia" if findings & {"no finding", "no findings"} else None


def _row(path: Path, label: str, finding: str, entry: dict[str, str]) -> Row:
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
