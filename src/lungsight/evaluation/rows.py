"""Typed rows of the report's tables: labels that say what a figure is of, and the figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lungsight.statistics.estimate import Estimate

Label = str | float | int | bool | None
Labels = Mapping[str, Label]


@dataclass(frozen=True)
class Row:
    """One figure of a table.

    Attributes:
        labels: what it is of (``kind``, ``source``, ``subgroup`` …), in the order of the table's columns.
        estimate: the figure with its sample and interval.
    """

    labels: Labels
    estimate: Estimate
