"""The page as a browser shows and prints it: skipped where Chromium, or what reads its PDF, isn't installed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from browser import printed, scroll_width
from lungsight import RESEARCH_ONLY
from lungsight.inference import INCONCLUSIVE, Detector, Finding
from lungsight.radiograph import Radiograph
from lungsight.scanning.outputs import OutputPaths, Outputs

WARNING = "The file doesn't say its view; it is analysed as a frontal one."
REASON = "The probability of COVID-19 is 57 %: the model calls it from 59 % on and sees no sign of it below 13 %."


@pytest.fixture
def finding(detector: Detector, make_radiograph: Callable[..., Radiograph]) -> Finding:
    (testset,) = detector.analyse([make_radiograph()])
    shares = {"covid19": 0.574, "other_pneumonia": 0.3, "no_pneumonia": 0.126}
    return replace(
        testset,
        file="a/long/path/" + "to_the_ward" * 12 + "/film.png",
        decision=INCONCLUSIVE,
        probabilities=shares,
        reasons=(REASON,),
        warnings=(WARNING,),
    )


def _page(detector: Detector, findings: list[Finding], path: Path) -> Path:
    outputs = Outputs(OutputPaths(html=path), detector)
    for finding in findings:
        outputs.add(outputs.drawing.draw(finding))
    outputs.close(complete=True)
    return path


@pytest.mark.parametrize(("films", "most"), [(1, 2), (10, 7)])
def test_a_printed_finding_has_the_finding_on_it(
    detector: Detector, finding: Finding, tmp_path: Path, films: int, most: int
) -> None:
    findings = [replace(finding, file=f"film-{number}.png") for number in range(films)]
    pages = [" ".join(page.split()) for page in printed(_page(detector, findings, tmp_path / "page.html"))]
    assert len(pages) <= most
    assert all(RESEARCH_ONLY in page for page in pages)
    whole = " ".join(pages)
    for text in ("Inconclusive", "57 %", "other pneumonia", WARNING, REASON, *detector.cautions):
        assert text in whole, text
    assert whole.count(REASON) == films


@pytest.mark.parametrize("films", [1, 3])
def test_no_page_is_wider_than_a_phone(detector: Detector, finding: Finding, tmp_path: Path, films: int) -> None:
    findings = [replace(finding, file=f"{number}/{finding.file}") for number in range(films)]
    assert scroll_width(_page(detector, findings, tmp_path / "page.html"), 390) <= 390
