from __future__ import annotations

import numpy as np
import pytest

from lungsight.statistics.binary import Binary
from lungsight.statistics.bootstrap import Drawn, Policy, Resampling, Sample, Share, estimate_from, shares
from lungsight.statistics.calibration_metrics import calibration_estimates
from lungsight.statistics.metrics import estimate_all
from lungsight.statistics.outcomes import Outcomes

FEW = Resampling(replicates=300)


def outcomes(images: int = 120, patients: int = 50) -> Outcomes:
    rng = np.random.default_rng(0)
    truth = rng.integers(3, size=images)
    scores = rng.random((images, 3)) + 0.4 * np.eye(3)[truth]
    _, patient = np.unique(rng.integers(patients, size=images), return_inverse=True)
    return Outcomes(("a", "b", "c"), truth, scores / scores.sum(axis=1, keepdims=True), patient)


def test_shares_are_those_of_the_metrics_interval_included() -> None:
    everything = outcomes()
    sample = Binary.of(everything, "b")
    called = everything.predicted == 1
    wanted = {
        "sensitivity": Share(called, sample.positive, ""),
        "specificity": Share(~called, ~sample.positive, ""),
        "ppv": Share(sample.positive, called, ""),
    }
    known = {e.name: e for e in estimate_all(everything, FEW) if e.scope == "b"}
    for found in shares(sample, wanted, FEW):
        expected = known[found.name]
        assert (found.n, found.positives, found.negatives) == (expected.n, expected.positives, expected.negatives)
        assert found.patients == expected.patients
        assert [found.value, found.low, found.high] == pytest.approx([expected.value, expected.low, expected.high])


def test_the_brier_score_is_that_of_the_metrics_interval_included() -> None:
    everything = outcomes()
    expected = next(e for e in estimate_all(everything, FEW) if e.scope == "b" and e.name == "brier_score")
    found = next(e for e in calibration_estimates(Binary.of(everything, "b"), FEW) if e.name == "brier_score")
    assert [found.value, found.low, found.high] == pytest.approx([expected.value, expected.low, expected.high])


def test_a_share_of_nothing_is_withheld_and_one_of_all_has_an_exact_interval() -> None:
    sample = Binary.from_arrays("b", np.array([True, True, False]), np.array([0.9, 0.8, 0.1]), np.array([7, 7, 9]))
    none = np.zeros(3, dtype=bool)
    wanted = {"all": Share(sample.positive, sample.positive, ""), "none": Share(none, none, "nobody was asked")}
    everyone, nobody = shares(sample, wanted, FEW)
    assert (everyone.value, everyone.high, everyone.interval, everyone.patients) == (1.0, 1.0, "exact", 1)
    assert everyone.low == pytest.approx(0.025)  # one patient who might have gone otherwise
    assert (nobody.value, nobody.withheld) == (None, "nobody was asked")


def test_the_basic_interval_takes_off_what_chance_adds() -> None:
    rng = np.random.default_rng(0)

    def basic(value: float, replicates: np.ndarray) -> tuple[float | None, float | None]:
        drawn = Drawn(np.array(value), replicates, replicates[:0])
        found = estimate_from("ece", Sample(np.arange(5)), drawn, policy=Policy.BASIC)
        return found.low, found.high

    low, high = basic(1.0, 1.5 + 0.1 * rng.normal(size=100_000))  # replicates lie 0.5 above the figure
    assert low == pytest.approx(0.5 - 0.196, abs=0.01)
    assert high == 1.0  # 0.5 + 0.196, but never without the figure itself
    assert basic(0.1, 0.4 + 0.1 * rng.normal(size=1000)) == (0.0, pytest.approx(0.1))
    assert basic(1.0, np.full(10, 1.0)) == (None, None)
