"""Intervals by resampling patients: images of one patient resemble each other, so they are drawn together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

Floats = NDArray[np.float64]

_CELLS_AT_ONCE = 2_000_000
_SHARE_THAT_MUST_BE_DEFINED = 0.9


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


def percentile_interval(replicates: Floats, level: float) -> tuple[float, float] | None:
    """The percentile interval of the replicates that are defined; None where too few are, or all are equal (an
    interval of no width would claim a certainty that the sample doesn't give)."""
    defined = replicates[np.isfinite(replicates)]
    if len(defined) < _SHARE_THAT_MUST_BE_DEFINED * len(replicates):
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
