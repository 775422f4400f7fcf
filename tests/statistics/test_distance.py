"""The share of the distance between positives and negatives that is left, within groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungsight.statistics.bootstrap import Resampling, Sample
from lungsight.statistics.distance import logit, share_left, share_moved
from lungsight.statistics.ranking import auroc_within

FEW = Resampling(replicates=200)


def drawn(n: int, seed: int, groups: int = 3) -> tuple[Sample, np.ndarray, np.ndarray]:
    """Images of patients with one each; their groups; logits that tell the two sides apart, and the groups more."""
    rng = np.random.default_rng(seed)
    group, positive = rng.integers(groups, size=n), rng.random(n) < 0.4
    before = rng.normal(size=n) + 3.0 * positive + 5.0 * group
    return Sample(np.arange(n), positive, "covid19"), group.astype(str), before


def coefficient(sample: Sample, group: np.ndarray, values: np.ndarray) -> float:
    """Of the label, in least squares with an intercept for each group."""
    design = np.column_stack([sample.positive, group[:, None] == np.unique(group)]).astype(float)
    return float(np.linalg.lstsq(design, values, rcond=None)[0][0])


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_the_share_left_is_that_of_two_aurocs(seed: int, groups: int) -> None:
    sample, group, before = drawn(240, seed, groups)
    after = 0.4 * before + np.random.default_rng(seed + 1).normal(size=240) - 2.0 * (group == "0")
    found = share_left("left", sample, group, before, after, FEW)
    was, left = (auroc_within("", sample, s, group, weighing="pairs", resampling=FEW) for s in (before, after))
    assert found.value == pytest.approx((left.value - 0.5) / (was.value - 0.5))
    assert found.low < found.value < found.high
    assert share_left("left", sample, group, before, 0.01 * after - 7, FEW) == found  # the scale doesn't matter


def test_what_tells_the_groups_apart_alone_leaves_nothing() -> None:
    sample, group, before = drawn(300, 0)
    after = 5.0 * group.astype(float) + np.random.default_rng(0).normal(size=300)
    found = share_left("left", sample, group, before, after, FEW)
    assert found.low < 0 < found.high < 1 / 3


def test_a_perfect_ranking_that_stays_is_left_whole() -> None:
    sample, group, _ = drawn(300, 0)
    found = share_left("left", sample, group, 1.0 * sample.positive, 0.1 * sample.positive, FEW)
    assert found.value == 1
    assert 0.9 < found.low < 1


def test_groups_of_one_side_neither_count_nor_stand_in_n() -> None:
    sample, group, before = drawn(300, 1)
    mixed = share_left("left", sample, group, before, before / 2, FEW)
    more = Sample(np.arange(500), np.r_[sample.positive, np.ones(200, dtype=bool)], "covid19")
    padded = [np.r_[values, np.full(200, 40.0)] for values in (before, before / 2)]
    with_one_sided = share_left("left", more, np.r_[group, ["positives only"] * 200], *padded, FEW)
    assert with_one_sided == mixed
    assert mixed.n == 300
    one_sided = share_left("left", sample, np.where(sample.positive, "a", "b"), before, before, FEW)
    assert one_sided.withheld == "every source holds one class"


def test_a_model_that_hardly_tells_has_no_distance_to_share() -> None:
    sample, group, _ = drawn(300, 2)
    noise = np.random.default_rng(0).normal(size=300)
    assert "hardly tells the two apart" in str(share_left("left", sample, group, noise, noise, FEW).withheld)


def test_a_move_of_the_negatives_is_measured_in_distances() -> None:
    sample, group, before = drawn(300, 3)
    apart = coefficient(sample, group, before)
    after = before + 0.7 * apart - 100.0 * sample.positive  # what the positives do doesn't count
    found = share_moved("moved", sample, group, before, after, FEW)
    assert found.value == pytest.approx(0.7)


def test_a_certain_probability_has_a_finite_logit() -> None:
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()
    assert logit(np.array([0.5, 0.9]))[1] == pytest.approx(np.log(9))
