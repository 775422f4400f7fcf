"""Reporting checklists: their items, and what a run fills in."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources

import pandas as pd

from lungsight.evaluation.evidence import Evidence
from lungsight.package.markdown import table
from lungsight.reporting.checklists import data_items, model_items, result_items
from lungsight.reporting.checklists.answer import Answering, ItemAnswer

FOR_THE_AUTHORS = "for the authors"
#: The file of each checklist, by the stem of the files that it is written to.
CHECKLISTS = {"claim": "claim_2024.toml", "tripod_ai": "tripod_ai.toml"}
_ITEMS = {"data": data_items, "model": model_items, "result": result_items}


class Status(StrEnum):
    """How far the run answers an item."""

    FILLED = "filled"
    IN_PART = "filled in part"
    LEFT = FOR_THE_AUTHORS


@dataclass(frozen=True)
class Item:
    """One item of a checklist.

    Attributes:
        number: the official one.
        section: of the article that the item belongs to.
        wanted: what is to be reported, in our words.
        applies: to studies that develop (D) or evaluate (E) a model; empty where the checklist doesn't say.
        answer: the function that answers it, ``data.flow``; empty: only the authors can.
    """

    number: str
    section: str
    wanted: str
    applies: str = ""
    answer: str = ""

    @property
    def answering(self) -> Answering | None:
        """The function that answers the item from the run, if there is one."""
        module, _, name = self.answer.partition(".")
        found: Answering | None = getattr(_ITEMS[module], name) if module else None
        return found


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
        """The checklist in this folder's file ``name``."""
        content = tomllib.loads(resources.files(__package__).joinpath(name).read_text("utf-8"))
        items = tuple(Item(**item) for item in content.pop("item"))
        return cls(items=items, **content)

    def filled(self, evidence: Evidence) -> FilledChecklist:
        """Every item, answered as far as the evidence knows."""
        answers = (item.answering for item in self.items)
        rows = (
            Filled(i, answer(evidence) if answer else None) for i, answer in zip(self.items, answers, strict=True)
        )
        return FilledChecklist(self, tuple(rows), evidence.subject.model, evidence.made.date().isoformat())


@dataclass(frozen=True)
class Filled:
    """An item with what the run knows of it."""

    item: Item
    answer: ItemAnswer | None

    @property
    def status(self) -> Status:
        """How far it is answered."""
        if self.answer is None:
            return Status.LEFT
        return Status.IN_PART if self.answer.rest else Status.FILLED

    @property
    def text(self) -> str:
        """The answer, and what is left to the authors."""
        if self.answer is None:
            return f"{FOR_THE_AUTHORS}: {self.item.wanted[0].lower()}{self.item.wanted[1:]}"
        rest = f" {FOR_THE_AUTHORS.capitalize()}: {self.answer.rest}." if self.answer.rest else ""
        return self.answer.text + rest

    @property
    def source(self) -> str:
        """The file that the answer comes from; empty without one."""
        return self.answer.source if self.answer else ""


@dataclass(frozen=True)
class FilledChecklist:
    """A checklist with every item filled, filled in part, or left to the authors."""

    checklist: Checklist
    rows: tuple[Filled, ...]
    model: str
    made: str

    def count(self, status: Status) -> int:
        """How many items have this status."""
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
        """A page with one table."""
        stated = self.checklist
        counts = ", ".join(f"{self.count(status)} {status}" for status in Status)
        rows = ((r.item.number, r.item.wanted, r.text, r.source, r.status) for r in self.rows)
        lines = [
            f"# {stated.title}",
            "",
            f"For the model {self.model}, tested {self.made}. Of {len(self.rows)} items: {counts}.",
            "",
            "What the run knows is filled in, with the file it comes from; nothing else is. Topics are in "
            "lungsight's own words under the official numbers: the official form says in full what an item asks.",
            "",
            f"After: {stated.citation} doi:{stated.doi}. Licence of the checklist: {stated.licence}.",
            "",
            *table(("item", "topic", "answer", "from", "status"), rows),
        ]
        return "\n".join(lines) + "\n"
