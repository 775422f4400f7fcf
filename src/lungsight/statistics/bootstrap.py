"""Intervals by resampling patients: images of one patient resemble each other, so they are drawn together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, norm
from scipy.stats import t as student_t

Floats = NDArray[np.float64]

_CELLS_AT_ONCE = 2_000_000
#: Fewer of the replicates defined than this share, and there is no interval.
MOST_DEFINED = 0.9
_LEFT_OUT_AT_MOST = 200


@dataclass(frozen=True)
class Resampling:
    """How many replicates are drawn, the interval's level, and the seed that makes it repeatable."""

    replicates: int = 2000
    level: float = 0.95
    seed: int = 20200321


def patient_weights(patients: int, images: int, resampling: Resampling) -> Iterator[Floats]:
    """How often each patient is drawn: float [r, patients] a block, ``resampling.replicates`` rows in all.

    Cluster bootstrap (Field & Welsh 2007): as many patients as there are, drawn with replacement, each with all
    their images. The blocks are small enough that a matrix [r, images] fits in memory.
    """
    generator = np.random.default_rng(resampling.seed)
    rows = max(1, _CELLS_AT_ONCE // max(images, 1))
    for start in range(0, resampling.replicates, rows):
        r = min(rows, resampling.replicates - start)
        drawn = generator.integers(patients, size=(r, patients)) + np.arange(r)[:, None] * patients
        yield np.bincount(drawn.ravel(), minlength=r * patients).reshape(r, patients).astype(np.float64)


def leave_out_weights(patients: int, images: int) -> Iterator[Floats]:
    """The patients without one of them at a time, or without one group of 200 where there are more: float
    [r, patients] a block, as :func:`patient_weights` gives them."""
    groups = min(patients, _LEFT_OUT_AT_MOST)
    of_group = np.arange(patients) % groups
    rows = max(1, _CELLS_AT_ONCE // max(images, 1))
    for start in range(0, groups, rows):
        left_out = np.arange(start, min(start + rows, groups))
        yield (of_group != left_out[:, None]).astype(np.float64)


def bca_interval(
    value: float, replicates: Floats, left_out: Floats, patients: int, level: float
) -> tuple[float, float] | None:
    """The bias-corrected and accelerated interval (Efron 1987; DiCiccio & Efron 1996), for figures whose spread
    depends on their value and that can't pass 0 or 1; None as in :func:`percentile_interval`.

    The percentiles are moved outward as a mean's interval is widened by Student's t (Hesterberg 2015, section 4.3).
    ``left_out`` are the figures under :func:`leave_out_weights`; ``patients`` those that decide the spread, the
    smaller class where both count.
    """
    if percentile_interval(replicates, level) is None:
        return None
    defined = replicates[np.isfinite(replicates)]
    equal = np.abs(defined - value) < 1e-12  # whoever adds up in another order gets another last digit
    below = np.mean((defined < value) & ~equal) + np.mean(equal) / 2
    edge = 1 / (len(defined) + 1)
    bias = norm.ppf(np.clip(below, edge, 1 - edge))
    influence = left_out[np.isfinite(left_out)]
    influence = influence.mean() - influence if len(influence) else np.zeros(1)
    scale = np.sum(influence**2) ** 1.5
    acceleration = np.sum(influence**3) / (6 * scale) if scale > 0 else 0.0
    widened = np.sqrt(patients / (patients - 1)) * student_t.ppf((1 + level) / 2, patients - 1)
    moved = bias + np.array([-widened, widened])
    quantiles = norm.cdf(bias + moved / np.maximum(1 - acceleration * moved, 0.1))
    low, high = np.quantile(defined, quantiles)
    return (float(low), float(high)) if high - low > 1e-12 else None


def exact_auroc_interval(value: float, patients: int, level: float, least: float = 0.0) -> tuple[float, float]:
    """Of an AUROC, or a difference of two, that every resample gives alike: a share of 1 among as many patients as
    the smaller side has would have been as low as this far below it (Clopper & Pearson 1934). Not below ``least``."""
    spread = 1 - exact_interval(1.0, patients, level)[0]
    return max(value - spread, least), min(value + spread, 1.0)


def percentile_interval(replicates: Floats, level: float) -> tuple[float, float] | None:
    """The percentile interval of the replicates that are defined; None where too few are, or all are equal (an
    interval of no width would claim a certainty that the sample doesn't give)."""
    defined = replicates[np.isfinite(replicates)]
    if len(defined) < MOST_DEFINED * len(replicates):
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return (float(low), float(high)) if high - low > 1e-12 else None


def exact_interval(share: float, patients: int, level: float) -> tuple[float, float]:
    """Clopper and Pearson's interval (1934) of ``share`` among ``patients`` independent patients; where several
    images of a patient were counted, as if each patient had been one image."""
    alpha, found = 1 - level, share * patients
    low = float(beta.ppf(alpha / 2, found, patients - found + 1)) if share > 0 else 0.0
    high = float(beta.ppf(1 - alpha / 2, found + 1, patients - found)) if share < 1 else 1.0
    return low, high
