"""Estimates and p-values as text, beside what :mod:`lungsight._text` writes of names and numbers."""

from __future__ import annotations

from lungsight._text import as_words, fixed, in_words, signed
from lungsight.statistics.estimate import Estimate

__all__ = [
    "as_figure",
    "as_sample",
    "as_words",
    "fixed",
    "in_words",
    "p_in_words",
    "signed",
    "withheld_because",
]


def withheld_because(estimate: Estimate) -> str:
    """Why the figure, or its interval, is withheld, with its class in words; empty where it is given."""
    return in_words(estimate.withheld or "", estimate.scope)


def as_sample(estimate: Estimate) -> str:
    """The images behind a figure, and their patients where these are fewer: ``n = 52 images of 41 patients``."""
    of_patients = f" images of {estimate.patients:,} patients" if estimate.patients != estimate.n else ""
    return f"n = {estimate.n:,}{of_patients}"


def as_figure(estimate: Estimate, places: int = 2) -> str:
    """A figure with its interval and sample, as a sentence quotes it: ``0.83 (0.80–0.86, n = 1,040)``."""
    if estimate.value is None:
        return f"withheld ({withheld_because(estimate)})"
    return f"{fixed(estimate.value, places)} ({_between(estimate, places)}, {as_sample(estimate)})"


def _between(estimate: Estimate, places: int) -> str:
    if estimate.low is None or estimate.high is None:
        return "no interval"
    dash = "–" if estimate.low >= 0 else " to "
    return f"{fixed(estimate.low, places)}{dash}{fixed(estimate.high, places)}"


def p_in_words(p: float | None) -> str:
    """``p = 0.03``, ``p < 0.001``; a dash where there is none."""
    if p is None:
        return "–"
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}" if p < 0.095 else f"p = {p:.2f}"
