"""What a run knows of one item of a checklist, and how its figures are written there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.formatting import as_figure
from lungsight.evaluation.rows import Row
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, UNSTATED
from lungsight.reporting.evidence_text import alone
from lungsight.statistics.metrics import TITLES

KIND_WORDS: Mapping[str, str] = {
    INTERNAL: "internal",
    EXTERNAL: "external",
    UNSTATED: "not stated whether trained on",
}


@dataclass(frozen=True)
class ItemAnswer:
    """What the run says about an item.

    Attributes:
        text: the answer, with its values.
        source: the file and the part of it that the answer comes from.
        rest: what the item asks besides and only the authors know; empty where the answer is whole.
    """

    text: str
    source: str
    rest: str = ""


#: Reads an answer from the evidence; None if the run doesn't know it.
Answering = Callable[[Evidence], ItemAnswer | None]


def section_rows(evidence: Evidence, name: str) -> tuple[Row, ...]:
    """The estimates of the section table ``name``; none where no section has it."""
    return next((section.estimates[name] for section in evidence.sections if name in section.estimates), ())


def target_rows(evidence: Evidence, name: str, *metrics: str) -> list[Row]:
    """The rows of ``metrics`` in table ``name`` about the target class, each source by itself."""
    rows = alone(section_rows(evidence, name), evidence.subject.target)
    return [row for row in rows if row.estimate.name in metrics]


def title(metric: str) -> str:
    """A metric's name as documents write it."""
    return TITLES.get(metric, metric.replace("_", " "))


def where(row: Row) -> str:
    """The source of a figure and how the model stands to it: ``siim (external)``."""
    return f"{row.labels['source']} ({KIND_WORDS[str(row.labels['kind'])]})"


def figure(row: Row) -> str:
    """``0.832 (0.801–0.861, n = 1,040)``, or why it is withheld."""
    return as_figure(row.estimate, 3)


def by_source(rows: Iterable[Row]) -> list[str]:
    """A clause per source with all its figures, each with the rule it was found by where its table has several."""
    clauses: dict[str, list[str]] = {}
    for row in rows:
        rule = f" by {row.labels['rule']}" if row.labels.get("rule") else ""
        clauses.setdefault(where(row), []).append(f"{title(row.estimate.name)}{rule} {figure(row)}")
    return [f"{source}: {', '.join(figures)}" for source, figures in clauses.items()]


def sentence(clauses: Iterable[str]) -> str:
    """Clauses with semicolons between them, and a full stop."""
    text = "; ".join(clauses)
    return text if text.endswith((".", "?", "!")) else f"{text}."
