"""Rows and frames say the same."""

import numpy as np

from lungsight.evaluation.audits.audit import Audit, AuditResult
from lungsight.evaluation.rows import Row, frame, rows_of
from lungsight.evaluation.sections.section import Section
from lungsight.statistics.estimate import Estimate

GIVEN = Estimate("auroc", "covid19", 0.8, 0.7, 0.9, 40, 20, 20, 38, "bca")
WITHHELD = Estimate("auroc", "covid19", None, None, None, 2, 2, 0, 2, withheld="every image here is of covid19")
ROWS = (Row({"kind": "external", "sites": 3, "crude": None}, GIVEN), Row({"kind": "internal"}, WITHHELD))


def test_a_frame_has_a_line_per_row_with_labels_first():
    table = frame(ROWS)

    assert list(table)[:4] == ["kind", "sites", "crude", "scope"]
    assert table["metric"].tolist() == ["auroc", "auroc"]
    assert table["interval"].tolist() == ["bca", ""]
    assert np.isnan(table["value"][1])
    assert table["withheld"].tolist() == ["", "every image here is of COVID-19"]


def test_a_frame_becomes_its_rows_again():
    given, withheld = rows_of(frame(ROWS))

    assert given.estimate == GIVEN
    assert given.labels == ROWS[0].labels
    assert withheld.estimate.value is None
    assert withheld.estimate.withheld == "every image here is of COVID-19"


def test_a_section_and_an_audit_give_their_figures_both_ways():
    table = frame(ROWS)

    for section in (Section("a", {"metrics": table}), Section("a", {}, estimates={"metrics": ROWS})):
        assert section.tables["metrics"].equals(table)
        assert section.estimates["metrics"][0] == ROWS[0]
    for audit in (
        Audit("a", "?", AuditResult.REPORTED, "!", table=table),
        Audit("a", "?", AuditResult.REPORTED, "!", rows=ROWS),
    ):
        assert audit.table.equals(table)
        assert audit.rows[0] == ROWS[0]
