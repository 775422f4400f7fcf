"""One part of the report: tables of figures and sentences about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from lungsight.evaluation.formatting import withheld_because
from lungsight.statistics.estimate import Estimate


@dataclass(frozen=True, eq=False)
class Section:
    """What one part of the report computed.

    Attributes:
        name: as the report's table of contents and the files have it: ``discrimination``, ``calibration`` …
        tables: every figure, by the name of its CSV file without ``.csv``. A table of estimates has the columns of
            :func:`estimate_table`; curves have their own.
        sentences: what a reader should know first, in plain words with their figures.
        withheld: what isn't given, and why: sentences.
    """

    name: str
    tables: Mapping[str, pd.DataFrame]
    sentences: tuple[str, ...] = ()
    withheld: tuple[str, ...] = field(default=())


def estimate_table(estimates: Iterable[tuple[Mapping[str, object], Estimate]]) -> pd.DataFrame:
    """One row per estimate: its labels (kind, source, subgroup …), then scope, metric, value, low, high, n,
    positives, negatives, patients, interval (how it was found) and why it, or its interval, is withheld."""
    return pd.DataFrame(
        {
            **labels,
            "scope": e.scope,
            "metric": e.name,
            "value": e.value,
            "low": e.low,
            "high": e.high,
            "n": e.n,
            "positives": e.positives,
            "negatives": e.negatives,
            "patients": e.patients,
            "interval": e.interval,
            "withheld": withheld_because(e),
        }
        for labels, e in estimates
    )
