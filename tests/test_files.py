from __future__ import annotations

import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from lungsight._files import atomic_folder, atomic_write, previous, write_whole
from lungsight.errors import LungsightError

SOURCES = Path(__file__).parents[1] / "src" / "lungsight"


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def _full_disk(after: int) -> Iterator[None]:
    """Files can't grow beyond ``after`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _broken_off(place: Path, error: type[BaseException]) -> None:
    with atomic_write(place, "w") as file:
        file.write("half")
        raise error


@pytest.mark.parametrize(("mode", "content"), [("w", "Thorax Ä\n中\n"), ("wb", b"\0\r\n\xff")])
def test_what_is_written_stands_there_and_nothing_else(tmp_path: Path, mode: str, content: str | bytes) -> None:
    place = tmp_path / "new" / "folder" / "file"
    write_whole(place, content)
    assert place.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert _names(place.parent) == ["file"]


def test_it_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    write_whole(tmp_path / "ours", "")
    (tmp_path / "any").write_text("")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "any").stat().st_mode


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    place = tmp_path / "table.csv"
    write_whole(place, "old")
    with pytest.raises(error):
        _broken_off(place, error)
    assert place.read_text() == "old"
    assert _names(tmp_path) == ["table.csv"]


@pytest.mark.parametrize("mode", ["w", "wb"])
def test_a_full_disk_is_one_sentence_and_leaves_what_was_there(tmp_path: Path, mode: str) -> None:
    place = tmp_path / "table.csv"
    write_whole(place, "old")
    content: str | bytes = "x" * 5000 if mode == "w" else b"x" * 5000
    with (
        _full_disk(after=1000),
        pytest.raises(LungsightError, match=r"table\.csv: can't be written \(File too large\); make room, "),
    ):
        write_whole(place, content)
    assert place.read_text() == "old"
    assert _names(tmp_path) == ["table.csv"]


def test_a_place_in_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LungsightError, match=r"file/below: can't be written \("):
        write_whole(tmp_path / "file" / "below", "")


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path: Path) -> None:
    name = "n" * 251 + ".csv"
    write_whole(tmp_path / name, "whole")
    assert _names(tmp_path) == [name]


def test_text_may_hold_names_that_are_not_utf8(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", "Thorax\udcff.png")
    assert (tmp_path / "file").read_text("utf-8") == "Thorax\\udcff.png"


def test_many_writers_of_one_file_leave_one_of_theirs(tmp_path: Path) -> None:
    place = tmp_path / "file"
    contents = [str(number) * 20_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_whole(place, content), contents * 5))
    assert place.read_text() in contents
    assert _names(tmp_path) == ["file"]


def test_a_folder_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    folder = tmp_path / "package"
    for content in ("one", "two"):
        with atomic_folder(folder) as partial:
            (partial / content).write_text(content)
    assert _names(folder) == ["two"]
    assert _names(tmp_path) == ["package"]


def test_a_folder_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    folder = tmp_path / "package"
    with atomic_folder(folder) as partial:
        (partial / "file").write_text("old")
    with (
        _full_disk(after=1000),
        pytest.raises(LungsightError, match=r"package: can't be written \(File too large\)"),
        atomic_folder(folder) as partial,
    ):
        (partial / "file").write_bytes(b"x" * 5000)
    assert (folder / "file").read_text() == "old"
    assert _names(tmp_path) == ["package"]


def test_a_folder_is_made_though_a_kill_left_half_of_one_and_the_one_before(tmp_path: Path) -> None:
    folder = tmp_path / "package"
    (tmp_path / "package.part").mkdir()
    (tmp_path / "package.part" / "half").write_text("")
    previous(folder).mkdir()
    with atomic_folder(folder) as partial:
        (partial / "file").write_text("whole")
    assert _names(folder) == ["file"]
    assert _names(tmp_path) == ["package"]


def test_no_module_writes_files_in_another_way() -> None:
    """``download.py`` keeps its own ``.part``, for a download goes on where it stopped; stores sync to disk."""
    own = {SOURCES / "_files.py", SOURCES / "datasets" / "download.py", *SOURCES.glob("*/store.py")}
    for source in sorted(set(SOURCES.rglob("*.py")) - own):
        text = source.read_text("utf-8")
        assert '.part"' not in text.replace('(".part", ".tmp"', ""), source
        assert "os.replace(" not in text, source
