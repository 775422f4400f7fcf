"""Findings as JSON lines and as CSV. Every line is on its way to the disk before the next image is said to be done.

A file that an earlier, broken-off scan by the same model left is gone on with: each sink knows what it holds already.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Protocol

from lungsight._text import shortened
from lungsight.errors import LungsightError
from lungsight.inference.finding import Finding, Status
from lungsight.radiograph import Identifiers, Placement
from lungsight.scanning.journal import (
    STDOUT,
    FinishedFiles,
    GrowingFile,
    StandardOutput,
    already_there,
    as_object,
    of_another_model,
)

#: Where the pictures of a finding lie, by their kind.
Pictures = Mapping[str, Path]


class Sink(Protocol):
    """A place that findings are written to, one by one.

    Attributes:
        done: the files whose findings are there from an earlier scan.
    """

    done: FinishedFiles

    def add(self, finding: Finding, pictures: Pictures) -> None:
        """Write the finding and where its pictures are, unless an earlier scan did."""

    def close(self) -> None:
        """Nothing more will come."""


class Records:
    """One line a finding, in a file or on standard output (``-``).

    Attributes:
        done: the files whose findings are there from an earlier scan.
    """

    def __init__(self, path: Path, model: str, *, restart: bool) -> None:
        """Raises Fault where the file is there and isn't an earlier run's; ``restart`` replaces it unread."""
        self._file = StandardOutput() if path == STDOUT else GrowingFile(path)
        self._model = model
        self._failed: set[str] = set()
        counts, kept = (Counter[str](), 0) if restart else already_there(self._file, self._read)
        self.done = FinishedFiles(counts, self._failed)
        self._file.begin(kept)
        if kept == 0 and (heading := self._heading()):
            self._file.append(heading)

    def add(self, finding: Finding, pictures: Pictures) -> None:
        """Write the finding and where its pictures are, unless an earlier scan did."""
        if finding.file in self.done:
            self.done.pass_by(finding.file)
        else:
            self._file.append(self._line(finding, pictures))

    def close(self) -> None:
        self._file.close()

    def _heading(self) -> str:
        return ""

    def _line(self, finding: Finding, pictures: Pictures) -> str:
        raise NotImplementedError

    def _read(self, line: bytes, number: int) -> str | None:
        raise NotImplementedError

    def _noted(self, file: str, status: object) -> str:
        if status == Status.ERROR:
            self._failed.add(file)
        return file


class JsonLines(Records):
    """One object a line, with the keys of ``Finding.as_json``."""

    def _line(self, finding: Finding, pictures: Pictures) -> str:
        return json.dumps(finding.as_json(pictures), ensure_ascii=False)

    def _read(self, line: bytes, number: int) -> str:
        stated = as_object(line)
        if not isinstance(stated.get("file"), str) or "verdict" not in stated:
            raise ValueError("no finding")
        if stated.get("model") != self._model:
            raise of_another_model(self._file.path, stated.get("model"), self._model)
        return self._noted(str(stated["file"]), stated.get("status"))


_AS_IN_JSON = [
    *("heatmap", "overlay", "lungs_percent_of_image", "lungs_percent_of_evidence", "unfamiliarity"),
    *("age", "sex", "view", "arrived"),
    *(field.name for field in fields(Identifiers)),
    *Placement._fields,
    *("refused_by", "reasons", "warnings", "model", "model_grade", "seconds"),
]


class CsvTable(Records):
    """One row a file; the probability of each class in a column of its own."""

    def __init__(self, path: Path, model: str, classes: tuple[str, ...], *, restart: bool) -> None:
        probabilities = [f"probability_{name}" for name in classes]
        self._columns = ["file", "status", "verdict", *probabilities, *_AS_IN_JSON]
        super().__init__(path, model, restart=restart)

    def _heading(self) -> str:
        return _row(self._columns)

    def _line(self, finding: Finding, pictures: Pictures) -> str:
        values = finding.as_json(pictures)
        flat = values | {f"probability_{name}": p for name, p in values["probabilities"].items()}
        flat |= {f"lungs_{key}": value for key, value in (values["lungs"] or {}).items()}
        flat |= values["placement"] or {}
        flat |= {name: " ".join(values[name]) for name in ("reasons", "warnings")}
        return _row([flat.get(column) for column in self._columns])

    def _read(self, line: bytes, number: int) -> str | None:
        try:
            row = next(csv.reader([line.decode("utf-8")]), [])
        except csv.Error as error:
            raise ValueError("no row") from error
        if number == 0:
            if row != self._columns:
                self._refuse_columns(row)
            return None
        if len(row) != len(self._columns):
            raise ValueError("another number of columns")
        stated = dict(zip(self._columns, row, strict=True))
        if stated["model"] != self._model:
            raise of_another_model(self._file.path, stated["model"], self._model)
        return self._noted(stated["file"], stated["status"])

    def _refuse_columns(self, row: list[str]) -> None:
        """Raises Fault where these are the columns of another version, ValueError where they are no scan's at all."""
        if row[:3] != self._columns[:3]:
            raise ValueError("another table")
        differing = sorted(set(row) ^ set(self._columns)) or ["their order"]
        named = shortened(differing, 4)
        problem = f"has other columns than this scan writes ({named}), so it was written by another version or model"
        raise LungsightError(self._file.path, problem, "name another file, or give --restart")


def _row(values: list[object] | list[str]) -> str:
    """A line of a CSV table; a cell holds no line break, so that a row is a line."""
    text = io.StringIO()
    flat = [" ".join(value.splitlines()) if isinstance(value, str) else value for value in values]
    csv.writer(text, lineterminator="").writerow(flat)
    return text.getvalue()
