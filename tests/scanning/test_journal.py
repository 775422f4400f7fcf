"""Files that grow line by line: what a kill leaves, and what is gone on with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungsight.errors import LungsightError
from lungsight.inference import Finding, Status
from lungsight.scanning.exporters import CsvTable, JsonLines, Records
from lungsight.scanning.journal import GrowingFile

NAMES = ["a.png", 'Łódź, "7".png', "c.png", "c.png", "d.png"]
MODEL = "tiny 000000000000"


def _finding(name: str, model: str = MODEL) -> Finding:
    return Finding(name, Status.ERROR, None, reasons=("One.\nTwo.", "Three, four."), model=model)


def _open(kind: str, path: Path, *, restart: bool = False, model: str = MODEL) -> Records:
    if kind == "json":
        return JsonLines(path, model, restart=restart)
    return CsvTable(path, model, ("covid19", "other"), restart=restart)


def _write_all(kind: str, path: Path, names: list[str]) -> None:
    sink = _open(kind, path)
    for name in names:
        sink.add(_finding(name), {})
    sink.close()


@pytest.mark.parametrize("kind", ["json", "csv"])
@given(cut=st.floats(0, 1))
def test_cut_off_anywhere_the_same_command_gives_the_same_file(
    kind: str, cut: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    whole, torn = folder / "whole", folder / "torn"
    _write_all(kind, whole, NAMES)
    content = whole.read_bytes()
    torn.write_bytes(content[: round(cut * len(content))])
    _write_all(kind, torn, NAMES)
    assert torn.read_bytes() == content


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_what_is_done_is_known_by_name_and_number(kind: str, tmp_path: Path) -> None:
    _write_all(kind, tmp_path / "f", NAMES[:3])
    sink = _open(kind, tmp_path / "f")
    assert [name in sink.done for name in ("a.png", "c.png", "d.png")] == [True, True, False]
    sink.done.pass_by("c.png")
    assert "c.png" not in sink.done
    sink.close()


@pytest.mark.parametrize("kind", ["json", "csv"])
@pytest.mark.parametrize(
    "content", [b"a shopping list\n", b"\x00\x00\x00", b"[1]\n", b'{"file": 3}\n', b"a,b\n1,2\n"]
)
def test_a_file_of_another_kind_is_never_touched(kind: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(LungsightError, match="holds no findings of a scan; name another file, or give --restart"):
        _open(kind, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == content


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_findings_of_another_model_are_never_touched(kind: str, tmp_path: Path) -> None:
    _write_all(kind, tmp_path / "f", NAMES)
    before = (tmp_path / "f").read_bytes()
    with pytest.raises(LungsightError, match="holds findings of tiny 000000000000, not of other 1"):
        _open(kind, tmp_path / "f", model="other 1")
    assert (tmp_path / "f").read_bytes() == before
    _open(kind, tmp_path / "f", model="other 1", restart=True).close()
    assert b"Three" not in (tmp_path / "f").read_bytes()


def test_a_damaged_line_amid_sound_ones_is_said(tmp_path: Path) -> None:
    _write_all("json", tmp_path / "f", NAMES)
    lines = (tmp_path / "f").read_bytes().splitlines(keepends=True)
    (tmp_path / "f").write_bytes(lines[0] + b"\x00\x00\n" + lines[1])
    with pytest.raises(LungsightError, match="line 2 is damaged"):
        _open("json", tmp_path / "f")


def test_damaged_lines_at_the_end_are_what_a_power_cut_leaves(tmp_path: Path) -> None:
    _write_all("json", tmp_path / "f", NAMES)
    whole = (tmp_path / "f").read_bytes()
    lines = whole.splitlines(keepends=True)
    (tmp_path / "f").write_bytes(b"".join(lines[:3]) + b"\x00" * 30 + b"\n\x00")
    _write_all("json", tmp_path / "f", NAMES)
    assert (tmp_path / "f").read_bytes() == whole


def test_names_that_are_no_text_are_written_all_the_same(tmp_path: Path) -> None:
    file = GrowingFile(tmp_path / "f")
    file.begin(0)
    file.append(json.dumps("\udcff", ensure_ascii=False))
    file.close()
    assert (tmp_path / "f").read_text("ascii") == '"\\udcff"\n'


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    sink = JsonLines(Path("/dev/full"), MODEL, restart=True)
    with pytest.raises(
        LungsightError, match=r"can't be written .*; make room or name another file; what is there is whole"
    ):
        sink.add(_finding("a.png"), {})


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(LungsightError, match="can't be written"):
        JsonLines(tmp_path / "file" / "below.jsonl", MODEL, restart=True)
