"""Means and shares over images, each with an interval from resampling patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lungsight.statistics.bootstrap import (
    Resampling,
    bca_interval,
    exact_interval,
    leave_out_weights,
    patient_weights,
)
from lungsight.statistics.estimate import Estimate, IntervalMethod
from lungsight.statistics.outcomes import Floats, Integers, Mask


@dataclass(frozen=True, eq=False)
class Sample:
    """The images that means are taken over.

    Attributes:
        patient: int [n], a number for each patient.
        positive: bool [n], truly of the class in scope.
        scope: that class.
    """

    patient: Integers
    positive: Mask
    scope: str

    def where(self, mask: Mask) -> Sample:
        """The images under ``mask``, bool [n]."""
        return Sample(self.patient[mask], self.positive[mask], self.scope)


def estimate_means(
    sample: Sample, values: Floats, names: Sequence[str], *, shares: bool, resampling: Resampling = Resampling()
) -> list[Estimate]:
    """The mean of each column of ``values``, float [n, m]; NaN where an image has no value, which is then no part of
    that mean. ``shares`` says that the values are 0 or 1: a share of 0 or 1 gets Clopper and Pearson's interval."""
    known = np.isfinite(values)
    patients, patient = np.unique(sample.patient, return_inverse=True)
    sums, counts = _by_patient(np.where(known, values, 0.0), patient), _by_patient(known.astype(np.float64), patient)
    size = len(patients), len(values)
    replicates, left_out = (
        np.concatenate([np.empty((0, len(names))), *(_ratio(w @ sums, w @ counts) for w in blocks if len(patients))])
        for blocks in (patient_weights(*size, resampling), leave_out_weights(*size))
    )
    return [
        _estimate(
            sample.where(known[:, m]), name, values[known[:, m], m], (replicates[:, m], left_out[:, m]), shares,
            resampling.level,
        )
        for m, name in enumerate(names)
    ]  # fmt: skip


def _by_patient(values: Floats, patient: Integers) -> Floats:
    """Sums [patients, m] of values [n, m]."""
    sums = np.zeros((int(patient.max(initial=-1)) + 1, values.shape[1]))
    np.add.at(sums, patient, values)
    return sums


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)


def _estimate(
    sample: Sample, name: str, values: Floats, drawn: tuple[Floats, Floats], shares: bool, level: float
) -> Estimate:
    """``drawn`` are the replicates, and the means without some patients."""
    n, positives, patients = len(values), int(sample.positive.sum()), len(np.unique(sample.patient))
    counts = (n, positives, n - positives, patients)
    if not n:
        return Estimate(name, sample.scope, None, None, None, *counts, withheld="no image to take it from")
    value = float(values.mean())
    method: IntervalMethod = "bca"
    bounds = bca_interval(value, *drawn, patients, level) if patients > 1 else None
    if bounds is None and shares and value in (0.0, 1.0):
        bounds, method = exact_interval(value, patients, level), "exact"
    if bounds is None:
        note = (
            "no interval: one patient only" if patients < 2 else "no interval: every resample gives the same figure"
        )
        return Estimate(name, sample.scope, value, None, None, *counts, withheld=note)
    return Estimate(name, sample.scope, value, *bounds, *counts, method)
