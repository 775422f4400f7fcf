from __future__ import annotations

import os
from pathlib import Path

import pytest

from lungsight.datasets.image_paths import absolute_paths, file_keys

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows reads its own paths")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("films/a.png", "films/b/a.png", "odd\\name.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_relative_paths_start_at_the_tables_folder_and_empty_ones_stay_empty(root: Path) -> None:
    paths, notice = absolute_paths(["films/a.png", "", "/elsewhere/a.png"], root)
    assert paths == [str(root / "films/a.png"), "", "/elsewhere/a.png"]
    assert notice == ""


def test_backslashes_are_folders_unless_a_file_is_so_called(root: Path) -> None:
    paths, _ = absolute_paths(["films\\a.png", "odd\\name.png", "..\\x.png"], root)
    assert paths == [str(root / "films/a.png"), str(root / "odd\\name.png"), str(root / "../x.png")]


@pytest.mark.parametrize("before", ["C:\\", "D:\\data\\x\\", "\\\\server\\share\\", "\\\\server\\share\\old\\"])
def test_of_windows_paths_as_many_folders_are_dropped_as_it_takes(root: Path, before: str) -> None:
    paths, notice = absolute_paths([f"{before}films\\a.png", f"{before}films\\b\\a.png"], root)
    assert paths == [str(root / "films/a.png"), str(root / "films/b/a.png")]
    assert notice.startswith(f"2 paths are of Windows (first: {before}films\\a.png); looked for at {root}")


def test_a_windows_path_that_is_nowhere_keeps_its_folders(root: Path) -> None:
    assert absolute_paths(["C:\\none\\c.png"], root)[0] == [str(root / "none/c.png")]


def test_every_spelling_of_a_path_is_one_file(root: Path) -> None:
    (root / "link").symlink_to(root / "films")
    spelt = ["films/a.png", "films/b/../a.png", "./films//a.png", "link/a.png"]
    keys = file_keys([str(root / path) for path in spelt] + [str(root / "films/b/a.png")])
    assert len(set(keys[:4])) == 1
    assert keys[4] != keys[0]
