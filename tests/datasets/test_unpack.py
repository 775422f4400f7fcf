from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from lungsight.datasets import unpack as module
from lungsight.datasets.unpack import unpack
from lungsight.errors import DownloadError


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.mkdir("repository")
        opened.writestr("repository/metadata.csv", "patientid\n1\n")
        opened.writestr("repository/images/one.png", b"pixels" * 1000)
    return path


def test_every_file_is_unpacked_and_progress_told(archive: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    folder = unpack(archive, tmp_path / "images", lambda done, total: seen.append((done, total)))
    assert (folder / "repository/metadata.csv").read_text() == "patientid\n1\n"
    assert (folder / "repository/images/one.png").read_bytes() == b"pixels" * 1000
    assert seen[-1] == (6012, 6012)
    assert not (tmp_path / "images.part").exists()


def test_a_folder_that_is_there_is_kept(archive: Path, tmp_path: Path) -> None:
    folder = unpack(archive, tmp_path / "images")
    archive.write_bytes(b"no longer an archive")
    assert unpack(archive, folder) == folder


def test_an_interrupt_leaves_no_half_folder_and_the_next_run_succeeds(archive: Path, tmp_path: Path) -> None:
    def interrupt(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(archive, tmp_path / "images", interrupt)
    assert not (tmp_path / "images").exists()
    assert (unpack(archive, tmp_path / "images") / "repository/images/one.png").is_file()


@pytest.mark.parametrize(
    "name", ["../outside.txt", "a/../../outside.txt", "/tmp/outside.txt", "..\\x", "C:\\x", "C:x"]
)
def test_a_member_that_points_outside_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as opened:
        opened.writestr("fine.txt", "fine")
        opened.writestr(name, "not fine")
    with pytest.raises(DownloadError, match="outside its folder"):
        unpack(tmp_path / "bad.zip", tmp_path / "inner" / "bad")
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["bad.zip"]


def test_a_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as opened:
        opened.writestr(link, "/etc")
        opened.writestr("link/passwd", "mine")
    with pytest.raises(DownloadError, match="outside its folder"):
        unpack(tmp_path / "bad.zip", tmp_path / "bad")


@pytest.mark.parametrize("content", [b"", b"<html>log in</html>", b"PK\x03\x04 torn"])
def test_what_is_no_archive_gets_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "page.zip").write_bytes(content)
    with pytest.raises(DownloadError, match="not a zip archive"):
        unpack(tmp_path / "page.zip", tmp_path / "page")


def test_a_damaged_member_leaves_nothing(archive: Path, tmp_path: Path) -> None:
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as opened:
        start = opened.getinfo("repository/images/one.png").header_offset + 30 + len("repository/images/one.png")
    content[start + 4] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(DownloadError, match="not a zip archive that can be unpacked"):
        unpack(archive, tmp_path / "images")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images.zip"]


def test_a_disk_too_small_is_told_first(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = module.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: usage._replace(free=10))
    with pytest.raises(DownloadError, match="make room"):
        unpack(archive, tmp_path / "images")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images.zip"]
