"""Reporting checklists: their items, and what a run fills in."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources

import pandas as pd

from lungsight.evaluation.evidence import Evidence
from lungsight.package.markdown import table
from lungsight.reporting.checklists.answer import Answering, ItemAnswer

FOR_THE_AUTHORS = "for the authors"


class Status(StrEnum):
    """How far the run answers an item."""

    FILLED = "filled"
    IN_PART = "filled in part"
    LEFT = FOR_THE_AUTHORS


@dataclass(frozen=True)
class Item:
    """One item: its official number, the section it stands in, and what is to be reported, in our words."""

    number: str
    section: str
    wanted: str
    applies: str = ""


@dataclass(frozen=True)
class Checklist:
    """A checklist, where it is from, and under which terms."""

    title: str
    citation: str
    doi: str
    licence: str
    items: tuple[Item, ...]

    @classmethod
    def read(cls, name: str) -> Checklist:
        """The checklist in this package's file ``name``."""
        content = tomllib.loads(resources.files(__package__).joinpath(name).read_text("utf-8"))
        items = tuple(Item(**item) for item in content.pop("item"))
        return cls(items=items, **content)


@dataclass(frozen=True)
class Filled:
    """An item with what the run knows of it."""

    item: Item
    answer: ItemAnswer | None

    @property
    def status(self) -> Status:
        if self.answer is None:
            return Status.LEFT
        return Status.IN_PART if self.answer.rest else Status.FILLED

    @property
    def text(self) -> str:
        if self.answer is None:
            return f"{FOR_THE_AUTHORS}: {_lower(self.item.wanted)}"
        rest = f" {FOR_THE_AUTHORS.capitalize()}: {self.answer.rest}." if self.answer.rest else ""
        return self.answer.text + rest

    @property
    def source(self) -> str:
        return self.answer.source if self.answer else ""


@dataclass(frozen=True)
class FilledChecklist:
    """A checklist with every item filled, filled in part, or left to the authors."""

    checklist: Checklist
    rows: tuple[Filled, ...]
    model: str
    made: str

    def count(self, status: Status) -> int:
        return sum(row.status is status for row in self.rows)

    def as_table(self) -> pd.DataFrame:
        """One row per item: item, section, topic, status, answer, source."""
        return pd.DataFrame(
            {
                "item": row.item.number,
                "section": row.item.section,
                "topic": row.item.wanted,
                "status": str(row.status),
                "answer": row.text,
                "source": row.source,
            }
            for row in self.rows
        )

    def as_markdown(self) -> str:
        stated = self.checklist
        counts = ", ".join(f"{self.count(status)} {status}" for status in Status)
        rows = ((r.item.number, r.item.wanted, r.text, r.source, r.status) for r in self.rows)
        lines = [
            f"# {stated.title}",
            "",
            f"For the model {self.model}, tested {self.made}. Of {len(self.rows)} items: {counts}.",
            "",
            "What the run knows is filled in, with where it stands; nothing else is. Topics are in lungsight's own "
            "words under the official numbers: the official form says in full what an item asks.",
            "",
            f"After: {stated.citation} doi:{stated.doi}. Licence of the checklist: {stated.licence}.",
            "",
            *table(("item", "topic", "answer", "from", "status"), rows),
        ]
        return "\n".join(lines) + "\n"


def fill(checklist: Checklist, answers: Mapping[str, Answering], evidence: Evidence) -> FilledChecklist:
    """Every item of ``checklist``, answered where ``answers`` has its number and the evidence knows."""
    rows = tuple(
        Filled(item, answers[item.number](evidence) if item.number in answers else None) for item in checklist.items
    )
    return FilledChecklist(checklist, rows, evidence.subject.model, evidence.made.date().isoformat())


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]
