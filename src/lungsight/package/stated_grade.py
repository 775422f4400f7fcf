"""What the evidence report in a package concludes, read from its JSON: by today's rules, or by older ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

#: The shortcut flag, as ``evidence.json`` writes it.
FOUND, NOT_FOUND, NOT_SHOWN, NOT_LOOKED_FOR = (
    "found",
    "looked for and not found",
    "looked for, not shown either way",
    "not looked for",
)
#: The grade of older rules, which had one ladder, for a model with a shortcut.
_CONFOUNDED = "confounded"
#: Older grades that don't say how the model performed, where the file gives no reasons.
_WITHOUT_REASONS = {_CONFOUNDED: "performance not stated", "no evidence": "not shown to be good enough"}
_BY_OLDER_RULES = "Graded by the rules before 30 November 2026: the report has its reasons."


class StatedGrade(NamedTuple):
    """The grade of a model's performance and the shortcut flag beside it.

    Attributes:
        grade: in the words of :class:`lungsight.evaluation.grade.Grade`.
        sentence: what it means.
        made: the day of the test, ISO 8601.
        shortcut: one of the flags of this module; empty if the report states none.
        shortcut_sentence: which shortcut; empty likewise.
    """

    grade: str
    sentence: str
    made: str
    shortcut: str = ""
    shortcut_sentence: str = ""

    @property
    def words(self) -> str:
        """Both statements in a few words: ``fails elsewhere; shortcut found``."""
        return f"{self.grade}; shortcut {self.shortcut}" if self.shortcut else self.grade


def stated_grade(evidence: Mapping[str, Any]) -> StatedGrade:
    """The grade in the content of ``evidence.json``.

    Raises:
        KeyError, TypeError, AttributeError: it states none.
    """
    verdict, made = evidence["verdict"], str(evidence.get("made", ""))[:10]
    grade, sentence = str(verdict["grade"]), str(verdict.get("sentence", ""))
    if "shortcut" in verdict:
        return StatedGrade(grade, sentence, made, str(verdict["shortcut"]), str(verdict.get("shortcut_sentence", "")))
    clear = any(audit.get("call") == "clear" for audit in evidence.get("audits", ()))
    flag = FOUND if grade == _CONFOUNDED else NOT_SHOWN if clear else NOT_LOOKED_FOR
    performance = _of_older_rules(verdict.get("reasons", ())) or _WITHOUT_REASONS.get(grade, grade)
    return StatedGrade(performance, _BY_OLDER_RULES, made, flag)


def _of_older_rules(reasons: list[dict[str, Any]]) -> str:
    """What older reasons say of performance; empty if there are none.

    Their ladder gave the same word where no other source was tested and where the model failed at one.
    """
    elsewhere = [reason for reason in reasons if str(reason["rule"]).startswith("holds")]
    holds = sum(reason["met"] is True for reason in elsewhere)
    if holds:
        return "holds at one other source" if holds == 1 else "holds at several other sources"
    if any(str(reason["sentence"]).startswith("At ") for reason in elsewhere):
        return "not shown to be good enough elsewhere"
    tested = any(str(reason["rule"]).startswith("internal") for reason in reasons)
    return "internal only" if tested else "too little data" if elsewhere else ""
