"""The evidence in plain words: what it means for a patient, and what each picture shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import pandas as pd

from lungsight._text import fixed
from lungsight.evaluation.formatting import withheld_because
from lungsight.evaluation.grade import Grade, GradeStatement, Mark, Reason, Shortcut
from lungsight.evaluation.rows import Row
from lungsight.evaluation.testset.testset import ALL_SOURCES
from lungsight.reporting.page_tables import titled
from lungsight.statistics.estimate import Estimate

#: What a grade means for the reader of a patient's image.
FOR_A_PATIENT: Mapping[Grade, str] = {
    Grade.TOO_LITTLE_DATA: "Don't act on its decision: this test can't show whether it has to do with {target}.",
    Grade.FAILS: "Don't act on its decision: it doesn't tell {target} from the rest well enough.",
    Grade.FAILS_ELSEWHERE: "Don't act on its decision for a patient of another hospital: it failed at one.",
    Grade.NOT_GOOD_ENOUGH: "Don't rely on its decision: it isn't shown to be good enough where it wasn't trained.",
    Grade.INTERNAL_ONLY: "Don't act on its decision for a patient of a hospital that it wasn't trained on: how it "
    "does there isn't known.",
    Grade.NOT_STATED: "Test it on images from where you work before you rely on it: whether it was trained on the "
    "sources of this test isn't stated.",
    Grade.MIXED: "Test it on images from where you work before you rely on it: it holds at some sources and fails at "
    "others.",
    Grade.HOLDS_AT_ONE: "Its score told {target} from the rest at one source it never saw; its decisions there stand "
    "below. Test it on images from where you work before you rely on it.",
    Grade.HOLDS_AT_SEVERAL: "Its score told {target} from the rest at several sources it never saw. Test it on "
    "images from where you work first, and expect the errors below.",
}
WITH_A_SHORTCUT = "Don't act on its decision, {target} or not: it could come from where or how the image was made."
#: How many reasons the first screen shows at most.
_MOST_REASONS = 6


def for_a_patient(verdict: GradeStatement, target: str) -> str:
    """What the grade means for the reader of a patient's image."""
    said = WITH_A_SHORTCUT if verdict.shortcut is Shortcut.FOUND else FOR_A_PATIENT[verdict.grade]
    return said.format(target=target)


def deciding(verdict: GradeStatement) -> list[Reason]:
    """The reasons that a reader should know first: those that were asked, bad ones before the others."""
    order = (Mark.BAD, Mark.GOOD, Mark.NOT_SHOWN, Mark.NOT_ASKED)
    return sorted(verdict.reasons, key=lambda reason: order.index(reason.mark))[:_MOST_REASONS]


def alone(rows: Iterable[Row], scope: str | None = None) -> list[Row]:
    """The rows about each source alone, and about one class if ``scope`` names it."""
    return [
        row
        for row in rows
        if row.labels.get("source") != ALL_SOURCES and (scope is None or row.estimate.scope == scope)
    ]


def figures_in_words(rows: Iterable[Row], metrics: Sequence[str], scope: str) -> str:
    """The named figures of every source with their intervals, as an alternative text.

    ``AUROC: siim (external) 0.62 (0.58 to 0.66); …``
    """
    found: dict[str, list[str]] = {name: [] for name in metrics}
    for row in alone(rows, scope):
        if row.estimate.name in found:
            where = f"{row.labels['source']} ({row.labels['kind']})"
            found[row.estimate.name].append(f"{where} {_short(row.estimate)}")
    return " ".join(f"{titled(name)}: {'; '.join(texts)}." for name, texts in found.items() if texts)


def _short(estimate: Estimate) -> str:
    """``0.62 (0.58 to 0.66)``."""
    if estimate.value is None:
        return f"withheld ({withheld_because(estimate)})"
    bounds = estimate.low is not None and estimate.high is not None
    between = f" ({fixed(estimate.low, 2)} to {fixed(estimate.high, 2)})" if bounds else ""
    return f"{fixed(estimate.value, 2)}{between}"


def picked_points(curves: pd.DataFrame, x: str, y: str, at: Sequence[float], names: tuple[str, str]) -> Iterator[str]:
    """A few points of each source's curve, for an alternative text."""
    for (kind, source), rows in curves.groupby(["kind", "source"], sort=False):
        known = rows[rows[x].notna() & rows[y].notna()]
        if len(known):
            nearest = [known.iloc[int((known[x] - value).abs().to_numpy().argmin())] for value in at]
            points = ", ".join(f"{names[1]} {row[y]:.2f} at {names[0]} {row[x]:.2f}" for row in nearest)
            yield f"{source} ({kind}): {points}."
