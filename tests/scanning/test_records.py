import csv
import io
import json
from collections.abc import Callable

from lungsight.radiograph import Radiograph
from lungsight.scanning import Detector, Finding, Status
from lungsight.scanning.records import CsvTable, JsonLines
from tiny_package import CLASSES

Make = Callable[..., Radiograph]

KEYS = ["file", "status", "verdict", "probabilities", "heatmap", "reasons", "warnings", "model", "seconds"]


def findings(detector: Detector, make_radiograph: Make) -> list[Finding]:
    broken = Finding('Łódź, "7".png', Status.ERROR, None, reasons=("One.", "Two.\nlines"), model=detector.model)
    return [*detector.judge([make_radiograph(file="good.png")]), broken]


def test_json_is_one_object_a_line_with_exactly_the_keys(detector: Detector, make_radiograph: Make) -> None:
    file = io.StringIO()
    lines = JsonLines(file)
    for finding in findings(detector, make_radiograph):
        lines.add(finding, "heat.png" if finding.evidence is not None else None)
    good, broken = (json.loads(line) for line in file.getvalue().splitlines())
    assert list(good) == list(broken) == KEYS
    assert list(good["probabilities"]) == list(CLASSES)
    assert good["heatmap"] == "heat.png"
    assert broken == {
        "file": 'Łódź, "7".png',
        "status": "error",
        "verdict": None,
        "probabilities": {},
        "heatmap": None,
        "reasons": ["One.", "Two.\nlines"],
        "warnings": [],
        "model": detector.model,
        "seconds": 0.0,
    }


def test_csv_is_one_row_a_file_with_a_column_for_each_class(detector: Detector, make_radiograph: Make) -> None:
    file = io.StringIO(newline="")
    table = CsvTable(file, CLASSES)
    both = findings(detector, make_radiograph)
    for finding in both:
        table.add(finding, None)
    good, broken = csv.DictReader(io.StringIO(file.getvalue(), newline=""))
    assert [float(good[f"probability_{name}"]) for name in CLASSES] == [
        round(p, 6) for p in both[0].probabilities.values()
    ]
    assert broken["file"] == 'Łódź, "7".png'
    assert broken["reasons"] == "One. Two.\nlines"
    assert broken["probability_covid19"] == broken["verdict"] == broken["heatmap"] == ""
