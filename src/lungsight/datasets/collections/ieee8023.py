"""The open COVID-19 image data collection (Cohen et al. 2020): images that publications and case sites showed."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd

from lungsight.datasets.collection import (
    Build,
    BuildOptions,
    Collection,
    RemoteFile,
    build_of,
    read_csv,
    root_holding,
    years,
)
from lungsight.radiograph import View

_COLUMNS = ("patientid", "sex", "age", "finding", "view", "modality", "filename", "url")
_VIEWS = {"PA": View.PA, "AP Supine": View.AP_SUPINE, "L": View.LATERAL, "": ""}


def _read(folder: Path, options: BuildOptions) -> Build:
    root = root_holding(folder, "metadata.csv", "ieee8023")
    table = read_csv(root / "metadata.csv", _COLUMNS)
    rows: list[dict[str, object]] = []
    left_out: Counter[str] = Counter()
    seen: set[Path] = set()
    for _, entry in table.iterrows():
        path = root / (entry.get("folder") or "images") / entry["filename"]
        if path in seen:
            left_out["listed twice in metadata.csv"] += 1
        elif not path.is_file():
            left_out["listed in metadata.csv, but the file is not there"] += 1
        elif path.name.endswith((".nii", ".nii.gz")):
            left_out["a CT volume, not an image"] += 1
        else:
            rows.append(_row(path, entry))
        seen.add(path)
    return build_of(rows, left_out, "ieee8023", root)


def _row(path: Path, entry: pd.Series) -> dict[str, object]:
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
    """The label of a finding such as ``Pneumonia/Viral/COVID-19`` (in March 2020 still ``COVID-19, ARDS``)."""
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


IEEE8023 = Collection(
    name="ieee8023",
    title="COVID-19 image data collection (Cohen, Morrison, Dao)",
    home="https://github.com/ieee8023/covid-chestxray-dataset",
    licence="per image, in the column `license` of metadata.csv (CC BY, CC BY-NC-SA and others; some unstated)",
    labels_rest_on="what the publication or case page says; a positive RT-PCR where `RT_PCR_positive` is Y",
    traps=(
        "scraped from papers and case sites: arrows, letters, crops and screenshots stand in the pixels",
        "the site that an image comes from tells its label in part: compare within sites that hold both "
        "(radiopaedia.org, eurorad.org)",
        "most of the few 'No Finding' X-rays are of patients whose RT-PCR was positive: a clear picture, not a "
        "healthy patient",
        "its owners correct views over time: of 57 images taken as PA in March 2020, 24 are AP today",
        "patients and images repeat: split by patient, and run `lungsight data check`",
        "CT slices and lateral views are in the manifest, with modality CT and view lateral or other: "
        "training takes the frontal X-rays",
    ),
    how_to_get="`lungsight data get ieee8023` fetches the repository's archive from GitHub",
    layout="metadata.csv and images/",
    read=_read,
    downloads=(
        # GitHub packs the archive anew when asked, so its checksum is not stable and none is published.
        RemoteFile(
            "https://github.com/ieee8023/covid-chestxray-dataset/archive/refs/heads/master.zip",
            "covid-chestxray-dataset-master.zip",
            gigabytes=0.6,
        ),
    ),
)
