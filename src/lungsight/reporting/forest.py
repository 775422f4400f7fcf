"""The AUROC of every source with its interval on one line: a forest plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lungsight.evaluation.performance import HOLDS, SourcePerformance
from lungsight.reporting.page_tables import Scale

CHANCE = 0.5
#: What the plot shows of an AUROC, at least.
_LOWEST = 0.4


@dataclass(frozen=True)
class Forest:
    """The sources on one scale; ``asked`` is the AUROC that a whole interval must exceed."""

    sources: tuple[SourcePerformance, ...]
    scale: Scale
    asked: float = HOLDS

    @classmethod
    def of(cls, sources: Sequence[SourcePerformance]) -> Forest:
        """Those with an AUROC first: the others have nothing to show."""
        estimates = [e for each in sources for e in (each.auroc, each.within_view) if e is not None]
        ends = [end for e in estimates for end in (e.value, e.low) if end is not None]
        low = math.floor(10 * min([_LOWEST, *ends])) / 10
        ordered = sorted(sources, key=lambda each: each.auroc.value is None)
        return cls(tuple(ordered), Scale(low, 1.0, CHANCE))

    @property
    def ticks(self) -> list[float]:
        """Where the axis has numbers."""
        return sorted({self.scale.low, CHANCE, self.asked, 1.0})

    @property
    def has_views(self) -> bool:
        """Whether some source has an AUROC among images of the same view."""
        return any(each.within_view is not None for each in self.sources)
