"""The evidence in plain words: what it means for a patient, and what each picture shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from lungsight.evaluation.audits.audit import AuditResult
from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.formatting import fixed
from lungsight.evaluation.grade import Grade, Reason
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL
from lungsight.reporting.evidence_json import plain
from lungsight.reporting.evidence_tables import titled

#: What a grade means for the one who reads a patient's image.
FOR_A_PATIENT: Mapping[Grade, str] = {
    Grade.NO_EVIDENCE: "Don't act on its answer: nothing here shows that the answer has to do with {target}.",
    Grade.INTERNAL_ONLY: "Don't act on its answer for a patient of any place it didn't learn from: how it does "
    "there, nobody knows.",
    Grade.CONFOUNDED: "Don't act on its answer, whether it says {target} or not: the same answer could come from "
    "where or how the image was made.",
    Grade.HOLDS_AT_ONE: "Its answer told something at one place it never saw. Whether it does where you work must be "
    "tested on images from there first.",
    Grade.HOLDS_AT_SEVERAL: "Its answer told something at several places it never saw. Test it on images from where "
    "you work first, and expect the errors below.",
}
#: How many reasons the first screen shows, at least where there are so many and at most.
_FEWEST_REASONS, _MOST_REASONS = 3, 5
NOT_ASKED = "not asked"


def deciding(evidence: Evidence) -> list[Reason]:
    """The three to five reasons that decided the grade: for a weak grade the rules about sources, for the others the
    rules that are met; others fill up to three, those that couldn't be asked last."""
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


def extremes(metrics: pd.DataFrame | None, target: str) -> tuple[str, dict[str, tuple[float, float]]]:
    """The lowest and highest sensitivity and specificity by source: of external sources, else of whichever there are.
    Gives which, and the two by metric."""
    if metrics is None or not {"kind", "source", "scope", "metric", "value"} <= set(metrics.columns):
        return "", {}
    alone = metrics[(metrics["scope"] == target) & (metrics["source"] != "all") & metrics["value"].notna()]
    for kind in (EXTERNAL, INTERNAL, *alone["kind"].unique()):
        of_kind = alone[alone["kind"] == kind]
        values = {
            m: of_kind.loc[of_kind["metric"] == m, "value"].astype(float) for m in ("sensitivity", "specificity")
        }
        if any(len(v) for v in values.values()):
            return kind, {m: (float(v.min()), float(v.max())) for m, v in values.items() if len(v)}
    return "", {}


def figures_in_words(table: pd.DataFrame | None, metrics: Sequence[str], scope: str) -> str:
    """The named figures of every source with their intervals, as an alternative text: ``AUROC: siim (external) 0.62
    (0.58 to 0.66); …``"""
    if table is None or not {"scope", "metric", "value"} <= set(table.columns):
        return ""
    of_scope = table[table["scope"] == scope]
    parts = []
    for metric in metrics:
        rows = of_scope[of_scope["metric"] == metric].to_dict("records")
        said = "; ".join(f"{_where(row)} {in_words(row)}".strip() for row in rows)
        if said:
            parts.append(f"{titled(metric)}: {said}.")
    return " ".join(parts)


def in_words(row: Mapping[Any, Any]) -> str:
    """An estimate: ``0.62 (0.58 to 0.66)``."""
    value, low, high = (plain(row.get(name)) for name in ("value", "low", "high"))
    if value is None:
        return f"withheld ({plain(row.get('withheld')) or 'no reason given'})"
    between = f" ({fixed(low, 2)} to {fixed(high, 2)})" if low is not None and high is not None else ""
    return f"{fixed(value, 2)}{between}"


def _where(row: Mapping[Any, Any]) -> str:
    labels = [str(row[name]) for name in ("source", "kind") if row.get(name)]
    return labels[0] + (f" ({labels[1]})" if labels[1:] else "") if labels else ""


def picked_points(table: pd.DataFrame, x: str, y: str, at: Sequence[float], names: tuple[str, str]) -> Iterator[str]:
    """What a curve says at a few places, by source, for an alternative text."""
    by = [name for name in ("kind", "source") if name in table.columns]
    for key, rows in table.groupby(by, sort=False) if by else [((), table)]:
        known = rows[rows[x].notna() & rows[y].notna()]
        if not len(known):
            continue
        nearest = [known.iloc[int((known[x] - place).abs().to_numpy().argmin())] for place in at]
        said = ", ".join(f"{names[1]} {row[y]:.2f} at {names[0]} {row[x]:.2f}" for row in nearest)
        kind, *source = (str(part) for part in (key if isinstance(key, tuple) else (key,)))
        yield f"{source[0]} ({kind}): {said}." if source else f"{kind}: {said}."
