"""Figures of a part against the rest, source by source: against scikit-learn, by hand, and under chance alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, precision_score, recall_score, roc_auc_score

from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.outcomes import Mask, Outcomes
from lungsight.statistics.stratified import (
    METRICS,
    NOT_WITHIN,
    Part,
    crude_values,
    gap_between,
    gap_within,
    parts_of,
    within,
)

FEW = Resampling(replicates=200)


def stratum(seed: int, n: int = 120, shift: float = 1.5, patients: int | None = None) -> Outcomes:
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.4
    score = 1 / (1 + np.exp(-(rng.normal(size=n) + shift * (positive - 0.5))))
    patient = np.arange(n) % (patients or n)
    return Outcomes(("covid19", "other"), np.where(positive, 0, 1), np.stack([score, 1 - score], axis=1), patient)


def parts(outcomes: Outcomes, *masks: Mask, resampling: Resampling = FEW) -> list[Part]:
    return parts_of(outcomes, "covid19", masks, resampling)


@given(seed=st.integers(0, 10_000), share=st.floats(0.3, 0.7))
@settings(max_examples=25, deadline=None)
def test_every_figure_is_scikit_learns(seed: int, share: float) -> None:
    s = stratum(seed)
    mask = np.random.default_rng(seed + 1).random(120) < share
    (part,) = parts(s, mask, resampling=Resampling(replicates=0))
    truth, called, score = (s.truth == 0)[mask], (s.predicted == 0)[mask], s.probabilities[mask, 0]
    expected = {
        "auroc": roc_auc_score(truth, score),
        "sensitivity": recall_score(truth, called),
        "specificity": recall_score(~truth, ~called),
        "ppv": precision_score(truth, called),
        "npv": precision_score(~truth, ~called),
        "brier_score": brier_score_loss(truth, score),
    }
    assert {name: part.drawn[name].point[0] for name in METRICS} == pytest.approx(expected, abs=1e-12)
    assert crude_values(s, "covid19", mask) == pytest.approx(expected, abs=1e-12)


def test_the_gap_is_mantel_and_haenszels_risk_difference() -> None:
    """Two strata of shares, by hand: w = a b / (a + b)."""
    strata = [stratum(1, 100), stratum(2, 300)]
    pairs, above, below = [], 0.0, 0.0
    for s in strata:
        mask, positive, called = np.arange(len(s)) % 3 == 0, s.truth == 0, s.predicted == 0
        pairs.append(tuple(parts(s, mask, ~mask)))
        one, other = positive & mask, positive & ~mask
        weight = one.sum() * other.sum() / (one.sum() + other.sum())
        above += weight * (called[one].mean() - called[other].mean())
        below += weight
    gap = gap_within(pairs, "sensitivity")  # type: ignore[arg-type]
    assert gap.estimate.value == pytest.approx(above / below)
    assert gap.estimate.n + gap.rest.n == sum(int((s.truth == 0).sum()) for s in strata)
    assert gap.estimate.low is not None
    assert gap.estimate.low < above / below < (gap.estimate.high or 0)


def test_a_part_that_is_a_source_has_no_gap() -> None:
    """Where a subgroup fills one source and none of the other, their difference is the sources'."""
    one, other = stratum(1), stratum(2)
    everything, nothing = np.ones(120, bool), np.zeros(120, bool)
    inside, empty = parts(one, everything, nothing)
    empty_too, outside = parts(other, nothing, everything)
    gap = gap_within([(inside, empty), (empty_too, outside)], "sensitivity")
    assert gap.estimate.value is None
    assert gap.estimate.withheld == NOT_WITHIN


def test_few_patients_are_withheld_however_many_images() -> None:
    (part,) = parts(stratum(3, patients=5), np.ones(120, bool))
    assert within([part], "sensitivity").withheld == "5 patients, and 10 are needed"
    assert within([part], "auroc").withheld == "5 patients on the smaller side, and 10 are needed"


def test_one_source_against_the_mean_of_the_others() -> None:
    first, *others = (parts(stratum(seed), np.ones(120, bool))[0] for seed in (1, 2, 3))
    values, sizes = np.array([part.drawn["specificity"].point for part in others]).T
    expected = first.drawn["specificity"].point[0] - np.average(values, weights=sizes)
    assert gap_between(first, others, "specificity").estimate.value == pytest.approx(expected)


@pytest.mark.long
def test_intervals_of_gaps_hold_the_truth_in_95_of_100() -> None:
    """No gap at all in either of two sources whose levels differ: the interval should hold zero."""
    held = {"auroc": 0, "sensitivity": 0}
    for seed in range(400):
        pairs = []
        for k, shift in enumerate((1.0, 2.5)):
            s = stratum(10_000 + 2 * seed + k, 240, shift)
            mask = np.random.default_rng(seed).random(240) < (0.2, 0.7)[k]
            pairs.append(tuple(parts(s, mask, ~mask, resampling=Resampling(replicates=400, seed=seed + k))))
        for metric in held:
            e = gap_within(pairs, metric).estimate  # type: ignore[arg-type]
            assert e.low is not None
            assert e.high is not None
            held[metric] += e.low <= 0 <= e.high
    assert all(0.92 <= n / 400 <= 0.98 for n in held.values()), held
