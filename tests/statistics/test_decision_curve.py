"""Net benefit against the numbers of a published tutorial."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungsight.statistics.binary import Binary
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.decision_curve import THRESHOLDS, decision_curve, net_benefit

FEW = Resampling(replicates=200)

#: The tutorial of Vickers and colleagues, "Decision curve analysis: a tutorial" (Memorial Sloan Kettering; data
#: ``df_binary`` and results of the R package dcurves 0.5): 750 patients, 105 with cancer. At each threshold, how many
#: the model ``cancerpredmarker`` calls truly and falsely, and the net benefit that R's ``dca`` gives.
TUTORIAL = {
    0.05: (96, 320, 0.1055438596491228),
    0.10: (87, 193, 0.08740740740740742),
    0.15: (82, 128, 0.07921568627450981),
    0.20: (75, 98, 0.06733333333333334),
    0.25: (72, 72, 0.06400000000000002),
    0.30: (62, 49, 0.05466666666666668),
    0.35: (57, 36, 0.050153846153846146),
}
TREAT_ALL = {
    0.05: 0.09473684210526317,
    0.10: 0.04444444444444445,
    0.20: -0.07499999999999998,
    0.35: -0.32307692307692315,
}
#: The same for a family history of cancer: 24 true and 91 false positives, whatever the threshold.
FAMILY_HISTORY = {
    0.01: 0.030774410774410774,
    0.10: 0.018518518518518517,
    0.20: 0.0016666666666666635,
    0.50: -0.08933333333333335,
}


def tutorial_patients() -> Binary:
    """Patients whose probabilities lie in the middle between the thresholds at which the table stops calling them."""
    edges = [0.0, *TUTORIAL, 1.0]
    middles = (np.array(edges[:-1]) + np.array(edges[1:])) / 2
    called = np.array([(105, 645)] + [counts[:2] for counts in TUTORIAL.values()] + [(0, 0)])
    between = -np.diff(called, axis=0)
    probability = np.concatenate([np.repeat(middles, between[:, side]) for side in (0, 1)])
    return Binary.from_arrays("cancer", np.arange(750) < 105, probability, np.arange(750))


def test_net_benefit_agrees_with_the_tutorial() -> None:
    curve = decision_curve(tutorial_patients(), FEW, thresholds=np.array(list(TUTORIAL)))
    expected = [value for _, _, value in TUTORIAL.values()]
    np.testing.assert_allclose(curve["net_benefit"], expected, atol=1e-6)
    treat_all = curve.set_index("threshold")["treat_all"]
    for threshold, value in TREAT_ALL.items():
        assert treat_all[threshold] == pytest.approx(value, abs=1e-6)
    assert (curve["treat_none"] == 0).all()


def test_a_yes_or_no_test_agrees_with_the_tutorial() -> None:
    for threshold, value in FAMILY_HISTORY.items():
        found = net_benefit(np.array(24 / 105), np.array(1 - 91 / 645), 105 / 750, np.array(threshold))
        assert float(found) == pytest.approx(value, abs=1e-6)


def test_the_gain_is_over_the_better_of_treating_all_and_none() -> None:
    curve = decision_curve(tutorial_patients(), FEW)
    better = curve[["treat_all", "treat_none"]].max(axis=1)
    np.testing.assert_allclose(curve["gain"], curve["net_benefit"] - better, atol=1e-12)
    known = curve["gain_low"].notna()
    assert known.sum() > 50
    assert (curve["gain_low"] <= curve["gain"] + 1e-12)[known].all()


def test_another_prevalence_changes_the_benefit_as_its_formula_says() -> None:
    sample = tutorial_patients()
    curve = decision_curve(sample, FEW, prevalence=0.02, thresholds=np.array([0.10]))
    sensitivity, specificity = 87 / 105, 1 - 193 / 645
    assert curve["net_benefit"][0] == pytest.approx(sensitivity * 0.02 - (1 - specificity) * 0.98 / 9)
    assert curve["treat_all"][0] == pytest.approx(0.02 - 0.98 / 9)
    assert np.isnan(curve["treat_all_low"][0])  # no resample changes a prevalence that is given
    own = decision_curve(sample, FEW, prevalence=105 / 750)
    np.testing.assert_allclose(own["net_benefit"], decision_curve(sample, FEW)["net_benefit"], atol=1e-12)


def test_one_kind_of_image_alone_has_no_curve() -> None:
    assert decision_curve(Binary.from_arrays("sick", np.ones(9, bool), np.full(9, 0.5), np.arange(9))).empty


@settings(max_examples=30, deadline=None)
@given(
    probability=st.lists(st.floats(0, 1), min_size=4, max_size=60),
    seed=st.integers(0, 1000),
)
def test_no_model_is_better_than_the_truth_nor_worse_than_calling_only_the_healthy(
    probability: list[float], seed: int
) -> None:
    positive = np.random.default_rng(seed).random(len(probability)) < 0.5
    positive[:2] = True, False
    sample = Binary.from_arrays("sick", positive, np.array(probability), np.arange(len(probability)))
    curve = decision_curve(sample, Resampling(replicates=2))
    worst = -(1 - positive.mean()) * THRESHOLDS / (1 - THRESHOLDS)
    assert (curve["net_benefit"] <= positive.mean() + 1e-12).all()
    assert (curve["net_benefit"] >= worst - 1e-12).all()


def _study(patients: int, seed: int) -> Binary:
    rng = np.random.default_rng(seed)
    positive = np.repeat(rng.random(patients) < 0.3, 2)
    shared = np.repeat(rng.normal(size=patients), 2)
    x = 1.6 * positive - 1.6 + (shared + rng.normal(size=2 * patients)) / np.sqrt(2)
    return Binary.from_arrays("sick", positive, 1 / (1 + np.exp(-x)), np.repeat(np.arange(patients), 2))


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("prevalence", [None, 0.05])
def test_bands_cover_the_truth_in_93_to_97_of_100(prevalence: float | None) -> None:
    thresholds = np.array([0.1, 0.2, 0.3, 0.5])
    truth = decision_curve(_study(300_000, 10**6), Resampling(2), prevalence=prevalence, thresholds=thresholds)
    hits = []
    for seed in range(1500):
        curve = decision_curve(_study(300, seed), Resampling(500), prevalence=prevalence, thresholds=thresholds)
        hits.append(
            (curve["net_benefit_low"] <= truth["net_benefit"]) & (truth["net_benefit"] <= curve["net_benefit_high"])
        )
    covered = np.mean(hits, axis=0)
    assert (covered >= 0.93).all(), covered
    assert (covered <= 0.97).all(), covered
