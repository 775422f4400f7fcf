"""The report's files: the page to open first, every figure as JSON and CSV, the papers, the predictions."""

from __future__ import annotations

from pathlib import Path

from lungsight.evaluation.evidence import Evidence
from lungsight.reporting.checklists import write_checklists
from lungsight.reporting.evidence_json import write_json, write_tables
from lungsight.reporting.evidence_page import write_evidence_page
from lungsight.reporting.tables import write_table


def write_report(evidence: Evidence, out: Path) -> Path:
    """Write everything into the folder ``out``, each file whole or not at all; gives the page to open."""
    write_table(evidence.testset.table, out / "predictions.csv")
    write_json(evidence, out / "evidence.json")
    write_tables(evidence, out / "tables")
    write_checklists(evidence, out)
    page = out / "index.html"
    write_evidence_page(evidence, page)
    return page
