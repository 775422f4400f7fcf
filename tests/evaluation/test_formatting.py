"""Names and figures as people read them."""

from __future__ import annotations

import pytest

from lungsight.evaluation.formatting import as_figure, fixed, signed, withheld_because
from lungsight.statistics.estimate import Estimate


def _estimate(**changed: object) -> Estimate:
    stated = {
        "name": "auroc", "scope": "covid19", "value": 0.8312, "low": 0.8, "high": 0.86, "n": 1040, "positives": 400,
        "negatives": 640, "patients": 1040,
    }  # fmt: skip
    return Estimate(**{**stated, **changed})  # type: ignore[arg-type]


def test_a_reason_names_the_estimates_own_class() -> None:
    assert withheld_because(_estimate(value=None, withheld="no image of covid19 here")) == "no image of COVID-19 here"
    assert withheld_because(_estimate()) == ""


def test_a_figure_names_patients_where_they_are_fewer_than_images() -> None:
    assert as_figure(_estimate()) == "0.83 (0.80–0.86, n = 1,040)"
    assert as_figure(_estimate(patients=1020)) == "0.83 (0.80–0.86, n = 1,040 images of 1,020 patients)"
    assert as_figure(_estimate(low=None, high=None)) == "0.83 (no interval, n = 1,040)"


def test_an_interval_that_reaches_below_zero_is_said_with_to() -> None:
    assert as_figure(_estimate(value=-0.001, low=-0.1, high=0.1)) == "0.00 (−0.10 to 0.10, n = 1,040)"


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.05, "+0.05"), (-0.05, "−0.05"), (0.001, "0.00"), (-0.001, "0.00"), (0.0, "0.00"), (None, "–")],
)
def test_a_difference_has_its_sign_and_zero_has_none(value: float | None, said: str) -> None:
    assert signed(value) == said


def test_thousands_are_parted() -> None:
    assert fixed(1234.5, 1) == "1,234.5"


def test_no_number_is_rounded_onto_a_threshold_that_it_is_not() -> None:
    near = _estimate(value=0.756, low=0.6998, high=0.7004)
    assert as_figure(near, beside=(0.70,)) == "0.76 (0.6998–0.7004, n = 1,040)"
    assert as_figure(_estimate(low=0.70, high=0.7), beside=(0.70,)) == "0.83 (0.70–0.70, n = 1,040)"
    assert as_figure(near) == "0.76 (0.70–0.70, n = 1,040)"
