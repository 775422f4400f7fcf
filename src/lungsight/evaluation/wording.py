"""How names and figures are said to people."""

from __future__ import annotations

from lungsight.statistics.estimate import Estimate


def as_words(class_name: str) -> str:
    """A class's name as a page shows it: ``no_pneumonia`` becomes ``no pneumonia``, ``covid19`` COVID-19."""
    return "COVID-19" if class_name == "covid19" else class_name.replace("_", " ")


def as_figure(estimate: Estimate) -> str:
    """A figure with its interval and sample, as a sentence quotes it: ``0.83 (0.80–0.86, n = 1,040)``."""
    if estimate.value is None:
        return f"withheld ({estimate.withheld})"
    between = "no interval" if estimate.low is None else f"{estimate.low:.2f}–{estimate.high:.2f}"
    return f"{estimate.value:.2f} ({between}, n = {estimate.n:,})"
