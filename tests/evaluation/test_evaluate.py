"""A test from beginning to end: on a model whose every answer is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from evaluation_fixtures import write_brightness_package, write_films
from lungsight.datasets.manifest import Manifest
from lungsight.errors import ManifestError
from lungsight.evaluation.audits.audit import AuditResult
from lungsight.evaluation.evaluate import Settings, evaluate_package, evaluate_predictions
from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.grade import Grade
from lungsight.inference import Detector
from lungsight.package import ModelPackage
from lungsight.reporting.tables import frame, section_tables
from lungsight.reporting.write import write_report
from lungsight.statistics.bootstrap import Resampling

FEW = Settings(resampling=Resampling(replicates=100), audit_images=24)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluated")


@pytest.fixture(scope="module")
def rows(folder: Path, film: type) -> pd.DataFrame:
    """North was trained on. There the model errs once in each class; in the east never; the west has negatives only,
    and errs in one of four."""
    wanted = [film("covid19", 0.8, "t", split="train")]
    wanted += [film("covid19", b, f"n{b}") for b in (0.7, 0.65, 0.4)]
    wanted += [film("no_pneumonia", b, f"n{b}") for b in (0.3, 0.2, 0.6)]
    wanted += [film("covid19", b, f"e{b}", "east") for b in (0.7, 0.8)]
    wanted += [film("no_pneumonia", b, f"e{b}", "east") for b in (0.2, 0.3)]
    wanted += [film("no_pneumonia", b, f"w{b}", "west/2") for b in (0.1, 0.2, 0.3, 0.9)]
    return write_films(folder / "images", wanted)


@pytest.fixture(scope="module")
def package(folder: Path, rows: pd.DataFrame) -> ModelPackage:
    return ModelPackage.open(write_brightness_package(folder / "package", rows[rows["split"] == "train"]))


@pytest.fixture(scope="module")
def evidence(package: ModelPackage, rows: pd.DataFrame, folder: Path) -> Evidence:
    """Of all of them; its answers are kept in ``out``."""
    return evaluate_package(package, [Manifest.of(rows, "m")], folder / "out", FEW)


def figure(evidence: Evidence, source: str, metric: str, scope: str = "covid19") -> dict[str, Any]:
    table = section_tables(evidence.discrimination)["metrics"]
    row = table[(table["source"] == source) & (table["metric"] == metric) & (table["scope"] == scope)]
    return dict(row.iloc[0])


def test_each_source_gets_its_own_figures_and_no_kind_is_pooled_with_the_other(
    package: ModelPackage, rows: pd.DataFrame, tmp_path: Path
) -> None:
    north, others = rows[rows["source"] == "north"], rows[rows["source"] != "north"]
    manifests = [Manifest.of(north, "north"), Manifest.of(others, "others")]
    evidence = evaluate_package(package, manifests, tmp_path / "out", FEW)
    metrics = section_tables(evidence.discrimination)["metrics"]
    kinds = metrics.drop_duplicates(["kind", "source"])[["kind", "source"]].to_numpy().tolist()
    assert sorted(map(tuple, kinds)) == [
        ("external", "east"), ("external", "west/2"), ("internal", "north"),
    ]  # fmt: skip
    assert figure(evidence, "north", "sensitivity")["value"] == pytest.approx(2 / 3)
    assert figure(evidence, "north", "auroc")["value"] == pytest.approx(8 / 9)
    assert figure(evidence, "west/2", "specificity")["value"] == 0.75
    assert figure(evidence, "west/2", "auroc")["withheld"] == "no image of COVID-19 here"
    assert section_tables(evidence.flow)["flow"].set_index("step").loc[
        "of a patient the model was trained or tuned on", "left_out"
    ] == 1  # fmt: skip
    assert evidence.verdict.grade is Grade.TOO_LITTLE_DATA
    assert {audit.name for audit in evidence.audits} >= {
        "lungs hidden", "only the border", "only the lungs", "irrelevant changes", "stress", "where it looks",
        "header only", "leave one source out",
    }  # fmt: skip


def test_an_external_auroc_too_good_to_be_true_raises_an_alarm(evidence: Evidence) -> None:
    assert any("1.000 at east" in notice and "look for a leak" in notice for notice in evidence.notices)


def test_the_report_is_whole(package: ModelPackage, evidence: Evidence, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert write_report(evidence, out) == out / "index.html"
    names = {file.name for file in out.iterdir()}
    assert {"index.html", "evidence.json", "predictions.csv", "claim.md", "tripod_ai.md", "MODEL_CARD.md"} <= names
    assert (out / "tables" / "metrics.csv").is_file()
    assert (out / "tables" / "audit_stress.csv").is_file()
    stated = json.loads((out / "evidence.json").read_text())
    assert stated["verdict"]["grade"] == "too little data"
    assert stated["subject"]["model"] == package.id
    assert len((out / "index.html").read_bytes()) < 5 * 2**20


def test_taken_up_again_nothing_is_judged_twice(
    package: ModelPackage, rows: pd.DataFrame, evidence: Evidence, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("judged again")

    monkeypatch.setattr(Detector, "predict", never)
    monkeypatch.setattr(Detector, "predict_with_features", never)
    monkeypatch.setattr(Detector, "logits", never)
    again = evaluate_package(package, [Manifest.of(rows, "m")], folder / "out", replace(FEW, pictures=False))
    pd.testing.assert_frame_equal(again.testset.table, evidence.testset.table)
    for one, other in zip(again.audits, evidence.audits, strict=True):
        pd.testing.assert_frame_equal(frame(one.rows), frame(other.rows))


def test_a_source_called_all_does_not_pass_for_all_sources(
    package: ModelPackage, rows: pd.DataFrame, tmp_path: Path
) -> None:
    """A table without a column ``source`` is named after its file, which may be all.csv."""
    east = Manifest.of(rows[rows["source"] == "east"].drop(columns="source"), "all")
    evidence = evaluate_package(package, [east], tmp_path / "out", FEW)
    assert set(section_tables(evidence.discrimination)["metrics"]["source"]) == {"all (a source)"}
    assert figure(evidence, "all (a source)", "auroc")["kind"] == "external"


def test_another_class_can_be_set_against_the_rest(package: ModelPackage, rows: pd.DataFrame, tmp_path: Path) -> None:
    manifest = [Manifest.of(rows, "m")]
    evidence = evaluate_package(package, manifest, tmp_path / "out", Settings("other", resampling=FEW.resampling))
    assert evidence.subject.target == evidence.testset.target == "other"
    assert figure(evidence, "west/2", "sensitivity", "other")["value"] == 0.75
    with pytest.raises(ManifestError, match="isn't a class of this model; give one of covid19, other"):
        evaluate_package(package, manifest, tmp_path / "out", Settings("flu"))


def test_nothing_to_test_on_is_a_fault_that_says_why(
    package: ModelPackage, rows: pd.DataFrame, tmp_path: Path
) -> None:
    of_one = rows.head(2).assign(
        label=["covid19", "no_pneumonia"], patient=rows["patient"][0], source=rows["source"][0]
    )
    with pytest.raises(ManifestError, match="2 of a patient the model was trained or tuned on"):
        evaluate_package(package, [Manifest.of(of_one, "m")], tmp_path / "out", FEW)


def test_nothing_readable_is_a_fault_too(package: ModelPackage, rows: pd.DataFrame, tmp_path: Path) -> None:
    broken = rows.assign(path=[str(tmp_path / Path(path).name) for path in rows["path"]])
    for path in broken["path"]:
        Path(path).write_text(f"{path} is not an image")
    with pytest.raises(ManifestError, match="none of its 14 images can be analysed"):
        evaluate_package(package, [Manifest.of(broken, "m")], tmp_path / "out", FEW)


def test_somebodys_predictions_get_all_that_needs_no_model(
    evidence: Evidence, rows: pd.DataFrame, tmp_path: Path
) -> None:
    ours = evidence
    table = ours.testset.table[["path", "probability_covid19", "probability_other"]]
    table.to_csv(tmp_path / "theirs.csv", index=False)
    classes = {"covid19": ["covid19"], "other": ["*"]}
    theirs = evaluate_predictions(
        tmp_path / "theirs.csv", [Manifest.of(rows, "m")], tmp_path / "theirs", FEW,
        classes=classes, trained_on=[Manifest.of(rows.head(1), "trained")],
    )  # fmt: skip
    assert figure(theirs, "north", "auroc")["value"] == figure(ours, "north", "auroc")["value"]
    assert figure(theirs, "east", "auroc")["kind"] == "external"
    assert theirs.subject.trained_sources == ("north",)
    assert [(a.name, a.question) for a in theirs.audits] == [(a.name, a.question) for a in ours.audits]
    calls = {audit.name: audit for audit in theirs.audits}
    assert calls["lungs hidden"].call is AuditResult.NOT_DONE
    assert "Only a model can be asked" in calls["lungs hidden"].meaning
    assert write_report(theirs, tmp_path / "theirs").is_file()
