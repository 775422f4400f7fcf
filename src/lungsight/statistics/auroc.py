"""AUROC of any score with an interval by patients: :mod:`.ranking` and :mod:`.bootstrap` under their old names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungsight.statistics.bootstrap import FEWEST_PATIENTS, Exact, Resampling, Sample
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import Floats, Integers, Mask
from lungsight.statistics.ranking import auroc, auroc_within, ranking_estimate

__all__ = ["FEWEST_PATIENTS", "Ranked"]


@dataclass(frozen=True, eq=False)
class Ranked:
    """Images to be ranked: ``positive`` bool [n], and ``patient`` int [n], any numbers."""

    positive: Mask
    patient: Integers
    scope: str

    @property
    def sample(self) -> Sample:
        """The images as every estimate takes them."""
        return Sample(self.patient, self.positive, self.scope)

    def auroc(self, score: Floats, resampling: Resampling = Resampling(), name: str = "auroc") -> Estimate:
        """The AUROC of ``score``, float [n]."""
        return ranking_estimate(name, self.sample, auroc(score, self.positive), resampling=resampling)

    def auroc_gap(
        self, score: Floats, other: Floats, resampling: Resampling = Resampling(), name: str = "auroc_gap"
    ) -> Estimate:
        """How much higher the AUROC of ``score`` is than that of ``other`` on the same images."""
        one, two = auroc(score, self.positive), auroc(other, self.positive)
        return ranking_estimate(
            name, self.sample, lambda w: one(w) - two(w), exact=Exact.AUROC_DIFFERENCE, resampling=resampling
        )

    def mean_within(
        self,
        score: Floats,
        group: NDArray[np.str_],
        resampling: Resampling = Resampling(),
        name: str = "auroc_within",
    ) -> Estimate:
        """The unweighted mean of the AUROCs within each group that holds both positives and negatives."""
        return auroc_within(name, self.sample, score, group, resampling=resampling)
