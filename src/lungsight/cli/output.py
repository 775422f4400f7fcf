"""Standard output and standard error: a terminal of some width and encoding, or a pipe; sentences and tables."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Collection, Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lungsight.errors import printable

#: Nothing that is printed is as wide as this: what reads a pipe needs whole names, whatever their length.
_UNLIMITED = 100_000
_PLAINER = "lungsight.plainer"
#: Characters of our sentences beyond ASCII, for streams that can't encode them.
_PLAIN = str.maketrans(
    {
        "…": "...", "–": "-", "—": "-", "−": "-", "×": "x", "→": "->", "≥": ">=", "≤": "<=", "·": "*", "•": "*",
        "✓": "+", "✗": "x", "’": "'", "‘": "'", "“": '"', "”": '"', "�": "?", "\xa0": " ",
    }
)  # fmt: skip


def console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """A console as wide as the terminal.

    Without a terminal it is unlimited, so that no name is broken in two. ``COLUMNS`` in the environment is obeyed in
    either case.
    """
    made = Console(stderr=stderr, quiet=quiet)
    if made.is_terminal or os.environ.get("COLUMNS", "").isdigit():
        return made
    return Console(stderr=stderr, quiet=quiet, width=_UNLIMITED)


def say(to: Console, text: str) -> None:
    """Print a sentence as it is: no markup, no colours, no line breaks but the terminal's."""
    to.print(text, markup=False, highlight=False, soft_wrap=True)


def table(
    headings: Iterable[object],
    rows: Iterable[Iterable[object]],
    *,
    numbers: Collection[str] = (),
    whole: Collection[str] = (),
    title: str | None = None,
    padding: tuple[int, int, int, int] = (0, 1, 0, 0),
) -> Table:
    """A table without lines.

    Args:
        headings: of the columns.
        rows: their cells. Numbers get thousands separators, texts are made printable, a rich ``Text`` stays.
        numbers: headings of the columns that are aligned to the right.
        whole: headings of the columns that are never folded.
        title: above the table, to the left.
        padding: of every cell: top, right, bottom, left.
    """
    made = Table(box=None, pad_edge=False, padding=padding, title=title, title_justify="left")
    for heading in map(str, headings):
        right = heading in numbers
        shown = escape(printable(heading))
        made.add_column(
            shown, justify="right" if right else "left", overflow="fold", no_wrap=right or heading in whole
        )
    for row in rows:
        made.add_row(*(_cell(cell) for cell in row))
    return made


def facts(pairs: Iterable[tuple[str, str]]) -> Table:
    """Names in bold beside what they stand for."""
    made = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, text in pairs:
        made.add_row(name, escape(text))
    return made


def _cell(cell: object) -> str | Text:
    if isinstance(cell, Text):
        return cell
    return f"{cell:,}" if isinstance(cell, int) else escape(printable(cell))


def take_any_character() -> None:
    r"""Let both streams take any text: what they can't encode is written plainer, or as ``\u4e2d``."""
    codecs.register_error(_PLAINER, _plainer)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_PLAINER)


def write_utf8_to_stdout() -> None:
    """Write UTF-8 to standard output wherever it goes: tables and JSON lines are UTF-8."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


def _plainer(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    plain = error.object[error.start : error.end].translate(_PLAIN)
    return plain.encode("ascii", "backslashreplace").decode("ascii"), error.end
