"""Adjustment of p-values, so that several comparisons give a false positive no more often than a single one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjustment (1979, Scandinavian Journal of Statistics 6:65), in the same order.

    A comparison without a p-value (None) stays without one and doesn't count.
    """
    given = [i for i, p in enumerate(p_values) if p is not None]
    p = np.array([p_values[i] for i in given], dtype=np.float64)
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)) if len(p) else p
    adjusted: list[float | None] = [None] * len(p_values)
    for place, value in zip(order, raised, strict=True):
        adjusted[given[int(place)]] = float(min(1.0, value))
    return adjusted
