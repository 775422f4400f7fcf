"""NIH ChestX-ray14 (Wang et al. 2017), in its own layout or as a folder for each class.

Where radiologists of the RSNA challenge (Shih et al. 2019) read an image, their class and boxes replace what software
read in the report.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from lungsight.datasets.collection import AGAIN, BuildOptions, Row, images_under, read_csv, years
from lungsight.errors import CollectionError
from lungsight.radiograph import View

_TABLES = ("Data_Entry_2017*.csv", "Data_Entry_2017*.csv.gz")
_READ = "rsna_labels.csv"
#: An image without an opacity that isn't normal shows something other than pneumonia; its label doesn't say what.
_RADIOLOGISTS = {
    "Normal": "no_pneumonia",
    "Lung Opacity": "other_pneumonia",
    "No Lung Opacity / Not Normal": "abnormal_without_opacity",
}
_COLUMNS = ("Image Index", "Finding Labels", "Patient Age", "View Position")


def rows(folder: Path, options: BuildOptions) -> Iterator[Row | str]:
    """Yield the rows of ``nih``."""
    entries, read = _entries(options.nih_table or _table_in(folder)), _read(folder)
    for path in images_under(folder):
        entry = entries.get(path.stem, {})
        finding = entry.get("Finding Labels", path.parent.name)
        label = label_of(finding)
        if label is None:
            yield "neither 'No Finding' nor 'Pneumonia' among its findings"
        else:
            yield _row(path, label, finding, entry) | _as_read(path, read.get(path.stem))


def _table_in(folder: Path) -> Path | None:
    return next((table for pattern in _TABLES for table in sorted(folder.rglob(pattern), reverse=True)), None)


def _entries(table: Path | None) -> dict[str, dict[str, str]]:
    """What the official table says, by image; nothing where there is none."""
    if table is None:
        return {}
    records = read_csv(table, _COLUMNS).to_dict("records")
    return {Path(record["Image Index"]).stem: {str(k): str(v) for k, v in record.items()} for record in records}


def _read(folder: Path) -> dict[str, tuple[str, str]]:
    """What radiologists said, by image: their class, and boxes such as ``x,y,w,h;x,y,w,h`` in its pixels."""
    if not (folder / _READ).is_file():
        return {}
    table = read_csv(folder / _READ, ("file", "radiologists_class", "boxes_xywh"))
    unknown = table.loc[~table["radiologists_class"].isin(list(_RADIOLOGISTS)), "radiologists_class"]
    if len(unknown):
        raise CollectionError(
            folder / _READ, f"holds the class '{unknown.iloc[0]}', which isn't one of RSNA's", AGAIN
        )
    stems = table["file"].map(lambda name: Path(name).stem)
    return dict(zip(stems, zip(table["radiologists_class"], table["boxes_xywh"], strict=True), strict=True))


def _as_read(path: Path, read: tuple[str, str] | None) -> Row:
    if read is None:
        return {}
    finding, boxes = read
    label = _RADIOLOGISTS[finding]
    stated: Row = {"label": label, "finding": finding, "reference_standard": "radiologist"}
    return stated | ({"boxes": json.dumps(boxes_of(boxes, *_size(path)))} if boxes else {})


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def boxes_of(text: str, width: int, height: int) -> list[list[float]]:
    """Return boxes as [x0, y0, x1, y1] in fractions of width and height. Raises ValueError for other text."""
    boxes = []
    for box in text.split(";"):
        x, y, w, h = (float(number) for number in box.split(","))
        corners = (x / width, y / height, (x + w) / width, (y + h) / height)
        boxes.append([round(min(max(corner, 0.0), 1.0), 5) for corner in corners])
    return boxes


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
