"""What a decision means in readers' words."""

from __future__ import annotations

from lungsight.components.categories import Categories, MeasuredDecision
from lungsight.components.decision import MeasuredShare

READERS = {
    "typical": MeasuredShare(value=0.714, low=0.66, high=0.76, n=210),
    "negative": MeasuredShare(value=0.1, n=210),
}
MEASURED = Categories(
    source="north",
    readers="two radiologists",
    chosen_on=200,
    decisions=(
        MeasuredDecision(
            decision="covid19", words=("typical", "indeterminate"), images=210, patients=180, readers=READERS
        ),
        MeasuredDecision(decision="inconclusive", images=0, patients=0, readers={}),
    ),
)


def test_the_meaning_is_what_was_measured() -> None:
    said = MEASURED.of("covid19")
    assert said is not None
    assert said.word == "typical or indeterminate"
    assert "71 (66–76) typical and 10 negative" in said.meaning
    assert "n = 210 images of 180 patients" in said.meaning


def test_where_no_word_fits_there_is_none_and_where_nothing_was_measured_nothing_is_said() -> None:
    assert MEASURED.of("no_sign") is None
    assert MEASURED.of("inconclusive") is None
