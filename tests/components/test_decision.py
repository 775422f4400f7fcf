"""From probabilities to a verdict."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydantic import ValidationError

from lungsight.components.decision import INCONCLUSIVE, NO_SIGN, REFUSED, Decision, decision_words
from lungsight.statistics.thresholds import Aim, DecisionRule

CLASSES = ("covid19", "other_pneumonia", "no_pneumonia")
BAND = Decision(low=0.2, high=0.6)


def decide(decision: Decision, *rows: tuple[float, ...], **asked: object) -> list[str]:
    return decision.decide(rows, CLASSES, "covid19", **asked).tolist()  # type: ignore[arg-type]


def test_thresholds_decide_on_the_target_and_never_name_another_class() -> None:
    rows = (0.6, 0.2, 0.2), (0.59, 0.41, 0.0), (0.2, 0.8, 0.0), (0.1, 0.5, 0.4), (0.19, 0.4, 0.41)
    expected = ["covid19", INCONCLUSIVE, INCONCLUSIVE, NO_SIGN, NO_SIGN]
    assert decide(BAND, *rows) == expected


def test_equal_thresholds_leave_nothing_open() -> None:
    one = Decision(low=0.5, high=0.5)
    assert decide(one, (0.5, 0.5, 0.0), (0.49, 0.51, 0.0)) == ["covid19", NO_SIGN]
    assert not one.can_be_inconclusive(3)


def test_without_thresholds_the_most_probable_class_needs_its_probability() -> None:
    assert decide(Decision(), (0.4, 0.35, 0.25), (0.5, 0.3, 0.2), (0.1, 0.2, 0.7)) == [
        INCONCLUSIVE,
        "covid19",
        "no_pneumonia",
    ]
    assert Decision().can_be_inconclusive(3)
    assert not Decision().can_be_inconclusive(2)


def test_what_is_refused_gets_no_other_decision() -> None:
    sure = (0.9, 0.1, 0.0)
    assert decide(BAND, sure, sure, refused=[True, False]) == [REFUSED, "covid19"]


@pytest.mark.parametrize("rule", [BAND, Decision(low=0.4, high=0.4), Decision(), Decision(inconclusive_below=0.1)])
def test_every_decision_is_one_of_the_possible_ones(rule: Decision) -> None:
    rows = np.random.default_rng(0).dirichlet((1, 1, 1), 200)
    assert set(rule.decide(rows, CLASSES, "covid19")) == set(rule.possible(CLASSES, "covid19"))


def test_a_probability_that_is_no_number_is_no_sign_of_health() -> None:
    assert decide(BAND, (np.nan, 0.5, 0.5)) == [INCONCLUSIVE]


def test_no_sign_is_said_of_the_target() -> None:
    assert decision_words(NO_SIGN, "covid19") == "no sign of COVID-19"
    assert decision_words("no_pneumonia", "covid19") == "no pneumonia"


@given(
    arrays.arrays(np.float64, (5, 3), elements=st.floats(0.0, 1.0)),
    st.one_of(
        st.floats(0, 1).map(lambda below: Decision(inconclusive_below=below)),
        st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda pair: Decision(low=min(pair), high=max(pair))),
    ),
)
def test_many_images_are_decided_as_each_by_itself(probabilities: np.ndarray, decision: Decision) -> None:
    together = decision.decide(probabilities, CLASSES, "covid19")
    alone = [str(decision.decide(one, CLASSES, "covid19")) for one in probabilities]
    assert together.tolist() == alone


def test_chosen_thresholds_are_stated_with_what_they_were_chosen_on() -> None:
    chosen = DecisionRule(0.2, 0.6, Aim(0.9, 0.8, 0.2), images=200, patients=150, positives=40, note="Few.")
    stated = Decision.of(chosen, inconclusive_below=0.7)
    assert (stated.thresholds, stated.threshold, stated.inconclusive_below) == ((0.2, 0.6), 0.2, 0.7)
    assert (stated.aim_sensitivity, stated.aim_specificity, stated.most_inconclusive) == (0.9, 0.8, 0.2)
    assert (stated.chosen_on, stated.patients, stated.positives, stated.note) == (200, 150, 40, "Few.")


@pytest.mark.parametrize("stated", [{"low": 0.2}, {"high": 0.2}, {"low": 0.6, "high": 0.2}])
def test_half_a_band_and_one_upside_down_are_refused(stated: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Decision(**stated)
