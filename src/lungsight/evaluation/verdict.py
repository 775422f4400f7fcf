"""The verdict: one grade for all the evidence, by rules that are written down in docs/explanation/verdict.md."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """What may be said of a model, weakest first. ``CONFOUNDED`` outranks every good score: whatever a model scores,
    it isn't said to hold while an audit shows that the score can be had without the lungs."""

    NO_EVIDENCE = "no evidence"
    INTERNAL_ONLY = "internal only"
    CONFOUNDED = "confounded"
    HOLDS_AT_ONE = "holds at one other source"
    HOLDS_AT_SEVERAL = "holds at several other sources"


@dataclass(frozen=True)
class Reason:
    """One rule, whether it is met, and the finding that decided it, in words and figures."""

    rule: str
    met: bool
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """A grade, what it means in one plain sentence, and the reasons that decided it."""

    grade: Grade
    sentence: str
    reasons: tuple[Reason, ...]
