"""The same table, however it was saved, reads the same."""

from __future__ import annotations

import contextlib
import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungsight.datasets.text_tables import TableError, column_key, read_text_table, rows_in_words

HEADER = ["path", "label", "reference_standard", "age"]
#: Letters that Windows-1252 has, with the signs that separate cells or quote them.
CELL = st.text(st.sampled_from("abcXYZ019 éüßñ€,;\t|\"'\n=?-_/\\"), min_size=1, max_size=12).map(str.strip)


def written(rows: list[list[str]], separator: str, quoting: int, ending: str) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=separator, quoting=quoting, lineterminator=ending).writerows(rows)
    return out.getvalue()


@st.composite
def headers(draw: st.DrawFn) -> list[str]:
    """The columns' names in any case, with spaces or hyphens for underscores, and spaces around them."""
    between = draw(st.sampled_from(["_", " ", "-", ". "]))
    change = draw(st.sampled_from([str, str.upper, str.title]))
    around = draw(st.sampled_from(["", " ", "  "]))
    return [around + change(name.replace("_", between)) + around for name in HEADER]


@settings(max_examples=200, deadline=None)
@given(
    cells=st.lists(st.lists(CELL.filter(bool), min_size=4, max_size=4), min_size=1, max_size=5),
    header=headers(),
    separator=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    ending=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]),
    stated=st.booleans(),
    empty=st.integers(0, 2),
)
def test_every_way_to_save_a_table_says_the_same(
    cells: list[list[str]],
    header: list[str],
    separator: str,
    quoting: int,
    ending: str,
    encoding: str,
    stated: bool,
    empty: int,
) -> None:
    rows = [row + [""] * empty for row in [header, *cells]] + [[""] * (4 + empty)] * empty
    text = (f"sep={separator}{ending}" if stated else "") + written(rows, separator, quoting, ending)
    read = read_text_table(text.encode(encoding), Path("t.csv"), HEADER).rows
    assert [column_key(name) for name in read.columns] == HEADER
    assert [[cell.strip() for cell in row] for row in read.to_numpy().tolist()] == cells
    assert list(read.index) == list(range(len(cells)))


def test_rows_are_counted_as_a_spreadsheet_counts_them() -> None:
    text = 'path,label\n\na.png,"two\nlines"\n,\nb.png,x\n'
    read = read_text_table(text.encode(), Path("t.csv"), HEADER).rows
    assert list(read.index) == [1, 3]
    assert rows_in_words(read.index) == "row 3, 5"
    assert rows_in_words(range(8)) == "row 2, 3, 4, 5, 6 and 3 more"


def test_a_guessed_encoding_is_said_with_an_example() -> None:
    read = read_text_table("path,label\nmüller.png,x\n".encode("cp1252"), Path("t.csv"), HEADER)
    assert read.rows["path"].tolist() == ["müller.png"]
    assert read.notices == ("the text isn't UTF-8 and was read as Windows-1252 (for example 'müller').",)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the file is empty"),
        (b"\n \n,,\n", "the file is empty"),
        (b"PK\x03\x04rest", "is a workbook of a spreadsheet, not text; open it there and save it as 'CSV UTF-8'"),
        (b"\xd0\xcf\x11\xe0rest", "is a workbook"),
        (b"path,label\n\x81,x\n", "isn't UTF-8, nor Windows-1252"),
        (b"\xff\xfea", "isn't text of the encoding it claims"),
        (b"path,label\n\xe9\x00\x01\x02", "isn't text"),
        (b"path,label\na.png,x,extra\n", "row 2 has 3 cells where the header has 2"),
        (b'path,label\n"a.png,x\n', "not a readable table"),
    ],
)
def test_what_is_no_table_is_refused_in_a_sentence(content: bytes, sentence: str) -> None:
    with pytest.raises(TableError) as problem:
        read_text_table(content, Path("t.csv"), HEADER)
    assert sentence in str(problem.value)
    assert "\n" not in str(problem.value)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_end_in_anything_but_a_table_or_a_sentence(content: bytes) -> None:
    with contextlib.suppress(TableError):
        read_text_table(content, Path("t.csv"), HEADER)
