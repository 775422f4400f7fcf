"""Findings as a folder of Parquet files, some thousand rows each: for notebooks, DuckDB and Spark one table."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lungsight._files import atomic_write, unwritable
from lungsight.errors import LungsightError
from lungsight.radiograph import Identifiers
from lungsight.scanning.journal import Record, refuse_other_model

ROWS = 1000
_SECONDS = 60.0

_PLACEMENT = pa.struct(
    [("width", pa.int32()), ("height", pa.int32()), ("mirrored", pa.bool_()), ("turned", pa.int32())]
)
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("file", "status", "verdict")),
        ("probabilities", pa.map_(pa.string(), pa.float64())),
        *((name, pa.string()) for name in ("heatmap", "overlay", "lungs")),
        *((name, pa.float64()) for name in ("unfamiliarity", "age")),
        *((name, pa.string()) for name in ("sex", "view", "view_from")),
        ("view_ap", pa.float64()),
        ("arrived", pa.string()),
        *((field.name, pa.string()) for field in fields(Identifiers)),
        ("placement", _PLACEMENT),
        ("refused_by", pa.string()),
        *((name, pa.list_(pa.string())) for name in ("reasons", "warnings")),
        *((name, pa.string()) for name in ("model", "model_grade")),
        ("seconds", pa.float64()),
    ]
)


class ParquetFolder:
    """One row per finding, in files ``part-00000.parquet`` and on, each of them there in whole or not at all."""

    is_stream = False

    def __init__(self, folder: Path, model: str) -> None:
        self._folder, self._model = folder, model
        self._rows: list[dict[str, Any]] = []
        self._next = 0
        self._written = time.monotonic()

    def records(self) -> Iterator[Record]:
        """The findings in the folder, part by part."""
        for part in sorted(self._folder.glob("part-*.parquet")):
            for row in _rows(part):
                refuse_other_model(part, row["model"], self._model)
                lungs, probabilities = row["lungs"], dict(row["probabilities"])
                yield row | {"category": None, "probabilities": probabilities, "lungs": lungs and json.loads(lungs)}

    def begin(self, records: Iterable[Record]) -> None:
        """Write ``records`` in place of the parts that are there."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            older = set(self._folder.glob("part-*.parquet"))
            for record in records:
                self.add(record)
            self.close()
            for part in older - {self._part(number) for number in range(self._next)}:
                part.unlink()
        except OSError as error:
            raise unwritable(self._folder, error) from error

    def add(self, record: Record) -> None:
        """Keep a finding for the next part."""
        lungs = record["lungs"]
        flat = {"probabilities": list(record["probabilities"].items()), "lungs": lungs and json.dumps(lungs)}
        self._rows.append(record | flat)
        if len(self._rows) >= ROWS or time.monotonic() - self._written > _SECONDS:
            self.close()

    def close(self) -> None:
        """Write the rows that are waiting as a part."""
        if self._rows:
            with atomic_write(self._part(self._next)) as file:
                pq.write_table(pa.Table.from_pylist(self._rows, schema=SCHEMA), file)
            self._next += 1
            self._rows.clear()
        self._written = time.monotonic()

    def _part(self, number: int) -> Path:
        return self._folder / f"part-{number:05}.parquet"


def _rows(part: Path) -> list[dict[str, Any]]:
    try:
        table = pq.read_table(part)
    except (OSError, ValueError, KeyError) as error:
        hint = "remove it, name another folder, or give --restart"
        raise LungsightError(part, "isn't a Parquet file of findings", hint) from error
    if table.schema.names != SCHEMA.names:
        problem = "has other columns than this scan writes, so it was written by another version"
        raise LungsightError(part, problem, "name another folder, or give --restart")
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows
