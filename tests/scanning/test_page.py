import base64
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lungsight import RESEARCH_ONLY
from lungsight.package.lung_fields import Lungs
from lungsight.radiograph import Radiograph
from lungsight.scanning import INCONCLUSIVE, REFUSED, Detector, Finding, Status
from lungsight.scanning.card import card_of
from lungsight.scanning.page import FindingsPage
from lungsight.scanning.pictures import (
    AGAINST,
    FOR,
    OUTLINE,
    packed,
    thumbnail,
    unpacked,
    with_evidence,
    with_outline,
)

Make = Callable[..., Radiograph]


@pytest.fixture
def findings(detector: Detector, make_radiograph: Make) -> list[Finding]:
    sure, unsure, doubtful = detector.judge([make_radiograph(seed) for seed in range(3)])
    return [
        Finding("torn.png", Status.ERROR, None, reasons=("torn.png: the file is empty; fetch it again.",)),
        replace(unsure, file="unsure.png", verdict="covid19", probabilities={"covid19": 0.6, "b": 0.4}),
        Finding("hand.png", Status.REFUSED, REFUSED, radiograph=make_radiograph(8), reasons=("It is a hand.",)),
        replace(doubtful, file="doubtful.png", verdict=INCONCLUSIVE, probabilities={"covid19": 0.9, "b": 0.1}),
        replace(sure, file="sure.png", verdict="b", probabilities={"covid19": 0.05, "b": 0.95}),
    ]


def written(detector: Detector, findings: list[Finding], path: Path) -> str:
    page = FindingsPage(path, detector)
    for finding in findings:
        page.add(card_of(finding, detector.cautions))
    page.write()
    return path.read_text(encoding="utf-8")


def test_surest_first_then_inconclusive_refused_and_unreadable(
    detector: Detector, findings: list[Finding], tmp_path: Path
) -> None:
    html = written(detector, findings, tmp_path / "page.html")
    assert re.findall(r"<h3>(.*?)</h3>", html) == ["sure.png", "unsure.png", "doubtful.png", "hand.png", "torn.png"]


def test_every_judged_image_stands_beside_its_evidence(
    detector: Detector, findings: list[Finding], tmp_path: Path
) -> None:
    html = written(detector, findings, tmp_path / "page.html")
    pictures = [Image.open(BytesIO(base64.b64decode(data))) for data in re.findall(r"jpeg;base64,([^\"]+)", html)]
    assert [picture.mode for picture in pictures] == ["L", "RGB"] * 3 + ["L"]
    assert {picture.size for picture in pictures} == {(120, 90)}
    alts = re.findall(r'<img [^>]*alt="([^"]+)"', html)
    assert len(alts) == len(pictures)


class Sources(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag != "script"
        self.found += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_needs_nothing_else(detector: Detector, findings: list[Finding], tmp_path: Path) -> None:
    html = written(detector, findings, tmp_path / "page.html")
    sources = Sources()
    sources.feed(html)
    assert sources.found
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources.found)
    assert "url(" not in html
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_a_careful_reader_finds_what_the_finding_rests_on(
    detector: Detector, findings: list[Finding], tmp_path: Path
) -> None:
    html = written(detector, findings, tmp_path / "page.html")
    assert html.count(RESEARCH_ONLY) == 2
    for text in (detector.model, "the logit is the mean of the map", "north", "south", "It is a hand.", "95.0 %"):
        assert text in html
    assert html.count(detector.cautions[0]) == 1


def test_what_a_file_is_named_is_never_markup(detector: Detector, findings: list[Finding], tmp_path: Path) -> None:
    evil = replace(findings[1], file='<script>alert("x")</script>.png', warnings=("<b>bold</b>",))
    html = written(detector, [evil], tmp_path / "page.html")
    assert "<script" not in html
    assert "<b>bold" not in html


def test_a_page_of_nothing_is_still_a_page(detector: Detector, tmp_path: Path) -> None:
    assert "No file was scanned" in written(detector, [], tmp_path / "page.html")


def test_a_large_radiograph_is_made_small(make_radiograph: Make) -> None:
    pixels = np.linspace(0, 1, 3000 * 1000, dtype=np.float32).reshape(3000, 1000)
    small = thumbnail(make_radiograph(pixels=pixels))
    assert small.size == (171, 512)
    assert small.mode == "L"
    assert np.asarray(small).mean() == pytest.approx(127.5, abs=1)


def test_red_speaks_for_blue_against_and_nothing_leaves_the_image_clear() -> None:
    evidence = np.array([[2, 0, -2]], np.float32).repeat(3, axis=0)
    shown = np.asarray(with_evidence(Image.new("L", (3, 3), 100), evidence, 2)).astype(int)
    assert shown[1, 1].tolist() == [100, 100, 100]
    for place, colour in ((0, FOR), (2, AGAINST)):
        assert shown[1, place].argmax() == np.argmax(colour)
        assert np.abs(shown[1, place] - 100).max() > 30


def _lungs() -> Lungs:
    mask = np.zeros((64, 64), bool)
    mask[16:48, 8:26] = mask[16:48, 38:56] = True
    return Lungs(mask)


def test_the_lungs_outline_is_a_thin_line_and_nothing_else() -> None:
    shown = np.asarray(with_outline(Image.new("L", (256, 200), 100), _lungs().mask)).astype(int)
    drawn = np.abs(shown - 100).max(axis=2) > 30
    assert 0.01 < drawn.mean() < 0.06
    assert not drawn[100, 64]  # the middle of a lung
    assert not drawn[100, 128]  # between them
    assert drawn[100, 28:37].any()
    assert drawn[100, 99:109].any()
    line = shown[100, 28:37][drawn[100, 28:37]][0]
    assert line.argmin() == np.argmin(OUTLINE)
    none = with_outline(Image.new("L", (256, 200), 100), np.zeros((64, 64), bool))
    assert (np.asarray(none) == 100).all()


def test_a_mask_is_kept_in_some_hundred_bytes() -> None:
    mask = _lungs().mask
    assert len(packed(mask)) < 500
    np.testing.assert_array_equal(unpacked(packed(mask)), mask)


def test_the_page_outlines_the_lungs_and_says_what_the_line_is(
    detector: Detector, findings: list[Finding], tmp_path: Path
) -> None:
    plain = written(detector, findings, tmp_path / "plain.html")
    assert "outline of the lungs" not in plain
    found = [replace(f, lungs=_lungs(), evidence_in_lungs=0.25) for f in findings if f.status is Status.READ]
    html = written(detector, found, tmp_path / "page.html")
    assert "is the outline of the lungs" in html
    assert html.count("25 % of the evidence for covid19 lies in the lungs") == 2  # of the target and of the doubtful
    pictures = [Image.open(BytesIO(base64.b64decode(data))) for data in re.findall(r"jpeg;base64,([^\"]+)", html)]
    assert [picture.mode for picture in pictures] == ["RGB"] * 2 * len(found)
    for picture in pictures:
        red, green, blue = np.asarray(picture).astype(int)[30:60, 12:18].reshape(-1, 3).T
        assert (np.minimum(red, green) - blue).max() > 60  # yellow, at the edge of a lung


def test_lungs_are_drawn_only_where_they_are_two_plausible_ones_of_an_image_that_was_judged(
    findings: list[Finding],
) -> None:
    judged = next(finding for finding in findings if finding.status is Status.READ)
    assert card_of(replace(judged, lungs=_lungs()), ()).lungs is not None
    limb = Lungs(_lungs().mask, ("One lung lies above the other.",))
    assert card_of(replace(judged, lungs=limb), ()).lungs is None
    assert card_of(replace(judged, status=Status.REFUSED, lungs=_lungs()), ()).lungs is None


def test_a_package_is_described_with_its_parts(cropping: Path, findings: list[Finding], tmp_path: Path) -> None:
    html = written(Detector.load(cropping, threads=1), findings, tmp_path / "page.html")
    for text in ("<dt>Lung fields</dt>", "<dt>Familiarity</dt>", "Mahalanobis distance", "Temperature 1.500"):
        assert text in html
    assert "*" not in re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
