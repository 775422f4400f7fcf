"""AUROCs with their intervals, against scikit-learn and against definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from lungsight.statistics.auroc import Ranked
from lungsight.statistics.bootstrap import Resampling

FEW = Resampling(replicates=200)


def sample(n: int, seed: int, shift: float = 1.0) -> tuple[Ranked, np.ndarray]:
    rng = np.random.default_rng(seed)
    positive = np.arange(n) % 2 == 0
    return Ranked(positive, np.arange(n), "covid19"), np.round(rng.normal(size=n) + shift * positive, 1)


@settings(deadline=None, max_examples=30)
@given(st.integers(40, 120), st.integers(0, 10**6))
def test_the_values_are_scikit_learns(n: int, seed: int) -> None:
    ranked, score = sample(n, seed)
    _, other = sample(n, seed + 1)
    expected = roc_auc_score(ranked.positive, score)
    assert ranked.auroc(score, FEW).value == pytest.approx(expected, abs=1e-12)
    gap = ranked.auroc_gap(score, other, FEW)
    assert gap.value == pytest.approx(expected - roc_auc_score(ranked.positive, other), abs=1e-12)
    groups = np.array(["a", "b"])[np.arange(n) // 2 % 2]
    parts = [roc_auc_score(ranked.positive[groups == g], score[groups == g]) for g in "ab"]
    assert ranked.mean_within(score, groups, FEW).value == pytest.approx(np.mean(parts), abs=1e-12)


def test_a_score_that_only_tells_the_groups_apart_is_chance_within_them() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(["a", "b"], 200)
    positive = np.concatenate([rng.random(200) < 0.8, rng.random(200) < 0.2])
    ranked = Ranked(positive, np.arange(400), "covid19")
    score = (group == "a") + rng.normal(0, 0.01, 400)
    assert ranked.auroc(score, FEW).low > 0.65
    within = ranked.mean_within(score, group, FEW)
    assert within.value == pytest.approx(0.5, abs=0.12)


def test_images_of_one_patient_do_not_narrow_the_interval() -> None:
    ranked, score = sample(60, 1)
    once = ranked.auroc(score, FEW)
    again = Ranked(np.tile(ranked.positive, 5), np.tile(ranked.patient, 5), "covid19").auroc(np.tile(score, 5), FEW)
    assert (again.low, again.high) == pytest.approx((once.low, once.high), abs=1e-9)
    assert again.patients == once.patients == 60


@pytest.mark.parametrize(
    ("positives", "reason"), [(9, "9 patients on the positive side"), (51, "9 patients on the negative side")]
)
def test_too_few_patients_are_said(positives: int, reason: str) -> None:
    ranked = Ranked(np.arange(60) < positives, np.arange(60), "covid19")
    estimate = ranked.auroc(np.arange(60.0), FEW)
    assert estimate.value is None
    assert estimate.withheld.startswith(reason)


def test_no_group_with_both_sides_is_said() -> None:
    ranked, score = sample(60, 2)
    groups = np.where(ranked.positive, "a", "b")
    assert ranked.mean_within(score, groups, FEW).withheld == "no source holds both sides"


def test_a_perfect_score_gets_the_interval_of_its_smaller_side() -> None:
    ranked = Ranked(np.arange(60) < 20, np.arange(60), "covid19")
    perfect = ranked.auroc(-np.arange(60.0), FEW)
    assert perfect.value == 1
    assert perfect.low == pytest.approx(0.025 ** (1 / 20))  # Clopper and Pearson's bound of 20 in 20
    gap = ranked.auroc_gap(-np.arange(60.0), -np.arange(60.0), FEW)
    assert gap.low < 0 < gap.high
