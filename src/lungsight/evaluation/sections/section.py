"""One section of the report: tables of figures and sentences about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from lungsight.evaluation.rows import Row, frame, rows_of


@dataclass(frozen=True, eq=False)
class Section:
    """What one section of the report computed.

    Attributes:
        name: as the report's table of contents and the files have it: ``discrimination``, ``calibration`` …
        tables: every table, by the name of its CSV file without ``.csv``. Those of ``estimates`` are here as
            :func:`~lungsight.evaluation.rows.frame` makes them; curves and counts have columns of their own.
        sentences: what a reader should know first, in plain words with their figures.
        withheld: what isn't given, and why: sentences.
        estimates: the tables of estimates as typed rows, by the same names.
    """

    name: str
    tables: Mapping[str, pd.DataFrame]
    sentences: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()
    estimates: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        name: str,
        tables: Mapping[str, pd.DataFrame | Sequence[Row]],
        sentences: Iterable[str] = (),
        withheld: Iterable[str] = (),
    ) -> Section:
        """A section of tables in their order on the page, those of estimates given as rows."""
        rows = {stem: tuple(table) for stem, table in tables.items() if not isinstance(table, pd.DataFrame)}
        frames = {stem: table if isinstance(table, pd.DataFrame) else frame(table) for stem, table in tables.items()}
        return cls(name, frames, tuple(sentences), tuple(withheld), rows)

    def __post_init__(self) -> None:
        """Give every table of estimates both ways, as rows and as a frame."""
        from_frames = {name: rows for name, table in self.tables.items() if (rows := rows_of(table))}
        from_rows = {name: frame(rows) for name, rows in self.estimates.items() if name not in self.tables}
        object.__setattr__(self, "estimates", from_frames | dict(self.estimates))
        object.__setattr__(self, "tables", dict(self.tables) | from_rows)
