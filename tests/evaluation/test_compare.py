"""Several tests side by side: only shared images, never across sources, and what is too good is chance or not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import brier_score_loss, roc_auc_score

from lungsight.evaluation.compare import compare
from lungsight.evaluation.saved import NO_GRADE, SavedEvaluationError, read_saved
from lungsight.reporting.comparison_files import write_comparison
from lungsight.statistics.bootstrap import Resampling

FEW = Resampling(replicates=200)


def predictions(skill: float, n: int = 240, seed: int = 0, noise: int = 1) -> pd.DataFrame:
    """``n`` images of two sources, half of them positive, each of its own patient; the same ones for one ``seed``."""
    rng = np.random.default_rng(noise)
    positive = np.arange(n) % 2 == 0
    score = 1 / (1 + np.exp(-(rng.normal(size=n) + skill * (positive - 0.5))))
    return pd.DataFrame(
        {
            "path": [f"/{k}.png" for k in range(n)],
            "source": np.where(np.arange(n) < n // 3, "north", "south"),
            "patient": [f"p{k}" for k in range(n)],
            "truth": np.where(positive, "covid19", "other"),
            "sha256": [f"{seed:04}{k:060}" for k in range(n)],
            "probability_covid19": score,
            "probability_other": 1 - score,
            "prediction": np.where(score > 0.5, "covid19", "other"),
            "fault": "",
            "kind": "external",
        }
    )


def written(folder: Path, table: pd.DataFrame, grade: str = "internal only", **subject: Any) -> Path:
    folder.mkdir()
    table.to_csv(folder / "predictions.csv", index=False)
    stated = {
        "subject": {"model": folder.name, "classes": ["covid19", "other"], "target": "covid19", **subject},
        "verdict": {"grade": grade, "sentence": "It says so.", "reasons": []},
    }
    (folder / "evidence.json").write_text(json.dumps(stated))
    return folder


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    good, poor = predictions(4.0, noise=1), predictions(0.3, noise=2)
    return [written(tmp_path / "good", good), written(tmp_path / "poor", poor, "no evidence")]


def test_figures_and_differences_are_those_of_the_images(two: list[Path]) -> None:
    found = compare(two, resampling=FEW)
    assert [s.source for s in found.sources] == ["south", "north"]
    a, b = (pd.read_csv(folder / "predictions.csv") for folder in two)
    for source in found.sources:
        here = (a["source"] == source.source).to_numpy()
        truth = (a["truth"] == "covid19")[here]
        aurocs = [roc_auc_score(truth, t["probability_covid19"][here]) for t in (a, b)]
        briers = [brier_score_loss(truth, t["probability_covid19"][here]) for t in (a, b)]
        assert [source.get(k, "auroc").value for k in "AB"] == pytest.approx(aurocs)
        by = {(d.metric, d.test): d for d in source.differences}
        assert by["auroc", "bootstrap"].estimate.value == pytest.approx(aurocs[0] - aurocs[1])
        assert by["auroc", "DeLong"].estimate.value == pytest.approx(aurocs[0] - aurocs[1])
        assert by["brier_score", "bootstrap"].estimate.value == pytest.approx(briers[0] - briers[1])
        right = [((t["prediction"] == t["truth"])[here]).to_numpy() for t in (a, b)]
        only = int((right[0] & ~right[1]).sum()), int((~right[0] & right[1]).sum())
        assert source.verdicts[0].test.p == pytest.approx(binomtest(only[0], sum(only), 0.5).pvalue)
        assert all((d.p_holm or 0) >= (d.p or 0) for d in source.differences)
        assert by["auroc", "DeLong"].clear
    assert any("A's AUROC is" in sentence and "higher than B's" in sentence for sentence in found.sentences)
    assert any("a better score makes up neither for a weaker grade" in sentence for sentence in found.sentences)


def test_a_model_beside_itself_differs_in_nothing(tmp_path: Path) -> None:
    folders = [written(tmp_path / name, predictions(2.0)) for name in ("one", "same")]
    found = compare(folders, resampling=FEW)
    assert {d.estimate.value for d in found.differences} == {0.0}
    assert not any(d.clear for d in found.differences)
    assert all(d.estimate.low is None and d.estimate.withheld for d in found.differences)


def test_only_images_that_all_judged_by_the_same_truth_count(tmp_path: Path) -> None:
    a, b, c = predictions(2.0), predictions(1.0, noise=2), predictions(1.0, noise=3)
    b.loc[:9, "sha256"] = [f"else{k}" for k in range(10)]
    c.loc[20, ["truth"]] = "other"
    a.loc[30, "sha256"] = ""
    a.loc[31, "fault"] = "broken"
    c = c.sample(frac=1, random_state=0)
    found = compare([written(tmp_path / n, t) for n, t in (("a", a), ("b", b), ("c", c))], resampling=FEW)
    assert found.shared == 240 - 10 - 1 - 2
    assert sum(s.images for s in found.sources) == found.shared
    assert found.images["truth_differs"].tolist() == [1] * 3
    assert found.images["judged"].tolist() == [239, 240, 240]
    reasons = found.images.drop(columns=["model", "id", "folder", "judged"])
    assert (reasons.sum(axis=1) == found.images["judged"]).all()
    assert len(found.sources[0].verdicts) == 3
    assert any("another label" in notice for notice in found.notices)
    south = a[(a["source"] == "south") & (a.index != 20)]
    again = roc_auc_score(south["truth"] == "covid19", south["probability_covid19"])
    assert next(s for s in found.sources if s.source == "south").get("A", "auroc").value == pytest.approx(again)


def test_unlike_kinds_are_named(tmp_path: Path) -> None:
    a = predictions(2.0).assign(kind="internal")
    folders = [written(tmp_path / "a", a), written(tmp_path / "b", predictions(2.0, noise=4))]
    (notice,) = compare(folders, resampling=FEW).notices
    assert notice.startswith("A was trained on other patients of south and north, B wasn't")


def test_few_patients_are_withheld(tmp_path: Path) -> None:
    tables = [
        predictions(2.0, noise=k).assign(patient=lambda t: [f"p{i % 5}" for i in range(len(t))]) for k in (1, 2)
    ]
    found = compare([written(tmp_path / n, t) for n, t in zip("ab", tables, strict=True)], resampling=FEW)
    assert all(d.estimate.value is None and d.p is None for d in found.differences)
    assert found.sentences[0].startswith("No difference could be tested")


def test_the_verdict_counts_and_not_one_half(tmp_path: Path) -> None:
    """Of three classes the most probable one may be below one half."""
    table = predictions(2.0).assign(probability_covid19=0.4, probability_flu=0.3, probability_other=0.3)
    table["prediction"] = "covid19"
    found = compare([written(tmp_path / "a", table), written(tmp_path / "b", predictions(2.0))], resampling=FEW)
    assert found.sources[0].get("A", "sensitivity").value == 1.0


def test_the_page_and_its_files_say_the_same(two: list[Path], tmp_path: Path) -> None:
    found = compare(two, resampling=FEW)
    write_comparison(found, tmp_path / "out")
    stated = json.loads((tmp_path / "out" / "compare.json").read_text())
    differences = pd.read_csv(tmp_path / "out" / "differences.csv")
    assert len(stated["tables"]["differences"]) == len(differences) == 10
    assert [m["grade"] for m in stated["models"]] == ["internal only", "not shown to be good enough"]
    page = (tmp_path / "out" / "index.html").read_text()
    assert "2 models on the same 240 images" in page
    assert "Internal only" in page
    for row in differences.itertuples():
        assert f"{row.value:+.3f}".replace("-", "−") in page
    assert not re.search("https?:", page.replace("http://www.w3.org", ""))
    for name in ("figures.csv", "mcnemar.csv", "images.csv"):
        assert (tmp_path / "out" / name).is_file()


def test_a_folder_from_before_there_was_evidence(two: list[Path]) -> None:
    (two[0] / "evidence.json").unlink()
    (two[0] / "evaluation.json").write_text(json.dumps({"model": "old", "target": "covid19"}))
    old = read_saved(two[0])
    assert (old.model, old.grade) == ("old", NO_GRADE)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda f: (f / "predictions.csv").unlink(), "there is no such file; give a folder that"),
        (lambda f: (f / "predictions.csv").write_text("a,b\n1,2\n"), "lacks the column source"),
        (lambda f: (f / "predictions.csv").write_text("covid19"), "lacks the column source"),
        (lambda f: (f / "predictions.csv").write_text(""), "isn't a readable table"),
        (lambda f: (f / "evidence.json").write_text("{"), "isn't JSON"),
        (lambda f: (f / "evidence.json").unlink(), "doesn't say which class is the target"),
        (
            lambda f: predictions(1.0).assign(probability_covid19="x").to_csv(f / "predictions.csv"),
            "holds a probability that isn't a number",
        ),
        (lambda f: predictions(1.0, seed=9).to_csv(f / "predictions.csv"), "have no image in common"),
        (
            lambda f: (f / "evidence.json").write_text(json.dumps({"subject": {"target": "other"}})),
            "sets other against the rest",
        ),
    ],
)
def test_what_is_no_test_is_refused_in_one_sentence(two: list[Path], spoil: Any, sentence: str) -> None:
    spoil(two[1])
    with pytest.raises(SavedEvaluationError) as problem:
        compare(two, resampling=FEW)
    assert sentence in str(problem.value)


def test_folders_must_be_two_and_different(two: list[Path], tmp_path: Path) -> None:
    for folders, sentence in (
        (two[:1], "at least two"),
        ([two[0], two[0]], "the same folder twice"),
        ([two[0], tmp_path / "none"], "there is no such folder"),
    ):
        with pytest.raises(SavedEvaluationError, match=sentence):
            compare(folders, resampling=FEW)


@given(content=st.binary(max_size=60), name=st.sampled_from(["predictions.csv", "evidence.json"]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_whatever_end_in_a_traceback(two: list[Path], content: bytes, name: str) -> None:
    kept = (two[1] / name).read_bytes()
    (two[1] / name).write_bytes(content)
    try:
        with pytest.raises(SavedEvaluationError) as problem:
            compare(two, target="flu", resampling=FEW)
        assert "\n" not in str(problem.value)
    finally:
        (two[1] / name).write_bytes(kept)
