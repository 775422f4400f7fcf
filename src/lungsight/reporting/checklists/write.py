"""Everything a journal, a regulator or a hub asks for, written from one test's evidence."""

from __future__ import annotations

from pathlib import Path

from lungsight._files import write_whole
from lungsight.evaluation.evidence import Evidence
from lungsight.package.storage import MODEL_CARD
from lungsight.reporting.checklists import claim, tripod_ai
from lungsight.reporting.checklists.checklist import Checklist, FilledChecklist, fill
from lungsight.reporting.model_card import tested_card
from lungsight.reporting.tables import write_table


def filled_claim(evidence: Evidence) -> FilledChecklist:
    return fill(Checklist.read(claim.FILE), claim.ANSWERS, evidence)


def filled_tripod_ai(evidence: Evidence) -> FilledChecklist:
    return fill(Checklist.read(tripod_ai.FILE), tripod_ai.ANSWERS, evidence)


def write_checklists(evidence: Evidence, out: Path) -> list[Path]:
    """Write the papers into the folder ``out``, each whole or not at all; gives the files.

    ``claim.md``, ``claim.csv``, ``tripod_ai.md``, ``tripod_ai.csv`` and ``MODEL_CARD.md``."""
    out.mkdir(parents=True, exist_ok=True)
    files = []
    for stem, filled in (("claim", filled_claim(evidence)), ("tripod_ai", filled_tripod_ai(evidence))):
        files += [_write(out / f"{stem}.md", filled.as_markdown()), out / f"{stem}.csv"]
        write_table(filled.as_table(), files[-1])
    files.append(_write(out / MODEL_CARD, tested_card(evidence)))
    return files


def _write(path: Path, text: str) -> Path:
    write_whole(path, text)
    return path
