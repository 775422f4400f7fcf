"""One part of the report: tables of figures and sentences about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd


@dataclass(frozen=True, eq=False)
class Section:
    """What one part of the report computed.

    Attributes:
        name: as the report's table of contents and the files have it: ``discrimination``, ``calibration`` …
        tables: every figure, by the name of its CSV file without ``.csv``. A table of estimates has the columns of
            :func:`.estimate_table`; curves have their own.
        sentences: what a reader should know first, in plain words with their figures.
        withheld: what isn't given, and why: sentences.
    """

    name: str
    tables: Mapping[str, pd.DataFrame]
    sentences: tuple[str, ...] = ()
    withheld: tuple[str, ...] = field(default=())
