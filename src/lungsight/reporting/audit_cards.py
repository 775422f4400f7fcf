"""The audits as cards of the evidence page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from lungsight.evaluation.audits.audit import Audit
from lungsight.evaluation.audits.illustration import Illustration
from lungsight.evaluation.rows import Row
from lungsight.evaluation.testset.testset import ALL_SOURCES
from lungsight.rendering import data_uri, jpeg
from lungsight.reporting.page_tables import PageTable, Scale, any_rows
from lungsight.reporting.tables import plain

#: The figure that is shown of a table of alterations and their strengths.
_TURNED = "verdicts_turned"
#: Of the JPEG of an altered image.
_QUALITY = 80


@dataclass(frozen=True)
class HeatTable:
    """How many decisions each alteration changes, weakest strength first: by alteration its rows."""

    kind: str
    source: str
    rows: tuple[tuple[str, tuple[Row, ...]], ...]

    @property
    def steps(self) -> int:
        """How many strengths the alteration with the most has."""
        return max(len(cells) for _, cells in self.rows)


@dataclass(frozen=True, eq=False)
class AlteredPicture:
    """An image before and after an alteration, as ``data:`` addresses."""

    shown: Illustration
    before: str
    after: str

    @classmethod
    def of(cls, illustrations: Sequence[Illustration]) -> AlteredPicture | None:
        """The one whose probability changes most; None without any."""
        if not illustrations:
            return None
        chosen = max(illustrations, key=lambda one: abs(one.after - one.before))
        before, after = (data_uri(jpeg(Image.fromarray(p), _QUALITY)) for p in (chosen.image, chosen.altered))
        return cls(chosen, before, after)


@dataclass(frozen=True, eq=False)
class AuditCard:
    """One audit with the line its effect is drawn on, a picture of what it did, and its table or heat tables."""

    audit: Audit
    scale: Scale | None
    picture: AlteredPicture | None
    table: PageTable | None
    heats: tuple[HeatTable, ...]

    @classmethod
    def of(cls, audit: Audit) -> AuditCard:
        """The card of an audit, with heat tables where it altered images by several strengths."""
        effect = audit.effect
        scale = Scale.of(effect.name, [effect]) if effect is not None and effect.value is not None else None
        picture = AlteredPicture.of(audit.illustrations)
        if heats := tuple(_heats(audit.rows)):
            return cls(audit, scale, picture, None, heats)
        scope, metric = (effect.scope, effect.name) if effect else ("", "")
        caption = f"{audit.words.capitalize()}: its figures"
        return cls(audit, scale, picture, any_rows(audit.rows, audit.stem, caption, scope, metric), ())


def _heats(rows: Sequence[Row]) -> Iterator[HeatTable]:
    """One for each kind of source: all its sources together if they are given so."""
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        if row.estimate.name == _TURNED and plain(row.labels.get("strength")) is not None:
            kinds.setdefault(str(row.labels["kind"]), []).append(row)
    for kind, of_kind in kinds.items():
        sources = [str(row.labels["source"]) for row in of_kind]
        chosen = ALL_SOURCES if ALL_SOURCES in sources else sources[0]
        alterations: dict[str, list[Row]] = {}
        for row, source in zip(of_kind, sources, strict=True):
            if source == chosen:
                alterations.setdefault(str(row.labels["stress"]), []).append(row)
        yield HeatTable(kind, chosen, tuple((name, tuple(found)) for name, found in alterations.items()))
