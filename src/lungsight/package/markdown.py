"""Markdown whose tables survive whatever a cell holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """The lines of a table."""
    yield _row(headings)
    yield _row(["---"] * len(headings))
    yield from (_row(row) for row in rows)


def cell(value: object) -> str:
    """``value`` on one line, with the bars that would end the cell escaped."""
    return " ".join(str(value).split()).replace("|", "\\|")


def _row(cells: Iterable[object]) -> str:
    return "| " + " | ".join(cell(value) for value in cells) + " |"
