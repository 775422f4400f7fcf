"""Typed rows of the report's tables: labels that say what a figure is of, and the figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from lungsight.evaluation.formatting import withheld_because
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


def frame(rows: Iterable[Row]) -> pd.DataFrame:
    """One line per row: its labels, then the columns of its estimate.

    These are scope, metric, value, low, high, n, positives, negatives, patients, interval (which kind it is) and
    withheld (why the value or its interval isn't given).
    """
    return pd.DataFrame(row.labels | _columns(row.estimate) for row in rows)  # type: ignore[operator]


def _columns(estimate: Estimate) -> dict[str, Label]:
    columns = {field.name: getattr(estimate, field.name) for field in fields(estimate)}
    name, scope = columns.pop("name"), columns.pop("scope")
    return {"scope": scope, "metric": name} | columns | {"withheld": withheld_because(estimate)}


def rows_of(table: pd.DataFrame) -> tuple[Row, ...]:
    """The rows of a table that :func:`frame` made; none of any other table."""
    if not {"metric", "interval", "withheld"} <= set(table):
        return ()
    lines = ({str(name): _plain(value) for name, value in line.items()} for line in table.to_dict("records"))
    return tuple(_row(line) for line in lines)


def _row(line: dict[str, Label]) -> Row:
    names = {field.name: field.name for field in fields(Estimate)} | {"name": "metric"}
    figures = {name: line.pop(column) for name, column in names.items()}
    figures["withheld"] = figures["withheld"] or None
    return Row({str(name): value for name, value in line.items()}, Estimate(**figures))  # type: ignore[arg-type]


def _plain(value: object) -> Label:
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and np.isnan(plain) else plain  # type: ignore[return-value]
