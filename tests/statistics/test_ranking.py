"""Curves, thresholds and ranks against scikit-learn and against counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve, roc_auc_score, roc_curve

from lungsight.statistics.bootstrap import Exact, Resampling, Sample
from lungsight.statistics.curves import GRID, PRECISION_RECALL, ROC, both_curves, curve
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.metrics import resample
from lungsight.statistics.outcomes import Outcomes
from lungsight.statistics.ranking import Ranking, auroc, auroc_within, ranking_estimate

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


def a_sample(n: int, seed: int, shift: float = 1.0) -> tuple[Sample, np.ndarray]:
    rng = np.random.default_rng(seed)
    images = Sample(np.arange(n), np.arange(n) % 2 == 0, "covid19")
    return images, np.round(rng.normal(size=n) + shift * images.positive, 1)


def auroc_of(images: Sample, score: np.ndarray) -> Estimate:
    return ranking_estimate("auroc", images, auroc(score, images.positive), resampling=FEW)


def gap_of(images: Sample, score: np.ndarray, other: np.ndarray) -> Estimate:
    one, two = auroc(score, images.positive), auroc(other, images.positive)
    return ranking_estimate("gap", images, lambda w: one(w) - two(w), exact=Exact.AUROC_DIFFERENCE, resampling=FEW)


@settings(deadline=None, max_examples=30)
@given(st.integers(40, 120), st.integers(0, 10**6))
def test_the_values_are_scikit_learns(n: int, seed: int) -> None:
    images, score = a_sample(n, seed)
    _, other = a_sample(n, seed + 1)
    expected = roc_auc_score(images.positive, score)
    assert auroc_of(images, score).value == pytest.approx(expected, abs=1e-12)
    gap = gap_of(images, score, other)
    assert gap.value == pytest.approx(expected - roc_auc_score(images.positive, other), abs=1e-12)
    groups = np.array(["a", "b"])[np.arange(n) // 2 % 2]
    parts = [roc_auc_score(images.positive[groups == g], score[groups == g]) for g in "ab"]
    assert auroc_within("auroc_within", images, score, groups, resampling=FEW).value == pytest.approx(
        np.mean(parts), abs=1e-12
    )


def test_a_score_that_only_tells_the_groups_apart_is_chance_within_them() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(["a", "b"], 200)
    positive = np.concatenate([rng.random(200) < 0.8, rng.random(200) < 0.2])
    images = Sample(np.arange(400), positive, "covid19")
    score = (group == "a") + rng.normal(0, 0.01, 400)
    assert auroc_of(images, score).low > 0.65
    within = auroc_within("auroc_within", images, score, group, resampling=FEW)
    assert within.value == pytest.approx(0.5, abs=0.12)


def test_images_of_one_patient_do_not_narrow_the_interval() -> None:
    images, score = a_sample(60, 1)
    once = auroc_of(images, score)
    five_each = Sample(np.tile(images.patient, 5), np.tile(images.positive, 5), "covid19")
    again = auroc_of(five_each, np.tile(score, 5))
    assert (again.low, again.high) == pytest.approx((once.low, once.high), abs=1e-9)
    assert again.patients == once.patients == 60


@pytest.mark.parametrize(
    ("positives", "reason"), [(9, "9 patients on the positive side"), (51, "9 patients on the negative side")]
)
def test_too_few_patients_are_said(positives: int, reason: str) -> None:
    images = Sample(np.arange(60), np.arange(60) < positives, "covid19")
    estimate = auroc_of(images, np.arange(60.0))
    assert estimate.value is None
    assert estimate.withheld.startswith(reason)


def test_no_group_with_both_sides_is_said() -> None:
    images, score = a_sample(60, 2)
    groups = np.where(images.positive, "a", "b")
    assert (
        auroc_within("auroc_within", images, score, groups, resampling=FEW).withheld == "no source holds both sides"
    )


def test_a_perfect_score_gets_the_interval_of_its_smaller_side() -> None:
    images = Sample(np.arange(60), np.arange(60) < 20, "covid19")
    perfect = auroc_of(images, -np.arange(60.0))
    assert perfect.value == 1
    assert perfect.low == pytest.approx(0.025 ** (1 / 20))  # Clopper and Pearson's bound of 20 in 20
    gap = gap_of(images, -np.arange(60.0), -np.arange(60.0))
    assert gap.low < 0 < gap.high
