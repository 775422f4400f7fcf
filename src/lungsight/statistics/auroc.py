"""AUROC of any score, not only of a model's probabilities, with an interval by patients: what audits compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungsight.statistics.bootstrap import (
    Resampling,
    bca_interval,
    exact_auroc_interval,
    leave_out_weights,
    patient_weights,
)
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.ranking import Ranking

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]

#: Fewer patients than this on either side and an AUROC says more about those few than about the model.
FEWEST_PATIENTS = 10

#: Image weights, float [r, n], to a figure, float [r].
Statistic = Callable[[Floats], Floats]


@dataclass(frozen=True, eq=False)
class Ranked:
    """Images to be ranked: ``positive`` bool [n], and ``patient`` int [n], any numbers."""

    positive: Mask
    patient: Integers
    scope: str

    def auroc(self, score: Floats, resampling: Resampling = Resampling(), name: str = "auroc") -> Estimate:
        """The AUROC of ``score``, float [n]; withheld where there are fewer than :data:`FEWEST_PATIENTS` patients on
        either side."""
        return self._estimate(name, _auroc(score, self.positive), resampling)

    def auroc_gap(
        self, score: Floats, other: Floats, resampling: Resampling = Resampling(), name: str = "auroc_gap"
    ) -> Estimate:
        """How much higher the AUROC of ``score`` is than that of ``other`` on the same images."""
        one, two = _auroc(score, self.positive), _auroc(other, self.positive)
        return self._estimate(name, lambda weights: one(weights) - two(weights), resampling, least=-1.0)

    def mean_within(
        self,
        score: Floats,
        group: NDArray[np.str_],
        resampling: Resampling = Resampling(),
        name: str = "auroc_within",
    ) -> Estimate:
        """The unweighted mean of the AUROCs within each group that holds both positives and negatives: positives are
        compared with negatives of the same group only, and other groups' images don't count."""
        parts = [group == one for one in np.unique(group)]
        mixed = [part for part in parts if 0 < self.positive[part].sum() < part.sum()]
        if not mixed:
            return self._estimate(name, lambda weights: np.full(len(weights), np.nan), resampling)
        inside = np.any(mixed, axis=0)
        aurocs = [(part[inside], _auroc(score[part], self.positive[part])) for part in mixed]

        def mean(weights: Floats) -> Floats:
            return np.asarray(np.mean([auroc(weights[:, part]) for part, auroc in aurocs], axis=0))

        return Ranked(self.positive[inside], self.patient[inside], self.scope)._estimate(name, mean, resampling)

    def _estimate(self, name: str, statistic: Statistic, resampling: Resampling, *, least: float = 0.0) -> Estimate:
        codes = np.unique(self.patient, return_inverse=True)[1]
        patients = int(codes.max()) + 1 if len(codes) else 0
        positives = int(self.positive.sum())
        counts = (len(codes), positives, len(codes) - positives, patients)
        if reason := self._too_few():
            return Estimate(name, self.scope, None, None, None, *counts, withheld=reason)
        value = float(statistic(np.ones((1, len(codes))))[0])
        if not np.isfinite(value):
            return Estimate(name, self.scope, None, None, None, *counts, withheld="no source holds both sides")
        replicates, left_out = (
            np.concatenate([statistic(weights[:, codes]) for weights in blocks])
            for blocks in (patient_weights(patients, len(codes), resampling), leave_out_weights(patients, len(codes)))
        )
        smaller = min(len(np.unique(self.patient[side])) for side in (self.positive, ~self.positive))
        bounds = bca_interval(value, replicates, left_out, smaller, resampling.level)
        if bounds is not None:
            return Estimate(name, self.scope, value, *bounds, *counts, interval="bca")
        exact = exact_auroc_interval(value, smaller, resampling.level, least)
        return Estimate(name, self.scope, value, *exact, *counts, interval="exact")

    def _too_few(self) -> str | None:
        for side, mask in (("positive", self.positive), ("negative", ~self.positive)):
            patients = len(np.unique(self.patient[mask]))
            if patients < FEWEST_PATIENTS:
                return f"{patients} {side} patients, and {FEWEST_PATIENTS} are needed"
        return None


def _auroc(score: Floats, positive: Mask) -> Statistic:
    ranking = Ranking.of(score, positive)
    return lambda weights: ranking.auroc_and_average_precision(weights)[0]
