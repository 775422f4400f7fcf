"""One class against the rest: which images are of it, its probability for each, and the patient of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lungsight.statistics.bootstrap import Sample
from lungsight.statistics.outcomes import Floats, Integers, Mask, Outcomes


@dataclass(frozen=True, eq=False)
class Binary(Sample):
    """Images that are of a class or not, with the probability of that class.

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
        """A sample from arrays of equal length; ``patient`` holds any numbers that tell patients apart."""
        return cls(patient, positive, scope, np.asarray(probability, dtype=np.float64))
