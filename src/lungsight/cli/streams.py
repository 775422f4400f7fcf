"""Standard output and standard error as they are: a terminal of some width and encoding, or a pipe."""

from __future__ import annotations

import codecs
import io
import os
import sys

from rich.console import Console

#: Nothing that is printed is as wide as this: what reads a pipe wants whole names, whatever their length.
_UNLIMITED = 100_000
_PLAINER = "lungsight.plainer"
#: What our sentences hold beyond ASCII, for streams that know no more.
_PLAIN = str.maketrans(
    {
        "…": "...", "–": "-", "—": "-", "−": "-", "×": "x", "→": "->", "≥": ">=", "≤": "<=", "·": "*", "•": "*",
        "’": "'", "‘": "'", "“": '"', "”": '"', "�": "?", "\xa0": " ",
    }
)  # fmt: skip


def console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """A place to print to: as wide as the terminal, and of any width where no terminal is, so that no name is broken
    in two. ``COLUMNS`` in the environment is obeyed in either case."""
    made = Console(stderr=stderr, quiet=quiet)
    if made.is_terminal or os.environ.get("COLUMNS", "").isdigit():
        return made
    return Console(stderr=stderr, quiet=quiet, width=_UNLIMITED)


def take_any_character() -> None:
    """Let both streams take whatever text there is: what they can't encode is written plainer, or as ``\\u4e2d``."""
    codecs.register_error(_PLAINER, _plainer)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_PLAINER)


def write_utf8_to_stdout() -> None:
    """For tables and JSON lines, which are UTF-8 wherever they go."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


def _plainer(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    plain = error.object[error.start : error.end].translate(_PLAIN)
    return plain.encode("ascii", "backslashreplace").decode("ascii"), error.end
