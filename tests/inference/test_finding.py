"""A finding where programs and notebooks print it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import lungsight
from lungsight import RESEARCH_ONLY
from lungsight.inference import Detector
from lungsight.radiograph import Radiograph


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
