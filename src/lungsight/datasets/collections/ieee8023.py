"""The open COVID-19 image data collection (Cohen et al. 2020): images that publications and case sites showed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd

from lungsight.datasets.collection import BuildOptions, Row, read_csv, years
from lungsight.radiograph import View

_COLUMNS = ("patientid", "sex", "age", "finding", "view", "modality", "filename", "url")
_VIEWS = {"PA": View.PA, "AP Supine": View.AP_SUPINE, "L": View.LATERAL, "": ""}


def rows(root: Path, options: BuildOptions) -> Iterator[Row | str]:
    """Yield the rows of ``ieee8023``."""
    seen: set[Path] = set()
    for _, entry in read_csv(root / "metadata.csv", _COLUMNS).iterrows():
        path = root / (entry.get("folder") or "images") / entry["filename"]
        if path in seen:
            yield "listed twice in metadata.csv"
        elif not path.is_file():
            yield "listed in metadata.csv, but the file is not there"
        elif path.name.endswith((".nii", ".nii.gz")):
            yield "a CT volume, not an image"
        else:
            yield _row(path, entry)
        seen.add(path)


def _row(path: Path, entry: pd.Series) -> Row:
    return {
        "path": str(path),
        "label": label_of(entry["finding"]),
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
