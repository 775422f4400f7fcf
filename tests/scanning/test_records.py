import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from lungsight.package.lung_fields import Lungs
from lungsight.radiograph import Radiograph
from lungsight.scanning import Detector, Finding, Status
from lungsight.scanning.records import CsvTable, JsonLines
from tiny_package import CLASSES

Make = Callable[..., Radiograph]

KEYS = ["file", "status", "verdict", "probabilities", "heatmap", "overlay", "lungs", "unfamiliarity", "age", "sex"]
KEYS += ["view", "arrived", "reasons", "warnings", "model", "seconds"]


def findings(detector: Detector, make_radiograph: Make) -> list[Finding]:
    broken = Finding('Łódź, "7".png', Status.ERROR, None, reasons=("One.", "Two.\nlines"), model=detector.model)
    return [*detector.judge([make_radiograph(file="good.png")]), broken]


def test_json_is_one_object_a_line_with_exactly_the_keys(
    detector: Detector, make_radiograph: Make, tmp_path: Path
) -> None:
    lines = JsonLines(tmp_path / "f.jsonl", detector.model, restart=False)
    for finding in findings(detector, make_radiograph):
        lines.add(finding, {"heatmap": Path("heat.png")} if finding.evidence is not None else {})
    lines.close()
    good, broken = (json.loads(line) for line in (tmp_path / "f.jsonl").read_text("utf-8").splitlines())
    assert list(good) == list(broken) == KEYS
    assert list(good["probabilities"]) == list(CLASSES)
    assert good["heatmap"] == "heat.png"
    assert broken == {
        "file": 'Łódź, "7".png',
        "status": "error",
        "verdict": None,
        "probabilities": {},
        "heatmap": None,
        "overlay": None,
        "lungs": None,
        "unfamiliarity": None,
        "age": None,
        "sex": None,
        "view": None,
        "arrived": None,
        "reasons": ["One.", "Two.\nlines"],
        "warnings": [],
        "model": detector.model,
        "seconds": 0.0,
    }


def test_csv_is_one_row_a_file_with_a_column_for_each_class(
    detector: Detector, make_radiograph: Make, tmp_path: Path
) -> None:
    table = CsvTable(tmp_path / "f.csv", detector.model, CLASSES, restart=False)
    both = findings(detector, make_radiograph)
    for finding in both:
        table.add(finding, {})
    table.close()
    good, broken = csv.DictReader((tmp_path / "f.csv").read_text("utf-8").splitlines())
    assert [float(good[f"probability_{name}"]) for name in CLASSES] == [
        round(p, 6) for p in both[0].probabilities.values()
    ]
    assert broken["file"] == 'Łódź, "7".png'
    assert broken["reasons"] == "One. Two. lines"
    assert broken["probability_covid19"] == broken["verdict"] == broken["heatmap"] == ""


def test_of_the_lungs_a_summary_is_kept(detector: Detector, make_radiograph: Make, tmp_path: Path) -> None:
    mask = np.zeros((64, 64), bool)
    mask[16:48, 8:56] = True
    good, _ = findings(detector, make_radiograph)
    found = replace(good, lungs=Lungs(mask, ("One lung.",)), evidence_in_lungs=0.4321, unfamiliarity=1.23456)
    stated = found.as_json()
    assert stated["lungs"] == {
        "box": [0.125, 0.25, 0.875, 0.75],
        "plausible": False,
        "percent_of_image": 37.5,
        "percent_of_evidence": 43.2,
    }
    assert stated["unfamiliarity"] == 1.2346
    none = replace(found, lungs=Lungs(np.zeros((64, 64), bool), ("None.",)), evidence_in_lungs=None).as_json()
    assert none["lungs"] == {
        "box": None,
        "plausible": False,
        "percent_of_image": 0.0,
        "percent_of_evidence": None,
    }
    table = CsvTable(tmp_path / "f.csv", found.model, CLASSES, restart=False)
    table.add(found, {})
    table.close()
    (row,) = csv.DictReader((tmp_path / "f.csv").read_text("utf-8").splitlines())
    assert (row["lungs_percent_of_image"], row["lungs_percent_of_evidence"]) == ("37.5", "43.2")
    assert row["unfamiliarity"] == "1.2346"
