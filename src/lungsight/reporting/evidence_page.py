"""The evidence as one page: its first screen for a clinician, the rest for a statistician."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd

from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.formatting import as_words, fixed
from lungsight.evaluation.grade import Grade
from lungsight.evaluation.tables import ALL_SOURCES
from lungsight.reporting.audit_charts import card_of
from lungsight.reporting.evidence_json import images_by_source, tables_of
from lungsight.reporting.evidence_sections import parts_of
from lungsight.reporting.evidence_tables import by_metric, titled
from lungsight.reporting.evidence_text import FOR_A_PATIENT, deciding, extremes, states
from lungsight.reporting.html import write_page

_FIRST = ("auroc", "sensitivity", "specificity")
#: Sources that the first screen has room for.
_SOURCES = 6
_LIBRARIES = ("lungsight", "numpy", "scipy", "pandas", "scikit-learn", "onnxruntime", "matplotlib")
#: What else may lie beside the page and is linked to.
_BESIDE = (".md", ".json", ".csv")


def write_evidence_page(evidence: Evidence, path: Path) -> None:
    """Write the page, whole or not at all. It links to the CSV files of
    :func:`~lungsight.reporting.evidence_json.write_tables` in ``tables/`` beside it, and to what else lies
    there: write it last."""
    target, metrics = evidence.subject.target, evidence.discrimination.tables.get("metrics")
    ranges_of, ranges = extremes(metrics, target)
    largest, more_sources = _largest_sources(metrics)
    write_page(
        path,
        "evidence.html.j2",
        evidence=evidence,
        target=as_words(target),
        grades=list(Grade),
        reasons=deciding(evidence),
        states=states(evidence),
        for_a_patient=FOR_A_PATIENT[evidence.verdict.grade].format(target=as_words(target)),
        ranges=ranges,
        ranges_of=ranges_of,
        first=by_metric(largest, "metrics", "", target, _FIRST, _FIRST),
        more_sources=more_sources,
        images=images_by_source(evidence.testset),
        parts=list(parts_of(evidence)),
        cards=[card_of(audit) for audit in evidence.audits],
        files=sorted(tables_of(evidence)),
        beside=_beside(path),
        versions=_versions(),
        titled=titled,
        fixed=fixed,
    )


def _largest_sources(table: pd.DataFrame | None) -> tuple[pd.DataFrame | None, int]:
    """The rows of the largest sources, each alone, as many as the first screen has room for; how many more there are.
    An image is a positive or a negative of some figure, so the two say how large a source is."""
    if table is None or not {"source", "positives", "negatives"} <= set(table.columns):
        return table, 0
    alone = table[table["source"] != ALL_SOURCES]
    sizes = (alone["positives"] + alone["negatives"]).groupby(alone["source"]).max().sort_values(ascending=False)
    kept = alone[alone["source"].isin(sizes.index[:_SOURCES])]
    return kept, max(0, len(sizes) - _SOURCES)


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
        except PackageNotFoundError:  # the base installation has no scikit-learn
            continue
    return known
