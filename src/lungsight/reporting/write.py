"""The report's files: the page to open first, every figure as JSON and CSV, checklists, model card, predictions."""

from __future__ import annotations

from pathlib import Path

from lungsight._files import write_whole
from lungsight.evaluation.evidence import Evidence
from lungsight.package.storage import MODEL_CARD
from lungsight.reporting.checklists.checklist import CHECKLISTS, Checklist
from lungsight.reporting.evidence_json import write_json
from lungsight.reporting.evidence_page import write_evidence_page
from lungsight.reporting.model_card import tested_card
from lungsight.reporting.tables import write_table, write_tables


def write_report(evidence: Evidence, out: Path) -> Path:
    """Write everything into the folder ``out``, each file whole or not at all; returns the page to open."""
    write_table(evidence.testset.table, out / "predictions.csv")
    write_json(evidence, out / "evidence.json")
    write_tables(evidence, out / "tables")
    write_documents(evidence, out)
    page = out / "index.html"
    write_evidence_page(evidence, page)
    return page


def write_documents(evidence: Evidence, out: Path) -> None:
    """Write what a journal, a regulator or a hub asks for into ``out``: the checklists and ``MODEL_CARD.md``."""
    out.mkdir(parents=True, exist_ok=True)
    for stem, file in CHECKLISTS.items():
        filled = Checklist.read(file).filled(evidence)
        write_whole(out / f"{stem}.md", filled.as_markdown())
        write_table(filled.as_table(), out / f"{stem}.csv")
    write_whole(out / MODEL_CARD, tested_card(evidence))
