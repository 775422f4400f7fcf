"""Findings as a folder of Parquet files, some thousand rows each: for notebooks, DuckDB and Spark one table."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lungsight._files import atomic_write
from lungsight.errors import LungsightError
from lungsight.inference.finding import Finding, Status
from lungsight.radiograph import Identifiers
from lungsight.scanning.exporters import Pictures
from lungsight.scanning.journal import FinishedFiles, of_another_model

ROWS = 1000
_SECONDS = 60.0

_LISTS = ("reasons", "warnings")
_PLACEMENT = pa.struct(
    [("width", pa.int32()), ("height", pa.int32()), ("mirrored", pa.bool_()), ("turned", pa.int32())]
)
SCHEMA = pa.schema(
    [
        ("file", pa.string()),
        ("status", pa.string()),
        ("verdict", pa.string()),
        ("probabilities", pa.map_(pa.string(), pa.float64())),
        ("heatmap", pa.string()),
        ("overlay", pa.string()),
        ("lungs", pa.string()),
        ("unfamiliarity", pa.float64()),
        ("age", pa.float64()),
        ("sex", pa.string()),
        ("view", pa.string()),
        ("arrived", pa.string()),
        *((field.name, pa.string()) for field in fields(Identifiers)),
        ("placement", _PLACEMENT),
        ("refused_by", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("warnings", pa.list_(pa.string())),
        ("model", pa.string()),
        ("model_grade", pa.string()),
        ("seconds", pa.float64()),
    ]
)


class ParquetFolder:
    """One row a finding, in files ``part-00000.parquet`` and on. A file is there in whole or not at all: what was
    found since the last one is scanned again after a kill.

    Attributes:
        done: the files whose findings are there from an earlier scan.
    """

    def __init__(self, folder: Path, model: str, *, restart: bool) -> None:
        """Raises Fault where the folder can't be used, or holds something else."""
        self._folder = folder
        self._rows: list[dict[str, Any]] = []
        self._written = time.monotonic()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LungsightError(
                folder, f"can't be a folder of Parquet files ({error.strerror})", "name another"
            ) from error
        parts = sorted(folder.glob("part-*.parquet"))
        if restart:
            for part in parts:
                part.unlink()
            parts = []
        self._next = 1 + max((_number_of(part) for part in parts), default=-1)  # one may have been taken away
        there = [named for part in parts for named in _names(part, model)]
        self.done = FinishedFiles(
            Counter(name for name, _ in there), (name for name, status in there if status == Status.ERROR)
        )

    def add(self, finding: Finding, pictures: Pictures) -> None:
        """Keep the finding for the next file, unless an earlier scan wrote it."""
        if finding.file in self.done:
            self.done.pass_by(finding.file)
            return
        self._rows.append(row_of(finding, pictures))
        if len(self._rows) >= ROWS or time.monotonic() - self._written > _SECONDS:
            self._write()

    def close(self) -> None:
        if self._rows:
            self._write()

    def _write(self) -> None:
        write_part(self._folder / f"part-{self._next:05}.parquet", self._rows)
        self._next += 1
        self._rows.clear()
        self._written = time.monotonic()


def row_of(finding: Finding, pictures: Pictures | None = None) -> dict[str, Any]:
    """A finding as a row of :data:`SCHEMA`."""
    stated = finding.as_json(pictures)
    lungs = stated["lungs"]
    return stated | {
        "probabilities": list(stated["probabilities"].items()),
        "lungs": None if lungs is None else json.dumps(lungs),
    }


def write_part(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write one file, in whole. Raises Fault where it can't be written."""
    with atomic_write(path) as file:
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), file)


def _number_of(part: Path) -> int:
    number = part.stem.removeprefix("part-")
    return int(number) if number.isdigit() else -1


def _names(part: Path, model: str) -> list[tuple[str, str]]:
    """Of each finding in it the file and the status."""
    try:
        columns = pq.read_schema(part).names
        table = pq.read_table(part, columns=["file", "status", "model"])
    except (OSError, ValueError, KeyError) as error:
        hint = "remove it, name another folder, or give --restart"
        raise LungsightError(part, "isn't a Parquet file of findings", hint) from error
    if columns != SCHEMA.names:
        problem = "has other columns than this scan writes, so it was written by another version"
        raise LungsightError(part, problem, "name another folder, or give --restart")
    other = set(table["model"].to_pylist()) - {model}
    if other:
        raise of_another_model(part, min(other), model)
    return list(zip(table["file"].to_pylist(), table["status"].to_pylist(), strict=True))
