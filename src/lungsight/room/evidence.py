"""Evidence reports and comparisons that ``evaluate`` and ``compare`` wrote, found in folders, served as they are."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lungsight._templates import FOLDS, digest_of
from lungsight.errors import printable
from lungsight.package.stated_grade import stated_grade

_PAGE = "index.html"
_STATEMENTS: dict[str, Literal["evidence", "comparison"]] = {
    "evidence.json": "evidence",
    "compare.json": "comparison",
}
_DEEPEST = 6
_MOST_FOLDERS = 20_000
#: What such a folder holds for people, by ending; the answers' database isn't among it.
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".md": "text/plain; charset=utf-8",
    ".png": "image/png",
}
#: The pages hold their styles and pictures, and one script, which is known.
CSP = (
    "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; "
    f"script-src 'sha256-{digest_of(FOLDS)}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Report:
    """A folder that a test or a comparison left.

    Attributes:
        number: in the list.
        folder: with ``index.html``.
        kind: a test of one model, or several tests side by side.
        title: the model, or the models.
        made: ISO 8601; empty if it isn't stated.
        words: the grade, or how many models are compared.
    """

    number: int
    folder: Path
    kind: Literal["evidence", "comparison"]
    title: str
    made: str
    words: str

    def as_json(self) -> dict[str, Any]:
        """As the API gives it; the folder isn't told."""
        stated = {name: getattr(self, name) for name in ("number", "kind", "title", "made", "words")}
        return stated | {"url": f"/evidence/{self.number}/{_PAGE}"}

    def file(self, path: str) -> Path | None:
        """A file for people in the folder; None for any other."""
        wanted = (self.folder / path).resolve()
        inside = wanted.is_relative_to(self.folder.resolve())
        return wanted if inside and wanted.suffix.lower() in MEDIA_TYPES and wanted.is_file() else None


def find_reports(folders: Iterable[Path]) -> list[Report]:
    """The reports in these folders and below them, the newest first."""
    found = [stated for folder in folders for stated in _reports_below(folder)]
    found.sort(key=lambda stated: stated[3], reverse=True)
    return [Report(number, *stated) for number, stated in enumerate(found, 1)]


def _reports_below(root: Path) -> Iterator[tuple[Path, Literal["evidence", "comparison"], str, str, str]]:
    for count, (folder, below, files) in enumerate(os.walk(root)):
        if count >= _MOST_FOLDERS:
            return
        at = Path(folder)
        if len(at.parts) - len(root.parts) >= _DEEPEST:
            below.clear()
        below.sort()
        for name, kind in _STATEMENTS.items():
            if name in files and _PAGE in files:
                below.clear()
                yield (at, kind, *_stated(at / name))


def _stated(file: Path) -> tuple[str, str, str]:
    """Title, date and conclusion of a report; what it doesn't state is empty."""
    try:
        content = json.loads(file.read_text("utf-8"))
        made = printable(content.get("made", ""))
        models = content.get("models")
        if models:
            names = ", ".join(str(model["model"]) for model in models)
            return printable(names), made, f"{len(models)} tests side by side"
        subject = content.get("subject") or content
        return printable(subject.get("model") or file.parent.name), made, printable(_grade(content))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return printable(file.parent.name), "", ""


def _grade(content: dict[str, Any]) -> str:
    try:
        return stated_grade(content).words
    except (KeyError, TypeError, AttributeError):
        return ""
