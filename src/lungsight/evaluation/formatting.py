"""Estimates and p-values as text, beside what :mod:`lungsight._text` writes of names and numbers."""

from __future__ import annotations

from collections.abc import Collection

from lungsight._text import as_words, fixed, in_words, signed
from lungsight.statistics.estimate import Estimate

__all__ = [
    "as_figure",
    "as_percent",
    "as_sample",
    "as_words",
    "fixed",
    "in_words",
    "p_in_words",
    "signed",
    "withheld_because",
]

#: Decimals that a number has at most.
_MOST_PLACES = 6


def withheld_because(estimate: Estimate) -> str:
    """Why the figure, or its interval, is withheld, with its class in words; empty where it is given."""
    return in_words(estimate.withheld or "", estimate.scope)


def as_sample(estimate: Estimate) -> str:
    """The images behind a figure, and their patients where these are fewer: ``n = 52 images of 41 patients``."""
    of_patients = f" images of {estimate.patients:,} patients" if estimate.patients != estimate.n else ""
    return f"n = {estimate.n:,}{of_patients}"


def as_figure(estimate: Estimate, places: int = 2, *, beside: Collection[float] = ()) -> str:
    """A figure with its interval and sample, as a sentence quotes it: ``0.83 (0.80–0.86, n = 1,040)``.

    A number that would be rounded onto a threshold in ``beside`` has more decimals: ``0.6998`` beside 0.70.
    """
    if estimate.value is None:
        return f"withheld ({withheld_because(estimate)})"
    value, low, high = (_apart(number, places, beside) for number in (estimate.value, estimate.low, estimate.high))
    dash = "–" if estimate.low is None or estimate.low >= 0 else " to "
    between = "no interval" if estimate.low is None or estimate.high is None else f"{low}{dash}{high}"
    return f"{value} ({between}, {as_sample(estimate)})"


def as_percent(estimate: Estimate) -> str:
    """A share with its interval and sample: ``72% (60% to 83%, n = 400)``."""
    if estimate.value is None:
        return f"withheld ({withheld_because(estimate)})"
    between = "no interval"
    if estimate.low is not None and estimate.high is not None:
        between = f"{_percent(estimate.low)} to {_percent(estimate.high)}"
    return f"{_percent(estimate.value)} ({between}, {as_sample(estimate)})"


def _percent(share: float) -> str:
    return f"{fixed(100 * share, 0)}%"


def _apart(value: float | None, places: int, thresholds: Collection[float]) -> str:
    """With as few decimals, at least ``places``, as tell it from each threshold that it isn't equal to."""
    while places < _MOST_PLACES and any(
        value is not None and value != other and fixed(value, places) == fixed(other, places) for other in thresholds
    ):
        places += 1
    return fixed(value, places)


def p_in_words(p: float | None) -> str:
    """``p = 0.03``, ``p < 0.001``; a dash where there is none."""
    if p is None:
        return "–"
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}" if p < 0.095 else f"p = {p:.2f}"
