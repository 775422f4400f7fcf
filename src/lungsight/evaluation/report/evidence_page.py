"""The evidence as one page: its first screen for a clinician, the rest for a statistician."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd

from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.report.evidence_audits import card_of
from lungsight.evaluation.report.evidence_json import images_by_source, tables_of
from lungsight.evaluation.report.evidence_parts import parts_of
from lungsight.evaluation.report.evidence_tables import by_metric, fixed, titled
from lungsight.evaluation.report.evidence_words import FOR_A_PATIENT, deciding, extremes, states
from lungsight.evaluation.report.page import write_page
from lungsight.evaluation.tables import ALL_SOURCES
from lungsight.evaluation.verdict import Grade
from lungsight.evaluation.wording import as_words

_FIRST = ("auroc", "sensitivity", "specificity")
_LIBRARIES = ("lungsight", "numpy", "scipy", "pandas", "scikit-learn", "onnxruntime", "matplotlib")
#: What else may lie beside the page and is linked to.
_BESIDE = (".md", ".json", ".csv")


def write_evidence_page(evidence: Evidence, path: Path) -> None:
    """Write the page, whole or not at all. It links to the CSV files of
    :func:`~lungsight.evaluation.report.evidence_json.write_tables` in ``tables/`` beside it, and to what else lies
    there: write it last."""
    target, metrics = evidence.subject.target, evidence.discrimination.tables.get("metrics")
    ranges_of, ranges = extremes(metrics, target)
    write_page(
        path,
        "evidence.html.j2",
        evidence=evidence,
        target=as_words(target),
        grades=list(Grade),
        reasons=deciding(evidence.verdict),
        states=states(evidence),
        for_a_patient=FOR_A_PATIENT[evidence.verdict.grade].format(target=as_words(target)),
        ranges=ranges,
        ranges_of=ranges_of,
        first=by_metric(_single_sources(metrics), "metrics", "", target, _FIRST, _FIRST),
        images=images_by_source(evidence.judged),
        parts=list(parts_of(evidence)),
        cards=[card_of(audit) for audit in evidence.audits],
        files=sorted(tables_of(evidence)),
        beside=_beside(path),
        versions=_versions(),
        titled=titled,
        fixed=fixed,
    )


def _single_sources(table: pd.DataFrame | None) -> pd.DataFrame | None:
    return table if table is None or "source" not in table.columns else table[table["source"] != ALL_SOURCES]


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
