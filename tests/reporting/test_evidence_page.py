"""The evidence page: what stands on it, and that it opens anywhere, for anyone, whatever the names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from browser import scroll_width
from lungsight import RESEARCH_ONLY
from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.sections.section import Section
from lungsight.evaluation.tables import estimate_table
from lungsight.reporting.evidence_json import evidence_json, write_tables
from lungsight.reporting.evidence_page import write_evidence_page
from lungsight.statistics.estimate import Estimate
from some_evidence import SOURCES, empty_evidence, evidence_of, judged_images

_VOID = ("meta", "img", "br", "hr", "input", "link")
_HEADINGS = ("h1", "h2", "h3", "h4")


class Page(HTMLParser):
    """The page's tags with their attributes, its headings, figures, text; fails where tags don't close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] not in ("style", "script"):
            self.text += data

    def all(self, *names: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.tags if tag in names]


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return evidence_of(judged_images())


@pytest.fixture(scope="module")
def folder(evidence: Evidence, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_tables(evidence, folder / "tables")
    (folder / "MODEL_CARD.md").write_text("# a model\n")
    write_evidence_page(evidence, folder / "report.html")
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text("utf-8"))


def test_five_sources_of_three_classes_fit_in_five_megabytes(folder: Path) -> None:
    assert (folder / "report.html").stat().st_size < 5_000_000


def test_every_picture_says_what_it_shows_with_its_figures(page: Page) -> None:
    pictures = page.all("img")
    assert len(pictures) >= 5
    for picture in pictures:
        assert len(picture["alt"]) > 80
        assert any(character.isdigit() for character in picture["alt"])
    drawn = [svg for svg in page.all("svg") if svg.get("aria-hidden") != "true"]
    assert not drawn  # what is drawn in the text is said beside it


def test_the_page_asks_nothing_of_any_other_machine(folder: Path, page: Page) -> None:
    addresses = [a[name] for _, a in page.tags for name in ("src", "href", "srcset", "action", "data") if name in a]
    for address in addresses:
        kept = address.startswith(("data:image/", "#")) or "//" not in address
        assert kept
        assert not address.lower().startswith(("http", "javascript", "file"))
    text = (folder / "report.html").read_text("utf-8")
    assert "@import" not in text
    assert "url(" not in text
    assert not page.all("script", "iframe", "object", "embed", "link")


def test_every_link_leads_somewhere(folder: Path, page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        target = link["href"]
        assert target[1:] in ids if target.startswith("#") else (folder / target).is_file()
    for _, attributes in page.tags:
        assert attributes.get("aria-labelledby", ids[0]) in ids


def test_headings_are_in_order(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if tag in _HEADINGS]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_every_header_of_a_table_says_what_it_heads(page: Page) -> None:
    assert page.all("th")
    assert all(cell.get("scope") in ("col", "row", "rowgroup") for cell in page.all("th"))


def test_the_page_says_its_language_and_that_it_is_research(page: Page) -> None:
    assert page.all("html")[0]["lang"] == "en"
    assert RESEARCH_ONLY in page.text


def test_the_first_screen_comes_before_the_contents(evidence: Evidence, page: Page) -> None:
    first = page.text[: page.text.index("Contents")]
    assert evidence.verdict.sentence in first
    assert evidence.notices[0] in first
    assert "For the patient in front of you" in first
    for _, source in SOURCES:
        assert source in first
    assert sum(reason.sentence in first for reason in evidence.verdict.reasons) >= 3


def test_the_parts_are_numbered_in_the_order_of_the_contents(page: Page) -> None:
    titles = ["Flow", "Discrimination", "Calibration", "Decision", "Subgroups", "Shortcut audits"]
    titles += ["Verdict: the rules", "Papers and files", "Methods"]
    places = [page.text.index(f"{number} {title}") for number, title in enumerate(titles, 1)]
    assert places == sorted(places)


def test_every_figure_on_the_page_is_in_the_json(evidence: Evidence, page: Page) -> None:
    known = {float(value) for value in _numbers(json.loads(json.dumps(evidence_json(evidence))))}
    shown = [float(data["value"]) for data in page.all("data")]
    assert len(shown) > 300
    assert not [value for value in shown if value not in known]


def test_every_rule_of_the_verdict_is_there_met_or_not(evidence: Evidence, page: Page) -> None:
    rules = page.text[page.text.index("Rules met and not met") :]
    for reason in evidence.verdict.reasons:
        assert reason.rule in rules
        assert reason.sentence in rules


def test_a_rule_whose_audit_could_not_be_made_is_not_called_unmet(page: Page) -> None:
    row = page.text[page.text.index("lungs hidden: above 0.55") :]
    assert row.index("not asked") < row.index("No masks.")


def test_papers_beside_the_page_are_linked(page: Page) -> None:
    assert "MODEL_CARD.md" in [link["href"] for link in page.all("a")]


def test_internal_and_external_sources_stand_apart(page: Page) -> None:
    first = page.text[: page.text.index("Contents")]
    internal, external = first.index("Internal: other patients"), first.index("External: sources it never saw")
    assert internal < first.index("north", internal) < external < first.index("south", external)


def test_many_sources_leave_room_on_the_first_screen(tmp_path: Path) -> None:
    testset = judged_images([("external", f"hospital {i}") for i in range(9)], ("covid19", "other"), 2)
    metrics = pd.concat([_a_metric(f"hospital {i}") for i in range(9)])
    evidence = replace(
        empty_evidence(), testset=testset, discrimination=Section("discrimination", {"metrics": metrics})
    )
    write_evidence_page(evidence, tmp_path / "report.html")
    first = Page((tmp_path / "report.html").read_text("utf-8")).text.split("Contents")[0]
    assert sum(f"hospital {i}" in first for i in range(9)) == 6
    assert "3 more" in first


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("sensitivity", "it found 70 of 100 images of COVID-19."),
        ("specificity", "it rightly cleared 70 of 100 without."),
    ],
)
def test_where_only_one_side_is_known_the_other_is_left_unsaid(tmp_path: Path, metric: str, said: str) -> None:
    known = Section("discrimination", {"metrics": _a_metric("hospital", metric)})
    write_evidence_page(replace(empty_evidence(), discrimination=known), tmp_path / "report.html")
    text = Page((tmp_path / "report.html").read_text("utf-8")).text
    assert f"At sources it never saw, {said}" in " ".join(text.split())


def _a_metric(source: str, metric: str = "auroc") -> pd.DataFrame:
    estimate = Estimate(metric, "covid19", 0.7, 0.6, 0.8, 40, 20, 20, 40, "bca")
    return estimate_table([({"kind": "external", "source": source}, estimate)])


def test_without_any_figure_the_page_still_says_so(tmp_path: Path) -> None:
    write_evidence_page(empty_evidence(), tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert "2 patients only" in page.text
    assert "There are no figures for this part." in page.text
    assert "nobody says what it was trained on" in page.text
    assert not page.all("img")


def test_one_source_of_two_classes_has_its_pictures(tmp_path: Path) -> None:
    testset = judged_images([("unstated", "only")], ("covid19", "other"), 30)
    write_evidence_page(evidence_of(testset), tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert len(page.all("img")) >= 4
    assert "Nobody says whether it was trained on these sources" in page.text


SCRIPT = "<script>alert(1)</script>"
HOSTILE = st.one_of(
    st.sampled_from([SCRIPT, "\"'><img src=x>", "a\nb\r\nc", "$\\frac{", "x" * 5000, "–肺 🫁", "{{ 7 * 7 }}"]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(model=HOSTILE, source=HOSTILE, words=HOSTILE)
def test_no_name_breaks_the_page(tmp_path: Path, model: str, source: str, words: str) -> None:
    write_evidence_page(empty_evidence(model=model, source=source, words=words), tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert not page.all("script", "img")
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)
    if words.isprintable():
        assert words in page.text


def test_hostile_sources_are_drawn_as_they_are(tmp_path: Path) -> None:
    names = [SCRIPT, "$\\frac{a" + "x" * 400, "–肺\n\x01 🫁"]
    testset = judged_images([("external", name) for name in names], ("covid19", "other"), 11)
    evidence = evidence_of(testset)
    write_evidence_page(evidence, tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert not page.all("script")
    assert len(page.all("img")) >= 4
    assert names[0] in page.text


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _numbers(each)
    elif isinstance(value, list):
        for each in value:
            yield from _numbers(each)
    elif isinstance(value, int | float):
        yield value


def test_no_page_is_wider_than_a_phone(folder: Path) -> None:
    assert scroll_width(folder / "report.html", 390) <= 390
