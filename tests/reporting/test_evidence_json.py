"""The evidence as JSON: every figure, plain values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lungsight import RESEARCH_ONLY
from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.formatting import withheld_because
from lungsight.reporting.evidence_json import evidence_json

DOCUMENTED = Path(__file__).parents[2] / "docs" / "reference" / "evidence-json.md"


def test_every_row_of_every_table_is_there(evidence: Evidence) -> None:
    written = evidence_json(evidence)
    for section in evidence.sections:
        stated = written["sections"][section.name]
        rows = {name: len(rows) for name, rows in section.estimates.items()}
        assert {name: len(stated["tables"][name]) for name in rows} == rows
        assert stated["sentences"] == list(section.sentences)
        assert stated["withheld"] == list(section.withheld)
    assert [len(audit["table"]) for audit in written["audits"]] == [len(audit.rows) for audit in evidence.audits]


def test_a_figure_keeps_its_value_sample_and_interval(evidence: Evidence) -> None:
    written = evidence_json(evidence)["sections"]["discrimination"]["tables"]["metrics"]
    for stated, row in zip(written, evidence.discrimination.estimates["metrics"], strict=True):
        estimate = row.estimate
        assert stated == {
            **row.labels,
            "metric": estimate.name,
            "withheld": withheld_because(estimate),
            **{name: value for name, value in vars(estimate).items() if name not in ("name", "withheld")},
        }


def test_grade_audits_and_settings_are_whole(evidence: Evidence) -> None:
    written = evidence_json(evidence)
    assert written["notice"] == RESEARCH_ONLY
    assert written["verdict"]["grade"] == evidence.verdict.grade.value
    assert written["verdict"]["shortcut"] == evidence.verdict.shortcut.value
    for stated, reason in zip(written["verdict"]["reasons"], evidence.verdict.reasons, strict=True):
        assert (stated["name"], stated["found"], stated["mark"]) == (reason.name, reason.found, reason.mark.value)
        assert isinstance(stated["met"], bool)
    assert [each["source"] for each in written["verdict"]["sources"]] == [s.source for s in evidence.verdict.sources]
    for stated, audit in zip(written["audits"], evidence.audits, strict=True):
        assert stated["call"] == audit.call.value
        assert stated["effect"] == (None if audit.effect is None else vars(audit.effect))
    assert written["settings"] == {"replicates": 100, "level": 0.95, "seed": 20200321, "prevalence": 0.1}
    assert written["images"][0] == {
        "kind": "internal", "source": "phantom-north", "images": 54, "unreadable": 0, "patients": 54, "positives": 18,
    }  # fmt: skip


def test_the_file_holds_the_same_without_nan_on_one_line(evidence: Evidence, report: Path) -> None:
    text = (report / "evidence.json").read_text("utf-8")
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name)) == evidence_json(evidence)
    assert "\n" not in text


def test_the_reference_describes_every_key(evidence: Evidence) -> None:
    described = DOCUMENTED.read_text("utf-8")
    written = evidence_json(evidence)
    keys = {*written, *written["subject"], *written["settings"], *written["verdict"], *written["audits"][0]}
    keys |= {*written["images"][0], *written["sections"]["flow"], *written["sections"]}
    tables = {name for section in written["sections"].values() for name in section["tables"]}
    missing = [key for key in sorted(keys | tables) if f"`{key}`" not in described]
    assert not missing
