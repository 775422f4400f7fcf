"""Tuberculosis in Shenzhen and in Montgomery County (Jaeger et al. 2014), with lung masks."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from lungsight.datasets.collection import Build, BuildOptions, Collection, RemoteFile, build_of, images_under, years
from lungsight.radiograph import View

_NAME = re.compile(r"(?P<site>CHN|MCU)CXR_(?P<number>\d+)_(?P<class>[01])")
_SITES = {"CHN": "Shenzhen", "MCU": "Montgomery"}
_LABELS = {"0": "no_pneumonia", "1": "tuberculosis"}
#: Montgomery: "Patient's Sex: F", "Patient's Age: 026Y"; Shenzhen: "male 45yrs", "Female, 20 months".
_SEX = re.compile(r"sex\s*:\s*(?P<letter>[MF])|\b(?P<word>female|male)", re.IGNORECASE)
_AGE = re.compile(r"(?P<number>\d+)\s*(?P<unit>y|mon|day)", re.IGNORECASE)
_UNITS_IN_A_YEAR = {"y": 1.0, "mon": 12.0, "day": 365.25}


def _read(folder: Path, options: BuildOptions) -> Build:
    masks = {p.stem.removesuffix("_mask"): p for p in images_under(folder) if p.parent.name.lower() == "masks"}
    readings = {p.stem: p for p in folder.rglob("*.txt") if p.parent.name == "ClinicalReadings"}
    rows: list[dict[str, object]] = []
    left_out: Counter[str] = Counter()
    for path in images_under(folder):
        if "mask" in path.parent.name.lower():
            continue  # masks/, and Montgomery's leftMask/ and rightMask/, whose files are named like the radiographs
        match = _NAME.fullmatch(path.stem)
        if match is None:
            left_out["its name is neither CHNCXR_nnnn_n nor MCUCXR_nnnn_n"] += 1
            continue
        reading = readings.get(path.stem)
        sex, age = sex_and_age(reading.read_text("utf-8", "replace")) if reading else ("", "")
        rows.append(
            {
                "path": str(path),
                "label": _LABELS[match["class"]],
                "patient": f"{match['site']}CXR_{match['number']}",
                "site": _SITES[match["site"]],
                "finding": "normal" if match["class"] == "0" else "tuberculosis",
                "reference_standard": "radiologist and clinic",
                "view": View.FRONTAL,
                "modality": "X-ray",
                "age": age,
                "sex": sex,
                "lung_mask": str(masks.get(path.stem, "")),
            }
        )
    return build_of(rows, left_out, "shenzhen-montgomery", folder)


def sex_and_age(reading: str) -> tuple[str, float | str]:
    """Sex and age in years as a clinical reading tells them, each empty where it doesn't."""
    sex = _SEX.search(reading)
    age = _AGE.search(reading)
    letter = (sex["letter"] or sex["word"])[0].upper() if sex else ""
    return letter, years(str(int(age["number"]) / _UNITS_IN_A_YEAR[age["unit"].lower()])) if age else ""


SHENZHEN_MONTGOMERY = Collection(
    name="shenzhen-montgomery",
    title="Tuberculosis chest X-rays of Shenzhen and Montgomery County (Jaeger, Candemir, Antani and others)",
    home="https://lhncbc.nlm.nih.gov/LHC-downloads/dataset.html",
    licence="free for research and education, with the two papers of 2014 cited",
    labels_rest_on="radiologists' reading and the clinic's diagnosis of tuberculosis; normal otherwise",
    traps=(
        "tuberculosis and normal only, no other pneumonia",
        "two sites with their own scanners: report Shenzhen and Montgomery apart",
        "Montgomery's own masks are a file for each lung; lung_mask is filled where masks/ holds one file for both "
        "(as the copies with Shenzhen's masks by Stirenko and others do)",
    ),
    how_to_get="`lungsight data get shenzhen-montgomery` fetches both archives from the National Library of Medicine",
    layout="CXR_png/, and where they are there masks/ (same stem, or stem_mask) and ClinicalReadings/",
    read=_read,
    downloads=(
        RemoteFile(
            "https://openi.nlm.nih.gov/imgs/collections/ChinaSet_AllFiles.zip", "ChinaSet_AllFiles.zip", gigabytes=3.7
        ),
        RemoteFile(
            "https://openi.nlm.nih.gov/imgs/collections/NLM-MontgomeryCXRSet.zip",
            "NLM-MontgomeryCXRSet.zip",
            gigabytes=0.6,
        ),
    ),
)
