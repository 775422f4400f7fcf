"""The evidence in plain words: what it means for a patient, and what each picture shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import pandas as pd

from lungsight._text import fixed
from lungsight.evaluation.audits.audit import AuditResult
from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.formatting import withheld_because
from lungsight.evaluation.grade import Grade, Reason
from lungsight.evaluation.rows import Row
from lungsight.evaluation.testset.testset import ALL_SOURCES, EXTERNAL, INTERNAL, UNSTATED
from lungsight.reporting.page_tables import titled
from lungsight.statistics.estimate import Estimate

#: What a grade means for the reader of a patient's image.
FOR_A_PATIENT: Mapping[Grade, str] = {
    Grade.NO_EVIDENCE: "Don't act on its decision: nothing here shows that the decision has to do with {target}.",
    Grade.INTERNAL_ONLY: "Don't act on its decision for a patient of a hospital that it wasn't trained on: how it "
    "does there hasn't been tested.",
    Grade.CONFOUNDED: "Don't act on its decision, {target} or not: the same decision could come from where or how "
    "the image was made.",
    Grade.HOLDS_AT_ONE: "Its decision was informative at one source it never saw. Test it on images from where you "
    "work before you rely on it.",
    Grade.HOLDS_AT_SEVERAL: "Its decision was informative at several sources it never saw. Test it on images from "
    "where you work first, and expect the errors below.",
}
#: How many reasons the first screen shows, at least if there are that many and at most.
_FEWEST_REASONS, _MOST_REASONS = 3, 5
NOT_ASKED = "not asked"


def deciding(evidence: Evidence) -> list[Reason]:
    """The three to five reasons that decided the grade.

    For a weak grade these are the rules about sources, for the others the rules that are met; others fill up to
    three, those that couldn't be asked last.
    """
    verdict, state = evidence.verdict, states(evidence)
    about_sources = verdict.grade in (Grade.NO_EVIDENCE, Grade.INTERNAL_ONLY)

    def matters_less(reason: Reason) -> bool:
        return not reason.rule.startswith(("holds", "internal")) if about_sources else not reason.met

    ranked = sorted(verdict.reasons, key=lambda reason: (matters_less(reason), state[reason] == NOT_ASKED))
    decided = sum(not matters_less(reason) for reason in ranked)
    return ranked[: min(max(decided, _FEWEST_REASONS), _MOST_REASONS)]


def states(evidence: Evidence) -> dict[Reason, str]:
    """What came of every rule: ``met``, ``not met`` or, where its audit couldn't be made, ``not asked``."""
    silent = {audit.name for audit in evidence.audits if audit.call is AuditResult.NOT_DONE}
    return {
        reason: "met" if reason.met else NOT_ASKED if reason.rule.split(":")[0] in silent else "not met"
        for reason in evidence.verdict.reasons
    }


def alone(rows: Iterable[Row], scope: str | None = None) -> list[Row]:
    """The rows about each source alone, and about one class if ``scope`` names it."""
    return [
        row
        for row in rows
        if row.labels.get("source") != ALL_SOURCES and (scope is None or row.estimate.scope == scope)
    ]


def extremes(metrics: Iterable[Row], target: str) -> tuple[str, dict[str, tuple[float, float]]]:
    """The lowest and highest sensitivity and specificity by source: of external sources, or of internal ones.

    Returns:
        The kind of the sources, and the two values by metric.
    """
    values: dict[str, dict[str, list[float]]] = {kind: {} for kind in (EXTERNAL, INTERNAL, UNSTATED)}
    for row in alone(metrics, target):
        if row.estimate.name in ("sensitivity", "specificity") and row.estimate.value is not None:
            values[str(row.labels["kind"])].setdefault(row.estimate.name, []).append(row.estimate.value)
    kind = next((kind for kind, found in values.items() if found), "")
    return kind, {name: (min(found), max(found)) for name, found in values.get(kind, {}).items()}


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
