"""The journal: what a kill leaves, and what is gone on with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungsight.errors import LungsightError
from lungsight.inference import Detector, Finding, Status
from lungsight.scanning.exporters import CsvTable
from lungsight.scanning.journal import Journal, Lines, Record
from lungsight.scanning.outputs import Drawn, OutputPaths, Outputs

NAMES = ["a.png", 'Łódź, "7".png', "c.png", "c.png", "d.png"]
MODEL = "tiny 000000000000"
CLASSES = ("covid19", "other")


def _finding(name: str, model: str = MODEL) -> Finding:
    return Finding(name, Status.ERROR, None, reasons=("One.\nTwo.", "Three, four."), model=model)


def _open(path: Path, *, restart: bool = False, model: str = MODEL) -> Journal:
    journal = Journal(path, model, restart=restart)
    journal.open()
    return journal


def _write_all(path: Path, names: list[str]) -> None:
    journal = _open(path)
    for name in names:
        if name in journal:
            journal.pass_by(name)
        else:
            journal.append(_finding(name).as_json())
    journal.close()


def _read(kind: str, path: Path, model: str = MODEL) -> list[Record]:
    if kind == "json":
        return list(Journal(path, model).records())
    return list(CsvTable(path, model, CLASSES).records())


def _written(kind: str, path: Path) -> None:
    if kind == "json":
        _write_all(path, NAMES)
        return
    table = CsvTable(path, MODEL, CLASSES)
    table.begin(_finding(name).as_json() for name in NAMES)
    table.close()


@given(cut=st.floats(0, 1))
def test_cut_off_anywhere_the_same_command_gives_the_same_file(
    cut: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    whole, torn = folder / "whole", folder / "torn"
    _write_all(whole, NAMES)
    content = whole.read_bytes()
    torn.write_bytes(content[: round(cut * len(content))])
    _write_all(torn, NAMES)
    assert torn.read_bytes() == content


@pytest.mark.parametrize("option", ["json", "csv", "html"])
@settings(deadline=None, max_examples=15)
@given(kept=st.integers(0, 5), torn=st.floats(0, 1))
def test_every_output_goes_on_after_a_kill_at_any_moment(
    detector: Detector, option: str, kept: int, torn: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("killed")
    paths = OutputPaths(**{option: folder / f"f.{option}"})
    drawn = [Drawn(_finding(name, detector.model)) for name in NAMES]

    def scan(paths: OutputPaths, until: int, *, complete: bool) -> None:
        outputs = Outputs(paths, detector)
        for one in [one for one in drawn if not outputs.pass_by(one.finding.file)][:until]:
            outputs.add(one)
        outputs.close(complete=complete)

    scan(paths, kept, complete=False)
    journal = paths.journals[0]
    with journal.open("ab") as file:  # the line that it was writing
        line = json.dumps(drawn[0].finding.as_json()).encode()
        file.write(line[: round(torn * len(line))])
    scan(paths, len(drawn), complete=True)
    assert journal.exists() == (option == "json")
    content = (folder / f"f.{option}").read_text("utf-8")
    expected = OutputPaths(**{option: folder / f"all.{option}"})
    scan(expected, len(drawn), complete=True)
    if option != "html":
        assert content == (folder / f"all.{option}").read_text("utf-8")
    assert content.count("d.png") == (folder / f"all.{option}").read_text("utf-8").count("d.png")


def test_what_is_done_is_known_by_name_and_number(tmp_path: Path) -> None:
    _write_all(tmp_path / "f", NAMES[:3])
    journal = _open(tmp_path / "f")
    assert [name in journal for name in ("a.png", "c.png", "d.png")] == [True, True, False]
    assert journal.failed == set(NAMES[:3])
    journal.pass_by("c.png")
    assert "c.png" not in journal
    journal.close()


def test_findings_from_elsewhere_are_taken_over_once(tmp_path: Path) -> None:
    _write_all(tmp_path / "f", ["a", "b"])
    journal = _open(tmp_path / "f")
    for _ in range(2):
        journal.take_over(_finding(name).as_json() for name in ("b", "b", "c"))
    assert [record["file"] for record in journal.records()] == ["a", "b", "b", "c"]
    assert all(name in journal for name in ("a", "b", "c"))
    journal.close()


@pytest.mark.parametrize("kind", ["json", "csv"])
@pytest.mark.parametrize(
    "content", [b"a shopping list\n", b"\x00\x00\x00", b"[1]\n", b'{"file": 3}\n', b"a,b\n1,2\n"]
)
def test_a_file_of_another_kind_is_never_touched(kind: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(LungsightError, match="holds no findings of a scan; name another file, or give --restart"):
        _read(kind, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == content


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_findings_of_another_model_are_never_touched(kind: str, tmp_path: Path) -> None:
    _written(kind, tmp_path / "f")
    before = (tmp_path / "f").read_bytes()
    with pytest.raises(LungsightError, match="holds findings of tiny 000000000000, not of other 1"):
        _read(kind, tmp_path / "f", model="other 1")
    assert (tmp_path / "f").read_bytes() == before
    _open(tmp_path / "f", model="other 1", restart=True).close()
    assert b"Three" not in (tmp_path / "f").read_bytes()


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_a_damaged_line_amid_sound_ones_is_said(kind: str, tmp_path: Path) -> None:
    _written(kind, tmp_path / "f")
    lines = (tmp_path / "f").read_bytes().splitlines(keepends=True)
    (tmp_path / "f").write_bytes(lines[0] + b"\x00\x00\n" + lines[1])
    with pytest.raises(LungsightError, match="line 2 is damaged"):
        _read(kind, tmp_path / "f")


def test_damaged_lines_at_the_end_are_what_a_power_cut_leaves(tmp_path: Path) -> None:
    _write_all(tmp_path / "f", NAMES)
    whole = (tmp_path / "f").read_bytes()
    lines = whole.splitlines(keepends=True)
    (tmp_path / "f").write_bytes(b"".join(lines[:3]) + b"\x00" * 30 + b"\n\x00")
    _write_all(tmp_path / "f", NAMES)
    assert (tmp_path / "f").read_bytes() == whole


def test_names_that_are_no_text_are_written_all_the_same(tmp_path: Path) -> None:
    file = Lines(tmp_path / "f")
    file.append(json.dumps("\udcff", ensure_ascii=False))
    file.close()
    assert (tmp_path / "f").read_text("ascii") == '"\\udcff"\n'


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_sentence() -> None:
    file = Lines(Path("/dev/full"))
    with pytest.raises(LungsightError, match=r"can't be written .*; make room"):
        file.append("{}")


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(LungsightError, match="can't be written"):
        Lines(tmp_path / "file" / "below.jsonl")
