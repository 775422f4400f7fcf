"""The evidence as JSON and CSV: every figure of the page, and those it has no room for."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lungsight import RESEARCH_ONLY, __version__
from lungsight._files import write_whole
from lungsight.evaluation.evidence import Evidence, TestedModel
from lungsight.evaluation.testset.testset import TestSet
from lungsight.reporting.tables import write_table
from lungsight.statistics.outcomes import FAULT

#: Of the format; docs/reference/evidence-json.md describes it.
SCHEMA_VERSION = 1


def evidence_json(evidence: Evidence) -> dict[str, Any]:
    """All that was found out, as values that :mod:`json` writes; what isn't a finite number is None."""
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
            "grade": str(evidence.verdict.grade),
            "sentence": evidence.verdict.sentence,
            "reasons": [asdict(reason) for reason in evidence.verdict.reasons],
        },
        "notices": list(evidence.notices),
        "images": images_by_source(evidence.testset),
        "sections": {
            section.name: {
                "sentences": list(section.sentences),
                "withheld": list(section.withheld),
                "tables": {name: records(table) for name, table in section.tables.items()},
            }
            for section in evidence.sections
        },
        "audits": [
            {
                "name": audit.name,
                "question": audit.question,
                "call": str(audit.call),
                "meaning": audit.meaning,
                "rule": audit.rule,
                "images": audit.images,
                "effect": None if audit.effect is None else {k: plain(v) for k, v in asdict(audit.effect).items()},
                "table": records(audit.table),
            }
            for audit in evidence.audits
        ],
    }


def write_json(evidence: Evidence, path: Path) -> None:
    """Write :func:`evidence_json`, whole or not at all."""
    write_whole(path, json.dumps(plain(evidence_json(evidence)), indent=1, allow_nan=False))


def write_tables(evidence: Evidence, folder: Path) -> list[Path]:
    """Write every table of every section and audit into ``folder``, a CSV file each; gives the files. What an earlier
    test left there of an audit that this one couldn't make is removed."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for stem, table in tables_of(evidence).items():
        files.append(folder / f"{stem}.csv")
        write_table(table, files[-1])
    for stem in {stem for stem, _ in _named(evidence)} - {file.stem for file in files}:
        (folder / f"{stem}.csv").unlink(missing_ok=True)
    return files


def tables_of(evidence: Evidence) -> dict[str, pd.DataFrame]:
    """Every table that has columns, by its file's stem. Raises ValueError where two would be one file."""
    named = _named(evidence)
    tables = {stem: table for stem, table in named if len(table.columns)}
    if len({stem for stem, _ in named}) < len(named):
        raise ValueError(f"two tables would be one file: {sorted(stem for stem, _ in named)}")
    return tables


def _named(evidence: Evidence) -> list[tuple[str, pd.DataFrame]]:
    of_sections = [item for section in evidence.sections for item in section.tables.items()]
    return of_sections + [(audit.stem, audit.table) for audit in evidence.audits]


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


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table's rows as plain values."""
    return [{str(name): plain(value) for name, value in row.items()} for row in table.to_dict("records")]


def plain(value: Any) -> Any:
    """A table's cell as JSON has it: numbers of numpy as Python's, NaN and infinity as None."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bool | int):
        return value
    if isinstance(value, str):  # bytes of a file's name that aren't UTF-8 are no strict JSON
        return str(value).encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(v) for v in value]
    return value.isoformat() if isinstance(value, date) else str(value)


def _subject(subject: TestedModel) -> dict[str, Any]:
    sources = subject.trained_sources
    stated = {"model": subject.model, "classes": list(subject.classes), "target": subject.target}
    description = subject.description
    return {
        **stated,
        "trained_sources": None if sources is None else list(sources),
        "package": None if description is None else description.model_dump(mode="json", exclude={"files"}),
    }
