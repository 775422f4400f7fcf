"""The worklist and one image, as the API gives them: what may be shown, by urgency, filtered and counted.

In a blind room an image that wasn't read yet is *blinded*: no answer holds anything that the model said of it, and
neither order nor filters nor counts depend on that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, case, false, func, or_, select, update

from lungsight.components.decision import decision_words
from lungsight.room.model import Model, meaning_of
from lungsight.room.reads import of_image
from lungsight.room.store import DELETING, DONE, ERROR, Store, log, now
from lungsight.room.tables import FINDINGS, IMAGES, READS, REFERENCES
from lungsight.triage import Case, Rule, worklist

_FROM_HEADER = "header"
_UNREADABLE = "could not be read"


@dataclass(frozen=True)
class Query:
    """Which images are asked for; None asks for all."""

    decision: str | None = None
    view: str | None = None
    age_from: float | None = None
    age_to: float | None = None
    date_from: str | None = None
    date_to: str | None = None
    read: bool | None = None
    words: str | None = None
    sort: str = "urgency"
    offset: int = 0
    limit: int = 100


class Listing:
    """Answers about images.

    Args:
        store: of the room.
        rule: of urgency.
        model: whose findings these are.
        blind: whether the room is.
    """

    def __init__(self, store: Store, rule: Rule, model: Model, *, blind: bool) -> None:
        self._store, self._rule, self._model, self._blind = store, rule, model, blind

    @property
    def blinded(self) -> ColumnElement[bool]:
        """Whether nothing of an image's finding may be shown."""
        return IMAGES.c.read_at.is_(None) if self._blind else false()

    def images(self, query: Query, who: str) -> dict[str, Any]:
        """A part of the worklist, with counts of the whole room."""
        with self._store.reading() as connection:
            chosen = and_(IMAGES.c.state != DELETING, *self._conditions(query))
            total = connection.execute(select(func.count()).select_from(IMAGES).where(chosen)).scalar_one()
            joined = IMAGES.outerjoin(FINDINGS, FINDINGS.c.image == IMAGES.c.id)
            wanted = select(IMAGES, FINDINGS.c.json, FINDINGS.c.picture.is_not(None).label("has_picture"))
            ordered = wanted.select_from(joined).where(chosen).order_by(*self._order(query.sort))
            rows = connection.execute(ordered.offset(query.offset).limit(query.limit)).all()
            counts = self._counts(connection)
            reads = self._latest_reads(connection, [row.id for row in rows if row.read_at])
        self.note_shown(rows, who)
        images = [self.row(row, reads.get(row.id)) for row in rows]
        return {"total": total, "counts": counts, "offset": query.offset, "images": images}

    def image(self, image: str, who: str) -> dict[str, Any] | None:
        """One image with its finding; None if there is none."""
        with self._store.reading() as connection:
            row = self._one(connection, image)
            if row is None:
                return None
            reads = of_image(connection, image)
            priors = self._priors(connection, row)
            named = select(REFERENCES).where(REFERENCES.c.image == image)
            reference = connection.execute(named).first()
        self.note_shown([row], who, audited=True)
        hidden = self.is_blinded(row)
        finding = None if hidden or row.json is None else json.loads(row.json)
        return {
            **self.row(row, reads[0] if reads else None),
            "finding": finding,
            "meaning": [] if finding is None else meaning_of(finding, self._model),
            "outline": json.loads(row.outline) if finding is not None and row.outline else [],
            "priors": priors,
            "reads": reads,
            "reference": None
            if hidden or reference is None
            else {"label": reference.label, "standard": reference.standard},
        }

    def found(self, image: str) -> Row[Any] | None:
        """The row of one image with its finding, whatever may be shown of it; None if there is none."""
        with self._store.reading() as connection:
            return self._one(connection, image)

    def is_blinded(self, row: Any) -> bool:
        """Whether nothing of this image's finding may be shown."""
        return self._blind and row.read_at is None

    def row(self, row: Row[Any], read: Mapping[str, Any] | None) -> dict[str, Any]:
        """An image as the worklist has it."""
        hidden = self.is_blinded(row)
        urgent: dict[str, Any] = {"urgency": None, "overdue": False, "reason": None}
        decided: dict[str, Any] = {"decision": None, "decision_words": None, "status": None, "probability": None}
        if not hidden and row.json is not None:
            urgent = self._urgency(row)
            words = _UNREADABLE if row.decision is None else decision_words(row.decision, self._model.target)
            decided = {"decision": row.decision, "decision_words": words, "status": row.status}
            decided["probability"] = None if row.probability is None else round(row.probability, 6)
        stated = row.view_from == _FROM_HEADER or not hidden
        return {
            "id": row.id,
            "state": row.state,
            "received": row.received,
            **urgent,
            **decided,
            "view": row.view if stated else None,
            "view_from": row.view_from if stated else None,
            "age": row.age,
            "sex": row.sex,
            "study_date": row.study_date,
            "rows": row.height,
            "columns": row.width,
            "read": None if read is None else {key: read[key] for key in ("category", "agrees", "at", "blind")},
            "patient_key": row.patient,
            "name": row.name,
            "phantom": row.phantom if not hidden else ("phantom" if row.phantom else None),
            "blinded": hidden,
            "has_picture": bool(row.has_picture),
        }

    def _one(self, connection: Connection, image: str) -> Row[Any] | None:
        joined = IMAGES.outerjoin(FINDINGS, FINDINGS.c.image == IMAGES.c.id)
        more = (FINDINGS.c.json, FINDINGS.c.map, FINDINGS.c.outline, FINDINGS.c.picture)
        wanted = select(IMAGES, *more, FINDINGS.c.picture.is_not(None).label("has_picture")).select_from(joined)
        return connection.execute(wanted.where(IMAGES.c.id == image, IMAGES.c.state != DELETING)).first()

    def _urgency(self, row: Row[Any]) -> dict[str, Any]:
        """By triage's rule, now; an image that was read waits no longer."""
        known = Case.model_validate_json(row.json)
        waits = {"study": None} if row.read_at is None else {"study": None, "arrived": None}
        entry = worklist(
            [known.model_copy(update=waits)], self._rule, now=datetime.now(UTC), target=self._model.target
        )[0]
        return {"urgency": round(entry.points, 2), "overdue": entry.overdue, "reason": entry.why}

    def _order(self, sort: str) -> Sequence[ColumnElement[Any]]:
        """The order of triage: overdue first, another kind of image last, then points, then waiting time.

        Blinded images come first, as they came, and those without a finding before those with one.
        """
        if sort == "arrival":
            return (IMAGES.c.number.desc(),)
        if sort == "date":
            return (IMAGES.c.study_date.is_(None), IMAGES.c.study_date.desc(), IMAGES.c.number.desc())
        limit = datetime.now(UTC) - timedelta(hours=self._rule.longest_wait_hours)
        overdue = and_(
            IMAGES.c.arrived < limit.isoformat(timespec="seconds"),
            IMAGES.c.another_kind.is_(False),
            IMAGES.c.read_at.is_(None),
        )
        unknown = or_(self.blinded, IMAGES.c.points.is_(None))
        group = case((unknown, 0), (overdue, 1), (IMAGES.c.another_kind.is_(True), 3), else_=2)
        waited = case((unknown, None), (overdue, IMAGES.c.arrived), else_=None)
        points = case((unknown, None), else_=IMAGES.c.points)
        return (group, waited, points.desc(), IMAGES.c.number)

    def _conditions(self, query: Query) -> list[ColumnElement[bool]]:
        seen = ~self.blinded
        view = case((or_(seen, IMAGES.c.view_from == _FROM_HEADER), IMAGES.c.view), else_=None)
        decided = func.coalesce(IMAGES.c.decision, IMAGES.c.status)
        comparisons: tuple[tuple[Any, Callable[[Any], ColumnElement[bool]]], ...] = (
            (query.decision, lambda asked: and_(seen, decided == asked)),
            (query.view, lambda asked: view == asked),
            (query.age_from, lambda asked: IMAGES.c.age >= asked),
            (query.age_to, lambda asked: IMAGES.c.age <= asked),
            (query.date_from, lambda asked: IMAGES.c.study_date >= asked),
            (query.date_to, lambda asked: IMAGES.c.study_date <= asked),
            (query.read, lambda asked: IMAGES.c.read_at.is_not(None) if asked else IMAGES.c.read_at.is_(None)),
        )
        conditions = [compared(asked) for asked, compared in comparisons if asked is not None]
        return [*conditions, *(self._about(word) for word in (query.words or "").split())]

    def _about(self, word: str) -> ColumnElement[bool]:
        """Whether a word is in what may be shown of an image: id, name, patient, comment, decision, reasons."""
        like = f"%{word.replace('%', '').replace('_', ' ')}%"
        commented = select(READS.c.image).where(READS.c.comment.ilike(like))
        told = select(FINDINGS.c.image).where(FINDINGS.c.json.ilike(like))
        return or_(
            IMAGES.c.id.startswith(word.lower(), autoescape=True),
            IMAGES.c.name.ilike(like),
            IMAGES.c.patient == word.lower(),
            IMAGES.c.study_date == word,
            IMAGES.c.read_category == word.lower(),
            IMAGES.c.id.in_(commented),
            and_(~self.blinded, IMAGES.c.id.in_(told)),
        )

    def _counts(self, connection: Connection) -> dict[str, Any]:
        there = IMAGES.c.state != DELETING
        read = func.coalesce(func.sum(IMAGES.c.read_at.is_not(None)), 0)
        n, done = connection.execute(select(func.count(), read).where(there)).one()
        decided = func.coalesce(IMAGES.c.decision, IMAGES.c.status)
        by = select(decided, func.count()).where(there, ~self.blinded, decided.is_not(None)).group_by(decided)
        found = {str(name): int(count) for name, count in connection.execute(by).all()}
        return {"all": n, "unread": n - done, "read": done, "by_decision": found}

    def _latest_reads(self, connection: Connection, ids: list[str]) -> dict[str, dict[str, Any]]:
        newest = select(func.max(READS.c.number)).where(READS.c.image.in_(ids)).group_by(READS.c.image)
        rows = connection.execute(select(READS).where(READS.c.number.in_(newest)))
        kept = ("category", "agrees", "at", "blind")
        return {row.image: {key: getattr(row, key) for key in kept} for row in rows}

    def _priors(self, connection: Connection, row: Row[Any]) -> list[dict[str, Any]]:
        """Other images of the patient, the newest first."""
        if row.patient is None:
            return []
        same = and_(IMAGES.c.patient == row.patient, IMAGES.c.id != row.id, IMAGES.c.state.in_((DONE, ERROR)))
        wanted = select(IMAGES.c.id, IMAGES.c.study_date, IMAGES.c.view, IMAGES.c.view_from, IMAGES.c.read_at)
        newest = wanted.where(same).order_by(IMAGES.c.study_date.desc(), IMAGES.c.number.desc())
        return [
            {"id": r.id, "study_date": r.study_date}
            | {"view": r.view if r.view_from == _FROM_HEADER or not self.is_blinded(r) else None}
            for r in connection.execute(newest)
        ]

    def note_shown(self, rows: Sequence[Row[Any]], who: str, *, audited: bool = False) -> None:
        """Note which findings are in an answer from now on: a read of them isn't blind."""
        open_ = [row for row in rows if row.json is not None and not self.is_blinded(row)]
        first = [row.id for row in open_ if row.shown is None]
        if not first and not (audited and open_):
            return
        with self._store.writing() as connection:
            if first:
                connection.execute(update(IMAGES).where(IMAGES.c.id.in_(first)).values(shown=now()))
            if audited:
                for row in open_:
                    log(connection, who, "shown", row.model or self._model.id, row.id)
