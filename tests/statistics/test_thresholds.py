from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungsight.statistics.binary import Binary
from lungsight.statistics.thresholds import (
    Aim,
    DecisionRule,
    NoRuleError,
    at_sources,
    choose_rule,
    costs,
    source_weights,
)


def validation(positive: np.ndarray, probability: np.ndarray, patient: np.ndarray | None = None) -> Binary:
    return Binary.from_arrays("sick", positive, probability, np.arange(len(positive)) if patient is None else patient)


def drawn(patients: int, seed: int, effect: float = 1.5) -> Binary:
    rng = np.random.default_rng(seed)
    positive = np.arange(patients) < patients // 2
    return validation(positive, 1 / (1 + np.exp(-effect * (2 * positive - 1) - rng.normal(size=patients))))


#: Aims without a limit on inconclusive images.
UNLIMITED = Aim(most_inconclusive=1)


def chosen(sample: Binary, aim: Aim = UNLIMITED) -> DecisionRule:
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
    rule = choose_rule(sample, Aim(sensitivity, specificity, 1))
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


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    large=st.integers(40, 300),
    small=st.integers(40, 80),
    shift=st.floats(-1, 1),
    most=st.sampled_from([0.0, 0.05, 0.15, 0.3]),
)
def test_no_source_leaves_more_open_than_allowed_and_both_eased_aims_are_kept(
    seed: int, large: int, small: int, shift: float, most: float
) -> None:
    one, other = drawn(large, seed, 0.7), drawn(small, seed + 1, 0.7)
    odds = np.log(other.probability / (1 - other.probability)) + shift
    positive = np.concatenate([one.positive, other.positive])
    sample = validation(positive, np.concatenate([one.probability, 1 / (1 + np.exp(-odds))]))
    sources = np.array(["large"] * large + ["small"] * small)
    rule = choose_rule(sample, Aim(most_inconclusive=most), sources)
    assert isinstance(rule, DecisionRule)
    open_ = (sample.probability >= rule.low) & (sample.probability < rule.high)
    assert all(open_[sources == source].mean() <= most for source in ("large", "small"))
    weight = source_weights(sources, positive)
    missed = sample.probability < rule.low
    called = sample.probability >= rule.high
    assert weight[positive & missed].sum() / weight[positive].sum() <= 1 - rule.kept.sensitivity + 1e-9
    assert weight[~positive & called].sum() / weight[~positive].sum() <= 1 - rule.kept.specificity + 1e-9
    if rule.kept != rule.aim:
        assert rule.note.startswith("A sensitivity of 0.95 and a specificity of 0.95 would leave more than")


def test_a_limit_that_is_kept_anyway_changes_nothing() -> None:
    sample = drawn(200, 3, effect=2)
    free = chosen(sample)
    open_ = ((sample.probability >= free.low) & (sample.probability < free.high)).mean()
    limited = chosen(sample, Aim(most_inconclusive=float(open_) + 0.02))
    assert (limited.low, limited.high, limited.note) == (free.low, free.high, "")


def test_new_patients_are_left_open_no_more_often_than_allowed() -> None:
    rules = [(seed, chosen(drawn(60, seed, 0.5), Aim())) for seed in range(300)]
    fresh = [(drawn(60, seed + 10_000, 0.5).probability, rule) for seed, rule in rules]
    assert np.mean([((p >= rule.low) & (p < rule.high)).mean() for p, rule in fresh]) <= 0.15


def test_a_large_source_doesnt_decide_for_a_small_one() -> None:
    """Each source counts the same: ten times the images of one change nothing."""
    one, other = drawn(60, 1), drawn(60, 2, effect=0.5)
    few = np.concatenate([one.probability, other.probability])
    many = np.concatenate([np.repeat(one.probability, 10), other.probability])
    patients = np.concatenate([np.repeat(np.arange(60), 10), 100 + np.arange(60)])
    positive = np.concatenate([np.repeat(one.positive, 10), other.positive])
    eased = Aim(0.8, 0.8, 1)
    once = choose_rule(
        validation(np.concatenate([one.positive, other.positive]), few), eased, ["a"] * 60 + ["b"] * 60
    )
    often = choose_rule(validation(positive, many, patients), eased, ["a"] * 600 + ["b"] * 60)
    pooled = choose_rule(validation(positive, many, patients), eased)
    assert isinstance(once, DecisionRule)
    assert isinstance(often, DecisionRule)
    assert isinstance(pooled, DecisionRule)
    assert often.low == pytest.approx(once.low, abs=0.02)
    assert pooled.low - once.low > 0.02


def test_the_fewer_are_left_open_the_more_answers_are_wrong() -> None:
    found = list(costs(drawn(300, 5, effect=0.7), Aim(), ["a"] * 150 + ["b"] * 150))
    assert [cost.inconclusive for cost in found] == sorted(cost.inconclusive for cost in found)
    assert found[0].inconclusive == 0
    assert found[-1].sensitivity > found[0].sensitivity
    assert found[-1].specificity > found[0].specificity


def test_each_source_is_told_apart() -> None:
    sample = drawn(200, 6, effect=1)
    sources = np.array(["a", "b"] * 100)
    for one in at_sources(sample, 0.3, 0.7, sources):
        here = sources == one.source
        p, positive = sample.probability[here], sample.positive[here]
        answered = (p < 0.3) | (p >= 0.7)
        assert one.inconclusive.value == pytest.approx(1 - answered.mean())
        assert one.sensitivity.value == pytest.approx((p[positive & answered] >= 0.7).mean())
        assert one.specificity.value == pytest.approx((p[~positive & answered] < 0.3).mean())
        assert one.sensitivity.n == (positive & answered).sum()
