"""The evidence as one page: its first screen for a clinician, the rest for a statistician."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lungsight._text import as_words
from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.rows import Row
from lungsight.reporting.audit_cards import AuditCard
from lungsight.reporting.evidence_json import images_by_source
from lungsight.reporting.evidence_sections import sections_of
from lungsight.reporting.evidence_text import alone, deciding, extremes, for_a_patient
from lungsight.reporting.html import write_page
from lungsight.reporting.page_tables import by_metric
from lungsight.reporting.tables import tables_of

_FIRST = ("auroc", "sensitivity", "specificity")
#: Sources that the first screen has room for.
_SOURCES = 6
_LIBRARIES = ("lungsight", "numpy", "scipy", "pandas", "scikit-learn", "onnxruntime", "matplotlib")
#: The files beside the page that it links to.
_BESIDE = (".md", ".json", ".csv")


def write_evidence_page(evidence: Evidence, path: Path) -> None:
    """Write the page, whole or not at all.

    It links to the CSV files of :func:`~lungsight.reporting.tables.write_tables` in ``tables/`` beside it, and to
    the other files there: write it last.
    """
    target, metrics = evidence.subject.target, evidence.discrimination.estimates.get("metrics", ())
    ranges_of, ranges = extremes(metrics, target)
    largest, more_sources = _largest_sources(alone(metrics))
    write_page(
        path,
        "evidence.html.j2",
        evidence=evidence,
        target=as_words(target),
        reasons=deciding(evidence.verdict),
        for_a_patient=for_a_patient(evidence.verdict, as_words(target)),
        ranges=ranges,
        ranges_of=ranges_of,
        first=by_metric(largest, "metrics", "", target, _FIRST, _FIRST),
        more_sources=more_sources,
        images=images_by_source(evidence.testset),
        sections=list(sections_of(evidence)),
        cards=[AuditCard.of(audit) for audit in evidence.audits],
        files=sorted(stem for stem, table in tables_of(evidence).items() if len(table.columns)),
        beside=sorted(
            each.name for each in path.parent.glob("*") if each.suffix in _BESIDE and each.is_file() and each != path
        ),
        versions=_versions(),
    )


def _largest_sources(rows: Iterable[Row]) -> tuple[list[Row], int]:
    """The rows of as many of the largest sources as the first screen has room for, and how many more there are.

    An image is a positive or a negative of some figure, so the two say how large a source is.
    """
    of_source: dict[str, list[Row]] = {}
    for row in rows:
        of_source.setdefault(str(row.labels["source"]), []).append(row)
    size = {
        name: max(r.estimate.positives + r.estimate.negatives for r in found) for name, found in of_source.items()
    }
    largest = sorted(size, key=lambda name: -size[name])[:_SOURCES]
    kept = [row for name, found in of_source.items() if name in largest for row in found]
    return kept, len(size) - len(largest)


def _versions() -> dict[str, str]:
    known = {"Python": ".".join(map(str, sys.version_info[:3]))}
    for name in _LIBRARIES:
        try:
            known[name] = version(name)
        except PackageNotFoundError:  # the base installation has no scikit-learn
            continue
    return known
