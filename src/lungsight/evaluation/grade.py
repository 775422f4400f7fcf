"""The grade of a model: its performance at each source, and beside it whether a shortcut was found.

The rules are those of docs/explanation/grade.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lungsight._text import counted, listed
from lungsight.evaluation.audits.audit import FEWEST_IMAGES, Audit, AuditResult
from lungsight.evaluation.audits.registry import AUDITS
from lungsight.evaluation.formatting import as_figure, as_words, signed
from lungsight.evaluation.performance import (
    ENOUGH_PATIENTS,
    HOLDS,
    HOLDS_WITHIN_VIEW,
    Performance,
    SourcePerformance,
    performance_by_source,
)
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, KINDS, UNSTATED, TestSet
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.within import pooled_and_within

#: What telling the sources apart may be worth: AUROC over the sources together less the mean within them.
SOURCE_GAP = 0.05
#: The name of that rule.
SOURCES_APART = "sources told apart"
#: A sentence names at most this many sources.
_MOST_NAMED = 3


class Grade(StrEnum):
    """What a test shows of a model's performance; shortcuts are stated beside it (:class:`Shortcut`)."""

    TOO_LITTLE_DATA = "too little data"
    FAILS = "fails where it was tested"
    FAILS_ELSEWHERE = "fails elsewhere"
    NOT_GOOD_ENOUGH = "not shown to be good enough elsewhere"
    INTERNAL_ONLY = "internal only"
    NOT_STATED = "not stated what it was trained on"
    MIXED = "holds at some other sources, fails at some"
    HOLDS_AT_ONE = "holds at one other source"
    HOLDS_AT_SEVERAL = "holds at several other sources"


class Shortcut(StrEnum):
    """Whether the model's score can be reached without the disease."""

    FOUND = "found"
    NOT_FOUND = "looked for and not found"
    NOT_SHOWN = "looked for, not shown either way"
    NOT_LOOKED_FOR = "not looked for"


class Mark(StrEnum):
    """What a reason means for the model."""

    GOOD = "good"
    BAD = "bad"
    NOT_SHOWN = "not shown"
    NOT_ASKED = "not asked"

    @property
    def symbol(self) -> str:
        """✓, ✗ or –."""
        return {Mark.GOOD: "✓", Mark.BAD: "✗"}.get(self, "–")


@dataclass(frozen=True)
class Reason:
    """One question, and what was found.

    Attributes:
        name: what it is about: a source, or an audit.
        asked: what a good model shows; empty if it couldn't be asked.
        found: the figure with its interval and sample, or why there is none.
        mark: good, bad, not shown either way, or not asked.
        is_shortcut: it is about a shortcut, not about performance at a source.
        detail: what that means, where a sentence says more than the figure.
    """

    name: str
    asked: str
    found: str
    mark: Mark
    is_shortcut: bool = False
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.mark.symbol} {self.name}: {self.found}.{f' Asked: {self.asked}.' if self.asked else ''}"


@dataclass(frozen=True)
class GradeStatement:
    """What the test shows: performance and shortcuts, two statements.

    Attributes:
        grade: of the performance at the sources.
        sentence: what it means, in one to three plain sentences.
        shortcut: whether one was found.
        shortcut_sentence: which, in one or two plain sentences.
        sources: how the model does at each source, those that it never saw first.
        reasons: every question, those about sources first.
    """

    grade: Grade
    sentence: str
    shortcut: Shortcut
    shortcut_sentence: str
    sources: tuple[SourcePerformance, ...]
    reasons: tuple[Reason, ...]

    @property
    def words(self) -> str:
        """Both in a few words: ``fails elsewhere; shortcut found``."""
        return f"{self.grade}; shortcut {self.shortcut}"


def decide(testset: TestSet, audits: Sequence[Audit], resampling: Resampling = Resampling()) -> GradeStatement:
    """The grade and the shortcut flag, with every question that was looked at."""
    scored = testset.scored
    sources = performance_by_source(scored, audits, resampling)
    grade, target = _grade(sources), as_words(testset.target)
    asked = (*_of_audits(audits), *_source_gaps(scored, sources, resampling))
    shortcut = _shortcut(asked, audits)
    return GradeStatement(
        grade,
        _sentence(grade, sources, target),
        shortcut,
        _shortcut_sentence(shortcut, asked),
        sources,
        (*(_of_source(each, target) for each in sources), *asked),
    )


def _grade(sources: Sequence[SourcePerformance]) -> Grade:
    counting = [each for each in sources if each.counts]
    elsewhere = [each for each in counting if each.kind == EXTERNAL]
    holds = sum(each.performance is Performance.HOLDS for each in elsewhere if each.is_other)
    fails = any(each.performance is Performance.FAILS for each in elsewhere)
    if not counting:
        return Grade.TOO_LITTLE_DATA
    if fails:
        return Grade.MIXED if holds else Grade.FAILS_ELSEWHERE
    if holds:
        return Grade.HOLDS_AT_ONE if holds == 1 else Grade.HOLDS_AT_SEVERAL
    if any(each.is_other for each in elsewhere):
        return Grade.NOT_GOOD_ENOUGH
    if all(each.performance is Performance.FAILS for each in counting):
        return Grade.FAILS
    return Grade.NOT_STATED if any(each.kind == UNSTATED for each in counting) else Grade.INTERNAL_ONLY


_LEADS = {
    Grade.FAILS: "The model doesn't tell {target} from the rest well enough where it was tested.",
    Grade.FAILS_ELSEWHERE: "The model fails at a source that it never saw.",
    Grade.NOT_GOOD_ENOUGH: "The model isn't shown to be good enough at a source that it never saw.",
    Grade.INTERNAL_ONLY: "The model was tested only at sources that it was trained on.",
    Grade.NOT_STATED: "Which sources the model was trained on isn't stated, so none is known to be another one.",
    Grade.MIXED: "The model holds at some sources that it never saw, and fails at some.",
    Grade.HOLDS_AT_ONE: "The model tells {target} from the rest at one source that it never saw.",
    Grade.HOLDS_AT_SEVERAL: "The model tells {target} from the rest at several sources that it never saw.",
}


_WORST_FIRST = (Performance.FAILS, Performance.FALLS_SHORT, Performance.HOLDS)


def _sentence(grade: Grade, sources: Sequence[SourcePerformance], target: str) -> str:
    """What the grade means, with the figures of the sources that decided it."""
    if grade is Grade.TOO_LITTLE_DATA:
        return f"This test can't answer the question: {_too_little(sources, target)}."
    counting = [each for each in sources if each.counts]
    elsewhere = [each for each in counting if each.kind == EXTERNAL]
    decided = [each for each in elsewhere if each.is_other or each.performance is Performance.FAILS] or counting
    decided.sort(key=lambda each: _WORST_FIRST.index(each.performance))
    said = [_LEADS[grade].format(target=target)]
    if grade is Grade.INTERNAL_ONLY and any(each.is_other for each in sources):
        said = ["Only sources that the model was trained on have enough patients."]
    said += [f"At {each.source} {each.in_words}." for each in decided[:_MOST_NAMED]]
    if (more := len(decided) - _MOST_NAMED) > 0:
        said.append(f"The reasons give {counted(more, 'more source')}.")
    same = ((each.source, each.same_as) for each in elsewhere if each.same_as)
    said += [f"The images of {source} can't be told from those of {other}." for source, other in same]
    holding = [each for each in decided if each.performance is Performance.HOLDS]
    if holding and all(each.within_view is None for each in holding):
        said.append("Whether it holds among images of the same view wasn't examined.")
    return " ".join(said)


def _too_little(sources: Sequence[SourcePerformance], target: str) -> str:
    largest = sorted(sources, key=lambda each: -min(each.with_target, each.without_target))[:_MOST_NAMED]
    counts = (f"{each.source} {each.with_target:,} and {each.without_target:,}" for each in largest)
    without = f"no source has {ENOUGH_PATIENTS} patients with {target} and {ENOUGH_PATIENTS} without"
    return f"{without} ({'; '.join(counts)})" if largest else without


_SEEN = {EXTERNAL: "never seen", INTERNAL: "trained on other patients", UNSTATED: "unknown whether trained on"}


def _of_source(each: SourcePerformance, target: str) -> Reason:
    name = f"{each.source}, {f'images like those of {each.same_as}' if each.same_as else _SEEN[each.kind]}"
    asked = f"the whole interval above {HOLDS:.2f}"
    if each.within_view is not None:
        asked += f", among images of the same view above {HOLDS_WITHIN_VIEW:.2f}"
    if each.performance is Performance.TOO_FEW:
        found = f"{each.with_target:,} patients with {target}, {each.without_target:,} without"
        return Reason(name, f"{ENOUGH_PATIENTS} of each", found, Mark.NOT_ASKED)
    mark = Mark.GOOD if each.performance is Performance.HOLDS else Mark.BAD
    return Reason(name, asked, f"{each.performance}, {each.figure}", mark)


_MARKS = {
    AuditResult.FOUND: Mark.BAD,
    AuditResult.NOT_FOUND: Mark.GOOD,
    AuditResult.NOT_SHOWN: Mark.NOT_SHOWN,
    AuditResult.NOT_DONE: Mark.NOT_ASKED,
}


def _of_audits(audits: Sequence[Audit]) -> Iterator[Reason]:
    """What each audit that looks for a shortcut found."""
    looking = {audit.name: audit for audit in AUDITS if audit.calls_shortcut}
    for audit in audits:
        if audit.name in looking and audit.call in _MARKS:
            spec, effect, mark = looking[audit.name], audit.effect, _MARKS[audit.call]
            if effect is None or mark is Mark.NOT_ASKED:
                yield Reason(spec.words, "", (audit.found or audit.meaning).rstrip("."), mark, True)
            else:
                asked = f"the whole interval {spec.asks}"
                few = mark is Mark.NOT_SHOWN and effect.n < FEWEST_IMAGES
                found = f"{audit.found}; fewer than {FEWEST_IMAGES} images can't exclude it" if few else audit.found
                yield Reason(spec.words, asked, found, mark, True, audit.meaning)


def _source_gaps(testset: TestSet, sources: Sequence[SourcePerformance], resampling: Resampling) -> Iterator[Reason]:
    """Whether the score over several sources comes from telling them apart; asked of sources with enough patients."""
    asked = f"the whole interval of the difference below {SOURCE_GAP:g}, or that within above {HOLDS:.2f}"
    for kind in KINDS:
        large = [each.source for each in sources if each.kind == kind and each.counts]
        images = testset.where(testset.of_kind(kind) & testset.table["source"].isin(large).to_numpy())
        if len(large) < 2:
            continue
        names = images.table["source"].to_numpy(dtype=str)
        found = pooled_and_within(images.outcomes, testset.target, names, "source", "groups", resampling)
        gap, within = found.difference, found.within
        if gap.low is None or gap.high is None or within.low is None:
            continue
        figures = f"{as_figure(found.pooled)} together, {as_figure(within)} within, {signed(gap.value)} "
        figures += f"({signed(gap.low)} to {signed(gap.high)})"
        is_shortcut = gap.low > SOURCE_GAP and within.low <= HOLDS
        clear = gap.high < SOURCE_GAP or within.low > HOLDS
        mark = Mark.BAD if is_shortcut else Mark.GOOD if clear else Mark.NOT_SHOWN
        yield Reason(f"{SOURCES_APART}, {kind}", asked, f"AUROC {figures}", mark, True)


def _shortcut(asked: Sequence[Reason], audits: Sequence[Audit]) -> Shortcut:
    """Not found takes an audit of each required kind that says so, and none that leaves it open."""
    if any(reason.mark is Mark.BAD for reason in asked):
        return Shortcut.FOUND
    results = {audit.name: audit.call for audit in audits}
    looking = [audit for audit in AUDITS if audit.calls_shortcut]
    calls = {results.get(audit.name, AuditResult.NOT_DONE) for audit in looking}
    if calls <= {AuditResult.NOT_DONE, AuditResult.REPORTED}:
        return Shortcut.NOT_LOOKED_FOR
    required = {audit.required for audit in looking if audit.required}
    clear = {audit.required for audit in looking if results.get(audit.name) is AuditResult.NOT_FOUND}
    return Shortcut.NOT_FOUND if required <= clear and AuditResult.NOT_SHOWN not in calls else Shortcut.NOT_SHOWN


def _shortcut_sentence(shortcut: Shortcut, asked: Iterable[Reason]) -> str:
    by_mark: dict[Mark, list[str]] = {}
    for reason in asked:
        by_mark.setdefault(reason.mark, []).append(reason.name)
    names = {mark: listed(found) for mark, found in by_mark.items()}
    if shortcut is Shortcut.FOUND:
        found = f"A shortcut was found ({names[Mark.BAD]})."
        return f"{found} Part of the model's score can be reached without the disease: don't rely on it."
    if shortcut is Shortcut.NOT_LOOKED_FOR:
        return "No audit could look for a shortcut here; each reason says why."
    said = {Mark.GOOD: "none found by", Mark.NOT_SHOWN: "not shown either way by", Mark.NOT_ASKED: "not asked:"}
    parts = (f"{words} {names[mark]}" for mark, words in said.items() if mark in names)
    return f"Shortcuts were looked for: {'; '.join(parts)}."
