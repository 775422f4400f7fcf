"""The evidence's tables, looked up by name, and their figures in words. What isn't there is None, never an error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, UNSTATED
from lungsight.statistics.metrics import TITLES

#: The ``source`` of rows that put several sources together; papers give each source by itself.
_TOGETHER = "all"
KIND_WORDS: Mapping[str, str] = {
    INTERNAL: "internal",
    EXTERNAL: "external",
    UNSTATED: "unknown whether trained on",
}
_OF_A_FIGURE = ("kind", "source", "scope", "metric", "value", "low", "high", "n", "withheld")


def table(evidence: Evidence, name: str, *columns: str) -> pd.DataFrame | None:
    """The section table ``name``; None where it is absent, empty, or lacks one of ``columns``."""
    for section in evidence.sections:
        found = section.tables.get(name)
        if found is not None and len(found) and set(columns) <= set(found.columns):
            return found
    return None


def target_figures(evidence: Evidence, name: str, *metrics: str) -> list[dict[str, Any]]:
    """Rows of the estimates' table ``name`` about the target class, each source by itself, in the table's order."""
    found = table(evidence, name, *_OF_A_FIGURE)
    if found is None:
        return []
    wanted = found[(found["scope"] == evidence.subject.target) & (found["source"] != _TOGETHER)]
    if metrics:
        wanted = wanted[wanted["metric"].isin(metrics)]
    return [{str(k): v for k, v in row.items()} for row in wanted.to_dict("records")]


def metric_names(evidence: Evidence, *tables: str) -> list[str]:
    """The metrics of these tables, each once, as pages call them."""
    found = [t for name in tables if (t := table(evidence, name, "metric")) is not None]
    names = dict.fromkeys(str(name) for t in found for name in t["metric"])
    return [title(name) for name in names]


def title(metric: str) -> str:
    return TITLES.get(metric, metric.replace("_", " "))


def place(row: Mapping[str, Any]) -> str:
    return f"{row['source']} ({KIND_WORDS.get(str(row['kind']), row['kind'])})"


def figure(row: Mapping[str, Any]) -> str:
    """``0.832 (0.801–0.861, n = 1,040)``, or why there is none."""
    if pd.isna(row["value"]):
        reason = row["withheld"]
        return f"withheld ({reason})" if isinstance(reason, str) and reason else "withheld"
    no_interval = pd.isna(row["low"]) or pd.isna(row["high"])
    between = "no interval" if no_interval else f"{row['low']:.3f}–{row['high']:.3f}"
    return f"{row['value']:.3f} ({between}, n = {int(row['n']):,})"


def by_place(rows: list[dict[str, Any]]) -> Iterator[str]:
    """A clause per source with all its figures."""
    for where in dict.fromkeys(place(row) for row in rows):
        figures = (f"{_named(row)} {figure(row)}" for row in rows if place(row) == where)
        yield f"{where}: {', '.join(figures)}"


def _named(row: Mapping[str, Any]) -> str:
    """The metric, with the rule it was found by where its table tells several apart."""
    rule = row.get("rule")
    return f"{title(str(row['metric']))} by {rule}" if isinstance(rule, str) else title(str(row["metric"]))


def sentence(clauses: Iterator[str] | list[str]) -> str:
    """Clauses with semicolons between them, and a full stop."""
    text = "; ".join(clauses)
    return text if text.endswith((".", "?", "!")) else f"{text}."
