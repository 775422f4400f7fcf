"""Findings as JSON lines and as CSV. Every line is on disk before the next image is judged."""

from __future__ import annotations

import csv
import json
from typing import TextIO

from lungsight.scanning.finding import Finding


class JsonLines:
    """One object a line, with the keys of ``Finding.as_json``."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def add(self, finding: Finding, heatmap: str | None) -> None:
        self._file.write(json.dumps(finding.as_json(heatmap), ensure_ascii=False) + "\n")
        self._file.flush()


_OF_LUNGS = ("lungs_percent_of_image", "lungs_percent_of_evidence")
_LAST = ("reasons", "warnings", "model", "seconds")


class CsvTable:
    """One row a file; the probability of each class in a column of its own."""

    def __init__(self, file: TextIO, classes: tuple[str, ...]) -> None:
        self._file = file
        self._writer = csv.writer(file, lineterminator="\n")
        self._classes = classes
        probabilities = [f"probability_{name}" for name in classes]
        self._write(["file", "status", "verdict", *probabilities, "heatmap", *_OF_LUNGS, "unfamiliarity", *_LAST])

    def add(self, finding: Finding, heatmap: str | None) -> None:
        values = finding.as_json(heatmap)
        row = [values["file"], values["status"], values["verdict"]]
        row += [values["probabilities"].get(name) for name in self._classes]
        lungs = values["lungs"] or {}
        row += [heatmap, lungs.get("percent_of_image"), lungs.get("percent_of_evidence"), values["unfamiliarity"]]
        row += [" ".join(finding.reasons), " ".join(finding.warnings), values["model"], values["seconds"]]
        self._write(row)

    def _write(self, row: list[object]) -> None:
        self._writer.writerow(row)
        self._file.flush()
