import csv
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from lungsight.components.lungs import Lungs
from lungsight.errors import LungsightError
from lungsight.inference import Detector, Finding, Status
from lungsight.radiograph import Identifiers, Radiograph, View
from lungsight.scanning.exporters import CsvTable
from lungsight.scanning.outputs import Drawn, OutputPaths, Outputs
from tiny_package import CLASSES

Make = Callable[..., Radiograph]

KEYS = [
    "file",
    "status",
    "verdict",
    "category",
    "probabilities",
    "heatmap",
    "overlay",
    "lungs",
    "unfamiliarity",
    "age",
    "sex",
]
IDS = ["study_instance_uid", "series_instance_uid", "sop_instance_uid", "accession_number", "patient_id"]
KEYS += [
    "view",
    "view_from",
    "view_ap",
    "arrived",
    *IDS,
    "placement",
    "refused_by",
    "reasons",
    "warnings",
    "model",
    "model_grade",
    "seconds",
]


def findings(detector: Detector, make_radiograph: Make) -> list[Finding]:
    broken = Finding('Łódź, "7".png', Status.ERROR, None, reasons=("One.", "Two.\nlines"), model=detector.model)
    return [*detector.analyse([make_radiograph(file="good.png")]), broken]


def _as_csv(found: list[Finding], path: Path) -> list[dict[str, str]]:
    table = CsvTable(path, found[0].model, CLASSES)
    table.begin(finding.as_json() for finding in found)
    table.close()
    return list(csv.DictReader(path.read_text("utf-8").splitlines()))


def test_json_is_one_object_a_line_with_exactly_the_keys(
    detector: Detector, make_radiograph: Make, tmp_path: Path
) -> None:
    outputs = Outputs(OutputPaths(json=tmp_path / "f.jsonl"), detector)
    for finding in findings(detector, make_radiograph):
        outputs.add(Drawn(finding, {"heatmap": Path("heat.png")} if finding.map is not None else {}))
    outputs.close(complete=True)
    good, broken = (json.loads(line) for line in (tmp_path / "f.jsonl").read_text("utf-8").splitlines())
    assert list(good) == list(broken) == KEYS
    assert list(good["probabilities"]) == list(CLASSES)
    assert good["heatmap"] == "heat.png"
    assert broken == {
        "file": 'Łódź, "7".png',
        "status": "error",
        "verdict": None,
        "category": None,
        "probabilities": {},
        "heatmap": None,
        "overlay": None,
        "lungs": None,
        "unfamiliarity": None,
        "age": None,
        "sex": None,
        "view": None,
        "view_from": None,
        "view_ap": None,
        "arrived": None,
        **dict.fromkeys(IDS),
        "placement": None,
        "refused_by": None,
        "reasons": ["One.", "Two.\nlines"],
        "warnings": [],
        "model": detector.model,
        "model_grade": None,
        "seconds": 0.0,
    }


def test_csv_is_one_row_a_file_with_a_column_for_each_class(
    detector: Detector, make_radiograph: Make, tmp_path: Path
) -> None:
    both = findings(detector, make_radiograph)
    good, broken = _as_csv(both, tmp_path / "f.csv")
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
    (row,) = _as_csv([found], tmp_path / "f.csv")
    assert (row["lungs_percent_of_image"], row["lungs_percent_of_evidence"]) == ("37.5", "43.2")
    assert row["unfamiliarity"] == "1.2346"


def test_csv_says_all_that_json_says(detector: Detector, make_radiograph: Make, tmp_path: Path) -> None:
    known = {"age": 61.0, "sex": "F", "view": View.AP, "identifiers": Identifiers("1.2", "1.3", "1.4", "A7", "P9")}
    (found,) = detector.analyse([make_radiograph(**known).placed(mirrored=True, turned=90)])
    found = replace(found, arrived=datetime(2026, 11, 30, 12, tzinfo=UTC))
    (row,) = _as_csv([found], tmp_path / "f.csv")
    stated = found.as_json()
    nested = {"probabilities", "lungs", "placement", "category"}  # the last follows from verdict and package
    assert set(stated) - nested <= set(row)
    assert [row[key] for key in ("age", "sex", "view", "arrived")] == ["61.0", "F", "AP", "2026-11-30T12:00:00+00:00"]
    assert [row[key] for key in IDS] == ["1.2", "1.3", "1.4", "A7", "P9"]
    assert [row[key] for key in ("width", "height", "mirrored", "turned")] == ["90", "120", "True", "90"]
    assert stated["placement"] == {"width": 90, "height": 120, "mirrored": True, "turned": 90}


def test_a_table_of_an_older_version_is_not_gone_on_with(detector: Detector, tmp_path: Path) -> None:
    older = "file,status,verdict,probability_covid19,heatmap,reasons,model,seconds\na.png,read,x,1,,,m,1\n"
    (tmp_path / "f.csv").write_text(older)
    with pytest.raises(
        LungsightError, match=r"has other columns than this scan writes \(.*age.*\), so it was written by"
    ):
        Outputs(OutputPaths(csv=tmp_path / "f.csv"), detector)
    assert [path.name for path in tmp_path.iterdir()] == ["f.csv"]
    assert (tmp_path / "f.csv").read_text() == older
    Outputs(OutputPaths(csv=tmp_path / "f.csv"), detector, restart=True).close(complete=True)
    assert "a.png" not in (tmp_path / "f.csv").read_text()


def test_a_table_gives_back_what_it_holds(detector: Detector, make_radiograph: Make, tmp_path: Path) -> None:
    mask = np.zeros((64, 64), bool)
    mask[16:48, 8:56] = True
    good, broken = findings(detector, make_radiograph)
    lungs = replace(good, lungs=Lungs(mask), evidence_in_lungs=0.5, age=61.0, view=View.AP, reasons=("Why.",))
    _as_csv([good, lungs, broken], tmp_path / "f.csv")
    table = CsvTable(tmp_path / "f.csv", detector.model, CLASSES)
    for record, finding in zip(table.records(), (good, lungs, broken), strict=True):
        stated = finding.as_json()
        stated["reasons"] = [" ".join(" ".join(stated["reasons"]).splitlines())] if stated["reasons"] else []
        stated["warnings"] = [" ".join(stated["warnings"])] if stated["warnings"] else []
        if stated["lungs"]:
            stated["lungs"]["box"] = None
        assert record == stated
    before = (tmp_path / "f.csv").read_text()
    table.begin(list(table.records()))
    assert (tmp_path / "f.csv").read_text() == before
