"""The discrimination section: every kind and source alone, nothing misleading given, the shortcut's size told."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix, roc_auc_score

from lungsight.evaluation.sections.discrimination import discrimination
from lungsight.evaluation.sections.section import Section
from lungsight.evaluation.testset.testset import TestSet
from lungsight.reporting.tables import section_tables
from lungsight.statistics.bootstrap import Resampling

FEW = Resampling(replicates=200)
CLASSES = ("covid19", "other_pneumonia", "normal")


def a_test(
    images: int = 600,
    seed: int = 0,
    shares: dict[str, float] | None = None,
    shortcut: float = 0.0,
    external: tuple[str, ...] = ("south",),
    images_each: int = 2,
) -> TestSet:
    """``shares``: of each source, how much of it is COVID-19; ``shortcut``: how much the score says which source."""
    rng = np.random.default_rng(seed)
    shares = shares or {"north": 0.4, "east": 0.4, "south": 0.4}
    patient = np.arange(images) // images_each
    sources = np.array(list(shares))
    source = sources[patient % len(sources)]
    target = rng.random(images) < np.vectorize(shares.__getitem__)(source)
    truth = np.where(target, 0, rng.integers(1, 3, size=images))
    z = rng.normal(size=(images, 3)) + 1.5 * (np.arange(3) == truth[:, None])
    z[:, 0] += shortcut * np.vectorize(shares.__getitem__)(source)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    table = pd.DataFrame(
        {
            "path": [f"{i}.png" for i in range(images)],
            "patient": patient.astype(str),
            "source": source,
            "site": "",
            "truth": np.array(CLASSES)[truth],
            "prediction": np.array(CLASSES)[p.argmax(axis=1)],
            "fault": "",
            "kind": np.where(np.isin(source, external), "external", "internal"),
        }
    )
    for i, name in enumerate(CLASSES):
        table[f"probability_{name}"] = p[:, i]
    return TestSet(table, CLASSES, "covid19", pd.DataFrame(index=range(images)))


@pytest.fixture(scope="module")
def testset() -> TestSet:
    return a_test()


@pytest.fixture(scope="module")
def section(testset: TestSet) -> Section:
    return discrimination(testset, prevalence=0.05, resampling=FEW)


def groups_of(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(dict.fromkeys(zip(table["kind"], table["source"], strict=True)))


def rows(section: Section, **wanted: object) -> pd.DataFrame:
    table = section_tables(section)["metrics"]
    for column, value in wanted.items():
        table = table[table[column] == value]
    return table


def test_every_kind_and_source_has_its_rows_and_kinds_are_never_put_together(section: Section) -> None:
    expected = [("internal", "all"), ("internal", "east"), ("internal", "north"), ("external", "south")]
    for name in ("metrics", "roc", "precision_recall", "operating_points", "confusion"):
        assert groups_of(section_tables(section)[name]) == expected
    assert list(section_tables(section)["within_and_pooled"]["kind"].unique()) == ["internal", "external"]


def test_every_figure_is_withheld_or_has_its_sample_and_interval(section: Section) -> None:
    for name in ("metrics", "operating_points", "within_and_pooled"):
        table = section_tables(section)[name]
        given = table["low"].notna()
        assert (given | (table["withheld"] != "")).all()
        assert (table[given]["patients"] > 1).all()
        assert (table[given]["low"] <= table[given]["value"]).all()
        assert (table[given]["value"] <= table[given]["high"]).all()
        assert set(table[given]["interval"]) <= {"bca", "delong", "exact"}


def test_figures_are_of_the_images_they_name(testset: TestSet, section: Section) -> None:
    table = testset.table[testset.table["source"] == "south"]
    expected = roc_auc_score(table["truth"] == "covid19", table["probability_covid19"])
    for metric in ("auroc", "auroc_delong"):
        row = rows(section, source="south", scope="covid19", metric=metric).iloc[0]
        assert row["value"] == pytest.approx(expected, abs=1e-9)
        assert (row["n"], row["positives"]) == (len(table), (table["truth"] == "covid19").sum())
    found = section_tables(section)["confusion"]
    counts = found[found["source"] == "south"]["images"].to_numpy().reshape(3, 3)
    assert np.array_equal(counts, confusion_matrix(table["truth"], table["prediction"], labels=list(CLASSES)))


def test_predictive_values_at_the_prevalence_are_given_for_the_target_only(section: Section) -> None:
    found = rows(section, metric="ppv_at_prevalence")
    assert set(found["scope"]) == {"covid19"}
    one = {m: rows(section, source="south", scope="covid19", metric=m).iloc[0]["value"] for m in TO_BAYES}
    sensitivity, specificity, ppv = (one[m] for m in TO_BAYES)
    assert ppv == pytest.approx(sensitivity * 0.05 / (sensitivity * 0.05 + (1 - specificity) * 0.95), abs=1e-12)
    assert any("where 5.0% of patients have COVID-19" in sentence for sentence in section.sentences)


TO_BAYES = ("sensitivity", "specificity", "ppv_at_prevalence")


def test_without_a_prevalence_none_is_made_up(testset: TestSet) -> None:
    section = discrimination(testset, resampling=Resampling(replicates=20))
    assert not rows(section, metric="ppv_at_prevalence").size
    assert not any("% of patients have" in sentence for sentence in section.sentences)


@pytest.mark.parametrize("prevalence", [0.0, 1.0, -0.1, 5.0])
def test_a_prevalence_that_is_none_is_refused(testset: TestSet, prevalence: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        discrimination(testset, prevalence=prevalence, resampling=FEW)


def test_curves_are_small_and_whole(section: Section) -> None:
    for name in ("roc", "precision_recall"):
        table = section_tables(section)[name]
        assert list(table.columns) == ["kind", "source", "scope", "x", "y", "low", "high", "interval"]
        assert (table.groupby(["kind", "source", "scope"]).size() == 101).all()
        assert table[["y", "low", "high"]].stack().between(0, 1).all()


def test_a_shortcut_by_source_is_measured() -> None:
    confounded = a_test(900, shares={"north": 0.85, "east": 0.1, "south": 0.1}, shortcut=4, external=())
    section = discrimination(confounded, resampling=FEW)
    table = section_tables(section)["within_and_pooled"].set_index("metric")
    gap = table.loc["auroc_pooled_minus_within_source"]
    assert gap["low"] > 0.02
    assert gap["value"] == pytest.approx(
        table.loc["auroc_pooled", "value"] - table.loc["auroc_within_source", "value"], abs=1e-12
    )
    assert any("the size of the shortcut" in sentence for sentence in section.sentences)


def test_sites_are_looked_into_where_the_manifest_has_them(testset: TestSet) -> None:
    sites = np.where(testset.table["patient"].astype(int) % 4 < 2, "one", "two")
    section = discrimination(testset.with_columns(site=sites), resampling=FEW)
    table = section_tables(section)["within_and_pooled"]
    assert set(table["within"]) == {"source", "site"}
    assert table[(table["within"] == "site") & (table["kind"] == "internal")]["mixed"].iloc[0] == 4


def test_sources_of_one_class_each_are_named(testset: TestSet) -> None:
    apart = np.where(testset.table["truth"] == "covid19", "cases", "controls")
    section = discrimination(testset.with_columns(source=apart, kind="external"), resampling=FEW)
    assert any("cases holds only COVID-19; controls holds no COVID-19" in reason for reason in section.withheld)
    assert "all" not in set(section_tables(section)["metrics"]["source"])
    assert any("no image of COVID-19 here" in reason for reason in section.withheld)
    assert any("every image here is of COVID-19" in reason for reason in section.withheld)
    table = section_tables(section)["within_and_pooled"].set_index("metric")
    assert table["value"].isna().all()


def test_no_positives_withholds_what_rests_on_them(testset: TestSet) -> None:
    section = discrimination(testset.where(~testset.positive), prevalence=0.1, resampling=FEW)
    target = rows(section, scope="covid19")
    for metric in ("auroc", "auroc_delong", "sensitivity", "ppv", "ppv_at_prevalence"):
        assert target[target["metric"] == metric]["value"].isna().all()
    assert target[target["metric"] == "specificity"]["value"].notna().all()
    assert "covid19" not in set(section_tables(section)["roc"]["scope"])
    assert len(section.withheld) >= 4


@pytest.mark.parametrize(("always", "left"), [("covid19", "a decision for"), ("normal", "a decision against")])
def test_a_decision_that_is_never_made_is_left_out_at_a_prevalence(testset: TestSet, always: str, left: str) -> None:
    sure = {f"probability_{name}": float(name == always) for name in testset.classes}
    section = discrimination(testset.with_columns(**sure), prevalence=0.1, resampling=FEW)
    said = [sentence for sentence in section.sentences if "10.0% of patients" in sentence]
    assert said
    assert all(left in sentence and sentence.count("a decision") == 1 for sentence in said)


def test_one_image_of_the_target_is_no_sample(testset: TestSet) -> None:
    keep = ~testset.positive
    keep[np.flatnonzero(testset.positive)[0]] = True
    only = testset.where(keep).with_columns(source="here", kind="external")
    section = discrimination(only, resampling=FEW)
    assert section.withheld[0].endswith("only one image of COVID-19 here.")
    assert rows(section, scope="covid19", metric="auroc")["value"].isna().all()


def test_nothing_judged_is_no_error(testset: TestSet) -> None:
    section = discrimination(testset.with_columns(fault="unreadable"), prevalence=0.1, resampling=FEW)
    assert not len(section_tables(section)["metrics"])
    assert section.withheld == ("No image could be analysed.",)


@pytest.mark.long
def test_five_thousand_images_take_seconds() -> None:
    testset = a_test(5000, shares={f"s{i}": 0.3 for i in range(5)}, external=("s0", "s1"))
    started = time.process_time()
    discrimination(testset, prevalence=0.1)
    assert time.process_time() - started < 60
