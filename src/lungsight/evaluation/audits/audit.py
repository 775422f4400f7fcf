"""An audit: one question put to the model or to the test's images, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import pandas as pd

from lungsight.evaluation.rows import Row, frame, rows_of
from lungsight.statistics.estimate import Estimate


class AuditResult(StrEnum):
    """What an audit says. ``SHORTCUT``: the model's score can be had without the lungs. ``CLEAR``: it was looked for
    and not found. ``REPORTED``: figures without a rule of their own. ``NOT_DONE``: it couldn't be asked here."""

    SHORTCUT = "shortcut"
    CLEAR = "clear"
    REPORTED = "reported"
    NOT_DONE = "not done"


@dataclass(frozen=True, eq=False)
class Audit:
    """One audit's answer.

    Attributes:
        name: as documented: ``lungs hidden``, ``header only`` …
        question: what it asks, in plain words, one sentence.
        call: what it says.
        meaning: what that means here, in plain words with the figures, one to three sentences; for ``NOT_DONE``
            why it couldn't be asked.
        effect: the figure that the call rests on, with its interval; None where there is none.
        table: every figure; becomes ``audit_<name>.csv``. Given as ``rows``, it is the frame of them.
        images: how many images it looked at.
        rule: when it calls a shortcut, in one sentence with its thresholds; empty for an audit without a rule.
        rows: every figure as typed rows; given as a ``table``, they are the rows of it.
    """

    name: str
    question: str
    call: AuditResult
    meaning: str
    effect: Estimate | None = None
    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    images: int = 0
    rule: str = ""
    rows: tuple[Row, ...] = ()

    def __post_init__(self) -> None:
        """Give the figures both ways, as rows and as a frame."""
        if self.rows and self.table.empty:
            object.__setattr__(self, "table", frame(self.rows))
        elif not self.rows:
            object.__setattr__(self, "rows", rows_of(self.table))

    @property
    def stem(self) -> str:
        """Of its CSV file."""
        return "audit_" + self.name.replace(" ", "_").replace("'", "")


def not_done(name: str, question: str, reason: str, rule: str = "") -> Audit:
    """An audit that couldn't be asked, with one sentence why."""
    return Audit(name, question, AuditResult.NOT_DONE, reason, rule=rule)
