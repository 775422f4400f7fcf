"""Testing a package on images it never saw."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lungsight import RESEARCH_ONLY
from lungsight.datasets.manifest import Manifest
from lungsight.evaluation.independent_test import IndependentTest, evaluate_package
from lungsight.faults import InvalidManifest
from lungsight.package import ModelPackage
from lungsight.statistics.bootstrap import Resampling

FEW = Resampling(replicates=100)


@pytest.fixture
def rows(films: Callable[[Sequence[Any]], pd.DataFrame], film: type) -> pd.DataFrame:
    """North was trained on. There the model errs once in each class; in the east never; the west has negatives only,
    and errs in one of four."""
    wanted = [film("covid19", 0.8, "t", split="train")]
    wanted += [film("covid19", b, f"n{b}") for b in (0.7, 0.65, 0.4)]
    wanted += [film("no_pneumonia", b, f"n{b}") for b in (0.3, 0.2, 0.6)]
    wanted += [film("covid19", b, f"e{b}", "east") for b in (0.7, 0.8)]
    wanted += [film("no_pneumonia", b, f"e{b}", "east") for b in (0.2, 0.3)]
    wanted += [film("no_pneumonia", b, f"w{b}", "west/2") for b in (0.1, 0.2, 0.3, 0.9)]
    return films(wanted)


@pytest.fixture
def package(make_package: Callable[[pd.DataFrame], Path], rows: pd.DataFrame) -> ModelPackage:
    return ModelPackage.open(make_package(rows[rows["split"] == "train"]))


@pytest.fixture
def result(package: ModelPackage, rows: pd.DataFrame, tmp_path: Path) -> IndependentTest:
    north, others = rows[rows["source"] == "north"], rows[rows["source"] != "north"]
    manifests = [Manifest.of(north, "north"), Manifest.of(others, "others")]
    return evaluate_package(package, manifests, tmp_path / "out", resampling=FEW)


def test_sources_stand_side_by_side_and_internal_is_never_pooled_with_external(result: IndependentTest) -> None:
    assert [(s.group, s.source, len(s.outcomes)) for s in result.scores] == [
        ("internal", "north", 6),
        ("external", "all", 8),
        ("external", "east", 4),
        ("external", "west/2", 4),
    ]


def test_each_source_gets_its_own_figures(result: IndependentTest) -> None:
    north, _, east, west = result.scores
    assert north.get("covid19", "sensitivity").value == pytest.approx(2 / 3)
    assert north.get("covid19", "specificity").value == pytest.approx(2 / 3)
    assert north.get("covid19", "auroc").value == pytest.approx(8 / 9)
    assert east.get("covid19", "auroc").value == 1
    assert west.get("covid19", "specificity").value == 0.75
    for name in ("auroc", "sensitivity", "ppv"):
        assert west.get("covid19", name).withheld == "no image of covid19 here"
    assert west.get("all classes", "accuracy").value is None


def test_an_external_auroc_too_good_to_be_true_raises_an_alarm(result: IndependentTest) -> None:
    assert len(result.alarms) == 1
    assert "1.000 on east" in result.alarms[0]
    assert "look for a leak" in result.alarms[0]


def test_the_folder_holds_tables_pictures_and_page(result: IndependentTest, tmp_path: Path) -> None:
    out = tmp_path / "out"
    names = {file.name for file in out.iterdir()}
    assert {"predictions.csv", "metrics.csv", "evaluation.json", "index.html"} <= names
    assert {f"confusion_{s}.{e}" for s in ("north", "east", "west_2") for e in ("csv", "png")} <= names
    metrics = pd.read_csv(out / "metrics.csv")
    assert set(metrics["kind"]) == {"internal", "external"}
    stated = json.loads((out / "evaluation.json").read_text())
    assert stated["images_given"] == 15
    assert stated["flow"][3] == {
        "reason": "of a patient the model was trained or tuned on",
        "left_out": 1,
        "remain": 14,
    }
    page = (out / "index.html").read_text()
    assert RESEARCH_ONLY in page
    assert "look for a leak" in page


def test_another_class_can_be_set_against_the_rest(package: ModelPackage, rows: pd.DataFrame, tmp_path: Path) -> None:
    manifest = [Manifest.of(rows, "m")]
    result = evaluate_package(package, manifest, tmp_path / "out", target="other", resampling=FEW)
    west = result.scores[-1]
    assert west.get(result.target, "sensitivity").value == 0.75
    with pytest.raises(InvalidManifest, match="no class of this model; give one of covid19, other"):
        evaluate_package(package, manifest, tmp_path / "out", target="flu")


def test_nothing_to_test_on_is_a_fault_that_says_why(
    package: ModelPackage, rows: pd.DataFrame, tmp_path: Path
) -> None:
    with pytest.raises(InvalidManifest, match="1 of a patient the model was trained or tuned on"):
        evaluate_package(package, [Manifest.of(rows.head(1), "m")], tmp_path / "out")
    assert not (tmp_path / "out").exists()
