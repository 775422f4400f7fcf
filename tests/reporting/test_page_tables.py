"""Tables of the page: where figures are on their lines, what is grouped, and which kind each interval is."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.rows import Row
from lungsight.reporting.page_tables import AT_MOST, INTERVALS, Scale, any_rows, by_metric, by_row, titled
from lungsight.statistics.estimate import Estimate, IntervalMethod


def make_estimate(metric: str, value: float, interval: IntervalMethod = "bca") -> Estimate:
    return Estimate(metric, "covid19", value, value, value, 9, 4, 5, 9, interval)


def make_rows(*values: tuple[str, str, str, float]) -> list[Row]:
    """Of kind, source, metric and value."""
    return [Row({"kind": k, "source": s}, make_estimate(m, v)) for k, s, m, v in values]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6))
@example([-5e-324])
def test_every_figure_is_on_its_line(values: list[float]) -> None:
    scale = Scale.of("anything", [make_estimate("anything", value) for value in values])
    assert all(scale.low <= value <= scale.high for value in values)
    positions = [scale.position(value) for value in sorted(values)]
    assert positions == sorted(positions)
    assert all(0 <= position <= 100 for position in positions)


@pytest.mark.parametrize(
    ("metric", "mark"), [("auroc", 0.5), ("sensitivity", None), ("calibration_slope", 1.0), ("heat_minus_area", 0.0)]
)
def test_the_mark_is_what_to_compare_with(metric: str, mark: float | None) -> None:
    assert Scale.of(metric, [make_estimate(metric, 0.7)]).mark == mark


def test_names_of_figures_are_written_as_people_write_them() -> None:
    names = [titled(name) for name in ("auroc_pooled", "ppv_at_prevalence", "sensitivity")]
    assert names == ["AUROC pooled", "PPV at prevalence", "Sensitivity"]


def test_a_table_by_metric_keeps_kinds_apart_in_their_order() -> None:
    rows = make_rows(("external", "b", "auroc", 0.6), ("internal", "a", "auroc", 0.7))
    shown = by_metric(rows, "metrics", "", "covid19", ("auroc", "ppv"))
    assert shown is not None
    assert [[line.heads for line in lines] for _, lines in shown.groups] == [[("a",)], [("b",)]]
    assert shown.columns == ("AUROC",)


def test_a_long_table_gives_the_wanted_figure_and_counts_the_others() -> None:
    names = ("auroc", "ppv")
    rows = make_rows(*(("external", f"s{i}", names[i % 2], 0.5) for i in range(60)))
    shown = by_row(rows, "x", "", scope="covid19", metric="ppv")
    assert shown is not None
    assert (shown.columns, shown.more) == (("PPV",), 30)
    assert by_row((), "x", "") is None


def test_a_table_names_the_kind_of_most_of_its_intervals() -> None:
    rows = make_rows(*(("external", f"s{i}", "auroc", 0.5) for i in range(3)))
    rows.append(Row({"kind": "external", "source": "small"}, make_estimate("auroc", 1.0, "exact")))
    shown = by_metric(rows, "x", "", "covid19", ("auroc",))
    assert shown is not None
    assert shown.interval == "bca"


def test_any_table_of_an_evaluation_has_a_shape(evidence: Evidence) -> None:
    tables = {name: rows for section in evidence.sections for name, rows in section.estimates.items() if rows}
    tables |= {audit.stem: audit.rows for audit in evidence.audits if audit.rows}
    assert len(tables) > 12
    for name, rows in tables.items():
        shown = any_rows(rows, name, name, evidence.subject.target)
        assert shown is not None, name
        lines = [line for _, group in shown.groups for line in group]
        assert 0 < len(lines) <= AT_MOST, name
        assert {len(line.cells) for line in lines} == {len(shown.columns)}, name
        assert {len(line.heads) for line in lines} == {len(shown.heads)}, name
        assert shown.interval in ("", *INTERVALS), name
