"""What is said of the evidence, how figures are placed on their lines, and what its pictures show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lungsight.evaluation.audits.audit import not_done
from lungsight.evaluation.formatting import fixed
from lungsight.evaluation.grade import Grade, GradeStatement, Reason
from lungsight.evaluation.tables import estimate_table
from lungsight.reporting.evidence_tables import Scale, by_metric, titled
from lungsight.reporting.evidence_text import FOR_A_PATIENT, deciding, extremes, figures_in_words, states
from lungsight.reporting.plots import STROKES, groups_by_source, panel_title, roc_figure, short
from lungsight.statistics.estimate import Estimate
from some_evidence import empty_evidence


def _table(*rows: tuple[str, str, str, float | None]) -> pd.DataFrame:
    """Of kind, source, metric and value."""
    return estimate_table(
        ({"kind": k, "source": s}, Estimate(m, "covid19", v, v, v, 9, 4, 5, 9, withheld=None if v else "too few"))
        for k, s, m, v in rows
    )


def _decided(grade: Grade, *rules: tuple[str, bool]) -> list[str]:
    reasons = tuple(Reason(f"{name}: …", met, name) for name, met in rules)
    evidence = replace(
        empty_evidence(), verdict=GradeStatement(grade, "…", reasons), audits=(not_done("silent", "?", "…"),)
    )
    return [reason.sentence for reason in deciding(evidence)]


def test_what_confounds_comes_first_and_what_could_not_be_asked_last() -> None:
    rules = (("silent", False), ("header only", False), ("lungs hidden", True), ("holds", False))
    assert _decided(Grade.CONFOUNDED, *rules) == ["lungs hidden", "header only", "holds"]


def test_a_weak_grade_rests_on_its_sources() -> None:
    rules = (("header only", False), ("lungs hidden", False), ("holds", False), ("internal", True))
    assert _decided(Grade.INTERNAL_ONLY, *rules) == ["holds", "internal", "header only"]


def test_at_most_five_reasons_are_shown() -> None:
    assert len(_decided(Grade.CONFOUNDED, *((f"audit {i}", True) for i in range(9)))) == 5


def test_a_rule_is_met_not_met_or_not_asked() -> None:
    reasons = (Reason("a: x", True, ""), Reason("b: x", False, ""), Reason("silent: x", False, ""))
    evidence = replace(
        empty_evidence(), verdict=GradeStatement(Grade.CONFOUNDED, "", reasons), audits=(not_done("silent", "", ""),)
    )
    assert list(states(evidence).values()) == ["met", "not met", "not asked"]


def test_every_grade_says_what_to_do() -> None:
    assert set(FOR_A_PATIENT) == set(Grade)
    assert all(FOR_A_PATIENT[grade].startswith("Don't act") for grade in list(Grade)[:3])


def test_the_extremes_are_of_external_sources_where_there_are_any() -> None:
    rows = [("internal", "a", 0.1), ("external", "b", 0.5), ("external", "c", 0.9), ("external", "all", 0.2)]
    table = _table(*((kind, source, "sensitivity", value) for kind, source, value in rows))
    assert extremes(table, "covid19") == ("external", {"sensitivity": (0.5, 0.9)})
    assert extremes(None, "covid19") == ("", {})
    assert extremes(_table(("external", "b", "sensitivity", None)), "covid19") == ("", {})


def test_a_picture_is_said_with_its_figures() -> None:
    table = _table(("external", "siim", "auroc", 0.62), ("internal", "nih", "auroc", None))
    said = figures_in_words(table, ["auroc"], "covid19")
    assert said == "AUROC: siim (external) 0.62 (0.62 to 0.62); nih (internal) withheld (too few)."


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6))
@example([-5e-324])
def test_every_figure_lies_on_its_line(values: list[float]) -> None:
    rows = [{"value": value, "low": None, "high": None} for value in values]
    scale = Scale.of("anything", rows)
    assert all(scale.low <= value <= scale.high for value in values)
    places = [scale.place(value) for value in sorted(values)]
    assert places == sorted(places)
    assert all(0 <= place <= 100 for place in places)


@pytest.mark.parametrize(
    ("metric", "mark"), [("auroc", 0.5), ("sensitivity", None), ("calibration_slope", 1.0), ("heat_minus_area", 0.0)]
)
def test_the_mark_is_what_to_compare_with(metric: str, mark: float | None) -> None:
    assert Scale.of(metric, [{"value": 0.7, "low": 0.6, "high": 0.8}]).mark == mark


def test_numbers_have_a_true_minus_and_no_negative_zero() -> None:
    assert (fixed(-0.0004, 3), fixed(-0.25, 2), fixed(1234.5, 1)) == ("0.000", "−0.25", "1,234.5")


def test_names_of_figures_are_written_as_people_write_them() -> None:
    assert [titled(name) for name in ("auroc_pooled", "ppv_at_prevalence", "sensitivity")] == [
        "AUROC pooled",
        "PPV at prevalence",
        "Sensitivity",
    ]


def test_a_table_by_metric_keeps_kinds_apart_in_their_order() -> None:
    table = _table(("external", "b", "auroc", 0.6), ("internal", "a", "auroc", 0.7))
    shown = by_metric(table, "metrics", "", "covid19", ("auroc", "ppv"))
    assert shown is not None
    assert [[line.heads for line in lines] for _, lines in shown.groups] == [[("a",)], [("b",)]]
    assert shown.columns == ("AUROC",)


def test_lines_differ_by_colour_and_by_stroke() -> None:
    colours, strokes = zip(*STROKES, strict=True)
    assert len(set(colours)) == len(set(map(str, strokes))) == len(STROKES)


def test_a_panel_for_each_source_with_a_line_for_each_class() -> None:
    x = np.linspace(0, 1, 400)
    parts = [
        pd.DataFrame({"kind": "external", "source": s, "scope": c, "x": x, "y": x, "low": x, "high": x})
        for s in ("north", "south")
        for c in ("covid19", "other")
    ]
    figure = roc_figure(pd.concat(parts), ("covid19", "other"))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["north\n(external)", "south\n(external)"]
    for axes in figure.axes:
        labels = [line.get_label() for line in axes.lines]
        assert labels == ["chance", "COVID-19", "other"]
        assert axes.lines[1].get_linestyle() != axes.lines[2].get_linestyle()
        assert {axes.lines[1].get_xdata()[0], axes.lines[1].get_xdata()[-1]} == {0.0, 1.0}
        assert len(axes.lines[1].get_xdata()) < 200


@given(st.text(max_size=200))
def test_a_title_is_short_and_printable(name: str) -> None:
    assert len(short(name, 24)) <= 24
    assert short(name, 24).isprintable()
    assert panel_title("external", name).endswith("\n(external)")


def test_a_table_without_sources_is_one_panel() -> None:
    assert len(groups_by_source(pd.DataFrame({"x": [0, 1]}))) == 1
