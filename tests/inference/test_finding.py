"""A finding where programs and notebooks print it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

import lungsight
from lungsight import RESEARCH_ONLY
from lungsight.components.view import ViewGuess
from lungsight.inference import CheckedImage, Detector
from lungsight.radiograph import Radiograph, View


def test_a_finding_prints_as_one_line(detector: Detector, make_radiograph: Callable[..., Radiograph]) -> None:
    (finding,) = detector.analyse([make_radiograph()])
    said = repr(finding)
    assert said.startswith(f"Finding('film-0.png', {finding.decision}, covid19=0.")
    assert len(said) < 150
    assert "\n" not in said


def test_a_notebook_shows_film_result_and_reasons(
    detector: Detector, make_radiograph: Callable[..., Radiograph]
) -> None:
    (finding,) = detector.analyse([make_radiograph()])
    shown = replace(finding, file="<film>.png", reasons=("It is <odd>.",))._repr_html_()
    for text in ("data:image/jpeg;base64,", "COVID-19: ", "&lt;film&gt;.png", "It is &lt;odd&gt;.", RESEARCH_ONLY):
        assert text in shown


def test_what_a_program_needs_is_at_the_top_and_imported_when_it_is_asked_for() -> None:
    assert {"Scanner", "Finding", "read_radiograph"} <= set(lungsight.__all__)
    assert all(hasattr(lungsight, name) for name in lungsight.__all__)
    program = "import sys, lungsight; assert 'numpy' not in sys.modules; lungsight.Scanner; sys.modules['numpy']"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("stated", "guess", "known"),
    [
        (View.AP_SUPINE, ViewGuess(0.1, View.PA), {"view": "AP supine", "view_from": "header", "view_ap": 0.1}),
        (None, ViewGuess(0.9, View.AP), {"view": "AP", "view_from": "model", "view_ap": 0.9}),
        (View.FRONTAL, ViewGuess(0.1, View.PA), {"view": "PA", "view_from": "model", "view_ap": 0.1}),
        (View.FRONTAL, ViewGuess(0.5, None), {"view": "frontal", "view_from": "header", "view_ap": 0.5}),
        (None, ViewGuess(0.5, None), {"view": None, "view_from": None, "view_ap": 0.5}),
        (View.PA, None, {"view": "PA", "view_from": "header", "view_ap": None}),
        (None, None, {"view": None, "view_from": None, "view_ap": None}),
    ],
)
def test_the_view_is_the_header_s_and_else_that_of_the_view_classifier(
    detector: Detector,
    make_radiograph: Callable[..., Radiograph],
    stated: View | None,
    guess: ViewGuess | None,
    known: dict[str, object],
) -> None:
    (finding,) = detector.analyse_checked([CheckedImage(make_radiograph(view=stated), view=guess)])
    assert {name: finding.as_json()[name] for name in known} == known
    unsaid = [sentence for sentence in finding.warnings if "doesn't say its view" in sentence]
    assert len(unsaid) == (stated is None)
    if stated is None and guess is not None and guess.view is not None:
        assert f"probably {guess.view}" in unsaid[0]
