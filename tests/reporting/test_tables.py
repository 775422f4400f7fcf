"""Rows as frames, frames as CSV files and as plain values."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.rows import Row
from lungsight.evaluation.sections.section import Section
from lungsight.reporting.tables import frame, plain, records, section_tables, tables_of, write_tables
from lungsight.statistics.estimate import Estimate


def test_every_table_is_a_file_and_none_is_empty(evidence: Evidence, report: Path) -> None:
    by_name = {file.stem: pd.read_csv(file) for file in (report / "tables").iterdir()}
    assert set(by_name) == {stem for stem, table in tables_of(evidence).items() if len(table.columns)}
    assert {"metrics", "roc", "confusion", "calibration", "per_1000", "gaps", "flow", "audit_stress"} <= set(by_name)
    for section in evidence.sections:
        for name, table in section_tables(section).items():
            assert len(by_name.get(name, ())) == len(table)


def test_every_table_that_has_intervals_says_which_kind_each_is(evidence: Evidence) -> None:
    for stem, table in tables_of(evidence).items():
        bounds = [name for name in table.columns if name == "low" or name.endswith("benefit_low")]
        if bounds and stem != "decision_rule":  # the rule's low is a threshold
            has_interval = table[bounds[0]].notna() | (table["interval"] == "percentile")
            assert set(table["interval"][has_interval]) <= {"bca", "percentile", "basic", "delong", "exact"}, stem
            assert set(table["interval"][~has_interval]) <= {""}, stem


def test_an_earlier_evaluations_table_does_not_pass_for_this_ones(bare: Evidence, tmp_path: Path) -> None:
    """Two models into the same folder, and the second couldn't be asked about hidden lungs."""
    for name in ("audit_lungs_hidden.csv", "of_the_users_own.csv"):
        (tmp_path / name).write_text("metric,value\nauroc,0.9\n")
    files = write_tables(bare, tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([*files, tmp_path / "of_the_users_own.csv"])


def test_two_tables_never_share_a_file(bare: Evidence, tmp_path: Path) -> None:
    twice = replace(bare, flow=Section("flow", {"metrics": pd.DataFrame({"n": [1]})}))
    with pytest.raises(ValueError, match="two tables would be one file"):
        write_tables(twice, tmp_path)


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


def test_a_number_that_is_not_finite_is_null() -> None:
    rows = records(pd.DataFrame({"a": [math.nan, math.inf, 0.5], "b": ["x", None, "y"]}))
    assert rows == [{"a": None, "b": "x"}, {"a": None, "b": None}, {"a": 0.5, "b": "y"}]


def test_a_frame_has_a_line_per_row_with_labels_first() -> None:
    given = Estimate("auroc", "covid19", 0.8, 0.7, 0.9, 40, 20, 20, 38, "bca")
    withheld = Estimate("auroc", "covid19", None, None, None, 2, 2, 0, 2, withheld="every image here is of covid19")
    rows = (Row({"kind": "external", "sites": 3, "crude": None}, given), Row({"kind": "internal"}, withheld))
    table = frame(rows)

    assert list(table)[:4] == ["kind", "sites", "crude", "scope"]
    assert table["metric"].tolist() == ["auroc", "auroc"]
    assert table["interval"].tolist() == ["bca", ""]
    assert np.isnan(table["value"][1])
    assert table["withheld"].tolist() == ["", "every image here is of COVID-19"]


def test_a_section_keeps_the_order_of_its_tables() -> None:
    row = Row({}, Estimate("auroc", "covid19", 0.8, 0.7, 0.9, 40, 20, 20, 38, "bca"))
    section = Section("a", {"metrics": [row], "roc": pd.DataFrame({"x": [0.0]}), "points": [row]})

    assert list(section_tables(section)) == ["metrics", "roc", "points"]
    assert section.estimates == {"metrics": (row,), "points": (row,)}
    assert list(section.tables) == ["roc"]
