"""Which reasons decided the grade, and the words for what a plot shows."""

from __future__ import annotations

import pandas as pd

from lungsight.evaluation.grade import Grade, GradeStatement, Mark, Reason, Shortcut
from lungsight.evaluation.rows import Row
from lungsight.reporting.evidence_text import (
    FOR_A_PATIENT,
    deciding,
    figures_in_words,
    for_a_patient,
    picked_points,
)
from lungsight.statistics.estimate import Estimate


def make_row(kind: str, source: str, metric: str, value: float | None) -> Row:
    estimate = Estimate(metric, "covid19", value, value, value, 9, 4, 5, 9, withheld=None if value else "too few")
    return Row({"kind": kind, "source": source}, estimate)


def graded(shortcut: Shortcut, *marks: Mark) -> GradeStatement:
    """Evidence of each grade takes hours, so the reasons of a real one are replaced by these."""
    reasons = tuple(Reason(f"{i}", "…", "…", mark) for i, mark in enumerate(marks))
    return GradeStatement(Grade.HOLDS_AT_ONE, "…", shortcut, "…", (), reasons)


def test_bad_reasons_come_first_and_what_could_not_be_asked_last() -> None:
    verdict = graded(Shortcut.FOUND, Mark.NOT_ASKED, Mark.GOOD, Mark.NOT_SHOWN, Mark.BAD)
    assert [reason.name for reason in deciding(verdict)] == ["3", "1", "2", "0"]


def test_a_first_screen_has_room_for_six_reasons() -> None:
    assert len(deciding(graded(Shortcut.FOUND, *[Mark.BAD] * 9))) == 6


def test_every_grade_says_what_to_do_and_a_shortcut_comes_before_it() -> None:
    assert set(FOR_A_PATIENT) == set(Grade)
    assert for_a_patient(graded(Shortcut.NOT_FOUND), "COVID-19").startswith("Its score told COVID-19 from the rest")
    assert for_a_patient(graded(Shortcut.FOUND), "COVID-19").startswith("Don't act on its decision, COVID-19 or not")


def test_a_plot_has_its_figures_as_text() -> None:
    rows = [make_row("external", "siim", "auroc", 0.62), make_row("internal", "nih", "auroc", None)]
    text = figures_in_words(rows, ["auroc"], "covid19")
    assert text == "AUROC: siim (external) 0.62 (0.62 to 0.62); nih (internal) withheld (too few)."


def test_a_curve_has_the_nearest_points_as_text() -> None:
    curve = pd.DataFrame({"kind": "external", "source": "siim", "x": [0.1, 0.4, 0.9], "y": [0.0, 0.5, 1.0]})
    assert list(picked_points(curve, "x", "y", (0.5,), ("x", "y"))) == ["siim (external): y 0.50 at x 0.40."]
