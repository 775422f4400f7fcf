"""The open COVID-19 image data collection (Cohen et al. 2020): images that publications and case sites showed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd

from lungsight.datasets.collection import BuildOptions, Row, read_csv, years
from lungsight.radiograph import View

#: Labels of images without a finding, by whether the patient had COVID-19.
_CLEAR, _CLEAR_DESPITE_COVID = "no_pneumonia", "covid19_without_sign"
_ZONES, _READERS = "ABCDEF", "SJ"
_COLUMNS = ("patientid", "sex", "age", "finding", "view", "modality", "filename", "url")
_VIEWS = {"PA": View.PA, "AP Supine": View.AP_SUPINE, "L": View.LATERAL, "": ""}


def rows(root: Path, options: BuildOptions) -> Iterator[Row | str]:
    """Yield the rows of ``ieee8023``."""
    seen: set[Path] = set()
    table = read_csv(root / "metadata.csv", _COLUMNS)
    extras = _Extras(root, table)
    for _, entry in table.iterrows():
        path = root / (entry.get("folder") or "images") / entry["filename"]
        if path in seen:
            yield "listed twice in metadata.csv"
        elif not path.is_file():
            yield "listed in metadata.csv, but the file is not there"
        elif path.name.endswith((".nii", ".nii.gz")):
            yield "a CT volume, not an image"
        else:
            yield _row(path, entry) | extras.of(path, entry)
        seen.add(path)


class _Extras:
    """What the table doesn't hold in one row: masks, severity, and whether a patient had COVID-19."""

    def __init__(self, root: Path, table: pd.DataFrame) -> None:
        self.masks = {path.stem: str(path) for path in (root / "lung_masks").glob("*.png")}
        self.severity = _severity(root / "brixia_scores.csv")
        had_it = table["finding"].map(label_of) == "covid19"
        if "RT_PCR_positive" in table.columns:
            had_it |= table["RT_PCR_positive"] == "Y"
        self.patients = frozenset(table.loc[had_it, "patientid"])

    def of(self, path: Path, entry: pd.Series) -> Row:
        """Further columns, and the label of an image without a finding."""
        label = label_of(entry["finding"])
        if label == _CLEAR and entry["patientid"] in self.patients:
            label = _CLEAR_DESPITE_COVID
        mask, severity = self.masks.get(path.stem, ""), self.severity.get(path.name, "")
        return {"label": label, "whole_lung_mask": mask, "zone_severity": severity}


def _severity(path: Path) -> Mapping[str, str]:
    """The mean of both readers in each zone, by file (Signoroni et al. 2021); nothing where the table isn't there."""
    if not path.is_file():
        return {}
    columns = [[f"{reader}-{zone}" for reader in _READERS] for zone in _ZONES]
    table = read_csv(path, ("filename", *(name for pair in columns for name in pair)))
    means = [table[pair].apply(pd.to_numeric, errors="coerce").mean(axis=1) for pair in columns]
    rows = zip(table["filename"], *means, strict=True)
    return {str(name): json.dumps([float(score) for score in scores]) for name, *scores in rows}


def _row(path: Path, entry: pd.Series) -> Row:
    return {
        "path": str(path),
        "patient": entry["patientid"],
        "study": _study(entry),
        "site": urlsplit(entry["url"]).netloc.removeprefix("www."),
        "finding": entry["finding"],
        "reference_standard": "RT-PCR" if entry.get("RT_PCR_positive") == "Y" else "publication",
        "view": _view(entry["view"]),
        "modality": entry["modality"],
        "age": years(entry["age"]),
        "sex": entry["sex"] if entry["sex"] in ("M", "F") else "",
    }


def label_of(finding: str) -> str:
    """Return the label of a finding such as ``Pneumonia/Viral/COVID-19`` (in March 2020 still ``COVID-19, ARDS``)."""
    parts = [part.strip() for part in re.split("[/,]", finding)]
    if "COVID-19" in parts:
        return "covid19"
    if parts[0] == "Pneumonia":
        return "other_pneumonia"
    return {"Tuberculosis": "tuberculosis", "No Finding": "no_pneumonia"}.get(parts[0], "unlabelled")


def _view(text: str) -> str:
    """``AP Erect`` and the like are AP; planes of a CT are other."""
    return _VIEWS.get(text, View.AP if text.startswith("AP") else View.OTHER)


def _study(entry: pd.Series) -> str:
    """A patient's images of one day are one study: the day of illness, or else the date, tells them apart."""
    day = entry.get("offset") or entry.get("date")
    return f"{entry['patientid']}@{day}" if day else ""
