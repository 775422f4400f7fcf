"""Means by resampling patients, against what they must be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungsight.statistics.bootstrap import Resampling, exact_interval
from lungsight.statistics.means import Sample, estimate_means

FEW = Resampling(replicates=400)


def sample_of(patient: np.ndarray) -> Sample:
    return Sample(patient.astype(np.int64), np.arange(len(patient)) % 2 == 0, "covid19")


@settings(deadline=None)
@given(st.integers(2, 40), st.integers(0, 10**6))
def test_the_mean_lies_inside_its_interval_and_leaves_out_what_is_unknown(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 2))
    values[rng.random(n) < 0.3, 1] = np.nan
    one, other = estimate_means(sample_of(np.arange(n)), values, ("a", "b"), shares=False, resampling=FEW)
    assert one.value == pytest.approx(values[:, 0].mean())
    assert one.low is not None
    assert one.high is not None
    assert one.low < one.value < one.high
    assert other.n == np.isfinite(values[:, 1]).sum()
    assert other.positives + other.negatives == other.n
    if other.n:
        assert other.value == pytest.approx(np.nanmean(values[:, 1]))
    else:
        assert other.value is None
        assert other.withheld


def test_images_of_one_patient_count_once() -> None:
    """Every image ten times over widens nothing and narrows nothing."""
    values = np.random.default_rng(0).normal(size=(50, 1))
    once = estimate_means(sample_of(np.arange(50)), values, ("a",), shares=False)[0]
    ten = estimate_means(
        sample_of(np.repeat(np.arange(50), 10)), np.repeat(values, 10, axis=0), ("a",), shares=False
    )[0]
    assert (ten.low, ten.high) == (pytest.approx(once.low), pytest.approx(once.high))
    assert ten.n == 500
    assert ten.patients == 50


def test_the_interval_agrees_with_the_normal_one() -> None:
    values = np.random.default_rng(1).normal(3, 2, size=(400, 1))
    found = estimate_means(sample_of(np.arange(400)), values, ("a",), shares=False)[0]
    half = 1.96 * values.std() / 20
    assert found.high is not None
    assert found.low is not None
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_none_or_all_is_no_certainty(share: float) -> None:
    found = estimate_means(sample_of(np.arange(12)), np.full((12, 1), share), ("a",), shares=True)[0]
    assert (found.low, found.high) == exact_interval(share, 12, 0.95)
    assert found.interval == "exact"


def test_one_patient_gives_no_interval() -> None:
    found = estimate_means(sample_of(np.zeros(5)), np.arange(5.0)[:, None], ("a",), shares=False)[0]
    assert found.value == 2
    assert found.low is None
    assert "one patient" in (found.withheld or "")


def test_no_images_give_no_figure() -> None:
    found = estimate_means(sample_of(np.zeros(0)), np.zeros((0, 1)), ("a",), shares=False)[0]
    assert found.value is None
    assert found.n == 0
