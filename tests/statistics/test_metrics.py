"""The figures against scikit-learn's, and their intervals against simulation."""

from __future__ import annotations

import time

import numpy as np
import pytest
import sklearn.metrics as sk
from scipy.stats import binomtest, bootstrap

from lungsight.statistics.bootstrap import (
    Resampling,
    bca_interval,
    exact_interval,
    leave_out_weights,
    patient_weights,
)
from lungsight.statistics.estimate import ALL_CLASSES, Estimate
from lungsight.statistics.metrics import ONE_AGAINST_REST, OVER_ALL_CLASSES, estimate_all
from lungsight.statistics.outcomes import Outcomes
from lungsight.statistics.ranking import Ranking

FEW = Resampling(replicates=200)


def drawn(
    images: int = 300, classes: int = 3, patients: int = 120, seed: int = 0, decimals: int | None = 2
) -> Outcomes:
    """Images of random truth and a middling model; rounding makes ties."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(classes, size=images)
    scores = np.exp(rng.normal(size=(images, classes)) + 1.2 * (np.arange(classes) == truth[:, None]))
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    if decimals is not None:
        probabilities = probabilities.round(decimals)
    _, patient = np.unique(rng.integers(patients, size=images), return_inverse=True)
    return Outcomes(tuple("abcde"[:classes]), truth, probabilities, patient)


def by_name(estimates: list[Estimate], scope: str) -> dict[str, Estimate]:
    return {e.name: e for e in estimates if e.scope == scope}


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("seed", range(5))
def test_every_figure_agrees_with_scikit_learn(classes: int, seed: int) -> None:
    outcomes = drawn(classes=classes, seed=seed)
    truth, called = outcomes.truth, outcomes.predicted
    estimates = estimate_all(outcomes, FEW)
    over_all = by_name(estimates, ALL_CLASSES)
    assert over_all["accuracy"].value == pytest.approx(sk.accuracy_score(truth, called), abs=1e-9)
    assert over_all["balanced_accuracy"].value == pytest.approx(sk.balanced_accuracy_score(truth, called), abs=1e-9)
    assert over_all["mcc"].value == pytest.approx(sk.matthews_corrcoef(truth, called), abs=1e-9)
    for c, name in enumerate(outcomes.classes):
        y, yhat, score = truth == c, called == c, outcomes.probabilities[:, c]
        expected = {
            "sensitivity": sk.recall_score(y, yhat),
            "specificity": sk.recall_score(~y, ~yhat),
            "ppv": sk.precision_score(y, yhat),
            "npv": sk.precision_score(~y, ~yhat),
            "f1": sk.f1_score(y, yhat),
            "lr_positive": sk.class_likelihood_ratios(y, yhat)[0],
            "lr_negative": sk.class_likelihood_ratios(y, yhat)[1],
            "auroc": sk.roc_auc_score(y, score),
            "average_precision": sk.average_precision_score(y, score),
            "brier_score": sk.brier_score_loss(y, score),
        }
        found = {key: e.value for key, e in by_name(estimates, name).items()}
        assert found == pytest.approx(expected, abs=1e-9)


def test_weights_mean_the_same_as_repeating_images() -> None:
    outcomes = drawn(images=80, classes=2)
    weights = np.random.default_rng(1).integers(0, 4, size=80).astype(float)
    score, positive = outcomes.probabilities[:, 1], outcomes.truth == 1
    sweep = Ranking.of(score, positive).sweep(weights[None])
    auroc, average_precision = sweep.auroc(), sweep.average_precision()
    assert auroc[0] == pytest.approx(sk.roc_auc_score(positive, score, sample_weight=weights), abs=1e-9)
    expected = sk.average_precision_score(positive, score, sample_weight=weights)
    assert average_precision[0] == pytest.approx(expected, abs=1e-9)


def test_replicates_draw_whole_patients_and_do_not_depend_on_the_size_of_a_block() -> None:
    resampling = Resampling(replicates=50, seed=3)
    blocks = list(patient_weights(40, 1_000_000, resampling))
    assert len(blocks) == 25
    assert np.array_equal(np.concatenate(blocks), next(patient_weights(40, 10, resampling)))
    assert all((block.sum(axis=1) == 40).all() for block in blocks)


def test_the_interval_is_wider_when_images_come_from_fewer_patients() -> None:
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(40), 10)
    right = np.repeat(rng.random(40) < 0.7, 10)  # a model that is right for all images of a patient or for none
    truth = np.repeat(rng.integers(2, size=40), 10)
    called = np.where(right, truth, 1 - truth)
    probabilities = np.stack([1 - called, called], axis=1).astype(float)
    clustered = estimate_all(Outcomes(("a", "b"), truth, probabilities, patient))[0]
    apart = estimate_all(Outcomes(("a", "b"), truth, probabilities, np.arange(400)))[0]
    assert clustered.value == apart.value
    assert clustered.high - clustered.low > 2.5 * (apart.high - apart.low)  # sqrt(10) = 3.2 in theory


def test_the_same_seed_gives_the_same_interval() -> None:
    assert estimate_all(drawn(), FEW) == estimate_all(drawn(), FEW)


def test_a_figure_that_the_sample_cannot_give_is_withheld_with_the_reason() -> None:
    only_a = Outcomes(("a", "b"), np.zeros(6, dtype=int), np.tile([0.7, 0.3], (6, 1)), np.arange(6))
    estimates = estimate_all(only_a, FEW)
    a, b = by_name(estimates, "a"), by_name(estimates, "b")
    assert a["sensitivity"].value == 1.0
    assert b["specificity"].value == 1.0
    for withheld in (a["specificity"], a["auroc"], a["ppv"], b["sensitivity"], b["auroc"], b["f1"]):
        assert withheld.value is None
        assert withheld.withheld
    assert b["auroc"].withheld == "no image of b here"
    assert all(by_name(estimates, ALL_CLASSES)[name].value is None for name in OVER_ALL_CLASSES)
    assert not any(e.value is not None and np.isnan(e.value) for e in estimates)


def test_no_images_at_all_withholds_everything() -> None:
    nothing = Outcomes(("a", "b"), np.zeros(0, dtype=int), np.zeros((0, 2)), np.zeros(0, dtype=int))
    estimates = estimate_all(nothing)
    assert {e.withheld for e in estimates} == {"no images"}
    assert len(estimates) == len(OVER_ALL_CLASSES) + 2 * len(ONE_AGAINST_REST)


def test_a_perfect_share_gets_the_exact_interval_not_one_of_no_width() -> None:
    truth = np.array([0] * 10 + [1] * 10)
    probabilities = np.stack([1 - truth, truth], axis=1) * 0.8 + 0.1
    estimates = by_name(estimate_all(Outcomes(("a", "b"), truth, probabilities, np.arange(20)), FEW), "b")
    assert estimates["sensitivity"].interval == "exact"
    assert estimates["sensitivity"].low == pytest.approx(0.025 ** (1 / 10))  # closed form for 10 of 10
    assert estimates["auroc"].value == 1.0
    assert estimates["auroc"].low == pytest.approx(0.025 ** (1 / 10))  # 10 patients on the rarer side


def test_one_patient_gives_a_value_but_no_interval() -> None:
    outcomes = Outcomes(("a", "b"), np.array([0, 1, 1, 1]), np.eye(2)[[0, 1, 0, 1]], np.zeros(4, dtype=int))
    accuracy = estimate_all(outcomes, FEW)[0]
    assert accuracy.value == 0.75
    assert accuracy.low is None
    assert accuracy.withheld == "no interval: one patient only"


def test_a_figure_that_many_resamples_lack_gets_no_interval() -> None:
    truth = np.array([1, 1] + [0] * 30)  # of resampled patients, one set in eight has neither positive
    score = np.linspace(0.6, 0.2, 32)
    outcomes = Outcomes(("a", "b"), truth, np.stack([1 - score, score], axis=1), np.arange(32))
    auroc = by_name(estimate_all(outcomes, FEW), "b")["auroc"]
    assert auroc.value == 1
    assert auroc.low is None
    assert auroc.withheld == "no interval: too few images, many resamples can't give the figure"


def test_an_estimate_reads_as_in_a_paper() -> None:
    assert str(Estimate("ppv", "a", 0.9381, 0.861, 0.979, 65, 60, 5, 40)) == "0.938 (0.86–0.98), n = 65"


def test_five_thousand_images_and_two_thousand_replicates_take_seconds() -> None:
    outcomes = drawn(images=5000, patients=3000, decimals=None)
    started = time.process_time()
    estimate_all(outcomes)
    assert time.process_time() - started < 30


def coverage(name: str, simulations: int, patients: int = 150) -> float:
    """The share of simulated studies whose 95% interval holds the true value (known from a very large sample)."""
    true_value = by_name(estimate_all(_study(200_000, seed=10**6), Resampling(replicates=1)), "b")[name].value
    resampling = Resampling(replicates=500)
    hits = 0
    for seed in range(simulations):
        estimate = by_name(estimate_all(_study(patients, seed), resampling), "b")[name]
        hits += estimate.low <= true_value <= estimate.high
    return hits / simulations


def _study(patients: int, seed: int) -> Outcomes:
    """Two images a patient, whose scores share half of their variance."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(rng.integers(2, size=patients), 2)
    shared = np.repeat(rng.normal(size=patients), 2)
    logit = 1.4 * (truth - 0.5) + (shared + rng.normal(size=2 * patients)) / np.sqrt(2)
    p = 1 / (1 + np.exp(-logit))
    return Outcomes(("a", "b"), truth, np.stack([1 - p, p], axis=1), np.repeat(np.arange(patients), 2))


@pytest.mark.long
@pytest.mark.parametrize("name", ["sensitivity", "auroc"])
def test_intervals_cover_the_truth(name: str) -> None:
    assert 0.92 <= coverage(name, simulations=250) <= 0.98  # 0.95 ± two standard errors of so few simulations


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("name", "patients"),
    [
        ("sensitivity", 150),
        ("specificity", 150),
        ("ppv", 150),
        ("auroc", 150),
        ("brier_score", 150),
        ("average_precision", 150),
    ],
)
def test_intervals_cover_the_truth_in_93_to_97_of_100(name: str, patients: int) -> None:
    assert 0.93 <= coverage(name, 2000, patients) <= 0.97


def test_the_bca_interval_agrees_with_scipy() -> None:
    """Scipy's BCa of a mean, but for the widening by Student's t, which is undone here by a very large sample."""
    sample = np.random.default_rng(0).exponential(size=40)
    n = len(sample)
    left_out = (sample.sum() - sample) / (n - 1)
    expected = bootstrap((sample,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1))
    replicates = expected.bootstrap_distribution
    found = bca_interval(float(sample.mean()), replicates, left_out, patients=10**9, level=0.95)
    assert found == pytest.approx(tuple(expected.confidence_interval), abs=1e-6)
    wider = bca_interval(float(sample.mean()), replicates, left_out, patients=n, level=0.95)
    assert wider[0] < found[0] < found[1] < wider[1]


def test_leaving_patients_out_leaves_each_out_once() -> None:
    for patients in (3, 200, 1234):
        weights = np.concatenate(list(leave_out_weights(patients, 10_000)))
        assert len(weights) == min(patients, 200)
        assert np.array_equal((1 - weights).sum(axis=0), np.ones(patients))


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_exact_interval_is_scipys(share: float) -> None:
    expected = binomtest(round(share * 40), 40).proportion_ci(method="exact")
    assert exact_interval(share, 40, 0.95) == pytest.approx((expected.low, expected.high), abs=1e-9)
