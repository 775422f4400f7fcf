"""All figures of a table of predictions, source by source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from lungsight.evaluation.testset.testset import ALL_SOURCES
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.metrics import estimate_all
from lungsight.statistics.outcomes import Outcomes


@dataclass(frozen=True)
class Scores:
    """All figures of one group of images (a split, or internal or external testing) and one source.

    Attributes:
        group: as the table says it, ``validation`` or ``external``.
        source: a source's name, or :data:`ALL_SOURCES`.
        outcomes: the images scored.
        estimates: their figures.
    """

    group: str
    source: str
    outcomes: Outcomes
    estimates: tuple[Estimate, ...]

    def get(self, scope: str, name: str) -> Estimate:
        """One figure of one class, or of all classes."""
        return next(e for e in self.estimates if e.scope == scope and e.name == name)


def score_by_source(
    table: pd.DataFrame, classes: tuple[str, ...], group: str, resampling: Resampling = Resampling()
) -> list[Scores]:
    """Score the predictions in ``table``: its sources together where it has several, then each alone."""
    return [
        Scores(group, source, outcomes, tuple(estimate_all(outcomes, resampling)))
        for source, outcomes in _by_source(table, classes)
    ]


def _by_source(table: pd.DataFrame, classes: tuple[str, ...]) -> Iterator[tuple[str, Outcomes]]:
    sources = sorted(set(table["source"]))
    if len(sources) != 1:
        yield ALL_SOURCES, Outcomes.of(table, classes)
    for source in sources:
        yield source, Outcomes.of(table[table["source"] == source], classes)
