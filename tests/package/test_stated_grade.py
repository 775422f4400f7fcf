"""The grade in an evidence report, also in one by older rules."""

from __future__ import annotations

from typing import Any

import pytest

from lungsight.package import ModelPackage
from lungsight.package.bundled import find_package
from lungsight.package.stated_grade import FOUND, NOT_LOOKED_FOR, NOT_SHOWN, stated_grade


def older(grade: str, *reasons: tuple[str, bool, str], call: str = "not done") -> dict[str, Any]:
    """As written before shortcuts stood beside the grade."""
    listed = [{"rule": f"{name}: …", "met": met, "sentence": sentence} for name, met, sentence in reasons]
    verdict = {"grade": grade, "sentence": "Nothing here shows that the model …", "reasons": listed}
    return {"made": "2026-11-23T12:41:05+00:00", "verdict": verdict, "audits": [{"name": "x", "call": call}]}


NO_OTHER = ("holds", False, "No source that it never saw has 30 patients with and 30 without.")
TESTED = ("holds", False, "At siim, never seen: AUROC 0.57 (0.48–0.65, n = 150).")
HELD = ("holds", True, "At siim, never seen: AUROC 0.85 (0.80–0.90, n = 150).")
HOME = ("internal", True, "At home, trained on other patients: AUROC 0.95 (0.93–0.97, n = 300).")


@pytest.mark.parametrize(
    ("reasons", "performance"),
    [
        ((NO_OTHER, HOME), "internal only"),
        ((TESTED, HOME), "not shown to be good enough elsewhere"),
        ((HELD, TESTED), "holds at one other source"),
        ((HELD, HELD), "holds at several other sources"),
        ((NO_OTHER,), "too little data"),
    ],
)
@pytest.mark.parametrize(("grade", "flag"), [("confounded", FOUND), ("no evidence", NOT_LOOKED_FOR)])
def test_older_grades_become_performance_and_a_flag(
    reasons: tuple[tuple[str, bool, str], ...], performance: str, grade: str, flag: str
) -> None:
    found = stated_grade(older(grade, *reasons))
    assert (found.grade, found.shortcut, found.made) == (performance, flag, "2026-11-23")
    assert "Nothing" not in found.sentence


def test_an_older_audit_that_called_nothing_is_not_taken_for_power_to_find_it() -> None:
    assert stated_grade(older("internal only", HOME, call="clear")).shortcut == NOT_SHOWN


def test_a_grade_of_today_is_read_as_it_stands() -> None:
    verdict = {
        "grade": "fails elsewhere",
        "sentence": "It fails.",
        "shortcut": "found",
        "shortcut_sentence": "It is.",
    }
    found = stated_grade({"made": "2026-12-01", "verdict": verdict})
    assert tuple(found) == ("fails elsewhere", "It fails.", "2026-12-01", "found", "It is.")
    assert found.words == "fails elsewhere; shortcut found"


def test_the_released_package_is_shown_with_its_shortcut() -> None:
    stated = ModelPackage.open(find_package("released")).verdict
    assert stated is not None
    assert (stated.shortcut, stated.words) == (FOUND, "internal only; shortcut found")
