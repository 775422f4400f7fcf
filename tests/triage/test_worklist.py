"""The order of urgency, and the sentence of each rank."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungsight.errors import LungsightError
from lungsight.triage import Case, load_rule, read_cases, worklist
from lungsight.triage.rule import own_rule

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
RULE = load_rule()


def _case(file: str = "a", covid: float = 0.2, **known: object) -> Case:
    probabilities = {"covid19": covid, "other_pneumonia": (1 - covid) / 2, "no_pneumonia": (1 - covid) / 2}
    verdict = max(probabilities, key=probabilities.__getitem__)
    stated = {"file": file, "status": "read", "verdict": verdict, "probabilities": probabilities}
    return Case.model_validate(stated | known)


def _order(*cases: Case) -> list[str]:
    return [entry.case.file for entry in worklist(cases, RULE, now=NOW)]


def test_the_surer_finding_comes_first() -> None:
    assert _order(_case("low", 0.1), _case("high", 0.97), _case("middle", 0.6)) == ["high", "middle", "low"]


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"age": 82.0}, "age 82 +44"),
        ({"age": 30.0}, "age 30 \N{MINUS SIGN}20"),
        ({"view": "AP"}, "taken AP +10"),
        ({"verdict": "inconclusive"}, "inconclusive +40"),
        ({"status": "refused", "probabilities": {}}, "not analysed +35"),
        ({"status": "error", "probabilities": {}}, "could not be read +35"),
    ],
)
def test_each_term_counts_and_is_named(known: dict[str, object], words: str) -> None:
    (entry,) = worklist([_case(**known)], RULE, now=NOW)
    assert words in entry.why
    assert entry.why.endswith(f"{entry.points:.0f} points.")


def test_a_guessed_view_counts_for_nothing() -> None:
    """It rests on the same image as the finding, and says less of how ill the patient is than that of a header."""
    (guessed,) = worklist([_case(view="AP", view_from="model")], RULE, now=NOW)
    (stated,) = worklist([_case(view="AP", view_from="header")], RULE, now=NOW)
    assert "taken" not in guessed.why
    assert stated.points == guessed.points + 10


def test_doubt_counts_between_certain_and_a_coin() -> None:
    assert _case(covid=1.0).doubt == 0
    even = _case(probabilities=dict.fromkeys(("covid19", "b", "c"), 1 / 3))
    assert even.doubt == pytest.approx(1)


def test_none_waits_longer_than_the_rule_allows() -> None:
    urgent = [_case(f"urgent {n}", 0.99, arrived=NOW - timedelta(hours=1), age=85.0) for n in range(5)]
    old = [_case(f"old {hours}", 0.01, arrived=NOW - timedelta(hours=hours)) for hours in (23, 25, 30)]
    entries = worklist([*urgent, *old], RULE, now=NOW)
    assert [entry.case.file for entry in entries[:2]] == ["old 30", "old 25"]
    assert entries[-1].case.file == "old 23"
    assert "It has waited 30 hours, and none may wait longer than 24" in entries[0].why
    assert [entry.overdue for entry in entries] == [True, True] + [False] * 6


def test_a_study_ranks_by_its_most_urgent_image() -> None:
    cases = [
        _case("lateral", study="1.1", status="refused", refused_by="gate", probabilities={}),
        _case("other", 0.5, study="1.2"),
        _case("frontal", 0.95, study="1.1"),
        _case("alone", 0.3),
        _case("alone", 0.3),
    ]
    entries = worklist(cases, RULE, now=NOW)
    assert [(entry.rank, entry.case.file, entry.images) for entry in entries] == [
        (1, "frontal", 2),
        (2, "other", 1),
        (3, "alone", 1),
        (4, "alone", 1),
    ]
    assert entries[0].why.startswith("The most urgent of 2 images of its study: covid19 at 95%")


def test_what_its_header_calls_another_kind_of_image_stands_last() -> None:
    long_ago = NOW - timedelta(hours=99)
    header = {"status": "refused", "refused_by": "header", "probabilities": {}, "age": 90.0, "arrived": long_ago}
    gate = header | {"refused_by": "gate", "arrived": None}
    entries = worklist([_case("ct", **header), _case("gate", **gate), _case("clear", 0.0)], RULE, now=NOW)
    assert [entry.case.file for entry in entries] == ["gate", "clear", "ct"]
    assert not entries[-1].overdue
    assert "Its header says that it is not a frontal chest X-ray, so it comes after all others" in entries[-1].why


@given(
    st.lists(
        st.builds(
            _case,
            file=st.text("abc", min_size=1, max_size=4),
            covid=st.floats(0, 1),
            age=st.none() | st.floats(0, 110),
            view=st.none() | st.sampled_from(["PA", "AP", "AP supine"]),
            refused_by=st.sampled_from([None, None, "header"]),
            arrived=st.none() | st.integers(0, 60).map(lambda hours: NOW - timedelta(hours=hours)),
        ),
        max_size=20,
    )
)
def test_every_case_has_one_rank_and_the_order_is_the_rule(cases: list[Case]) -> None:
    entries = worklist(cases, RULE, now=NOW)
    assert [entry.rank for entry in entries] == list(range(1, len(cases) + 1))
    assert sorted(map(id, (entry.case for entry in entries))) == sorted(map(id, cases))
    late = [entry.overdue for entry in entries]
    assert late == sorted(late, reverse=True)
    for aside in (False, True):
        points = [entry.points for entry in entries if not entry.overdue and entry.case.is_another_kind is aside]
        assert points == sorted(points, reverse=True)
    assert [entry.case.is_another_kind for entry in entries] == sorted(
        entry.case.is_another_kind for entry in entries
    )
    again = worklist(reversed(cases), RULE, now=NOW)
    assert [(p.case.file, p.points) for p in again] == [(p.case.file, p.points) for p in entries]


def test_a_rule_can_be_changed_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "rule.toml").write_text(own_rule().replace("longest_wait_hours = 24.0", "longest_wait_hours = 2"))
    entries = worklist([_case(arrived=NOW - timedelta(hours=3))], load_rule(tmp_path / "rule.toml"), now=NOW)
    assert entries[0].overdue


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name = ", "is not valid TOML"),
        ('name = "x"', "longest_wait_hours: Field required"),
        (own_rule().replace("from = 40", "from = 60"), "must rise"),
        ("age_of_the_ward = 3\n" + own_rule(), "age_of_the_ward"),
        (own_rule().replace("target = 60.0", "target = nan"), "finding.target"),
        (own_rule().replace("AP = 10.0", "ZZ = 10.0"), "there is no 'ZZ'"),
    ],
)
def test_a_rule_that_is_none_is_one_sentence(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "rule.toml").write_text(text)
    with pytest.raises(LungsightError, match=problem):
        load_rule(tmp_path / "rule.toml")


def test_lines_are_read_and_a_half_one_is_passed_over(tmp_path: Path) -> None:
    line = {"file": "a", "status": "read", "verdict": "covid19", "probabilities": {"covid19": 0.9}, "age": 70}
    line |= {"view": "AP", "view_from": "header", "arrived": "2026-11-22T12:00:00", "lungs": None}
    (tmp_path / "f").write_text(json.dumps(line) + "\n" + json.dumps(line)[:30])
    (case,) = read_cases(tmp_path / "f")
    assert (case.file, case.age, case.view, case.hours_waited(NOW)) == ("a", 70, "AP", 24)


@pytest.mark.parametrize(
    "odd",
    [
        {"probabilities": {"covid19": 7}},
        {"probabilities": {"covid19": -0.1}},
        {"probabilities": {"covid19": 1e308}},
        {"age": 1e300},
        {"age": -1},
        {"status": "wrong"},
    ],
)
def test_what_cannot_be_is_no_finding(odd: dict[str, object], tmp_path: Path) -> None:
    line = {"file": "a", "status": "read", "verdict": "covid19", "probabilities": {"covid19": 0.9}} | odd
    (tmp_path / "f").write_text(json.dumps(line) + "\n")
    with pytest.raises(LungsightError, match=next(iter(odd))):
        read_cases(tmp_path / "f")


def test_a_name_cannot_move_the_cursor(tmp_path: Path) -> None:
    line = {"file": "a\x1b[31m", "status": "error", "verdict": None}
    (tmp_path / "f").write_text(json.dumps(line) + "\n")
    (case,) = read_cases(tmp_path / "f")
    assert "\x1b" not in case.file


@pytest.mark.parametrize(
    ("content", "problem"),
    [("{}\n", "line 1 is not a finding"), ("x\n", "line 1 is not a finding"), (None, "can't be read")],
)
def test_what_are_no_findings_is_one_sentence(content: str | None, problem: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "f").write_text(content)
    with pytest.raises(LungsightError, match=problem):
        read_cases(tmp_path / "f")
