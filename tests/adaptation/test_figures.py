"""Figures before and after."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lungsight.adaptation.figures import (
    AUROC,
    BRIER,
    ECE,
    LEFT_OPEN,
    SENSITIVITY,
    SPECIFICITY,
    TITLES,
    WITHIN_VIEW,
    Verdict,
    compare,
)
from lungsight.evaluation.testset.testset import DECISION, TestSet
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.outcomes import TRUTH, probability_column

RESAMPLING = Resampling(replicates=200)
POSITIVE = np.arange(80) % 2 == 0
LABELS = np.where(POSITIVE, "covid19", "other")


def a_testset(score: np.ndarray, view: str | list[str] = "PA", low: float = 0.3, high: float = 0.6) -> TestSet:
    decided = np.where(score >= high, "covid19", np.where(score >= low, "inconclusive", "other"))
    table = pd.DataFrame(
        {
            TRUTH: LABELS,
            "source": "here",
            "view": view,
            DECISION: decided,
            probability_column("covid19"): score,
        }
    )
    return TestSet(table, ("covid19", "other"), "covid19", pd.DataFrame(index=table.index))


def score(shift: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 1, 80)
    return 1 / (1 + np.exp(-(noise + shift * (2 * POSITIVE - 1))))


PATIENTS = np.arange(80)


def test_each_figure_is_given_before_and_after_with_its_difference() -> None:
    before, after = score(0.1), score(1.5)
    found = compare(a_testset(before), a_testset(after), PATIENTS, RESAMPLING)
    assert [change.name for change in found.changes] == list(TITLES)
    for change in found.changes:
        assert change.before.low is not None
        assert change.after.low is not None
        assert change.difference.value == pytest.approx(change.after.value - change.before.value)  # type: ignore[operator]
    brier = found.get(BRIER)
    assert brier.before.value == pytest.approx(((before - POSITIVE) ** 2).mean())
    sensitivity, specificity = found.get(SENSITIVITY), found.get(SPECIFICITY)
    assert sensitivity.after.value == pytest.approx((after[POSITIVE] >= 0.6).mean())
    assert (sensitivity.after.n, specificity.after.n) == (40, 40)
    assert specificity.after.value == pytest.approx((after[~POSITIVE] < 0.3).mean())
    assert found.get(LEFT_OPEN).after.value == pytest.approx(((after >= 0.3) & (after < 0.6)).mean())
    assert found.verdict is Verdict.BETTER


def test_the_same_predictions_differ_by_nothing() -> None:
    same = a_testset(score(0.5))
    found = compare(same, same, PATIENTS, RESAMPLING)
    assert {change.difference.value for change in found.changes} == {0.0}
    assert found.verdict is Verdict.NO_CLEAR_CHANGE


def test_a_poorer_ranking_is_worse_and_says_why() -> None:
    found = compare(a_testset(score(1.5)), a_testset(score(0.1)), PATIENTS, RESAMPLING)
    assert found.verdict is Verdict.WORSE
    assert found.sentence.startswith("This made it worse")
    assert "AUROC" in found.sentence


def test_poorer_probabilities_are_worse_though_the_ranking_is_the_same() -> None:
    good = score(0.8)
    found = compare(a_testset(good), a_testset(good**8), PATIENTS, RESAMPLING)
    assert found.get(AUROC).difference.value == 0
    assert found.verdict is Verdict.WORSE
    assert "Brier" in found.sentence


def test_what_is_gained_by_the_view_alone_is_worse_within_it() -> None:
    """Most patients with the target are AP: a score that says AP ranks better over all, and worse within a view."""
    ap = np.where(POSITIVE, PATIENTS % 20 != 0, PATIENTS % 20 == 1)
    views = ["AP" if one else "PA" for one in ap]
    honest = score(0.6)
    found = compare(a_testset(honest, views), a_testset(0.1 * score(0) + 0.8 * ap, views), PATIENTS, RESAMPLING)
    assert found.get(AUROC).difference.value > 0.05  # type: ignore[operator]
    assert found.get(WITHIN_VIEW).difference.value is not None
    assert found.get(WITHIN_VIEW).difference.value < -0.02
    assert found.verdict is Verdict.WORSE


def test_without_views_nothing_is_said_within_them() -> None:
    found = compare(a_testset(score(0.5), ""), a_testset(score(1), ""), PATIENTS, RESAMPLING)
    assert found.get(WITHIN_VIEW).after.value is None
    assert "no view" in str(found.get(WITHIN_VIEW).after.withheld)


def test_few_images_have_no_calibration_error() -> None:
    few = a_testset(score(0.5)).where(PATIENTS < 40)
    found = compare(few, few, PATIENTS[:40], RESAMPLING)
    assert found.get(ECE).after.value is None
