"""Rank correlation and SSIM of maps, against scipy and scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from lungsight.statistics.map_similarity import rank_correlation, structural_similarity


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(2, 12), st.booleans())
def test_rank_correlation_is_scipys(seed: int, height: int, width: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.normal(size=(2, 3, height, width))
    if ties:
        one, other = one.round(), other.round()
    for found, a, b in zip(rank_correlation(one, other), one, other, strict=True):
        if a.std() == 0 or b.std() == 0:
            assert np.isnan(found)
        else:
            assert found == pytest.approx(spearmanr(a.ravel(), b.ravel()).statistic)


@settings(deadline=None)  # importing scikit-image takes its time
@given(st.integers(0, 10**6), st.integers(3, 14), st.integers(3, 14))
def test_ssim_is_that_of_scikit_image(seed: int, height: int, width: int) -> None:
    metrics = pytest.importorskip("skimage.metrics")
    rng = np.random.default_rng(seed)
    one, other = rng.random((2, 2, height, width))
    other = 0.5 * other + 0.5 * one
    side = min(7, height, width)
    for found, *pair in zip(structural_similarity(one, other), one, other, strict=True):
        a, b = ((m - m.min()) / (m.max() - m.min()) for m in pair)
        expected = metrics.structural_similarity(a, b, win_size=side - (side + 1) % 2, data_range=1.0)
        assert found == pytest.approx(expected, abs=1e-9)


def test_the_same_map_is_alike_and_a_flat_one_is_like_nothing() -> None:
    maps = np.random.default_rng(0).normal(size=(3, 8, 8))
    np.testing.assert_allclose(rank_correlation(maps, 3 * maps + 1), 1)
    np.testing.assert_allclose(rank_correlation(maps, -maps), -1)
    np.testing.assert_allclose(structural_similarity(maps, 3 * maps + 1), 1)
    broken = maps.copy()
    broken[0] = 2
    broken[1, 3, 3] = np.nan
    for likeness in (rank_correlation(maps, broken), structural_similarity(maps, broken)):
        assert np.isnan(likeness).tolist() == [True, True, False]
    assert np.isnan(structural_similarity(maps[:, :2], maps[:, :2])).all()
