"""Which reasons decided the grade, and the words for what a plot shows."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from lungsight.evaluation.audits.audit import not_done
from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.grade import Grade, GradeStatement, Reason
from lungsight.evaluation.rows import Row
from lungsight.reporting.evidence_text import (
    FOR_A_PATIENT,
    deciding,
    extremes,
    figures_in_words,
    picked_points,
    states,
)
from lungsight.statistics.estimate import Estimate


def make_row(kind: str, source: str, metric: str, value: float | None) -> Row:
    estimate = Estimate(metric, "covid19", value, value, value, 9, 4, 5, 9, withheld=None if value else "too few")
    return Row({"kind": kind, "source": source}, estimate)


def graded(evidence: Evidence, grade: Grade, *rules: tuple[str, bool]) -> Evidence:
    """Evidence of each grade takes hours, so the rules that a real one goes through are replaced by these."""
    reasons = tuple(Reason(f"{name}: …", met, name) for name, met in rules)
    audits = (not_done("silent", "?", "…"),)
    return replace(evidence, verdict=GradeStatement(grade, "…", reasons), audits=audits)


def decided(evidence: Evidence, grade: Grade, *rules: tuple[str, bool]) -> list[str]:
    return [reason.sentence for reason in deciding(graded(evidence, grade, *rules))]


def test_what_confounds_comes_first_and_what_could_not_be_asked_last(bare: Evidence) -> None:
    rules = (("silent", False), ("header only", False), ("lungs hidden", True), ("holds", False))
    assert decided(bare, Grade.CONFOUNDED, *rules) == ["lungs hidden", "header only", "holds"]


def test_a_weak_grade_rests_on_its_sources(bare: Evidence) -> None:
    rules = (("header only", False), ("lungs hidden", False), ("holds", False), ("internal", True))
    assert decided(bare, Grade.INTERNAL_ONLY, *rules) == ["holds", "internal", "header only"]


def test_at_most_five_reasons_are_shown(bare: Evidence) -> None:
    assert len(decided(bare, Grade.CONFOUNDED, *((f"audit {i}", True) for i in range(9)))) == 5


def test_a_rule_is_met_not_met_or_not_asked(bare: Evidence) -> None:
    evidence = graded(bare, Grade.CONFOUNDED, ("a", True), ("b", False), ("silent", False))
    assert list(states(evidence).values()) == ["met", "not met", "not asked"]


def test_every_grade_says_what_to_do() -> None:
    assert set(FOR_A_PATIENT) == set(Grade)
    assert all(FOR_A_PATIENT[grade].startswith("Don't act") for grade in list(Grade)[:3])


def test_the_extremes_are_of_external_sources_if_there_are_any() -> None:
    values = [("internal", "a", 0.1), ("external", "b", 0.5), ("external", "c", 0.9), ("external", "all", 0.2)]
    rows = [make_row(kind, source, "sensitivity", value) for kind, source, value in values]
    assert extremes(rows, "covid19") == ("external", {"sensitivity": (0.5, 0.9)})
    assert extremes(rows[:1], "covid19") == ("internal", {"sensitivity": (0.1, 0.1)})
    assert extremes((), "covid19") == ("", {})
    assert extremes([make_row("external", "b", "sensitivity", None)], "covid19") == ("", {})


def test_a_plot_has_its_figures_as_text() -> None:
    rows = [make_row("external", "siim", "auroc", 0.62), make_row("internal", "nih", "auroc", None)]
    text = figures_in_words(rows, ["auroc"], "covid19")
    assert text == "AUROC: siim (external) 0.62 (0.62 to 0.62); nih (internal) withheld (too few)."


def test_a_curve_has_the_nearest_points_as_text() -> None:
    curve = pd.DataFrame({"kind": "external", "source": "siim", "x": [0.1, 0.4, 0.9], "y": [0.0, 0.5, 1.0]})
    assert list(picked_points(curve, "x", "y", (0.5,), ("x", "y"))) == ["siim (external): y 0.50 at x 0.40."]
