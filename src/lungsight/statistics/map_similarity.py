"""Similarity of two maps: rank correlation and structural similarity, for each pair of maps."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter
from scipy.stats import rankdata

from lungsight.statistics.outcomes import Floats

_WIDEST_WINDOW = 7


def rank_correlation(one: Floats, other: Floats) -> Floats:
    """Spearman's rank correlation of maps [n, h, w] with maps [n, h, w]: float [n].

    NaN where either map is constant or has values that aren't finite.
    """
    n = len(one)
    usable = _has_pattern(one) & _has_pattern(other)
    correlation = np.full(n, np.nan)
    if usable.any():
        a, b = (rankdata(maps[usable].reshape(usable.sum(), -1), axis=1) for maps in (one, other))
        a, b = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (a, b))
        size = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
        correlation[usable] = (a * b).sum(axis=1) / size
    return correlation


def structural_similarity(one: Floats, other: Floats) -> Floats:
    """SSIM (Wang et al. 2004) of maps [n, h, w] with maps [n, h, w]: float [n].

    Each map is scaled to 0…1 first. Windows are 7 x 7; in smaller maps, the largest odd size that fits. NaN as in
    :func:`rank_correlation`, and for maps smaller than 3 x 3.
    """
    similarity = np.full(len(one), np.nan)
    side = min(_WIDEST_WINDOW, *one.shape[1:])
    window = side - (side + 1) % 2
    usable = _has_pattern(one) & _has_pattern(other)
    if window < 3 or not usable.any():
        return similarity
    a, b = _stretched(one[usable]), _stretched(other[usable])

    def mean(maps: Floats) -> Floats:
        return np.asarray(uniform_filter(maps, size=(1, window, window)))

    unbiased = window**2 / (window**2 - 1)
    mean_a, mean_b = mean(a), mean(b)
    variance_a, variance_b = unbiased * (mean(a * a) - mean_a**2), unbiased * (mean(b * b) - mean_b**2)
    covariance = unbiased * (mean(a * b) - mean_a * mean_b)
    c1, c2 = 0.01**2, 0.03**2
    above = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    below = (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    edge = window // 2
    inner = slice(edge, -edge)
    similarity[usable] = (above / below)[:, inner, inner].mean(axis=(1, 2))
    return similarity


def _has_pattern(maps: Floats) -> np.ndarray:
    """Whether each map has finite values only and isn't constant: bool [n]."""
    with np.errstate(invalid="ignore"):
        spread = maps.max(axis=(1, 2)) - maps.min(axis=(1, 2))
    return np.asarray(np.isfinite(maps).all(axis=(1, 2)) & (spread > 0))


def _stretched(maps: Floats) -> Floats:
    low, high = maps.min(axis=(1, 2), keepdims=True), maps.max(axis=(1, 2), keepdims=True)
    return np.asarray((maps - low) / (high - low))
