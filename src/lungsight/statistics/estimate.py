"""The estimate: one figure with its sample and its interval, or the reason why it is withheld."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: The scope of figures that look at every class at once (accuracy, balanced accuracy, MCC).
ALL_CLASSES = "all classes"

#: How an interval was found: ``bca``, ``percentile`` and ``basic`` from resampling patients; ``delong``; ``exact``
#: (Clopper and Pearson). The same figure of the same images has the same interval in every table: the BCa interval
#: where there is one, then the exact one of a figure that every resample gives alike.
IntervalMethod = Literal["bca", "percentile", "basic", "delong", "exact", ""]


@dataclass(frozen=True)
class Estimate:
    """One figure.

    Attributes:
        name: of the metric, as in :data:`lungsight.statistics.metrics.TITLES`.
        scope: :data:`ALL_CLASSES`, or the class that is compared with the rest.
        value: None where the figure is withheld.
        low, high: 95% interval; None where it is withheld.
        n: images of which the figure is a share (for sensitivity the positives, for PPV those predicted positive).
        positives, negatives: images of the class in scope, and the others (for ``ALL_CLASSES``: all, and 0).
        patients: number of patients of the ``n`` images.
        interval: how low and high were computed; empty without an interval.
        withheld: why the value, or its interval, isn't given.
    """

    name: str
    scope: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    positives: int
    negatives: int
    patients: int
    interval: IntervalMethod = ""
    withheld: str | None = None

    def __str__(self) -> str:
        if self.value is None:
            return f"withheld: {self.withheld}"
        between = "no interval" if self.low is None or self.high is None else f"{self.low:.2f}–{self.high:.2f}"
        return f"{self.value:.3f} ({between}), n = {self.n}"
