"""A watched folder: what has fully arrived is passed on, once."""

from __future__ import annotations

import os
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lungsight.errors import UnreadableImageError
from lungsight.reading import ImageFile
from lungsight.scanning.watch import arrivals


class _EndedError(Exception):
    """The test's day is over."""


def _film(path: Path, grey: int = 90) -> Path:
    Image.fromarray(np.full((80, 80), grey, np.uint8)).save(path)
    return path


def _watch(folder: Path, days: list[Callable[[], object]]) -> list[str]:
    """The names that are passed on, with ``|`` at each look; what ``days`` do happens between the looks."""
    told: list[str] = []
    coming = iter(days)

    def wait(_: float) -> None:
        told.append("|")
        step = next(coming, None)
        if step is None:
            raise _EndedError
        step()

    try:
        for found in arrivals([folder], wait=wait):
            told.append(Path(found.name if isinstance(found, ImageFile) else found.subject).name)
    except _EndedError:
        return told
    raise AssertionError("watching came to an end by itself")


def _nothing() -> None:
    pass


def test_a_file_is_passed_on_when_it_has_stayed_as_it_is(tmp_path: Path) -> None:
    _film(tmp_path / "a.png")
    later = [_nothing, lambda: _film(tmp_path / "b.png"), _nothing, _nothing]
    assert _watch(tmp_path, later) == ["|", "a.png", "|", "|", "b.png", "|", "|"]


def test_a_copy_that_is_under_way_is_left_alone(tmp_path: Path) -> None:
    whole = _film(tmp_path / "whole.png").read_bytes()
    (tmp_path / "whole.png").unlink()
    growing = tmp_path / "a.png"

    def grows(size: int) -> Callable[[], object]:
        return lambda: growing.write_bytes(whole[:size])

    sizes = [grows(20), grows(60), grows(len(whole)), _nothing, _nothing]
    assert _watch(tmp_path, sizes) == ["|", "|", "|", "|", "a.png", "|", "|"]


def test_names_of_copies_under_way_are_no_images(tmp_path: Path) -> None:
    for name in (".a.png", "b.png.part", "c.tmp"):
        _film(tmp_path / "film.png").rename(tmp_path / name)
    done = [_nothing, lambda: os.rename(tmp_path / "b.png.part", tmp_path / "b.png"), _nothing, _nothing]
    assert [name for name in _watch(tmp_path, done) if name != "|"] == ["b.png"]


def test_a_file_that_changes_later_is_passed_on_again(tmp_path: Path) -> None:
    film = _film(tmp_path / "a.png")

    def changes() -> None:
        _film(film, 40)
        os.utime(film, (1, 1))

    told = _watch(tmp_path, [_nothing, changes, _nothing, _nothing])
    assert [name for name in told if name != "|"] == ["a.png", "a.png"]


def test_a_link_that_leads_nowhere_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "nothing.png")
    assert _watch(tmp_path, [_nothing, _nothing]).count("a.png") == 1


def test_an_empty_folder_and_one_that_is_not_there_yet_are_waited_for(tmp_path: Path) -> None:
    later = [lambda: (tmp_path / "new").mkdir(), lambda: _film(tmp_path / "new" / "a.png"), _nothing, _nothing]
    assert [name for name in _watch(tmp_path / "new", later) if name != "|"] == ["a.png"]


def test_damage_is_passed_on_as_any_file(tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n")
    found = list(islice(arrivals([tmp_path], wait=lambda _: None), 1))
    assert not isinstance(found[0], UnreadableImageError)  # the reader will say what is wrong with it


def test_a_settled_file_is_never_opened_again_however_often_the_folder_is_looked_at(tmp_path: Path) -> None:
    """An inbox may hold a hundred thousand files that were dealt with long ago."""
    _film(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("no image")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.write(tmp_path / "a.png", "c.png")
    opened: list[str] = []

    def note(event: str, details: tuple[object, ...]) -> None:
        if watching and event == "open" and str(details[0]).startswith(str(tmp_path)):
            opened.append(Path(str(details[0])).name)

    watching = True
    sys.addaudithook(note)
    told = _watch(tmp_path, [_nothing] * 4 + [opened.clear] + [_nothing] * 10)
    watching = False
    assert [name for name in told if name != "|"] == ["a.png", "c.png"]
    assert opened == []


def test_what_is_passed_over_is_counted_once(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    passed_over: Counter[str] = Counter()
    coming = iter([_nothing] * 5)

    def wait(_: float) -> None:
        if next(coming, None) is None:
            raise _EndedError

    with pytest.raises(_EndedError):
        list(arrivals([tmp_path], wait=wait, passed_over=passed_over))
    assert passed_over == {".txt": 1}


def test_a_damaged_archive_is_told_once_and_again_when_it_changes(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(b"PK\x03\x04 torn")
    changes = [_nothing, _nothing, lambda: archive.write_bytes(b"PK\x03\x04 torn otherwise"), _nothing, _nothing]
    assert [name for name in _watch(tmp_path, changes) if name != "|"] == ["a.zip", "a.zip"]
