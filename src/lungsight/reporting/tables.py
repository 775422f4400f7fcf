"""The evidence's figures as tables: rows become frames, frames become CSV files and plain values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lungsight._files import atomic_write
from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.formatting import withheld_because
from lungsight.evaluation.rows import Label, Row
from lungsight.evaluation.sections.section import Section
from lungsight.statistics.estimate import Estimate


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


def section_tables(section: Section) -> dict[str, pd.DataFrame]:
    """Every table of a section by the name of its CSV file: curves and counts as they are, estimates as frames."""
    content = section.content.items()
    return {name: table if isinstance(table, pd.DataFrame) else frame(table) for name, table in content}


def tables_of(evidence: Evidence) -> dict[str, pd.DataFrame]:
    """Every table of the sections and audits, by the stem of its CSV file.

    Raises:
        ValueError: two tables would be one file.
    """
    named = [item for section in evidence.sections for item in section_tables(section).items()]
    named += [(audit.stem, frame(audit.rows)) for audit in evidence.audits]
    if len(dict(named)) < len(named):
        raise ValueError(f"two tables would be one file: {sorted(stem for stem, _ in named)}")
    return dict(named)


def write_tables(evidence: Evidence, folder: Path) -> list[Path]:
    """Write a CSV file for each table that has columns into ``folder``; returns the files.

    The file that an earlier evaluation left there of a table that is now empty is removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for stem, table in tables_of(evidence).items():
        path = folder / f"{stem}.csv"
        if len(table.columns):
            write_table(table, path)
            files.append(path)
        else:
            path.unlink(missing_ok=True)
    return files


def write_table(table: pd.DataFrame, path: Path) -> None:
    r"""Write a CSV file, whole or not at all. Bytes of a file's name that aren't UTF-8 are written as ``\udcff``."""
    with atomic_write(path, "w") as file:
        table.to_csv(file, index=False, lineterminator="\n")


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table's rows as plain values."""
    return [{str(name): plain(value) for name, value in row.items()} for row in table.to_dict("records")]


def plain(value: Any) -> Any:
    """A value as JSON has it: numbers of numpy as Python's, NaN and infinity as None."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bool | int):
        return value
    if isinstance(value, str):  # bytes of a file's name that aren't UTF-8 aren't strict JSON
        return str(value).encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(v) for v in value]
    return value.isoformat() if isinstance(value, date) else str(value)
