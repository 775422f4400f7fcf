"""The evidence page: what it holds, and that it opens anywhere, for anyone, whatever the names."""

from __future__ import annotations

import json
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
from lungsight import RESEARCH_ONLY
from lungsight.evaluation.audits.audit import AuditResult, not_done
from lungsight.evaluation.evidence import Evidence
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
    return " ".join(page.text[: page.text.index("Contents")].split())


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
    pictures = page.all("img")
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
    assert not page.all("script", "iframe", "object", "embed", "link")


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


def test_the_sections_are_numbered_in_the_order_of_the_contents(page: Page) -> None:
    titles = ["Flow", "Discrimination", "Calibration", "Decision", "Subgroups", "Shortcut audits"]
    titles += ["Grade: the rules", "Documents and files", "Methods"]
    positions = [page.text.index(f"{number} {title}") for number, title in enumerate(titles, 1)]
    assert positions == sorted(positions)


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


def test_internal_and_external_sources_are_apart(page: Page) -> None:
    first = first_screen(page)
    internal, external = first.index("Internal: other patients"), first.index("External: sources the model never saw")
    assert internal < first.index("phantom-north", internal) < external < first.index("phantom-south", external)


def test_many_sources_leave_room_on_the_first_screen(evidence: Evidence, metrics: list[Row], tmp_path: Path) -> None:
    rows = tuple(replace(row, labels={**row.labels, "source": f"hospital {i}"}) for i in range(9) for row in metrics)
    first = first_screen(write(without_tables(evidence, rows), tmp_path))
    assert sum(f"hospital {i}" in first for i in range(9)) == 6
    assert "3 more" in first


@pytest.mark.parametrize(("metric", "other"), [("sensitivity", "ruled it out"), ("specificity", "it found")])
def test_if_only_one_side_is_known_the_other_is_left_out(
    evidence: Evidence, metrics: list[Row], tmp_path: Path, metric: str, other: str
) -> None:
    rows = tuple(row for row in metrics if row.estimate.name == metric)
    first = first_screen(write(without_tables(evidence, rows), tmp_path))
    value = rows[0].estimate.value
    assert value is not None
    assert f"{round(100 * value)} of 100" in first
    assert other not in first


def test_without_a_model_the_page_shows_what_needs_none(bare: Evidence, tmp_path: Path) -> None:
    page = write(bare, tmp_path)
    assert page.all("img")
    assert "Not stated whether the model was trained on these sources" in page.text
    silent = [audit.meaning for audit in bare.audits if audit.call is AuditResult.NOT_DONE]
    assert len(silent) > 5
    assert all(meaning in page.text for meaning in silent)


def test_without_any_figure_the_page_says_so(bare: Evidence, tmp_path: Path) -> None:
    page = write(without_tables(bare), tmp_path)
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
        verdict=replace(bare.verdict, sentence=words, reasons=(Reason(words, words, words, Mark.BAD),)),
        audits=(not_done("header only", words, words),),
        notices=(words,),
        command=words,
    )
    page = write(hostile, tmp_path)
    assert not page.all("script", "img")
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
