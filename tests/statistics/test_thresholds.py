from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungsight.statistics.binary import Binary
from lungsight.statistics.thresholds import Aim, DecisionRule, NoRuleError, choose_rule


def validation(positive: np.ndarray, probability: np.ndarray, patient: np.ndarray | None = None) -> Binary:
    return Binary.from_arrays("sick", positive, probability, np.arange(len(positive)) if patient is None else patient)


def drawn(patients: int, seed: int, effect: float = 1.5) -> Binary:
    rng = np.random.default_rng(seed)
    positive = np.arange(patients) < patients // 2
    return validation(positive, 1 / (1 + np.exp(-effect * (2 * positive - 1) - rng.normal(size=patients))))


def chosen(sample: Binary, aim: Aim = Aim()) -> DecisionRule:
    rule = choose_rule(sample, aim)
    assert isinstance(rule, DecisionRule)
    return rule


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    patients=st.integers(40, 300),
    decimals=st.integers(1, 6),
    sensitivity=st.sampled_from([0.8, 0.9, 0.95]),
    specificity=st.sampled_from([0.8, 0.9, 0.95]),
)
def test_both_aims_are_kept_on_the_images_they_were_chosen_on_ties_included(
    seed: int, patients: int, decimals: int, sensitivity: float, specificity: float
) -> None:
    sample = drawn(patients, seed)
    sample = validation(sample.positive, sample.probability.round(decimals))
    rule = choose_rule(sample, Aim(sensitivity, specificity))
    if isinstance(rule, NoRuleError):  # pragma: no cover - 40 patients hold 20 of each
        pytest.fail(rule.reason)
    ruled_out = sample.probability < rule.low
    called = sample.probability >= rule.high
    assert 1 - ruled_out[sample.positive].mean() >= sensitivity
    assert 1 - called[~sample.positive].mean() >= specificity or rule.note
    assert rule.low <= rule.high
    assert not (ruled_out & called).any()


def test_the_threshold_is_the_highest_that_keeps_the_aim() -> None:
    probability = np.r_[np.arange(1, 101) / 101, np.full(50, 0.001)]
    rule = chosen(validation(np.arange(150) < 100, probability))
    assert rule.low == pytest.approx((4 + 5) / 2 / 101)  # 0.05 × 101, less one, may lie below: four, and halfway
    assert (rule.images, rule.patients, rule.positives) == (150, 150, 100)
    assert rule.threshold == rule.low


def test_new_patients_are_missed_no_more_often_than_the_aim_says() -> None:
    missed, called = [], []
    for seed in range(800):
        rule = chosen(drawn(60, seed))
        fresh = drawn(60, seed + 10_000)
        missed.append((fresh.probability[fresh.positive] < rule.low).mean())
        called.append((fresh.probability[~fresh.positive] >= rule.high).mean())
    assert 0.02 < np.mean(missed) < 1 / 31 + 0.003  # a new one lies below the lowest of 30 in one case of 31
    assert np.mean(called) <= 0.05


def test_a_model_that_separates_gets_one_threshold_and_nothing_is_inconclusive() -> None:
    rule = chosen(drawn(200, 1, effect=6))
    assert rule.low == rule.high


def test_too_few_patients_of_the_target_give_no_rule_and_say_so() -> None:
    sample = drawn(36, 0)
    assert choose_rule(sample) == NoRuleError("18 validation patients of sick can't show a sensitivity of 0.95")
    same_patients = validation(
        np.repeat(sample.positive, 5), np.repeat(sample.probability, 5), np.repeat(np.arange(36), 5)
    )
    assert isinstance(choose_rule(same_patients), NoRuleError)
    assert isinstance(choose_rule(sample, Aim(sensitivity=0.9)), DecisionRule)


def test_too_few_others_give_a_threshold_without_a_band() -> None:
    rule = chosen(validation(np.arange(60) < 50, np.linspace(0.9, 0.1, 60)))
    assert rule.low == rule.high
    assert rule.note == "10 validation patients without sick can't show a specificity of 0.95: no band."


def test_probabilities_of_0_and_1_alone_may_keep_no_specificity_and_say_so() -> None:
    positive = np.arange(100) < 50
    rule = chosen(validation(positive, np.where(np.arange(100) % 3 == 0, 0.0, 1.0)))
    assert rule.low == 0
    assert rule.note == "No threshold keeps a specificity of 0.95."
