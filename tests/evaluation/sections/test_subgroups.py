"""Subgroups: a planted gap is found, a source in disguise isn't taken for one, and too few are withheld."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from lungsight.evaluation.sections.subgroups import GAP_METRICS, WITHIN_SOURCES, properties_of, subgroups
from lungsight.evaluation.testset.image_statistics import ImageStatistics
from lungsight.evaluation.testset.testset import TestSet
from lungsight.reporting.tables import section_tables
from lungsight.statistics.bootstrap import Resampling

FEW = Resampling(replicates=200)


def make_testset(n: int = 600, seed: int = 0, **columns: Any) -> TestSet:
    """Two external sources of ``n`` images together, each of its own patient, half of them positive; the model is
    right in 8 of 10. A column given as a function is made from the table so far."""
    rng = np.random.default_rng(seed)
    positive = np.arange(n) % 2 == 0
    right = rng.random(n) < 0.8
    p = np.where(positive == right, 0.7, 0.3) + rng.uniform(-0.2, 0.2, n)
    rows: dict[str, Any] = {
        "path": [f"/{k}.png" for k in range(n)],
        "patient": [f"p{k}" for k in range(n)],
        "source": np.where(np.arange(n) < n // 2, "north", "south"),
        "site": "",
        "reference_standard": "RT-PCR",
        "view": "PA",
        "age": rng.integers(20, 90, n).astype(float),
        "sex": rng.choice(["F", "M"], n),
        "truth": np.where(positive, "covid19", "other"),
        "probability_covid19": p,
        "probability_other": 1 - p,
        "fault": "",
        "kind": "external",
    }
    table = pd.DataFrame(rows)
    for name, value in columns.items():
        table[name] = value(table) if callable(value) else value
    headers = pd.DataFrame(
        rng.uniform(300, 600, (n, len(ImageStatistics._fields))), columns=list(ImageStatistics._fields)
    )
    return TestSet(table, ("covid19", "other"), "covid19", headers)


def with_score(j: TestSet, score: np.ndarray) -> TestSet:
    return j.with_columns(probability_covid19=score, probability_other=1 - score)


def gap(j: TestSet, prop: str, subgroup: str, metric: str, source: str = WITHIN_SOURCES) -> pd.Series:
    table = section_tables(subgroups(j, resampling=FEW))["gaps"]
    chosen = (table["property"] == prop) & (table["subgroup"] == subgroup) & (table["metric"] == metric)
    rows = table[chosen & (table["source"] == source)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_a_planted_gap_is_found_with_its_size() -> None:
    """Women's positives are all missed."""
    j = make_testset()
    missed = (j.table["sex"] == "F") & j.positive
    found = gap(with_score(j, np.where(missed, 0.1, j.score)), "sex", "F", "sensitivity")
    positives = j.table[j.positive]
    expected = -float((j.score[j.positive & (j.table["sex"] == "M")] > 0.5).mean())
    assert found["value"] == pytest.approx(expected, abs=0.05)
    assert found["high"] < -0.5
    assert found["n"] + found["rest_n"] == len(positives)


def test_a_source_in_disguise_is_no_gap() -> None:
    """The south's patients are mostly men, and its positives are missed, men's as women's."""

    def sex(table: pd.DataFrame) -> np.ndarray:
        man = np.random.default_rng(5).random(len(table)) < np.where(table["source"] == "south", 0.9, 0.1)
        return np.where(man, "M", "F")

    j = make_testset(sex=sex)
    rng = np.random.default_rng(6)
    missed = (j.table["source"] == "south") & j.positive & (rng.random(len(j)) < 0.8)
    j = with_score(j, np.where(missed, 0.1, j.score))
    subgroup = str(j.table["sex"].value_counts().index[0])
    found = gap(j, "sex", subgroup, "sensitivity")
    assert found["low"] <= 0 <= found["high"]
    assert abs(found["crude"]) > 0.35
    section = subgroups(j, resampling=FEW)
    assert any("source in disguise" in sentence for sentence in section.sentences)


def test_a_subgroup_that_is_its_source_is_withheld() -> None:
    j = make_testset(view=lambda t: np.where(t["source"] == "north", "PA", "AP"))
    table = section_tables(subgroups(j, resampling=FEW))["gaps"]
    views = table[table["property"] == "view"]
    assert not len(views[views["value"].notna()])


def test_kinds_are_never_put_together() -> None:
    j = make_testset(kind=lambda t: np.where(t["source"] == "north", "internal", "external"))
    section = subgroups(j, resampling=FEW)
    for table in section_tables(section).values():
        assert set(table["source"]) == {"north", "south"}
        assert (table["kind"] == np.where(table["source"] == "north", "internal", "external")).all()


def test_what_is_not_known_or_is_all_the_same_is_said() -> None:
    section = subgroups(make_testset(sex="", view="AP"), resampling=FEW)
    assert "By sex (external): not known of any image." in section.withheld
    assert "By view (external): every image of which it is known is AP." in section.withheld
    assert "By site (external): not known of any image." in section.withheld


def test_images_of_unknown_age_are_on_neither_side() -> None:
    j = make_testset(age=lambda t: np.where(np.arange(len(t)) % 3 == 0, np.nan, t["age"]))
    found = gap(j, "age group", "65+", "brier_score")
    assert found["n"] + found["rest_n"] == int(j.table["age"].notna().sum())


def test_few_patients_are_withheld_with_the_reason() -> None:
    section = subgroups(make_testset(n=40), resampling=FEW)
    table = section_tables(section)["subgroups"]
    few = table[(table["property"] == "age group") & table["value"].isna()]
    assert len(few)
    assert few["withheld"].str.contains("are needed").any()


def test_thirds_are_of_the_source_and_sites_hold_both_classes() -> None:
    j = make_testset(
        site=lambda t: np.where(np.arange(len(t)) % 4 < 2, "a", np.where(np.arange(len(t)) % 4 == 2, "b", "c"))
    )
    shifted = j.headers.assign(sharpness_fine=lambda h: h["sharpness_fine"] + 1000 * (j.table["source"] == "south"))
    found = {p.name: p for p in properties_of(TestSet(j.table, j.classes, j.target, shifted), image_size=400)}
    thirds = pd.Series(found["sharpness"].values)
    assert all(abs(n - 100) <= 1 for n in thirds.groupby(j.table["source"].to_numpy()).value_counts())
    assert found["site"].subgroups == ("a",)
    assert found["short side"].subgroups == ("below 400 px", "400 px or more")


def test_how_many_gaps_were_looked_at_is_said() -> None:
    section = subgroups(make_testset(), resampling=FEW)
    gaps = section_tables(section)["gaps"]
    looked = int(gaps["low"].notna().sum())
    clear = int(((gaps["low"] > 0) | (gaps["high"] < 0)).sum())
    assert any(s.startswith(f"Of {looked} gaps looked at, {clear} ") for s in section.sentences)
    assert f"about {round(0.05 * looked, 1):g} would by chance" in " ".join(section.sentences)
    assert set(gaps["metric"]) == set(GAP_METRICS)


def test_images_that_could_not_be_read_leave_quality_out() -> None:
    j = make_testset()
    blind = TestSet(j.table, j.classes, j.target, j.headers * np.nan)
    section = subgroups(blind, resampling=FEW, image_size=256)
    assert "By image quality (external): no image could be read." in section.withheld
    assert not set(section_tables(section)["gaps"]["property"]) & {"sharpness", "contrast", "short side"}


def test_no_images_at_all_leave_empty_tables() -> None:
    section = subgroups(make_testset(fault="broken"), resampling=FEW)
    assert not len(section_tables(section)["gaps"])
    assert section.sentences == (
        "No gap between subgroups could be taken: too few patients on one side or the other.",
    )
