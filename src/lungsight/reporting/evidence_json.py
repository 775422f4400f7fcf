"""The evidence as JSON: every figure of the page, and those it has no room for."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lungsight import RESEARCH_ONLY, __version__
from lungsight._files import write_whole
from lungsight.evaluation.audits.audit import Audit
from lungsight.evaluation.evidence import Evidence, TestedModel
from lungsight.evaluation.grade import Mark, Reason
from lungsight.evaluation.performance import SourcePerformance
from lungsight.evaluation.sections.section import Section
from lungsight.evaluation.testset.testset import TestSet
from lungsight.reporting.tables import frame, plain, records, section_tables
from lungsight.statistics.outcomes import FAULT

#: Of the format; docs/reference/evidence-json.md describes it.
SCHEMA_VERSION = 1


def evidence_json(evidence: Evidence) -> dict[str, Any]:
    """All that was found, as values that :mod:`json` writes; a number that isn't finite is None."""
    verdict = evidence.verdict
    return {
        "schema": "lungsight evidence",
        "schema_version": SCHEMA_VERSION,
        "notice": RESEARCH_ONLY,
        "lungsight": __version__,
        "made": evidence.made.isoformat(timespec="seconds"),
        "command": evidence.command,
        "subject": _subject(evidence.subject),
        "settings": asdict(evidence.resampling) | {"prevalence": plain(evidence.prevalence)},
        "verdict": {
            "grade": str(verdict.grade),
            "sentence": verdict.sentence,
            "shortcut": str(verdict.shortcut),
            "shortcut_sentence": verdict.shortcut_sentence,
            "sources": [_performance(each) for each in verdict.sources],
            "reasons": [_reason(reason) for reason in verdict.reasons],
        },
        "notices": list(evidence.notices),
        "images": images_by_source(evidence.testset),
        "sections": {section.name: _section(section) for section in evidence.sections},
        "audits": [_audit(audit) for audit in evidence.audits],
    }


def _performance(each: SourcePerformance) -> dict[str, Any]:
    return asdict(each) | {"performance": str(each.performance)}


def _reason(reason: Reason) -> dict[str, Any]:
    """With the keys of older files: ``rule``, whether it is ``met``, and ``sentence``."""
    met = reason.mark is (Mark.BAD if reason.is_shortcut else Mark.GOOD)
    rule = f"{reason.name}: {reason.asked}" if reason.asked else reason.name
    older = {"rule": rule, "met": met, "sentence": reason.detail or f"{reason.found}."}
    return older | {
        "name": reason.name,
        "asked": reason.asked,
        "found": reason.found,
        "mark": str(reason.mark),
        "shortcut": reason.is_shortcut,
    }


def write_json(evidence: Evidence, path: Path) -> None:
    """Write :func:`evidence_json` on one line, whole or not at all: indented it would be a third larger."""
    text = json.dumps(plain(evidence_json(evidence)), separators=(",", ":"), allow_nan=False)
    write_whole(path, text)


def images_by_source(testset: TestSet) -> list[dict[str, Any]]:
    """How many images and patients each source gave, and how many of them are of the target class."""
    return [
        {
            "kind": kind,
            "source": source,
            "images": len(images),
            "unreadable": int((images.table[FAULT] != "").sum()),
            "patients": len(np.unique(images.patient)),
            "positives": int(images.scored.positive.sum()),
        }
        for kind, source, images in testset.by_source()
    ]


def _section(section: Section) -> dict[str, Any]:
    tables = {name: records(table) for name, table in section_tables(section).items()}
    return {"sentences": list(section.sentences), "withheld": list(section.withheld), "tables": tables}


def _audit(audit: Audit) -> dict[str, Any]:
    return {
        "name": audit.name,
        "question": audit.question,
        "call": str(audit.call),
        "meaning": audit.meaning,
        "rule": audit.rule,
        "images": audit.images,
        "effect": None if audit.effect is None else plain(asdict(audit.effect)),
        "table": records(frame(audit.rows)),
    }


def _subject(subject: TestedModel) -> dict[str, Any]:
    sources, description = subject.trained_sources, subject.description
    return {
        "model": subject.model,
        "classes": list(subject.classes),
        "target": subject.target,
        "trained_sources": None if sources is None else list(sources),
        "package": None if description is None else description.model_dump(mode="json", exclude={"files"}),
    }
