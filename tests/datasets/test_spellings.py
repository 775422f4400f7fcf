from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungsight.datasets.spellings import is_missing, looks_like, same_spelling


@pytest.mark.parametrize("text", ["", " ", "?", "--", "nan", "None", "N/A", "<NA>", "Unknown", "to be: nothing"[:0]])
def test_what_is_missing(text: str) -> None:
    assert is_missing(text)


@pytest.mark.parametrize("text", ["+", "0", "no", "normal", "covid19"])
def test_what_says_something(text: str) -> None:
    assert not is_missing(text)


@given(st.sampled_from(["covid19", "no_pneumonia"]), st.sampled_from(["-", "_", " ", "."]), st.data())
def test_case_and_signs_between_tell_no_spellings_apart(label: str, between: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(1, len(label) - 1))
    spelt = label[:place].upper() + between + label[place:]
    assert same_spelling(spelt, ["covid19", "no_pneumonia"]) == label


def test_nothing_is_spelt_as_nothing() -> None:
    assert same_spelling("?", ["-", "covid19"]) is None


@given(st.integers(0, 6), st.sampled_from("abcxyz-_. 5"))
def test_a_slip_of_the_pen_looks_like_what_was_meant(place: int, sign: str) -> None:
    for slip in ("covid19"[:place] + sign + "covid19"[place:], "covid19"[:place] + "covid19"[place + 1 :]):
        assert looks_like(slip, "covid19")


@pytest.mark.parametrize(("one", "other"), [("grade1", "grade2"), ("tb", "covid19"), ("fracture", "pneumonia")])
def test_other_words_look_like_nothing(one: str, other: str) -> None:
    assert not looks_like(one, other)
