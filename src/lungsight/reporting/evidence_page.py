"""The evidence as one page: its first screen for a clinician, the rest for a statistician."""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lungsight._text import as_words
from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.sections.answers import TITLES
from lungsight.package.descriptions_text import sources_in_words
from lungsight.rendering import AGAINST, FOR
from lungsight.reporting.answer_bars import colours_of, largest_sources
from lungsight.reporting.audit_cards import AuditCard
from lungsight.reporting.evidence_json import images_by_source
from lungsight.reporting.evidence_sections import sections_of
from lungsight.reporting.evidence_text import deciding, for_a_patient
from lungsight.reporting.failure_pictures import FailureRow, full_colour
from lungsight.reporting.forest import Forest
from lungsight.reporting.html import write_page
from lungsight.reporting.next_steps import next_steps
from lungsight.reporting.tables import tables_of

_LIBRARIES = ("lungsight", "numpy", "scipy", "pandas", "scikit-learn", "onnxruntime", "matplotlib")
#: The files beside the page that it links to.
_BESIDE = (".md", ".json", ".csv")


def write_evidence_page(evidence: Evidence, path: Path) -> None:
    """Write the page, whole or not at all.

    It links to the CSV files of :func:`~lungsight.reporting.tables.write_tables` in ``tables/`` beside it, and to
    the other files there: write it last.
    """
    target = as_words(evidence.subject.target)
    answers, more_sources = largest_sources(evidence.answers)
    failures = None if evidence.failures is None else [FailureRow.of(each) for each in evidence.failures]
    write_page(
        path,
        "evidence.html.j2",
        evidence=evidence,
        name=_name(evidence),
        target=target,
        reasons=deciding(evidence.verdict),
        for_a_patient=for_a_patient(evidence.verdict, target),
        answers=answers,
        within_sources=_within_sources(evidence),
        more_sources=more_sources,
        colours=colours_of(answers),
        titles=TITLES,
        plot=Forest.of(evidence.verdict.sources),
        failures=failures,
        full=full_colour(failures or ()),
        colour_for=FOR,
        colour_against=AGAINST,
        steps=next_steps(evidence),
        images=images_by_source(evidence.testset),
        sections=list(sections_of(evidence)),
        cards=[AuditCard.of(audit) for audit in evidence.audits],
        files=sorted(stem for stem, table in tables_of(evidence).items() if len(table.columns)),
        beside=sorted(
            each.name for each in path.parent.glob("*") if each.suffix in _BESIDE and each.is_file() and each != path
        ),
        versions=_versions(),
    )


def _name(evidence: Evidence) -> str:
    """Of the model, without the digits of its id."""
    return re.sub(r"[-:@ ][0-9a-f]{12}$", "", evidence.subject.model)


def _versions() -> dict[str, str]:
    known = {"Python": ".".join(map(str, sys.version_info[:3]))}
    for name in _LIBRARIES:
        try:
            known[name] = version(name)
        except PackageNotFoundError:  # the base installation has no scikit-learn
            continue
    return known


def _within_sources(evidence: Evidence) -> list[str]:
    """What the package's thresholds did within each validation source."""
    description = evidence.subject.description
    return list(sources_in_words(description.decision)) if description else []
