"""Tables as people save them: any encoding, any separator, and what a spreadsheet adds."""

from __future__ import annotations

import csv
import gzip
import io
import re
import unicodedata
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lungsight._text import shortened
from lungsight.errors import ManifestError, printable

_SEPARATORS = ",;\t|"
#: A spreadsheet's own first line, which names the separator.
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?\n?', re.IGNORECASE)
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_EMPTY_FILE = ("the file is empty", "give one row per image under a header")
_AS_CSV = "save it as 'CSV UTF-8'"
_ROWS_SHOWN = 5
#: Bytes of a packed table.
_MOST_UNPACKED = 10**9


class TableError(ManifestError):
    """A file that holds no table, or whose rows don't fit its header."""


@dataclass(frozen=True, eq=False)
class TextTable:
    """A table of texts.

    Attributes:
        rows: a column of str for each cell of the header (a name may be there twice); the index is each row's number
            in a spreadsheet, less 2, so that the first row under the header has 0. Rows without text are left out.
        notices: what had to be assumed: sentences.
    """

    rows: pd.DataFrame
    notices: tuple[str, ...] = ()


def column_key(name: object) -> str:
    """Return a column's name in small letters, with underscores for spaces, hyphens and dots."""
    plain = unicodedata.normalize("NFKC", str(name)).replace("\ufeff", "").strip().casefold()
    return re.sub(r"[\s._\-]+", "_", plain).strip("_")


def rows_in_words(index: Collection[int]) -> str:
    """Return ``row 3, 4, 5, 6, 7 and 2 more``: an index as in :class:`TextTable`, as a spreadsheet counts rows."""
    return "row " + shortened([int(row) + 2 for row in index], _ROWS_SHOWN)


def read_table(path: Path, known: Collection[str]) -> TextTable:
    """Return the table in a CSV file, also one packed by gzip, or a Parquet file (its columns as they are).

    Args:
        path: the file.
        known: names that its columns may have, by which the separator is recognised.

    Raises:
        TableError: the file holds no table, or rows longer than its header.
    """
    content = path.read_bytes()
    if path.suffix.lower() == ".gz":
        content = _unpacked(content, path)
    if not content:
        raise TableError(path, *_EMPTY_FILE)
    if path.suffix.lower() != ".parquet":
        return read_text_table(content, path, known)
    try:
        return TextTable(pd.read_parquet(path).reset_index(drop=True))
    except Exception as error:  # pandas and pyarrow raise a dozen kinds for a broken table
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        problem = f"not a readable table ({first_line})"
        raise TableError(path, problem, "save it as CSV or Parquet") from error


def _unpacked(content: bytes, path: Path) -> bytes:
    try:
        with gzip.open(io.BytesIO(content)) as stream:
            unpacked = stream.read(_MOST_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise TableError(path, f"isn't a whole gzip file ({error})", _AS_CSV) from error
    if len(unpacked) > _MOST_UNPACKED:
        problem = f"unpacks to more than {_MOST_UNPACKED // 10**9} GB"
        raise TableError(path, problem, "unpack it and keep the rows you need")
    return unpacked


def read_text_table(content: bytes, path: Path, known: Collection[str]) -> TextTable:
    """Return the table in a file's ``content``; ``known`` and errors as for :func:`read_table`."""
    text, notices = decoded(content, path)
    separator, text = _stated_separator(text)
    if not text.strip(f"{_SEPARATORS} \r\n"):
        raise TableError(path, *_EMPTY_FILE)
    try:
        separator = separator or _separator(text, known)
        records = list(_records(text, separator, strict=True))
    except csv.Error as error:
        raise TableError(path, f"not a readable table ({error})", f"{_AS_CSV} or Parquet") from error
    return TextTable(_as_frame(records, path), notices)


def decoded(content: bytes, path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the text of a table, and a sentence where its encoding had to be guessed. Raises TableError."""
    if content.startswith(_WORKBOOKS):
        raise TableError(path, "is a workbook of a spreadsheet, not text", f"open it there and {_AS_CSV}")
    encoding = _stated_encoding(content)
    try:
        return content.decode(encoding).removeprefix("\ufeff"), ()
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise TableError(path, f"isn't text of the encoding it claims ({encoding})", _AS_CSV) from error
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError as error:
        raise TableError(path, f"the text isn't UTF-8, nor Windows-1252 (byte {error.start})", _AS_CSV) from error
    if re.search(r"[\x00-\x08\x0e-\x1f]", text):
        raise TableError(path, "isn't text", f"{_AS_CSV} or Parquet")
    word = re.search(r"\w*[^\x00-\x7f]+\w*", text)
    example = f" (for example '{printable(word[0])[:40]}')" if word else ""
    return text, (f"the text isn't UTF-8 and was read as Windows-1252{example}.",)


def _stated_encoding(content: bytes) -> str:
    """By the marks at its start, or the positions of its first zero bytes: Latin letters in UTF-16 have one each."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding
    start = content[:64]
    if len(start) > 3 and start.count(0) >= len(start) // 3:
        return "utf-16-le" if start[1] == 0 else "utf-16-be"
    return "utf-8"


def _stated_separator(text: str) -> tuple[str, str]:
    """The sign that a spreadsheet's own first line names, and the text after that line."""
    line = _SEPARATOR_LINE.match(text)
    if line is None:
        return "", text
    return line[1], text[line.end() :]


def _separator(text: str, known: Collection[str]) -> str:
    """The sign by which the first line names most of the columns that are known, then most columns at all."""

    def score(sign: str) -> tuple[int, int]:
        try:
            header = next((record for record in _records(text, sign) if _any_text(record)), [])
        except csv.Error:
            return 0, 0
        return len({column_key(cell) for cell in header} & {column_key(name) for name in known}), len(header)

    return max(_SEPARATORS, key=score)


def _records(text: str, separator: str, strict: bool = False) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=strict, skipinitialspace=True)


def _any_text(cells: list[str]) -> bool:
    return any(cell.strip() for cell in cells)


def _as_frame(records: list[list[str]], path: Path) -> pd.DataFrame:
    place = next((i for i, record in enumerate(records) if _any_text(record)), None)
    if place is None:
        raise TableError(path, *_EMPTY_FILE)
    header = [cell.replace("\ufeff", "").strip() for cell in records[place]]
    while header and not header[-1]:
        header.pop()
    rows = {number: cells for number, cells in enumerate(records[place + 1 :]) if _any_text(cells)}
    for number, cells in rows.items():
        if _any_text(cells[len(header) :]):
            problem = f"row {number + place + 2} has {len(cells)} cells where the header has {len(header)}"
            hint = "with decimal commas, save it with semicolons between the cells; quote texts that hold the sign"
            raise TableError(path, problem, hint)
    width = len(header)
    filled = [(cells + [""] * width)[:width] for cells in rows.values()]
    index = pd.Index([number + place for number in rows], dtype="int64")
    return pd.DataFrame(filled, index=index, columns=pd.Index(header, dtype=object), dtype=object)
