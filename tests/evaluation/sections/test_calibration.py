from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lungsight.evaluation.sections.calibration import calibration
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, TestSet
from lungsight.reporting.tables import section_tables
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.calibration_metrics import TITLES
from lungsight.statistics.estimate import ALL_CLASSES

FEW = Resampling(replicates=100)
CLASSES = ("covid19", "other_pneumonia", "no_pneumonia")


def make_testset(sources: dict[str, tuple[str, int]], temperature: float = 1.0, only: int | None = None) -> TestSet:
    """Two images a patient at each source (kind, patients), whose probabilities are true at temperature 1; ``only``
    makes all images of one class."""
    rng = np.random.default_rng(0)
    parts = []
    for source, (kind, patients) in sources.items():
        logits = np.repeat(rng.normal(0, 1.3, (patients, 3)), 2, axis=0)
        true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        truth = np.array([rng.choice(3, p=row) for row in true]) if only is None else np.full(2 * patients, only)
        stated = np.exp(logits / temperature)
        stated /= stated.sum(axis=1, keepdims=True)
        table = pd.DataFrame({f"probability_{name}": stated[:, i] for i, name in enumerate(CLASSES)})
        table = table.assign(source=source, kind=kind, truth=[CLASSES[t] for t in truth], fault="", split="")
        parts.append(table.assign(patient=np.repeat(np.arange(patients), 2).astype(str)))
    table = pd.concat(parts, ignore_index=True)
    return TestSet(table, CLASSES, "covid19", pd.DataFrame(index=table.index))


def figure(table: pd.DataFrame, **wanted: object) -> pd.Series:
    row = table.loc[np.logical_and.reduce([table[key] == value for key, value in wanted.items()])]
    assert len(row) == 1
    return row.iloc[0]


def test_every_source_has_its_own_figures_for_every_class() -> None:
    section = calibration(make_testset({"north": (INTERNAL, 80), "south": (EXTERNAL, 60)}), resampling=FEW)
    table = section_tables(section)["calibration"]
    assert set(zip(table["kind"], table["source"], strict=True)) == {(INTERNAL, "north"), (EXTERNAL, "south")}
    for source, n in (("north", 160), ("south", 120)):
        here = table[table["source"] == source]
        assert set(here["scope"]) == {ALL_CLASSES, *CLASSES}
        assert set(here.loc[here["scope"] == "covid19", "metric"]) == set(TITLES)
        assert figure(here, scope="covid19", metric="brier_score")["n"] == n
    bins = section_tables(section)["reliability"]
    assert set(bins["binning"]) == {"equal mass", "equal width"}
    assert bins.groupby(["source", "scope", "binning"])["n"].sum().isin([160, 120]).all()
    assert section.withheld == ()


@pytest.mark.parametrize(
    ("temperature", "words"),
    [
        (0.4, "the probabilities are too extreme"),
        (3.0, "the probabilities are too timid"),
        (1.0, "neither too extreme"),
    ],
)
def test_the_sentence_says_what_the_slope_means(temperature: float, words: str) -> None:
    section = calibration(make_testset({"north": (INTERNAL, 400)}, temperature), resampling=FEW)
    slope = figure(section_tables(section)["calibration"], scope="covid19", metric="calibration_slope")
    assert slope["low"] < slope["value"] < slope["high"]
    assert words in section.sentences[0]
    assert "north (internal)" in section.sentences[0]
    assert "by chance a calibrated model would show" in section.sentences[1]


def test_a_source_of_one_class_keeps_its_brier_score_and_withholds_the_regression() -> None:
    section = calibration(make_testset({"north": (INTERNAL, 60)}, only=2), resampling=FEW)
    table = section_tables(section)["calibration"]
    assert figure(table, scope="covid19", metric="brier_score")["value"] > 0
    assert np.isnan(figure(table, scope="covid19", metric="calibration_slope")["value"])
    assert section.withheld == (
        "north: calibration intercept, calibration slope withheld: 0 images of COVID-19 and 120 others are too few "
        "for a regression; it takes 10 of each.",
    )


def test_images_without_truth_or_judgement_and_empty_tables_do_no_harm() -> None:
    whole = make_testset({"north": (INTERNAL, 60)})
    spoilt = whole.with_columns(
        fault=["", *["can't be read"] * 19, *[""] * 100], truth=["", *whole.table["truth"].iloc[1:]]
    )
    of_spoilt = section_tables(calibration(spoilt, resampling=FEW))["calibration"]
    assert figure(of_spoilt, scope="covid19", metric="ece")["n"] == 100
    nothing = calibration(whole.where(np.zeros(120, bool)), resampling=FEW)
    assert section_tables(nothing)["calibration"].empty
    assert nothing.sentences == ()


def test_the_same_call_gives_the_same_figures() -> None:
    images = make_testset({"north": (INTERNAL, 60)})
    first, second = (section_tables(calibration(images, resampling=FEW))["calibration"] for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
