import base64
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from syrupy.assertion import SnapshotAssertion

import prose
from lungsight import RESEARCH_ONLY
from lungsight.components.categories import Category
from lungsight.components.lungs import Lungs
from lungsight.errors import LungsightError
from lungsight.inference import INCONCLUSIVE, REFUSED, Detector, Finding, Status
from lungsight.package import Decision
from lungsight.radiograph import Radiograph
from lungsight.rendering import (
    AGAINST,
    FOR,
    MAX_BYTES,
    OUTLINE,
    packed,
    small_jpeg,
    thumbnail,
    unpacked,
    with_evidence,
    with_outline,
)
from lungsight.scanning import page, scan
from lungsight.scanning.card import SmallImage
from lungsight.scanning.outputs import OutputPaths, Outputs
from lungsight.scanning.page import SCRIPT

Make = Callable[..., Radiograph]


@pytest.fixture
def findings(detector: Detector, make_radiograph: Make) -> list[Finding]:
    sure, unsure, doubtful = detector.analyse([make_radiograph(seed) for seed in range(3)])
    return [
        Finding("torn.png", Status.ERROR, None, reasons=("torn.png: the file is empty.",), model=detector.model),
        replace(unsure, file="unsure.png", decision="covid19", probabilities={"covid19": 0.6, "b": 0.4}),
        replace(
            Finding("hand.png", Status.REFUSED, REFUSED, radiograph=make_radiograph(8), reasons=("It is a hand.",)),
            model=detector.model,
        ),
        replace(doubtful, file="doubtful.png", decision=INCONCLUSIVE, probabilities={"covid19": 0.9, "b": 0.1}),
        replace(sure, file="sure.png", decision="b", probabilities={"covid19": 0.05, "b": 0.95}),
    ]


def written(detector: Detector, findings: list[Finding], path: Path) -> str:
    outputs = Outputs(OutputPaths(html=path), detector)
    for finding in findings:
        outputs.add(outputs.drawing.draw(finding))
    outputs.close(complete=True)
    return path.read_text(encoding="utf-8")


def test_the_most_urgent_first_then_refused_and_unreadable(
    detector: Detector, findings: list[Finding], tmp_path: Path
) -> None:
    html = written(detector, findings, tmp_path / "page.html")
    expected = ["doubtful.png", "unsure.png", "sure.png", "hand.png", "torn.png"]
    assert re.findall(r"<h3>(.*?)</h3>", html) == expected
    assert re.findall(r'<a href="#image-\d">(.*?)</a>', html) == expected  # and so in the table at the top


def test_the_sentences_of_the_page(
    detector: Detector, findings: list[Finding], tmp_path: Path, snapshot: SnapshotAssertion
) -> None:
    masks = {detector.model: "<model>", str(detector.package.path): "<package>", str(tmp_path): "<folder>"}
    assert prose.of_page(written(detector, findings, tmp_path / "page.html"), masks) == snapshot


def layers(html: str) -> list[Image.Image]:
    """Every picture in a page."""
    return [Image.open(BytesIO(base64.b64decode(data))) for data in re.findall(r"base64,([^\"]+)\"", html)]


def test_every_judged_image_lies_under_its_evidence(
    detector: Detector, findings: list[Finding], tmp_path: Path
) -> None:
    html = written(detector, findings, tmp_path / "page.html")
    pictures = layers(html)
    assert [picture.mode for picture in pictures] == ["L", "P", "P"] * 3 + ["L"]
    assert {picture.size for picture in pictures if picture.mode == "L"} == {(120, 90)}
    against, speaks_for = (np.asarray(picture.convert("RGBA"))[..., 3] for picture in pictures[1:3])
    assert speaks_for.any() or against.any()
    assert not (speaks_for.astype(bool) & against.astype(bool)).any()
    assert len(re.findall(r"<img [^>]*alt=", html)) == len(pictures)


def test_one_film_has_a_page_of_its_own(detector: Detector, findings: list[Finding], tmp_path: Path) -> None:
    html = written(detector, [replace(findings[1], file="wards/film.png")], tmp_path / "page.html")
    assert "<title>Finding: film.png</title>" in html
    in_this_order = ["<h1>Finding: film.png", "<img ", 'class="verdict', "60 %", detector.cautions[0], 'class="fold"']
    places = [html.index(text) for text in in_this_order]
    assert places == sorted(places)
    assert 'class="contents"' not in html


@pytest.mark.parametrize(
    ("decision", "p", "said"),
    [
        ("covid19", 0.61, "The probability of COVID-19 is 61 %: the model calls it from 60 % on."),
        ("no_sign", 0.1, "The probability of COVID-19 is 10 %: below 20 % the model sees no sign of it."),
        (INCONCLUSIVE, 0.4, "The probability of COVID-19 is 40 %: the model calls it from 60 % on and sees no"),
    ],
)
def test_a_result_says_what_it_rests_on(
    make_detector: Callable[..., Detector], make_radiograph: Make, tmp_path: Path, decision: str, p: float, said: str
) -> None:
    detector = make_detector(decision=Decision(low=0.2, high=0.6, aim_sensitivity=0.95, aim_specificity=0.95))
    finding = detector.analyse([make_radiograph()])[0]
    _, reasons = detector._decide(np.array([p, 0, 1 - p]))
    shares = {"covid19": p, "other_pneumonia": 0.0, "no_pneumonia": 1 - p}
    shown = replace(finding, decision=decision, probabilities=shares, reasons=reasons)
    html = written(detector, [shown], tmp_path / "page.html")
    assert said in html
    assert "&lt;1 %" in html
    words = {"no_sign": "no sign of COVID-19", "covid19": "COVID-19"}.get(decision, decision)
    assert f">{words}</p>" in html


def test_a_measured_category_is_shown_and_none_is_invented(
    detector: Detector, findings: list[Finding], tmp_path: Path
) -> None:
    shown = replace(findings[1], category=Category("typical", "Of 100 images so answered, 70 were."))
    html = written(detector, [shown], tmp_path / "page.html")
    assert "radiologist's word for it: <b>typical</b>. Of 100 images so answered, 70 were." in html
    assert "radiologist's word" not in written(detector, [findings[1]], tmp_path / "without.html")


def test_classes_are_named_as_people_name_them(detector: Detector, findings: list[Finding], tmp_path: Path) -> None:
    html = written(detector, findings, tmp_path / "page.html")
    figures = r"<details class=\"figures\">.*?</details>"  # those have the names that files have
    assert not re.findall("covid19|no_pneumonia", re.sub(figures, "", html, flags=re.DOTALL))


def test_a_page_shows_what_is_most_urgent_and_says_where_the_rest_is(
    detector: Detector, findings: list[Finding], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MOST_SHOWN", 4)
    monkeypatch.setattr(page, "MOST_LISTED", 2)
    shares = np.random.default_rng(0).permutation(np.linspace(0.05, 0.95, 9))
    testset = [replace(findings[1], file=f"{p:.3f}.png", probabilities={"covid19": p, "b": 1 - p}) for p in shares]
    torn = [replace(findings[0], file=f"torn-{number}.png") for number in range(3)]
    paths = OutputPaths(html=tmp_path / "page.html", csv=tmp_path / "all.csv")
    first, second = [*torn, *testset[:5]], testset[5:]
    outputs = Outputs(paths, detector)
    for finding in first:
        outputs.add(outputs.drawing.draw(finding))
    outputs.close(complete=False)
    kept = list((tmp_path / "page.html.images").iterdir())
    assert len(kept) == 4
    kept[0].unlink()
    outputs = Outputs(paths, detector)  # broken off, and gone on with
    new = [finding for finding in [*first, *second] if not outputs.pass_by(finding.file)]
    assert len(new) == 5  # the one that has lost its image, and those that weren't done
    for finding in new:
        outputs.add(outputs.drawing.draw(finding))
    outputs.close(complete=True)
    html = " ".join((tmp_path / "page.html").read_text(encoding="utf-8").split())
    assert re.findall(r"<h3>(.*?)</h3>", html) == [f"{p:.3f}.png" for p in sorted(shares)[:-5:-1]]
    assert html.count('<img src="data:image/jpeg') == 4
    assert "5 more images were analysed" in html
    assert f"{tmp_path / 'all.csv'} has them all" in html
    assert len(re.findall(r"<li><b>torn-\d.png</b>", html)) == 2
    assert "… and 1 more" in html
    assert "Findings in 12 files" in html
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.csv", "page.html"]


def test_an_image_that_is_gone_leaves_its_finding_on_the_page(
    detector: Detector, findings: list[Finding], tmp_path: Path
) -> None:
    outputs = Outputs(OutputPaths(html=tmp_path / "page.html"), detector)
    for finding in findings:
        outputs.add(outputs.drawing.draw(finding))
    shutil.rmtree(tmp_path / "page.html.images")
    outputs.close(complete=True)
    html = (tmp_path / "page.html").read_text("utf-8")
    assert len(re.findall(r"<h3>(.*?)</h3>", html)) == len(findings)
    assert "<img" not in html


@pytest.mark.parametrize("name", ["finding.pdf", "finding", "finding.png"])
def test_a_page_is_not_named_as_something_else(detector: Detector, tmp_path: Path, name: str) -> None:
    with pytest.raises(LungsightError, match="is not the name of a web page"):
        Outputs(OutputPaths(html=tmp_path / name), detector)
    assert not list(tmp_path.iterdir())


class Sources(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not [name for name, _ in attrs if name.startswith("on")]
        self.found += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_needs_nothing_else(detector: Detector, findings: list[Finding], tmp_path: Path) -> None:
    html = written(detector, findings, tmp_path / "page.html")
    sources = Sources()
    sources.feed(html)
    assert sources.found
    assert all(source.startswith(("data:image/", "#image-")) for source in sources.found)
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert SCRIPT in script
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in html
    assert "url(" not in html
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_a_careful_reader_finds_what_the_finding_rests_on(
    detector: Detector, findings: list[Finding], tmp_path: Path
) -> None:
    html = written(detector, findings, tmp_path / "page.html")
    assert html.count(RESEARCH_ONLY) == 1
    for text in (detector.model, "the mean of the map plus a bias", "north", "south", "It is a hand.", "90 %"):
        assert text in html
    assert html.count(detector.cautions[0]) == 1


def test_what_a_file_is_named_is_never_markup(detector: Detector, findings: list[Finding], tmp_path: Path) -> None:
    evil = replace(findings[1], file='<script>alert("x")</script>.png', warnings=("<b>bold</b>",))
    html = written(detector, [evil], tmp_path / "page.html")
    assert html.count("<script") == 1  # ours
    assert "alert(" not in html.partition("<script>")[2]
    assert "<b>bold" not in html


def test_a_page_of_nothing_is_still_a_page(detector: Detector, tmp_path: Path) -> None:
    assert "No file was scanned" in written(detector, [], tmp_path / "page.html")


def test_a_large_radiograph_is_made_small(make_radiograph: Make) -> None:
    pixels = np.linspace(0, 1, 3000 * 1000, dtype=np.float32).reshape(3000, 1000)
    small = thumbnail(make_radiograph(pixels=pixels))
    assert small.size == (341, 1024)
    assert small.mode == "L"
    assert np.asarray(small).mean() == pytest.approx(127.5, abs=1)


def test_red_speaks_for_blue_against_and_nothing_leaves_the_image_clear() -> None:
    evidence = np.array([[2, 0, -2]], np.float32).repeat(3, axis=0)
    shown = np.asarray(with_evidence(Image.new("L", (3, 3), 100), evidence, 2, against=True)).astype(int)
    assert shown[1, 1].tolist() == [100, 100, 100]
    for place, colour in ((0, FOR), (2, AGAINST)):
        assert shown[1, place].argmax() == np.argmax(colour)
        assert np.abs(shown[1, place] - 100).max() > 30


def test_what_speaks_against_is_drawn_where_it_is_asked_for() -> None:
    evidence = np.array([[2, -2]], np.float32).repeat(2, axis=0)
    shown = np.asarray(with_evidence(Image.new("L", (2, 2), 100), evidence, 2)).astype(int)
    assert shown[0, 1].tolist() == [100, 100, 100]
    assert shown[0, 0].argmax() == np.argmax(FOR)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_a_picture_is_as_large_as_its_bytes_allow(make_radiograph: Make, noise: float) -> None:
    draw = np.random.default_rng(0)
    pixels = np.clip(np.linspace(0, 1, 2000)[None] + noise * draw.normal(size=(1800, 2000)), 0, 1).astype(np.float32)
    drawn = small_jpeg(make_radiograph(pixels=pixels))
    assert max(Image.open(BytesIO(drawn)).size) >= 640
    if not noise:
        assert max(Image.open(BytesIO(drawn)).size) == 1024
        assert len(drawn) <= MAX_BYTES


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
    assert html.count("25 % of what speaks for COVID-19 is in the lungs") == 3
    outlines = re.findall(r'class="layer outlined" src="data:image/png;base64,([^"]+)"', html)
    assert len(outlines) == 3
    for outline in outlines:
        drawn = np.asarray(Image.open(BytesIO(base64.b64decode(outline))).convert("RGBA"))
        assert drawn[30:60, 12:18][..., 3].max() > 100  # at the edge of a lung
        assert drawn[..., :3].reshape(-1, 3).max(axis=0).tolist() == list(OUTLINE)


def test_lungs_are_drawn_only_where_they_are_two_plausible_ones_of_an_image_that_was_judged(
    findings: list[Finding],
) -> None:
    testset = next(finding for finding in findings if finding.status is Status.READ)
    limb = Lungs(_lungs().mask, ("One lung lies above the other.",))
    shown = [{"lungs": _lungs()}, {"lungs": limb}, {"lungs": _lungs(), "status": Status.REFUSED}]
    images = [SmallImage.of(replace(testset, **known)) for known in shown]  # type: ignore[arg-type]
    assert [image is not None and image.lungs is not None for image in images] == [True, False, False]


def test_an_image_on_the_page_is_kept_as_it_is(
    detector: Detector, findings: list[Finding], cropping: Path, phantoms: Path
) -> None:
    preprocessing = detector.description.preprocessing
    for finding in (*findings, *scan([phantoms], Detector.load(cropping, threads=1), keep_images=True)):
        image = SmallImage.of(finding)
        if image is None:
            assert finding.radiograph is None
            continue
        used = preprocessing if finding.map is None else finding.map.preprocessing
        again = SmallImage.from_json(json.loads(json.dumps(image.as_json())), used)
        assert (again.jpeg, again.known, again.lungs) == (image.jpeg, image.known, image.lungs)
        assert again.heat(1.0) == image.heat(1.0)
        assert again.overlay(1.0) == image.overlay(1.0)


def test_a_package_is_described_with_its_parts(cropping: Path, findings: list[Finding], tmp_path: Path) -> None:
    detector = Detector.load(cropping, threads=1)
    found = [replace(finding, model=detector.model) for finding in findings]
    html = written(detector, found, tmp_path / "page.html")
    for text in (
        "<dt>Lung segmentation</dt>",
        "<dt>Out-of-distribution detector</dt>",
        "Mahalanobis distance",
        "Temperature 1.500",
    ):
        assert text in html
    assert "*" not in re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
