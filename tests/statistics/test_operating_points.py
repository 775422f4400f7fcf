"""Operating points and predictive values against counting, and against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.metrics import estimate_of, estimates_of, resample
from lungsight.statistics.operating_points import (
    OPERATING_POINTS,
    at_prevalence,
    operating_points,
    predictive_values,
    threshold_of,
)
from lungsight.statistics.outcomes import Outcomes

FEW = Resampling(replicates=300)


def of_scores(positives: list[float], negatives: list[float]) -> Outcomes:
    score = np.array(positives + negatives)
    truth = np.array([1] * len(positives) + [0] * len(negatives))
    return Outcomes(("a", "b"), truth, np.stack([1 - score, score], axis=1), np.arange(len(score)))


def a_study(n: int = 400, seed: int = 0, decimals: int = 2) -> Outcomes:
    rng = np.random.default_rng(seed)
    truth = rng.integers(2, size=n)
    score = (1 / (1 + np.exp(-rng.normal(2 * truth - 1)))).round(decimals)
    return Outcomes(("a", "b"), truth, np.stack([1 - score, score], axis=1), np.arange(n) // 2)


@given(st.integers(0, 200), st.integers(1, 2))
def test_each_point_is_reached_by_its_threshold_and_by_none_better(seed: int, decimals: int) -> None:
    outcomes = a_study(60, seed, decimals)
    score, positive = outcomes.probabilities[:, 1], outcomes.truth == 1
    drawn = resample(outcomes, Resampling(replicates=1), operating_points)
    for name, (figure, fixed, at) in OPERATING_POINTS.items():
        threshold = threshold_of(outcomes, "b", name)
        found = {}
        for candidate in [np.inf, *score]:
            called = score >= candidate
            reached = {"sensitivity": called[positive].mean(), "specificity": (~called[~positive]).mean()}
            if reached[fixed] >= at - 1e-9:
                found[candidate] = reached[figure]
        assert drawn["b", name].point == pytest.approx(max(found.values()), abs=1e-12)
        assert found[np.inf if threshold is None else threshold] == pytest.approx(max(found.values()), abs=1e-12)


def test_points_of_a_small_example() -> None:
    outcomes = of_scores([0.9, 0.8, 0.7, 0.2], [0.85, 0.6, 0.5, 0.4, 0.3, 0.1, 0.1, 0.1, 0.1, 0.1])
    drawn = resample(outcomes, Resampling(replicates=1), operating_points)
    assert drawn["b", "sensitivity_at_specificity_0.90"].point == 0.75  # one false positive of ten allowed: from 0.7
    assert threshold_of(outcomes, "b", "sensitivity_at_specificity_0.90") == 0.7
    assert drawn["b", "sensitivity_at_specificity_0.95"].point == 0.25  # none allowed
    assert drawn["b", "specificity_at_sensitivity_0.95"].point == 0.5  # all four needed: from 0.2


def test_points_get_intervals_by_patients() -> None:
    outcomes = a_study()
    resampled = resample(outcomes, FEW, operating_points)
    name = "sensitivity_at_specificity_0.90"
    estimate = estimate_of(outcomes, "b", name, resampled["b", name], FEW.level)
    assert estimate.low < estimate.value < estimate.high
    assert estimate.n == estimate.positives  # a share of the positives
    assert estimate.interval == "bca"


def test_predictive_values_of_a_known_example() -> None:
    """Sensitivity 99%, specificity 99%, one in a thousand ill: of those called ill, 0.99 in 10.98 are."""
    ppv, npv = predictive_values(np.array([0.99]), np.array([0.99]), 0.001)
    assert ppv[0] == pytest.approx(0.00099 / (0.00099 + 0.00999), abs=1e-12)
    assert npv[0] == pytest.approx(0.98901 / (0.98901 + 0.00001), abs=1e-12)


def test_at_the_samples_own_prevalence_they_are_the_samples_own() -> None:
    outcomes = a_study()
    resampled = resample(outcomes, FEW)
    own = {e.name: e.value for e in estimates_of(outcomes, resampled, FEW.level) if e.scope == "b"}
    ppv, npv = at_prevalence(outcomes, resampled, "b", float((outcomes.truth == 1).mean()), FEW.level)
    assert (ppv.value, npv.value) == pytest.approx((own["ppv"], own["npv"]), abs=1e-12)
    assert (ppv.name, ppv.n) == ("ppv_at_prevalence", len(outcomes))


def test_no_false_alarm_in_the_sample_is_no_proof_of_a_ppv_of_one() -> None:
    outcomes = of_scores([0.9] * 16 + [0.2] * 4, [0.1] * 20)
    ppv, npv = at_prevalence(outcomes, resample(outcomes, FEW), "b", 0.05, FEW.level)
    assert (ppv.value, ppv.interval, ppv.withheld) == (1.0, "exact", None)
    assert ppv.low < 0.3  # twenty negatives can't exclude one false alarm in six
    assert ppv.high == 1.0
    assert npv.interval == "bca"


def test_predictive_values_need_both_classes() -> None:
    outcomes = of_scores([0.9, 0.8], [])
    ppv, _ = at_prevalence(outcomes, resample(outcomes, FEW), "b", 0.05, FEW.level)
    assert (ppv.value, ppv.withheld) == (None, "every image here is of b")
