"""What findings are exported to while a scan goes on: JSON lines to a stream, and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Protocol

from lungsight._text import shortened
from lungsight.errors import LungsightError
from lungsight.inference.finding import Status
from lungsight.radiograph import Identifiers, Placement
from lungsight.scanning.journal import Lines, Record, is_stream, read_lines, refuse_other_model


class Exporter(Protocol):
    """Writes findings somewhere, besides the journal.

    Attributes:
        is_stream: nothing can be read back from there, so it gets the findings of this scan alone.
    """

    is_stream: bool

    def records(self) -> Iterable[Record]:
        """The findings that an earlier scan left there. Raises LungsightError if it holds something else."""

    def begin(self, records: Iterable[Record]) -> None:
        """Write what the journal holds, in place of what is there. Raises LungsightError if it can't be written."""

    def add(self, record: Record) -> None:
        """Write one finding more. Raises LungsightError if it can't be written."""

    def close(self) -> None:
        """Nothing more will come."""


class JsonStream:
    """JSON lines to standard output or a device, from which nothing can be read back."""

    is_stream = True

    def __init__(self, path: Path) -> None:
        self._lines = Lines(path)

    def records(self) -> Iterable[Record]:
        """None: nothing can be read back."""
        return ()

    def begin(self, records: Iterable[Record]) -> None:
        """A stream holds the findings of this scan alone."""

    def add(self, record: Record) -> None:
        """Write one object on a line."""
        self._lines.append(json.dumps(record, ensure_ascii=False))

    def close(self) -> None:
        """Nothing more will come."""
        self._lines.close()


_SENTENCES = ("reasons", "warnings")
_VIEW = ("view", "view_from", "view_ap")
_LUNGS = ("lungs_percent_of_image", "lungs_percent_of_evidence")
_AS_IN_JSON = [
    *("heatmap", "overlay", *_LUNGS, "unfamiliarity", "age", "sex", *_VIEW, "arrived"),
    *(field.name for field in fields(Identifiers)),
    *Placement._fields,
    *("refused_by", *_SENTENCES, "model", "model_grade", "seconds"),
]


class CsvTable:
    """One row per file; the probability of each class in a column of its own, no line break in a cell."""

    def __init__(self, path: Path, model: str, classes: tuple[str, ...]) -> None:
        self._path, self._model, self._classes = path, model, classes
        self.is_stream = is_stream(path)
        probabilities = [f"probability_{name}" for name in classes]
        self._columns = ["file", "status", "verdict", *probabilities, *_AS_IN_JSON]
        self._lines: Lines | None = None

    def records(self) -> Iterator[Record]:
        """The findings in the table; of the lungs' box, readers' words and single sentences it says nothing."""
        if not self.is_stream:
            rows = read_lines(self._path, self._parse, b"file,status,")
            yield from (record for record, _ in rows if record is not None)

    def begin(self, records: Iterable[Record]) -> None:
        """Write the heading and a row for each of ``records``."""
        self._lines = Lines(self._path)
        self._lines.append(_row(self._columns))
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Write a row."""
        assert self._lines is not None
        flat = record | {f"probability_{name}": p for name, p in record["probabilities"].items()}
        flat |= {f"lungs_{key}": value for key, value in (record["lungs"] or {}).items()}
        flat |= record["placement"] or {}
        flat |= {name: " ".join(record[name]) for name in _SENTENCES}
        self._lines.append(_row([flat.get(column) for column in self._columns]))

    def close(self) -> None:
        """Nothing more will come."""
        if self._lines is not None:
            self._lines.close()

    def _parse(self, line: bytes) -> Record | None:
        """The finding of a row; None for the heading."""
        try:
            row = next(csv.reader([line.decode("utf-8")]), [])
        except csv.Error as error:
            raise ValueError("not a row") from error
        if row == self._columns:
            return None
        if row[:3] == self._columns[:3]:
            self._refuse_columns(row)
        if len(row) != len(self._columns):
            raise ValueError("another number of columns")
        record = self._record(dict(zip(self._columns, (cell or None for cell in row), strict=True)))
        refuse_other_model(self._path, record["model"], self._model)
        return record

    def _record(self, cells: dict[str, str | None]) -> Record:
        """What a table says of a finding, with the keys that JSON has."""
        probabilities = {name: cells.pop(f"probability_{name}") for name in self._classes}
        image, evidence = (_number(cells.pop(name)) for name in _LUNGS)
        placement = [cells.pop(name) for name in Placement._fields]
        sentences = {name: cells.pop(name) for name in _SENTENCES}
        lungs: Record = {"box": None, "plausible": cells["status"] == Status.READ}
        lungs |= {"percent_of_image": image, "percent_of_evidence": evidence}
        return {
            **cells,
            "category": None,
            **{name: _number(cells[name]) for name in ("unfamiliarity", "age", "view_ap", "seconds")},
            "probabilities": {name: float(text) for name, text in probabilities.items() if text},
            "lungs": None if image is None else lungs,
            "placement": None if placement[0] is None else _placement(*placement),
            **{name: [text] if text else [] for name, text in sentences.items()},
        }

    def _refuse_columns(self, row: list[str]) -> None:
        differing = sorted(set(row) ^ set(self._columns)) or ["their order"]
        problem = (
            f"has other columns than this scan writes ({shortened(differing, 4)}), so it was written by another "
        )
        raise LungsightError(self._path, problem + "version or model", "name another file, or give --restart")


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)


def _placement(width: str | None, height: str | None, mirrored: str | None, turned: str | None) -> Record:
    sides = {"width": int(width or 0), "height": int(height or 0)}
    return {**sides, "mirrored": mirrored == "True", "turned": int(turned or 0)}


def _row(values: list[object] | list[str]) -> str:
    """A line of a CSV table; a cell holds no line break, so that a row is a line."""
    text = io.StringIO()
    flat = [" ".join(value.splitlines()) if isinstance(value, str) else value for value in values]
    csv.writer(text, lineterminator="").writerow(flat)
    return text.getvalue()
