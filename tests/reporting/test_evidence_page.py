"""The evidence page: what it holds, and that it opens anywhere, for anyone, whatever the names."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

import prose
from browser import scroll_width
from evaluated import EXTERNAL
from lungsight import RESEARCH_ONLY
from lungsight._templates import FOLDS
from lungsight.evaluation.audits.audit import AuditResult, not_done
from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.failures import Failures
from lungsight.evaluation.grade import Mark, Reason
from lungsight.evaluation.rows import Row
from lungsight.evaluation.sections.section import Section
from lungsight.reporting.evidence_json import evidence_json
from lungsight.reporting.evidence_page import write_evidence_page

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
def page(report: Path) -> Page:
    return Page((report / "index.html").read_text("utf-8"))


@pytest.fixture(scope="module")
def metrics(evidence: Evidence) -> list[Row]:
    """The figures of the one source that has them all."""
    rows = evidence.discrimination.estimates["metrics"]
    return [row for row in rows if row.labels["source"] == "phantom-south" and row.estimate.scope == "covid19"]


def first_screen(page: Page) -> str:
    return " ".join(page.text[: page.text.index("source by source")].split())


def without_tables(evidence: Evidence, metrics: tuple[Row, ...] = (), sentences: tuple[str, ...] = ()) -> Evidence:
    """The same without plots, which take a second each: with these figures and sentences in place of all others."""
    names = ("flow", "calibration", "decision", "subgroups")
    sections = {name: Section(name, {}, sentences, sentences) for name in names}
    found = Section("discrimination", {"metrics": metrics}, sentences, sentences)
    return replace(evidence, discrimination=found, **sections)  # type: ignore[arg-type]


def write(evidence: Evidence, folder: Path) -> Page:
    write_evidence_page(evidence, folder / "index.html")
    return Page((folder / "index.html").read_text("utf-8"))


def test_the_sentences_of_the_page(report: Path, masks: Mapping[str, str], snapshot: SnapshotAssertion) -> None:
    assert prose.of_page((report / "index.html").read_text("utf-8"), masks) == snapshot


def test_three_sources_of_three_classes_fit_in_two_megabytes(report: Path) -> None:
    assert (report / "index.html").stat().st_size < 2_000_000


def test_every_plot_has_its_figures_as_text(page: Page) -> None:
    pictures = [image for image in page.all("img") if not image["src"].startswith("data:image/jpeg")]
    assert len(pictures) == 6
    for picture in pictures:
        assert len(picture["alt"]) > 80
        assert any(character.isdigit() for character in picture["alt"])
    drawn = [svg for svg in page.all("svg") if svg.get("aria-hidden") != "true"]
    assert not drawn  # the figures drawn in tables are written beside the drawing


def test_the_page_asks_nothing_of_any_other_machine(report: Path, page: Page) -> None:
    addresses = [a[name] for _, a in page.tags for name in ("src", "href", "srcset", "action", "data") if name in a]
    for address in addresses:
        kept = address.startswith(("data:image/", "#")) or "//" not in address
        assert kept
        assert not address.lower().startswith(("http", "javascript", "file"))
    text = (report / "index.html").read_text("utf-8")
    assert "@import" not in text
    assert "url(" not in text
    assert len(page.all("script")) == 1
    assert re.findall(r"<script>(.*?)</script>", text, re.DOTALL) == [FOLDS]
    assert not page.all("iframe", "object", "embed", "link")


def test_every_link_leads_somewhere(report: Path, page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        target = link["href"]
        assert target[1:] in ids if target.startswith("#") else (report / target).is_file()
    for _, attributes in page.tags:
        assert attributes.get("aria-labelledby", ids[0]) in ids
    beside = {link["href"] for link in page.all("a")}
    assert beside >= {"MODEL_CARD.md", "claim.md", "tripod_ai.csv", "evidence.json", "predictions.csv"}


def test_headings_are_in_order(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if tag in _HEADINGS]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_every_header_of_a_table_says_what_it_heads(page: Page) -> None:
    assert page.all("th")
    assert all(cell.get("scope") in ("col", "row", "rowgroup") for cell in page.all("th"))


def test_the_page_states_its_language_and_that_it_is_research(page: Page) -> None:
    assert page.all("html")[0]["lang"] == "en"
    assert RESEARCH_ONLY in page.text


def test_the_first_screen_comes_before_the_contents(evidence: Evidence, page: Page) -> None:
    first = first_screen(page)
    assert evidence.verdict.sentence in first
    assert all(" ".join(notice.split()) in first for notice in evidence.notices)
    for source in ("phantom-north", "phantom-south", "west"):
        assert source in first
    assert evidence.verdict.shortcut_sentence in first
    assert sum(" ".join(reason.found.split()) in first for reason in evidence.verdict.reasons) >= 3


def test_five_things_are_open_and_the_rest_is_folded(page: Page) -> None:
    open_ones = ["source by source", "Where it went wrong", "Did it learn the disease", "What to do next"]
    folded = ["Flow", "Discrimination", "Calibration", "Decision", "Subgroups", "Shortcut audits"]
    folded += ["The rules of the grade", "Methods", "Checklists and files"]
    place = page.text.index("All figures")
    positions = [page.text.index(title) for title in open_ones]
    positions += [place := page.text.index(title, place) for title in folded]
    assert positions == sorted(positions)
    assert len(page.all("details")) == len(folded)
    assert not [one for one in page.all("details") if "open" in one]


def test_every_figure_on_the_page_is_in_the_json(evidence: Evidence, page: Page) -> None:
    known = {float(value) for value in _numbers(json.loads(json.dumps(evidence_json(evidence))))}
    shown = [float(data["value"]) for data in page.all("data")]
    assert len(shown) > 300
    assert not [value for value in shown if value not in known]


def test_every_interval_is_of_a_kind_that_the_page_names(evidence: Evidence, page: Page) -> None:
    assert "Intervals: BCa, unless another kind is named." in page.text
    kinds = {row.estimate.interval for row in evidence.discrimination.estimates["metrics"]}
    assert kinds >= {"bca", "delong"}
    for name in ("DeLong", "exact"):
        assert f"; {name}" in page.text


def test_every_reason_of_the_grade_is_there_with_its_mark(evidence: Evidence, page: Page) -> None:
    rules = page.text[page.text.index("What was asked, and what was found") :]
    assert len(evidence.verdict.reasons) >= 3
    for reason in evidence.verdict.reasons:
        assert reason.asked in rules
        assert reason.found in rules


def test_a_rule_whose_audit_could_not_be_made_is_not_called_unmet(evidence: Evidence, tmp_path: Path) -> None:
    silent, rule = (
        not_done("lungs hidden", "Without lungs?", "No masks."),
        Reason("lungs hidden", "x", "No masks.", Mark.NOT_ASKED),
    )
    verdict = replace(evidence.verdict, reasons=(rule,))
    text = write(replace(without_tables(evidence), audits=(silent,), verdict=verdict), tmp_path).text
    row = text[text.index("What was asked, and what was found") :]
    assert row.index("not asked") < row.index("No masks.")


def test_the_first_screen_says_of_each_source_what_scanning_answers(evidence: Evidence, page: Page) -> None:
    first = first_screen(page)
    assert len(evidence.answers) == 3
    for each in evidence.answers:
        assert f"{each.source} {each.kind}" in first
        for group, found in (("with", each.with_target), ("without", each.without_target)):
            assert not found or f"{found['refused'].n} {group}" in first
            for name, e in found.items():
                if name != "refused" and e.value is not None and e.low is not None and e.high is not None:
                    between = f"{math.floor(100 * e.low)}–{math.ceil(100 * e.high)}"
                    assert f"{100 * e.value:.0f}% ({between})" in first


def test_many_sources_leave_room_on_the_first_screen(evidence: Evidence, tmp_path: Path) -> None:
    rows = evidence.decision.estimates["answers"]
    rows = tuple(
        replace(row, labels={**row.labels, "source": f"hospital {i}"})
        for i in range(9)
        for row in rows
        if row.labels["source"] == EXTERNAL
    )
    many = replace(without_tables(evidence), decision=Section("decision", {"answers": rows}))
    first = first_screen(write(many, tmp_path))
    assert sum(f"hospital {i}" in first for i in range(9)) == 5
    assert "4 more" in first


def test_the_forest_has_every_source_with_what_it_means(evidence: Evidence, page: Page) -> None:
    forest = page.text[page.text.index("source by source") : page.text.index("Where it went wrong")]
    for each in evidence.verdict.sources:
        assert each.source in forest
        assert each.performance in forest
        if each.auroc.value is not None:
            assert f"{each.auroc.value:.2f}" in forest


def test_without_a_model_the_page_shows_what_needs_none(bare: Evidence, tmp_path: Path) -> None:
    page = write(bare, tmp_path)
    assert page.all("img")
    assert "Not stated whether the model was trained on these sources" in page.text
    silent = [audit.meaning for audit in bare.audits if audit.call is AuditResult.NOT_DONE]
    assert len(silent) > 5
    assert all(meaning in page.text for meaning in silent)


def test_without_any_figure_the_page_says_so(bare: Evidence, tmp_path: Path) -> None:
    page = write(replace(without_tables(bare), failures=None), tmp_path)
    assert page.text.count("There are no figures for this section.") == 5
    assert "No figure could be given." in page.text
    assert not page.all("img")


SCRIPT = "<script>alert(1)</script>"
HOSTILE = st.one_of(
    st.sampled_from([SCRIPT, "\"'><img src=x>", "a\nb\r\nc", "$\\frac{", "x" * 5000, "–肺 🫁", "{{ 7 * 7 }}"]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(model=HOSTILE, source=HOSTILE, words=HOSTILE)
def test_no_name_breaks_the_page(
    bare: Evidence, metrics: list[Row], tmp_path: Path, model: str, source: str, words: str
) -> None:
    rows = tuple(replace(row, labels={**row.labels, "source": source}) for row in metrics)
    hostile = replace(
        without_tables(bare, rows, (words,)),
        subject=replace(bare.subject, model=model),
        testset=bare.testset.with_columns(source=source),
        verdict=replace(
            bare.verdict,
            sentence=words,
            sources=tuple(replace(each, source=source, same_as=words) for each in bare.verdict.sources),
            reasons=(Reason(words, words, words, Mark.BAD, is_shortcut=True),),
        ),
        failures=(Failures(unreadable=(words,)), Failures()),
        audits=(not_done("header only", words, words),),
        notices=(words,),
        command=words,
    )
    page = write(hostile, tmp_path)
    assert len(page.all("script")) == 1
    assert not page.all("img")
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)
    if words.isprintable():
        assert words in page.text


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _numbers(each)
    elif isinstance(value, list):
        for each in value:
            yield from _numbers(each)
    elif isinstance(value, int | float):
        yield value


def test_no_page_is_wider_than_a_phone(report: Path) -> None:
    assert scroll_width(report / "index.html", 390) <= 390
