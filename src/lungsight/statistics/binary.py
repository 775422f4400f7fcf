"""One class against the rest: who has the disease, with what probability it was called, and whose image it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from lungsight.statistics.bootstrap import Drawn, Policy, Resampling, Sample, Share, draw, estimate_from, shares
from lungsight.statistics.bootstrap import divided as ratio
from lungsight.statistics.bootstrap import withheld as _withheld
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import Floats, Integers, Mask, Outcomes

__all__ = ["Binary", "Share", "ratio"]

#: From patient weights [r, patients] to figures, float [r] or [r, m] each; NaN where one isn't defined.
Figures = Callable[[Floats], Mapping[str, Floats]]


@dataclass(frozen=True, eq=False)
class Binary(Sample):
    """Images with a yes or no and a probability of yes.

    Attributes:
        probability: float [n], 0…1.
    """

    probability: Floats = None  # type: ignore[assignment]

    @classmethod
    def of(cls, outcomes: Outcomes, scope: str) -> Binary:
        """The class ``scope`` against the rest."""
        c = outcomes.classes.index(scope)
        return cls(outcomes.patient, outcomes.truth == c, scope, outcomes.probabilities[:, c])

    @classmethod
    def from_arrays(cls, scope: str, positive: Mask, probability: Floats, patient: Integers) -> Binary:
        """``patient`` may be any numbers that tell patients apart."""
        return cls(patient, positive, scope, np.asarray(probability, dtype=np.float64))

    def resampled(self, figures: Figures, resampling: Resampling) -> dict[str, Drawn]:
        """The figures of the sample itself, of every replicate, and of the sample without some patients."""
        return draw(self, lambda weights: figures(self.of_patients(weights)), resampling)

    def estimate(
        self, name: str, resampled: Mapping[str, Drawn], level: float, *, among: Mask | None = None,
        biased: bool = False,
    ) -> Estimate:  # fmt: skip
        """One figure with its interval."""
        policy = Policy.BASIC if biased else Policy.BCA
        return estimate_from(name, self, resampled[name], among=among, policy=policy, level=level)

    def withheld(self, name: str, reason: str, among: Mask | None = None) -> Estimate:
        """A figure that isn't given, and why."""
        return _withheld(name, self, reason, among)

    def shares(self, wanted: Mapping[str, Share], resampling: Resampling) -> list[Estimate]:
        """Each share of images, by its name."""
        return shares(self, wanted, resampling)
