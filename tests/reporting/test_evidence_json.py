"""The evidence as JSON and CSV: every figure, plain values, one file per table."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungsight import RESEARCH_ONLY
from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.sections.section import Section
from lungsight.reporting.evidence_json import evidence_json, plain, records, write_json, write_tables
from some_evidence import empty_evidence, evidence_of, judged_images

DOCUMENTED = Path(__file__).parents[2] / "docs" / "reference" / "evidence-json.md"


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return evidence_of(judged_images([("internal", "north"), ("external", "south")], ("covid19", "other"), 12))


def test_every_row_of_every_table_is_there(evidence: Evidence) -> None:
    written = evidence_json(evidence)
    for section in evidence.sections:
        given = written["sections"][section.name]
        assert {name: len(rows) for name, rows in given["tables"].items()} == {
            name: len(table) for name, table in section.tables.items()
        }
        assert given["sentences"] == list(section.sentences)
        assert given["withheld"] == list(section.withheld)
    assert [len(audit["table"]) for audit in written["audits"]] == [len(audit.table) for audit in evidence.audits]


def test_a_figure_keeps_its_value_sample_and_interval(evidence: Evidence) -> None:
    metrics = evidence.discrimination.tables["metrics"]
    rows = evidence_json(evidence)["sections"]["discrimination"]["tables"]["metrics"]
    for i, row in enumerate(rows):
        for name in ("value", "low", "high"):
            kept = metrics[name].iloc[i]
            assert row[name] is None if pd.isna(kept) else row[name] == kept
        assert row["n"] == metrics["n"].iloc[i]
        assert row["withheld"] == metrics["withheld"].iloc[i]


def test_verdict_audits_and_settings_are_whole(evidence: Evidence) -> None:
    written = evidence_json(evidence)
    assert written["notice"] == RESEARCH_ONLY
    assert written["verdict"]["grade"] == evidence.verdict.grade.value
    assert [reason["sentence"] for reason in written["verdict"]["reasons"]] == [
        reason.sentence for reason in evidence.verdict.reasons
    ]
    assert [audit["call"] for audit in written["audits"]] == ["shortcut", "not done", "reported"]
    assert written["audits"][0]["effect"]["value"] == 0.81
    assert written["audits"][1]["effect"] is None
    assert written["settings"] == {"replicates": 20, "level": 0.95, "seed": 20200321, "prevalence": 0.1}
    assert written["images"][0] == {
        "kind": "internal", "source": "north", "images": 24, "unreadable": 0, "patients": 12, "positives": 12,
    }  # fmt: skip


def test_the_file_holds_the_same_and_no_nan(evidence: Evidence, tmp_path: Path) -> None:
    write_json(evidence, tmp_path / "evidence.json")
    text = (tmp_path / "evidence.json").read_text("utf-8")
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name)) == evidence_json(evidence)


def test_every_table_is_a_file_and_none_is_empty(evidence: Evidence, tmp_path: Path) -> None:
    files = write_tables(evidence, tmp_path / "tables")
    assert sorted(files) == sorted((tmp_path / "tables").iterdir())
    by_name = {file.stem: pd.read_csv(file) for file in files}
    assert {"metrics", "roc", "confusion", "calibration", "per_1000", "gaps", "flow", "audit_stress"} <= set(by_name)
    assert "audit_lungs_hidden" not in by_name
    for section in evidence.sections:
        for name, table in section.tables.items():
            if len(table.columns):
                assert len(by_name[name]) == len(table)


def test_an_earlier_tests_table_does_not_pass_for_this_ones(evidence: Evidence, tmp_path: Path) -> None:
    """Two models into the same folder, and the second couldn't be asked about hidden lungs."""
    for name in ("audit_lungs_hidden.csv", "of_the_users_own.csv"):
        (tmp_path / name).write_text("metric,value\nauroc,0.9\n")
    files = write_tables(evidence, tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([*files, tmp_path / "of_the_users_own.csv"])


def test_two_tables_never_share_a_file(tmp_path: Path) -> None:
    evidence = empty_evidence()
    table = pd.DataFrame({"n": [1]})
    twice = replace(evidence, flow=Section("flow", {"metrics": table}))
    with pytest.raises(ValueError, match="two tables would be one file"):
        write_tables(twice, tmp_path)


def test_the_reference_describes_every_key(evidence: Evidence) -> None:
    described = DOCUMENTED.read_text("utf-8")
    written = evidence_json(evidence)
    keys = {*written, *written["subject"], *written["settings"], *written["verdict"], *written["audits"][0]}
    keys |= {*written["images"][0], *written["sections"]["flow"], *written["sections"]}
    tables = {name for section in written["sections"].values() for name in section["tables"]}
    missing = [key for key in sorted(keys | tables) if f"`{key}`" not in described]
    assert not missing


CELLS = st.one_of(
    st.none(),
    st.floats(),
    st.integers(-(2**53), 2**53),
    st.booleans(),
    st.text(max_size=20),
    st.floats(width=32).map(np.float32),
    st.integers(-100, 100).map(np.int64),
    st.booleans().map(np.bool_),
    st.just(datetime(2026, 1, 2, tzinfo=UTC)),
    st.just(pd.NaT),
)


@given(st.recursive(CELLS, lambda inner: st.lists(inner, max_size=3), max_leaves=6))
def test_any_cell_becomes_json(value: object) -> None:
    written = json.loads(json.dumps(plain(value), allow_nan=False))
    assert written == plain(value)
    if isinstance(value, float) and math.isfinite(value):
        assert written == value


def test_what_is_no_finite_number_is_null() -> None:
    rows = records(pd.DataFrame({"a": [math.nan, math.inf, 0.5], "b": ["x", None, "y"]}))
    assert [row["a"] for row in rows] == [None, None, 0.5]
    assert list(_of(rows, "b")) == ["x", None, "y"]


def _of(rows: list[dict[str, Any]], name: str) -> Iterator[Any]:
    return (row[name] for row in rows)
