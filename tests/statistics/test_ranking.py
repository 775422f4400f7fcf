"""Curves, thresholds and ranks against scikit-learn and against counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve, roc_curve

from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.curves import GRID, PRECISION_RECALL, ROC, both_curves, curve
from lungsight.statistics.metrics import resample
from lungsight.statistics.outcomes import Outcomes
from lungsight.statistics.ranking import Ranking

FEW = Resampling(replicates=200)
scored = st.lists(st.tuples(st.booleans(), st.integers(0, 8), st.integers(0, 3)), min_size=2, max_size=40).filter(
    lambda rows: 0 < sum(p * w for p, _, w in rows) < sum(w for _, _, w in rows)
)


def expand(rows: list[tuple[bool, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    positive, score, weight = (np.array(column) for column in zip(*rows, strict=True))
    return positive, score.astype(float), weight.astype(float)


shares = st.integers(0, 10**6).map(lambda millionths: millionths / 10**6)  # none as fine as what rounding may take


@given(scored)
def test_the_roc_curve_joins_scikit_learns_points(rows: list[tuple[bool, int, int]]) -> None:
    positive, score, weight = expand(rows)
    y = both_curves(Ranking.of(score, positive).sweep(weight[None]))[ROC][0]
    fpr, tpr, _ = roc_curve(np.repeat(positive, weight.astype(int)), np.repeat(score, weight.astype(int)))
    # Where the curve is upright its top counts: as if the grid stood a hair to the right of it.
    expected = np.interp(GRID + 1e-12, fpr, tpr)
    assert y == pytest.approx(expected, abs=1e-6)


@given(scored)
def test_precision_is_scikit_learns_at_the_first_threshold_that_reaches_the_recall(
    rows: list[tuple[bool, int, int]],
) -> None:
    positive, score, weight = expand(rows)
    y = both_curves(Ranking.of(score, positive).sweep(weight[None]))[PRECISION_RECALL][0]
    repeated = np.repeat(positive, weight.astype(int)), np.repeat(score, weight.astype(int))
    precision, recall, _ = precision_recall_curve(*repeated)
    by_threshold = list(zip(recall[:-1], precision[:-1], strict=True))[::-1]  # highest threshold first
    expected = [next(p for r, p in by_threshold if r >= x - 1e-12) for x in GRID]
    assert y == pytest.approx(expected, abs=1e-9)


@given(scored, shares, shares)
def test_places_of_a_specificity_and_a_sensitivity_are_what_counting_finds(
    rows: list[tuple[bool, int, int]], specificity: float, sensitivity: float
) -> None:
    positive, score, weight = expand(rows)
    sweep = Ranking.of(score, positive).sweep(weight[None])
    reached = [(tp / sweep.positives[0], 1 - fp / sweep.negatives[0])
               for tp, fp in zip(sweep.called_tp[0], sweep.called_fp[0], strict=True)]  # fmt: skip
    at = int(sweep.place_of_specificity(np.array([specificity]))[0, 0])
    assert reached[at][0] == max(se for se, sp in reached if sp >= specificity - 1e-9)
    at = int(sweep.place_of_sensitivity(np.array([sensitivity]))[0, 0])
    assert reached[at][1] == max(sp for se, sp in reached if se >= sensitivity - 1e-9)


def test_many_sets_of_weights_at_once_give_what_each_gives_alone() -> None:
    rng = np.random.default_rng(0)
    score, positive = rng.normal(size=60).round(1), rng.random(60) < 0.4
    weights = rng.integers(0, 4, size=(30, 60)).astype(float)
    ranking = Ranking.of(score, positive)
    together = both_curves(ranking.sweep(weights))
    for name in (ROC, PRECISION_RECALL):
        alone = np.concatenate([both_curves(ranking.sweep(row[None]))[name] for row in weights])
        assert np.array_equal(together[name], alone)


def test_a_replicate_without_a_class_is_not_defined() -> None:
    ranking = Ranking.of(np.array([0.9, 0.1]), np.array([True, False]))
    found = both_curves(ranking.sweep(np.array([[1.0, 0.0], [0.0, 1.0]])))
    assert np.isnan(found[ROC]).all()
    assert np.isnan(found[PRECISION_RECALL][1]).all()


def test_a_curve_lies_in_its_band_which_narrows_with_more_patients() -> None:
    def mean_width(patients: int) -> float:
        rng = np.random.default_rng(0)
        truth = rng.integers(2, size=patients)
        p = 1 / (1 + np.exp(-rng.normal(truth * 1.5)))
        outcomes = Outcomes(("a", "b"), truth, np.stack([1 - p, p], axis=1), np.arange(patients))
        found = curve(resample(outcomes, FEW, both_curves)["b", ROC], FEW.level)
        assert ((found.low <= found.y + 0.02) & (found.y <= found.high + 0.02)).all()
        return float(np.mean(found.high - found.low))

    assert 1.6 < mean_width(200) / mean_width(800) < 2.5  # 2 in theory
