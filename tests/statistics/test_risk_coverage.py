from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungsight.statistics.binary import Binary
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.risk_coverage import area_under_risk_coverage, risk_coverage_curve

FEW = Resampling(replicates=200)


def answers(right: list[bool] | np.ndarray, confidence: list[float] | np.ndarray) -> Binary:
    return Binary.from_arrays("all classes", np.array(right), np.array(confidence), np.arange(len(right)))


def geifman_aurc(right: np.ndarray, confidence: np.ndarray) -> float:
    """As in the code of Geifman, Uziel & El-Yaniv 2019 ("Bias-reduced uncertainty estimation for deep neural
    classifiers"): the mean of the risks among the 1, 2 … n surest."""
    wrong = ~right[np.argsort(-confidence, kind="stable")]
    return float(np.mean(np.cumsum(wrong) / np.arange(1, len(wrong) + 1)))


@pytest.mark.parametrize("seed", range(5))
def test_the_area_agrees_with_the_published_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    confidence = rng.random(300)
    right = rng.random(300) < confidence
    found = area_under_risk_coverage(answers(right, confidence), FEW)
    assert found.value == pytest.approx(geifman_aurc(right, confidence), abs=1e-9)
    assert found.low < found.value < found.high


def test_equally_sure_answers_count_in_their_expected_order() -> None:
    rng = np.random.default_rng(0)
    confidence = np.repeat([0.9, 0.7, 0.5], [4, 5, 3])
    right = np.array([1, 1, 0, 1, 1, 0, 0, 1, 1, 0, 1, 0], dtype=bool)
    orders = []
    for _ in range(20_000):
        shuffled = np.argsort(-confidence + rng.random(12) * 1e-3)
        orders.append(np.mean(np.cumsum(~right[shuffled]) / np.arange(1, 13)))
    found = area_under_risk_coverage(answers(right, confidence), Resampling(replicates=2))
    assert found.value == pytest.approx(np.mean(orders), abs=2e-3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10)), min_size=2, max_size=80))
def test_the_order_of_the_images_does_not_matter_and_all_together_err_as_often_as_they_err(
    drawn: list[tuple[bool, int]],
) -> None:
    right, confidence = np.array([r for r, _ in drawn]), np.array([c / 10 for _, c in drawn])
    curve = risk_coverage_curve(answers(right, confidence), Resampling(replicates=5))
    backwards = risk_coverage_curve(answers(right[::-1], confidence[::-1]), Resampling(replicates=5))
    np.testing.assert_allclose(curve["risk"], backwards["risk"], atol=1e-12)
    assert curve["risk"].iloc[-1] == pytest.approx((~right).mean())
    assert curve["risk"].between(0, 1).all()


def test_a_model_that_knows_when_it_errs_has_a_falling_risk() -> None:
    confidence = np.linspace(0.5, 1, 200)
    curve = risk_coverage_curve(answers(confidence > 0.6, confidence), FEW)
    assert (curve["risk"].diff().dropna() >= -1e-12).all()
    assert curve.set_index("coverage")["risk"][0.5] == 0
    assert curve["n"].iloc[-1] == 200
    assert curve["confidence"].iloc[-1] == 0.5


def test_no_images_give_no_curve() -> None:
    nothing = answers(np.zeros(0, bool), np.zeros(0))
    assert risk_coverage_curve(nothing).empty
    assert area_under_risk_coverage(nothing).withheld == "no images"
