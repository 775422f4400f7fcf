"""The estimator: means and shares against what they must be, its kinds of interval, and figures over strata."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from lungsight.statistics import bootstrap
from lungsight.statistics.bootstrap import (
    Drawn,
    Resampling,
    Sample,
    draw,
    estimate,
    exact_interval,
    mean,
    means,
    over_strata,
    p_value,
    percentile_band,
    too_few,
)

FEW = Resampling(replicates=400)


def sample_of(patient: np.ndarray) -> Sample:
    return Sample(patient.astype(np.int64), np.arange(len(patient)) % 2 == 0, "covid19")


@settings(deadline=None)
@given(st.integers(2, 40), st.integers(0, 10**6))
def test_the_mean_lies_inside_its_interval_and_leaves_out_what_is_unknown(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 2))
    values[rng.random(n) < 0.3, 1] = np.nan
    one, other = means(sample_of(np.arange(n)), values, ("a", "b"), shares=False, resampling=FEW)
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
    once = means(sample_of(np.arange(50)), values, ("a",), shares=False)[0]
    ten = means(sample_of(np.repeat(np.arange(50), 10)), np.repeat(values, 10, axis=0), ("a",), shares=False)[0]
    assert (ten.low, ten.high) == (pytest.approx(once.low), pytest.approx(once.high))
    assert ten.n == 500
    assert ten.patients == 50


def test_the_interval_agrees_with_the_normal_one() -> None:
    values = np.random.default_rng(1).normal(3, 2, size=(400, 1))
    found = means(sample_of(np.arange(400)), values, ("a",), shares=False)[0]
    half = 1.96 * values.std() / 20
    assert found.high is not None
    assert found.low is not None
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_none_or_all_is_no_certainty(share: float) -> None:
    found = means(sample_of(np.arange(12)), np.full((12, 1), share), ("a",), shares=True)[0]
    assert (found.low, found.high) == exact_interval(share, 12, 0.95)
    assert found.interval == "exact"


def test_one_patient_gives_no_interval() -> None:
    found = means(sample_of(np.zeros(5)), np.arange(5.0)[:, None], ("a",), shares=False)[0]
    assert found.value == 2
    assert found.low is None
    assert "one patient" in (found.withheld or "")


def test_no_images_give_no_figure() -> None:
    found = means(sample_of(np.zeros(0)), np.zeros((0, 1)), ("a",), shares=False)[0]
    assert found.value is None
    assert found.n == 0


def test_a_mean_is_the_same_figure_however_it_is_asked_for() -> None:
    values = np.random.default_rng(0).exponential(size=80)
    sample = sample_of(np.arange(80) // 2)
    one = estimate("a", sample, mean(sample, values), resampling=FEW)
    (other,) = means(Sample(sample.patient), values[:, None], ("a",), resampling=FEW)
    assert one.value == pytest.approx(other.value)
    assert one.interval == other.interval == "bca"
    assert one.patients == 40
    assert estimate("a", sample.where(np.zeros(80, bool)), lambda w: w[:, 0]).withheld == "no images"


def test_patients_are_numbered_whatever_they_are_called() -> None:
    sample = Sample(np.array([70, 7, 70, 900]), np.array([1, 0, 1, 1], dtype=bool), "covid19")
    assert sample.patient.tolist() == [1, 0, 1, 2]
    assert (sample.patients, sample.positives, sample.negatives, sample.smaller_side) == (3, 3, 1, 1)
    weights = np.array([[2.0, 3.0, 5.0]])
    assert sample.of_patients(weights[:, sample.patient]).tolist() == weights.tolist()
    assert sample.sums(np.ones(4)).ravel().tolist() == [1, 2, 1]


def test_blocks_of_any_size_give_the_same_replicates(monkeypatch: pytest.MonkeyPatch) -> None:
    sample, values = Sample(np.arange(30) // 3), np.arange(30.0)
    whole = draw(sample, lambda w: {"a": mean(sample, values)(w)}, FEW)["a"]
    monkeypatch.setattr(bootstrap, "_CELLS_AT_ONCE", 100)  # three rows at a time
    apart = draw(sample, lambda w: {"a": mean(sample, values)(w)}, FEW)["a"]
    assert np.allclose(whole.replicates, apart.replicates)
    assert np.allclose(whole.left_out, apart.left_out)
    assert len(whole.left_out) == sample.patients


def test_strata_are_left_out_one_at_a_time() -> None:
    """The mean of two strata's means moves only by the stratum whose patient is left out."""
    one = Drawn(np.array(1.0), np.array([1.0, 2.0]), np.array([0.0, 3.0]))
    other = Drawn(np.array(5.0), np.array([5.0, 7.0]), np.array([4.0]))
    found = over_strata([one, other], lambda strata: (strata[0] + strata[1]) / 2)
    assert found.point == 3
    assert found.replicates.tolist() == [3.0, 4.5]
    assert found.left_out.tolist() == [2.5, 4.0, 2.5]


def test_the_p_value_is_that_of_a_t_test() -> None:
    values = np.random.default_rng(3).normal(0.25, 1, size=100)
    sample = Sample(np.arange(100))
    drawn = draw(sample, lambda w: {"a": mean(sample, values)(w)}, Resampling(replicates=20_000))["a"]
    assert p_value(drawn, 100) == pytest.approx(float(ttest_1samp(values, 0).pvalue), abs=0.01)


def test_a_band_leaves_out_points_that_many_replicates_lack() -> None:
    replicates = np.random.default_rng(0).normal(size=(100, 3))
    replicates[:20, 1] = np.nan
    replicates[:, 2] = 1.0
    band = percentile_band(replicates, 0.95)
    assert np.isnan(band[:, 1]).all()
    assert band[:, 2].tolist() == [1.0, 1.0]
    assert np.isnan(percentile_band(replicates, 0.95, flat=False)[:, 2]).all()


@pytest.mark.parametrize(("patients", "said"), [(1, "1 patient with it, and 10 are needed"), (10, None)])
def test_too_few_patients_are_named(patients: int, said: str | None) -> None:
    assert too_few(patients, "with it") == said
