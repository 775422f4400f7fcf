"""Failures on the page: each image beside its heat, or the reason why it can't be shown."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.failures import Failures
from lungsight.reporting.evidence_page import write_evidence_page
from lungsight.reporting.failure_pictures import FailureRow, full_colour

_MOST_BYTES = 3_000_000


def part(page: str) -> str:
    """The page's part with failures."""
    return page[page.index('id="failures"') : page.index('id="shortcuts"')]


def test_each_failure_is_shown_as_it_is_and_under_its_heat(evidence: Evidence, report: Path) -> None:
    assert evidence.failures is not None
    page = (report / "index.html").read_text("utf-8")
    shown = [one for each in evidence.failures for one in each.shown]
    assert shown
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', part(page))
    assert len(pictures) == len(set(pictures)) == 2 * len(shown)
    for one in shown:
        assert f"{one.source} ({one.kind})" in part(page)
    assert "share this page only where" in part(page)
    assert len(page) < _MOST_BYTES


def test_one_scale_of_colour_holds_for_all(evidence: Evidence) -> None:
    assert evidence.failures is not None
    rows = [FailureRow.of(each) for each in evidence.failures]
    strongest = [abs(one.finding.map.values).max() for row in rows for one in row.failures.shown if one.finding.map]
    assert 0 < full_colour(rows) <= max(strongest)
    assert full_colour([FailureRow.of(Failures())]) == 0


def test_an_image_that_cannot_be_read_is_named(evidence: Evidence, tmp_path: Path) -> None:
    gone = Failures((), 2, 5, ("gone.png: there is no such file.",))
    write_evidence_page(replace(evidence, failures=(gone, Failures())), tmp_path / "index.html")
    page = part((tmp_path / "index.html").read_text("utf-8"))
    assert "gone.png: there is no such file." in page
    assert "<img" not in page


@pytest.mark.parametrize("evidence_of", ["evidence", "bare"])
def test_without_pictures_no_image_is_on_the_page(
    evidence_of: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    found: Evidence = request.getfixturevalue(evidence_of)
    audits = tuple(replace(audit, illustrations=()) for audit in found.audits)
    write_evidence_page(replace(found, failures=None, audits=audits), tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text("utf-8")
    assert "data:image/jpeg" not in page
    assert 'id="failures"' not in page
