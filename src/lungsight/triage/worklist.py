"""Order studies by urgency, each by its most urgent image, with the reasons for its rank."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from lungsight._text import signed
from lungsight.triage.cases import Case
from lungsight.triage.rule import Rule

_DEFAULT_TARGET = "covid19"
_INCONCLUSIVE, _READ = "inconclusive", "read"


@dataclass(frozen=True)
class WorklistEntry:
    """A study on the list.

    Attributes:
        rank: 1 is the most urgent.
        case: the study's most urgent image.
        images: the number of images of the study.
        points: by the rule, without the waiting time.
        hours_waited: None if that isn't known.
        overdue: whether it has waited longer than the rule allows, and so comes before those that haven't.
        why: one sentence with every term that counted.
    """

    rank: int
    case: Case
    images: int
    points: float
    hours_waited: float | None
    overdue: bool
    why: str


@dataclass(frozen=True)
class _Term:
    points: float
    words: str


def worklist(
    cases: Iterable[Case], rule: Rule, *, now: datetime, target: str = _DEFAULT_TARGET
) -> list[WorklistEntry]:
    """All studies, the most urgent first; ties by arrival, then by name.

    An image whose header names another kind of image comes after all others, whatever its points.

    Args:
        cases: in any order.
        rule: what counts, and how much.
        now: with a time zone; the end of the waiting time.
        target: the class whose points are ``finding.target``.
    """
    studies: dict[object, list[WorklistEntry]] = {}
    for number, case in enumerate(cases):
        studies.setdefault(case.study or number, []).append(_entry(case, rule, now, target))
    firsts = sorted((_first_of(entries) for entries in studies.values()), key=_order)
    return [replace(entry, rank=rank) for rank, entry in enumerate(firsts, 1)]


def _first_of(entries: list[WorklistEntry]) -> WorklistEntry:
    """The study's most urgent image."""
    first, n = min(entries, key=_order), len(entries)
    return (
        first if n == 1 else replace(first, images=n, why=f"The most urgent of {n} images of its study: {first.why}")
    )


def _order(entry: WorklistEntry) -> tuple[bool, bool, float, float, str]:
    waited = entry.hours_waited or 0.0
    if entry.overdue:
        return False, False, -waited, -entry.points, entry.case.file
    return entry.case.is_another_kind, True, -entry.points, -waited, entry.case.file


def _entry(case: Case, rule: Rule, now: datetime, target: str) -> WorklistEntry:
    terms = list(_terms(case, rule, target))
    points = sum(term.points for term in terms)
    waited = case.hours_waited(now)
    overdue = waited is not None and waited > rule.longest_wait_hours and not case.is_another_kind
    sentence = ", ".join(f"{term.words} {signed(term.points, 0)}" for term in terms)
    why = f"{sentence}: {points:.0f} points."
    if overdue:
        limit = f"none may wait longer than {rule.longest_wait_hours:g}"
        why = f"It has waited {waited:.0f} hours, and {limit}; otherwise {why}"
    if case.is_another_kind:
        why = f"Its header says that it is not a frontal chest X-ray, so it comes after all others; {why}"
    return WorklistEntry(0, case, 1, points, waited, overdue, why)


def _terms(case: Case, rule: Rule, target: str) -> Iterator[_Term]:
    yield _of_finding(case, rule, target)
    if case.status == _READ and (doubt := case.doubt) > 0:
        yield _Term(rule.doubt.points * doubt, f"doubt {doubt:.0%}")
    if (by_age := rule.points_of_age(case.age)) != 0:
        yield _Term(by_age, f"age {case.age:.0f}")
    stated = case.view if case.view_from != "model" else None  # a guess is no sign of how ill a patient is
    if stated is not None and (by_view := rule.view.get(stated, 0.0)) != 0:
        yield _Term(by_view, f"taken {stated}")


def _of_finding(case: Case, rule: Rule, target: str) -> _Term:
    """The points of the finding: those of the class that gives the most."""
    worth = rule.finding
    if case.status == "refused":
        return _Term(worth.refused, "not analysed")
    if case.status != _READ:
        return _Term(worth.error, "could not be read")
    terms = [
        _Term(_worth_of(name, rule, target) * p, f"{name.replace('_', ' ')} at {p:.0%}")
        for name, p in case.probabilities.items()
    ]
    if case.verdict == _INCONCLUSIVE:
        terms.append(_Term(worth.inconclusive, _INCONCLUSIVE))
    return max(terms, key=lambda term: term.points, default=_Term(0.0, "no probability"))


def _worth_of(name: str, rule: Rule, target: str) -> float:
    if name == target:
        return rule.finding.target
    return rule.finding.normal if name in rule.finding.normal_classes else rule.finding.other_abnormal
