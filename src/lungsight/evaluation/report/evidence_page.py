"""The evidence as one page: its first screen for a clinician, the rest for a statistician."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from lungsight.evaluation.audits.audit import Audit, Call
from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.report import evidence_figures as figures
from lungsight.evaluation.report.evidence_json import images_by_source, records, tables_of
from lungsight.evaluation.report.evidence_tables import (
    KIND_HEADINGS,
    Scale,
    Shown,
    as_it_is,
    as_text,
    by_metric,
    by_row,
    titled,
)
from lungsight.evaluation.report.evidence_words import (
    FOR_A_PATIENT,
    deciding,
    extremes,
    figures_in_words,
)
from lungsight.evaluation.report.page import embedded, write_page
from lungsight.evaluation.section import Section
from lungsight.evaluation.verdict import Grade
from lungsight.evaluation.wording import as_words
from lungsight.statistics.estimate import ALL_CLASSES

_FIRST = ("auroc", "sensitivity", "specificity")
_LIBRARIES = ("lungsight", "numpy", "scipy", "pandas", "scikit-learn", "onnxruntime", "matplotlib")
#: What else may lie beside the page and is linked to.
_BESIDE = (".md", ".json", ".csv")


@dataclass(frozen=True)
class Picture:
    """A picture as a ``data:`` address, the words that say what it shows, and the CSV file with its figures."""

    address: str
    width: int
    alt: str
    caption: str
    stem: str

    @classmethod
    def of(cls, figure: Figure, alt: str, caption: str, stem: str) -> Picture:
        rendered = figures.render(figure)
        return cls(embedded(rendered.content, rendered.kind), rendered.width, alt, caption, stem)


@dataclass(frozen=True, eq=False)
class Part:
    """One numbered part of the page: what it asks, what was found, in words, pictures and tables."""

    anchor: str
    title: str
    asks: str
    section: Section
    pictures: tuple[Picture, ...]
    tables: tuple[Shown, ...]

    @property
    def files(self) -> list[str]:
        """Stems of the CSV files with all its figures."""
        return [name for name, table in self.section.tables.items() if len(table.columns)]


@dataclass(frozen=True, eq=False)
class Card:
    """One audit with its figures."""

    audit: Audit
    scale: Scale | None
    picture: Picture | None
    table: Shown | None

    @property
    def effect(self) -> Mapping[str, object] | None:
        return None if self.audit.effect is None else vars(self.audit.effect)


def write_evidence_page(evidence: Evidence, path: Path) -> None:
    """Write the page, whole or not at all. It links to the CSV files of
    :func:`~lungsight.evaluation.report.evidence_json.write_tables` in ``tables/`` beside it, and to what else lies
    there: write it last."""
    target = evidence.subject.target
    metrics = evidence.discrimination.tables.get("metrics")
    kind, ranges = extremes(metrics, target)
    write_page(
        path,
        "evidence.html.j2",
        evidence=evidence,
        target=as_words(target),
        grades=list(Grade),
        calls=Call,
        reasons=deciding(evidence.verdict),
        for_a_patient=FOR_A_PATIENT[evidence.verdict.grade].format(target=as_words(target)),
        ranges=ranges,
        ranges_of=kind,
        first=by_metric(_single_sources(metrics), "metrics", "", target, _FIRST, _FIRST),
        images=images_by_source(evidence.judged),
        kind_headings=KIND_HEADINGS,
        parts=list(_parts(evidence)),
        flow=records(evidence.flow.tables.get("flow", pd.DataFrame())),
        matrices=list(_matrices(evidence)),
        cards=[_card(audit) for audit in evidence.audits],
        files=sorted(tables_of(evidence)),
        beside=_beside(path),
        versions=_versions(),
        titled=titled,
        as_text=as_text,
    )


def _single_sources(table: pd.DataFrame | None) -> pd.DataFrame | None:
    return table if table is None or "source" not in table.columns else table[table["source"] != "all"]


def _parts(evidence: Evidence) -> Iterator[Part]:
    target, classes = evidence.subject.target, evidence.subject.classes
    first = (target, *(name for name in classes if name != target))
    yield _part(
        evidence.flow, "Flow", "Which images came in, which were left out, and why?", (), {"flow": []}, target
    )
    yield _part(
        evidence.discrimination,
        "Discrimination",
        f"How well does the model tell {as_words(target)} from the rest?",
        _discrimination_pictures(evidence.discrimination.tables, first),
        {"metrics": _metric_tables(evidence), "roc": [], "precision_recall": [], "confusion": []},
        target,
    )
    yield _part(
        evidence.calibration,
        "Calibration",
        "When the model says 80%, is it 80 in 100?",
        _reliability(evidence.calibration.tables, target),
        {"reliability": []},
        target,
    )
    yield _part(
        evidence.decision,
        "Decision",
        "What follows from using it at a threshold?",
        _decision_pictures(evidence.decision.tables, target),
        {"risk_coverage": [], "decision_curve": []},
        target,
    )
    yield _part(evidence.subgroups, "Subgroups", "Does it do worse for some than for others?", (), {}, target)


def _part(
    section: Section,
    title: str,
    asks: str,
    pictures: Sequence[Picture],
    instead: Mapping[str, Sequence[Shown | None]],
    target: str,
) -> Part:
    """``instead`` says what is shown for a table; those it doesn't name are shown row by row."""
    shown = [
        one
        for stem, table in section.tables.items()
        for one in instead.get(stem, (_any_table(table, stem, target),))
        if one is not None
    ]
    return Part(title.lower(), title, asks, section, tuple(pictures), tuple(shown))


def _any_table(table: pd.DataFrame, stem: str, target: str) -> Shown | None:
    return by_row(table, stem, titled(stem), first=target) or as_it_is(table, stem, titled(stem))


def _metric_tables(evidence: Evidence) -> list[Shown | None]:
    table, target = evidence.discrimination.tables["metrics"], evidence.subject.target
    words = as_words(target)
    ranking, calling = (
        ("auroc", "auroc_delong", "average_precision"),
        ("sensitivity", "specificity", "ppv", "npv", "f1"),
    )
    others = [name for name in evidence.subject.classes if name != target]
    overall = ("accuracy", "balanced_accuracy", "mcc")
    return [
        by_metric(table, "metrics", f"How well the model ranks {words} above the rest", target, ranking, ranking),
        by_metric(
            table, "metrics", f"{words} called where it is the most probable class", target, calling, calling[:2]
        ),
        by_metric(table, "metrics", "All classes together", ALL_CLASSES, overall, overall),
        *(
            by_metric(
                table, "metrics", f"{as_words(name)} against the rest", name, (*_FIRST, "ppv", "npv"), ("auroc",)
            )
            for name in others
            if len(evidence.subject.classes) > 2
        ),
    ]


def _discrimination_pictures(tables: Mapping[str, pd.DataFrame], classes: Sequence[str]) -> Iterator[Picture]:
    metrics, words = tables.get("metrics"), as_words(classes[0])
    roc = _with(tables, "roc", "scope", "x", "y")
    if roc is not None:
        alt = f"ROC curves by source, {words} against the rest. {figures_in_words(metrics, ['auroc'], classes[0])}"
        caption = f"ROC curves by source. Band: 95% interval, {words}. A curve along the diagonal tells nothing."
        yield Picture.of(figures.roc_figure(roc, classes), alt, caption, "roc")
    pr = _with(tables, "precision_recall", "scope", "x", "y")
    if pr is not None:
        said = figures_in_words(metrics, ["average_precision"], classes[0])
        alt = f"Precision-recall curves by source, {words} against the rest. {said}"
        caption = (
            f"Precision-recall curves by source. Band: 95% interval, {words}. Precision depends on how common "
            f"{words} is in each source."
        )
        yield Picture.of(figures.precision_recall_figure(pr, classes), alt, caption, "precision_recall")


def _reliability(tables: Mapping[str, pd.DataFrame], target: str) -> Iterator[Picture]:
    return iter(())


def _decision_pictures(tables: Mapping[str, pd.DataFrame], target: str) -> Iterator[Picture]:
    return iter(())


def _with(tables: Mapping[str, pd.DataFrame], name: str, *columns: str) -> pd.DataFrame | None:
    """The table, if it is there with these columns and rows."""
    table = tables.get(name)
    return table if table is not None and len(table) and set(columns) <= set(table.columns) else None


@dataclass(frozen=True)
class Matrix:
    """A source's confusion matrix: counts[truth][predicted], and the share of each true class."""

    kind: str
    source: str
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def images(self) -> int:
        return sum(map(sum, self.counts))


def _matrices(evidence: Evidence) -> Iterator[Matrix]:
    table = _with(evidence.discrimination.tables, "confusion", "kind", "source", "truth", "predicted", "images")
    if table is None:
        return
    classes = evidence.subject.classes
    for (kind, source), rows in table.groupby(["kind", "source"], sort=False):
        found = {(row["truth"], row["predicted"]): int(row["images"]) for row in rows.to_dict("records")}
        counts = tuple(tuple(found.get((t, p), 0) for p in classes) for t in classes)
        yield Matrix(str(kind), str(source), classes, counts)


def _card(audit: Audit) -> Card:
    effect, scale = audit.effect, None
    if effect is not None and effect.value is not None:
        scale = Scale.of(effect.name, [vars(effect)])
    scope = effect.scope if effect else ""
    caption = f"{audit.name.capitalize()}: every figure"
    table = by_row(audit.table, audit.stem, caption, first=scope) or as_it_is(audit.table, audit.stem, caption)
    return Card(audit, scale, None, table)


def _beside(path: Path) -> list[str]:
    """Files and papers beside the page, by name."""
    return sorted(
        each.name for each in path.parent.glob("*") if each.suffix in _BESIDE and each.is_file() and each != path
    )


def _versions() -> dict[str, str]:
    known = {"Python": ".".join(map(str, sys.version_info[:3]))}
    for name in _LIBRARIES:
        try:
            known[name] = version(name)
        except PackageNotFoundError:  # predictions of others need no network runtime
            continue
    return known
