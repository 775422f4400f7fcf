"""The audits as cards of the evidence page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lungsight.evaluation.audits.audit import Audit
from lungsight.reporting.evidence_json import plain, records
from lungsight.reporting.evidence_tables import PageTable, Scale, any_table

#: The columns that make a table one of alterations and their strengths, and the figure that is shown of it.
_OF_STRENGTHS = {"kind", "source", "stress", "strength", "level", "metric", "value", "low", "high", "n"}
_TURNED = "verdicts_turned"


@dataclass(frozen=True)
class HeatTable:
    """How many verdicts each alteration turns, weakest strength first: by alteration its estimates, each with its
    strength in words (``level``)."""

    kind: str
    source: str
    rows: tuple[tuple[str, tuple[Mapping[str, Any], ...]], ...]

    @property
    def steps(self) -> int:
        return max(len(cells) for _, cells in self.rows)


@dataclass(frozen=True, eq=False)
class Card:
    """One audit with its figures: effect, the line its interval is drawn on, and its table or heat tables."""

    audit: Audit
    effect: Mapping[str, Any] | None
    scale: Scale | None
    table: PageTable | None
    heats: tuple[HeatTable, ...] = ()


def card_of(audit: Audit) -> Card:
    effect = None if audit.effect is None else {name: plain(value) for name, value in vars(audit.effect).items()}
    drawn = effect is not None and effect["value"] is not None
    scale = Scale.of(str(effect["name"]), [effect]) if effect is not None and drawn else None
    if heats := tuple(_heats(audit.table)):
        return Card(audit, effect, scale, None, heats)
    scope, metric = (audit.effect.scope, audit.effect.name) if audit.effect else ("", "")
    caption = f"{audit.name[:1].upper()}{audit.name[1:]}: its figures"
    return Card(audit, effect, scale, any_table(audit.table, audit.stem, caption, scope, metric))


def _heats(table: pd.DataFrame) -> Iterator[HeatTable]:
    """One for each kind of source: all its sources together where they are given so."""
    if not set(table.columns) >= _OF_STRENGTHS:
        return
    turned = table[(table["metric"] == _TURNED) & table["strength"].notna()]
    for kind, of_kind in turned.groupby("kind", sort=False):
        sources = list(dict.fromkeys(of_kind["source"]))
        chosen = "all" if "all" in sources else sources[0]
        of_source = of_kind[of_kind["source"] == chosen]
        rows = tuple((str(stress), tuple(records(rows))) for stress, rows in of_source.groupby("stress", sort=False))
        yield HeatTable(str(kind), str(chosen), rows)
