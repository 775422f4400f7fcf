"""Tuberculosis in Shenzhen and in Montgomery County (Jaeger et al. 2014), with lung masks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from lungsight.datasets.collection import BuildOptions, Row, images_under, years
from lungsight.radiograph import View

_NAME = re.compile(r"(?P<site>CHN|MCU)CXR_(?P<number>\d+)_(?P<class>[01])")
_SITES = {"CHN": "Shenzhen", "MCU": "Montgomery"}
_LABELS = {"0": "no_pneumonia", "1": "tuberculosis"}
#: Montgomery: "Patient's Sex: F", "Patient's Age: 026Y"; Shenzhen: "male 45yrs", "Female, 20 months".
_SEX = re.compile(r"sex\s*:\s*(?P<letter>[MF])|\b(?P<word>female|male)", re.IGNORECASE)
_AGE = re.compile(r"(?P<number>\d+)\s*(?P<unit>y|mon|day)", re.IGNORECASE)
_UNITS_IN_A_YEAR = {"y": 1.0, "mon": 12.0, "day": 365.25}


def rows(folder: Path, options: BuildOptions) -> Iterator[Row | str]:
    """Yield the rows of ``shenzhen-montgomery``."""
    masks = {p.stem.removesuffix("_mask"): p for p in images_under(folder) if p.parent.name.lower() == "masks"}
    readings = {p.stem: p for p in folder.rglob("*.txt") if p.parent.name == "ClinicalReadings"}
    for path in images_under(folder):
        if "mask" in path.parent.name.lower():
            continue  # masks/, and Montgomery's leftMask/ and rightMask/, whose files are named like the radiographs
        match = _NAME.fullmatch(path.stem)
        if match is None:
            yield "its name is neither CHNCXR_nnnn_n nor MCUCXR_nnnn_n"
            continue
        reading = readings.get(path.stem)
        sex, age = sex_and_age(reading.read_text("utf-8", "replace")) if reading else ("", "")
        yield {
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


def sex_and_age(reading: str) -> tuple[str, float | str]:
    """Return sex and age in years as a clinical reading states them, each empty where it doesn't."""
    sex = _SEX.search(reading)
    age = _AGE.search(reading)
    letter = (sex["letter"] or sex["word"])[0].upper() if sex else ""
    return letter, years(str(int(age["number"]) / _UNITS_IN_A_YEAR[age["unit"].lower()])) if age else ""
