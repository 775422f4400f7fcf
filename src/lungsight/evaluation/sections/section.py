"""One section of the report: tables of figures and sentences about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from lungsight.evaluation.rows import Row


@dataclass(frozen=True, eq=False)
class Section:
    """What one section of the report computed.

    Attributes:
        name: as the report's table of contents and the files have it: ``discrimination``, ``calibration`` …
        content: by the name of its CSV file without ``.csv``, in the order of the files: figures as typed rows;
            curves and counts, which have columns of their own, as frames.
        sentences: what a reader should know first, in plain words with their figures.
        withheld: what isn't given, and why: sentences.
    """

    name: str
    content: Mapping[str, pd.DataFrame | Sequence[Row]]
    sentences: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Curves and counts."""
        return {stem: table for stem, table in self.content.items() if isinstance(table, pd.DataFrame)}

    @property
    def estimates(self) -> dict[str, tuple[Row, ...]]:
        """Every figure."""
        return {stem: tuple(rows) for stem, rows in self.content.items() if not isinstance(rows, pd.DataFrame)}
