"""Names, shares, numbers and lists as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungsight._text import (
    as_words,
    counted,
    fixed,
    in_words,
    listed,
    percent,
    percent_beside,
    shortened,
    signed,
)


def test_classes_are_named_as_people_name_them() -> None:
    assert [as_words(name) for name in ("covid19", "other_pneumonia", "inconclusive")] == [
        "COVID-19",
        "other pneumonia",
        "inconclusive",
    ]


def test_a_class_is_written_in_words_and_names_that_contain_it_stay() -> None:
    assert in_words("no image of covid19 here", "covid19") == "no image of COVID-19 here"
    assert in_words("all are of no_pneumonia.", "no_pneumonia") == "all are of no pneumonia."
    for name in ("covid19-north", "mycovid19", "a/covid19/b"):
        assert in_words(name, "covid19") == name


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "<1 %"), (0.0099, "<1 %"), (0.01, "1 %"), (0.574, "57 %"), (0.99, "99 %"), (0.996, ">99 %")],
)
def test_a_probability_is_whole_per_cent_and_never_certain(share: float, text: str) -> None:
    assert percent(share) == text


@given(share=st.floats(0, 1), low=st.floats(0, 1), high=st.floats(0, 1))
def test_a_share_can_be_distinguished_from_its_thresholds(share: float, low: float, high: float) -> None:
    texts = percent_beside(share, low, high)
    for threshold, words in zip((low, high), texts[1:], strict=True):
        assert words != texts[0] or abs(threshold - share) < 1e-5


def test_no_more_decimals_than_are_needed() -> None:
    assert percent_beside(0.5657, 0.588, 0.133) == ("57 %", "59 %", "13 %")
    assert percent_beside(0.5877, 0.5878, 0.133) == ("58.77 %", "58.78 %", "13.30 %")


def test_a_list_reads_as_a_sentence_does() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b"]) == "a and b"
    assert listed(name for name in "abc") == "a, b and c"


def test_a_long_list_is_cut_and_counts_the_rest() -> None:
    assert shortened([1, 2, 3], 3) == "1, 2, 3"
    assert shortened(range(1204), 2) == "0, 1 and 1,202 more"


@pytest.mark.parametrize(
    ("n", "noun", "text"),
    [
        (1, "image", "1 image"),
        (0, "image", "0 images"),
        (2500, "image", "2,500 images"),
        (2, "table of contents", "2 tables of contents"),
        (3, "file without a known ending", "3 files without a known ending"),
    ],
)
def test_a_number_of_things(n: int, noun: str, text: str) -> None:
    assert counted(n, noun) == text


@given(value=st.floats(-1e6, 1e6), places=st.integers(0, 4))
def test_a_signed_number_reads_back_and_zero_has_no_sign(value: float, places: int) -> None:
    text = signed(value, places)
    number = float(text.replace("−", "-").replace(",", ""))
    assert number == pytest.approx(value, abs=0.51 * 10**-places)
    assert text[0] == ("−" if number < 0 else "+" if number > 0 else "0")
    assert fixed(None, places) == signed(None, places) == "–"
