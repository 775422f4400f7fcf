"""The grade of a model, by the rules in docs/explanation/grade.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from lungsight.evaluation.audits.audit import Audit, AuditResult
from lungsight.evaluation.audits.registry import AUDITS
from lungsight.evaluation.formatting import as_figure, as_words, signed
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, KIND, KINDS, UNSTATED, TestSet
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.within import pooled_and_within

#: A source counts where it has at least this many patients with the target and as many without.
ENOUGH_PATIENTS = 30
#: A model holds at a source where the whole interval of its AUROC there lies above this ("acceptable", Hosmer,
#: Lemeshow & Sturdivant 2013, section 5.2.4), and fails where the whole interval lies below.
HOLDS = 0.70
#: What telling the sources apart may be worth: pooled AUROC less the mean within the sources.
SOURCE_GAP = 0.05


class Grade(StrEnum):
    """The grades of a model, weakest first.

    ``CONFOUNDED`` outranks every good score: no model is said to hold while an audit shows that it can reach its
    score without the lungs.
    """

    NO_EVIDENCE = "no evidence"
    INTERNAL_ONLY = "internal only"
    CONFOUNDED = "confounded"
    HOLDS_AT_ONE = "holds at one other source"
    HOLDS_AT_SEVERAL = "holds at several other sources"


_MEANING = {
    Grade.NO_EVIDENCE: "Nothing here shows that the model tells {target} from the rest.",
    Grade.INTERNAL_ONLY: "The model tells {target} from the rest among other patients of the sources it was trained "
    "on. Nothing here shows what it does at other sources.",
    Grade.CONFOUNDED: "The model's score can be reached without looking at the disease: it recognises how or where "
    "an image was made. Its score says nothing about a patient.",
    Grade.HOLDS_AT_ONE: "The model tells {target} from the rest at one source it never saw.",
    Grade.HOLDS_AT_SEVERAL: "The model tells {target} from the rest at several sources it never saw.",
}


@dataclass(frozen=True)
class Reason:
    """One rule, whether it is met, and the finding that decided it, in words and figures."""

    rule: str
    met: bool
    sentence: str


@dataclass(frozen=True)
class GradeStatement:
    """A grade, what it means in one plain sentence, and the reasons that decided it."""

    grade: Grade
    sentence: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class _AtSource:
    """How the model does within one source."""

    kind: str
    source: str
    auroc: Estimate

    @property
    def holds(self) -> bool:
        return self.auroc.low is not None and self.auroc.low > HOLDS

    @property
    def fails(self) -> bool:
        return self.auroc.high is not None and self.auroc.high < HOLDS

    @property
    def better_than_chance(self) -> bool:
        return self.auroc.low is not None and self.auroc.low > 0.5


def decide(testset: TestSet, audits: Sequence[Audit], resampling: Resampling = Resampling()) -> GradeStatement:
    """The grade that the rules give, with every rule that was looked at."""
    counted = list(_within_sources(testset.scored, resampling))
    confounding = [*_called(audits), *_source_gaps(testset.scored, resampling)]
    elsewhere = [each for each in counted if each.kind == EXTERNAL]
    home = [each for each in counted if each.kind != EXTERNAL]
    holding = _holding(elsewhere, audits)
    grade = _grade(confounding, home, elsewhere, holding)
    reasons = (*confounding, *_about(elsewhere, home, holding))
    return GradeStatement(grade, _MEANING[grade].format(target=as_words(testset.target)), reasons)


def _grade(confounding: list[Reason], home: list[_AtSource], elsewhere: list[_AtSource], holding: Reason) -> Grade:
    if any(reason.met for reason in confounding):
        return Grade.CONFOUNDED
    holds = sum(each.holds for each in elsewhere)
    if holds > 1 and holding.met:
        return Grade.HOLDS_AT_SEVERAL
    if holds:
        return Grade.HOLDS_AT_ONE
    return Grade.INTERNAL_ONLY if any(each.better_than_chance for each in home) else Grade.NO_EVIDENCE


def _within_sources(testset: TestSet, resampling: Resampling) -> Iterator[_AtSource]:
    """The sources that count: enough patients on either side."""
    for kind, source, images in testset.by_source():
        patients = [len(np.unique(images.patient[side])) for side in (images.positive, ~images.positive)]
        if min(patients) >= ENOUGH_PATIENTS:
            names = images.table["source"].to_numpy(dtype=str)
            found = pooled_and_within(images.outcomes, testset.target, names, "source", "groups", resampling)
            yield _AtSource(kind, source, found.pooled)


def _called(audits: Sequence[Audit]) -> Iterator[Reason]:
    """Of each audit that can call a shortcut, whether it does."""
    calling = {audit.name for audit in AUDITS if audit.calls_shortcut}
    for audit in audits:
        if audit.name in calling and audit.rule:
            yield Reason(f"{audit.name}: {audit.rule}", audit.call is AuditResult.FOUND, audit.meaning)


def _source_gaps(testset: TestSet, resampling: Resampling) -> Iterator[Reason]:
    """Whether the score over several sources comes from telling them apart."""
    rule = (
        f"source: a shortcut, where the AUROC over several sources is above the mean within them by more than "
        f"{SOURCE_GAP:g} with its whole 95% interval, and the mean within them isn't surely above {HOLDS:g}"
    )
    for kind in KINDS:
        images = testset.where((testset.table[KIND] == kind).to_numpy())
        sources = images.table["source"].to_numpy(dtype=str)
        if len(set(sources)) < 2:
            continue
        found = pooled_and_within(images.outcomes, testset.target, sources, "source", "groups", resampling)
        gap, within = found.difference, found.within
        if gap.low is None or within.low is None:
            continue
        met = gap.low > SOURCE_GAP and within.low <= HOLDS
        sentence = (
            f"Over all {kind} sources the AUROC is {as_figure(found.pooled)}, within them {as_figure(within)} on "
            f"average: a difference of {signed(gap.value)} ({signed(gap.low)} to {signed(gap.high)})."
        )
        yield Reason(rule, met, sentence)


def _holding(elsewhere: list[_AtSource], audits: Sequence[Audit]) -> Reason:
    """Whether it may be said to hold at several sources."""
    asked = {audit.name for audit in audits if audit.call is not AuditResult.NOT_DONE}
    failing = [each.source for each in elsewhere if each.fails]
    lacking = []
    for group in dict.fromkeys(audit.required for audit in AUDITS if audit.required):
        names = [audit.name for audit in AUDITS if audit.required == group]
        if asked.isdisjoint(names):
            one = f"{names[0]} could not be asked"
            lacking.append(one if len(names) == 1 else f"neither {' nor '.join(names)} could be asked")
    if failing:
        lacking.append(f"it fails at {', '.join(failing)}")
    rule = "several: it holds at two other sources or more, fails at none, and the audits could be asked"
    several = sum(each.holds for each in elsewhere) > 1
    sentence = "; ".join(lacking) if lacking else "the audits were asked, and it fails at no other source"
    return Reason(rule, several and not lacking, sentence[0].upper() + sentence[1:] + ".")


def _about(elsewhere: list[_AtSource], home: list[_AtSource], holding: Reason) -> Iterator[Reason]:
    rule = f"holds: at a source it never saw the whole 95% interval of the AUROC is above {HOLDS:g}"
    for each in elsewhere:
        yield Reason(rule, each.holds, f"At {each.source}, never seen: AUROC {as_figure(each.auroc)}.")
    if not elsewhere:
        none = f"No source that it never saw has {ENOUGH_PATIENTS} patients with and {ENOUGH_PATIENTS} without."
        yield Reason(rule, False, none)
    else:
        yield holding
    rule = "internal: among other patients of a source it learned from the whole 95% interval is above 0.5"
    for each in home:
        where = {INTERNAL: "trained on other patients", UNSTATED: "not stated whether it was trained on"}[each.kind]
        yield Reason(rule, each.better_than_chance, f"At {each.source}, {where}: AUROC {as_figure(each.auroc)}.")
