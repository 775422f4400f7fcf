"""Downloads from a server on this machine that does what servers do: break off, lie, fail, be silent."""

from __future__ import annotations

import hashlib
import stat
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from lungsight.datasets import download as module
from lungsight.datasets.collection import RemoteFile
from lungsight.datasets.download import download, unpack
from lungsight.errors import DownloadError

BODY = bytes(range(256)) * 2048
DIGEST = hashlib.sha256(BODY).hexdigest()


@dataclass
class Home:
    """What the server sends, and how often it was asked."""

    url: str = ""
    breaks_after: list[int] = field(default_factory=list)  # bytes of each of the first responses
    statuses: list[int] = field(default_factory=list)  # of the first responses
    tells_length: bool = True
    silent_for: float = 0.0
    version: str = ""  # its ETag; empty: the server names none
    asked: int = 0
    sent: int = 0  # bytes of all responses

    def remote(self, sha256: str | None = None, gigabytes: float = 1e-3) -> RemoteFile:
        return RemoteFile(self.url, "images.zip", gigabytes, sha256)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    home = Home()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            home.asked += 1
            if home.statuses:
                self.send_error(home.statuses.pop(0))
                return
            same = home.version and self.headers.get("If-Range") == home.version
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-")) if same else 0
            if start > len(BODY):
                self.send_error(416)
                return
            self.send_response(206 if same else 200)
            if home.version:
                self.send_header("ETag", home.version)
            if home.tells_length:
                self.send_header("Content-Length", str(len(BODY) - start))
            self.end_headers()
            time.sleep(home.silent_for)
            body = BODY[start:][: home.breaks_after.pop(0)] if home.breaks_after else BODY[start:]
            home.sent += len(body)
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    home.url = f"http://127.0.0.1:{server.server_port}/images.zip"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setattr("pooch.core.time", SimpleNamespace(sleep=lambda seconds: None))
    yield home
    server.shutdown()
    server.server_close()
    thread.join()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("tells_length", [True, False])
def test_the_file_arrives_whole_with_its_checksum_beside_it(home: Home, tmp_path: Path, tells_length: bool) -> None:
    home.tells_length = tells_length
    seen: list[tuple[int, int | None]] = []
    path = download(home.remote(), tmp_path / "new", lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == BODY
    assert (tmp_path / "new/images.zip.sha256").read_text() == f"{DIGEST}  images.zip\n"
    assert names(path.parent) == ["images.zip", "images.zip.sha256"]
    assert {total for _, total in seen} == ({len(BODY)} if tells_length else {None})
    assert not tells_length or seen[-1] == (len(BODY), len(BODY))


def test_a_broken_connection_is_tried_again(home: Home, tmp_path: Path) -> None:
    home.breaks_after = [100_000, 50_000]
    assert download(home.remote(), tmp_path).read_bytes() == BODY
    assert home.asked == 3


def test_a_broken_download_goes_on_where_it_stopped(home: Home, tmp_path: Path) -> None:
    home.version, home.breaks_after = '"1"', [100_000] * 4
    with pytest.raises(DownloadError, match="goes on from there"):
        download(home.remote(), tmp_path)
    assert download(home.remote(), tmp_path).read_bytes() == BODY
    assert home.sent < len(BODY) + 4 * module._CHUNK_BYTES  # a chunk that broke off is sent again
    assert names(tmp_path) == ["images.zip", "images.zip.sha256"]


@pytest.mark.parametrize("version", ["", '"2"', 'W/"1"'])
def test_another_version_or_none_begins_anew(home: Home, tmp_path: Path, version: str) -> None:
    home.version, home.breaks_after = '"1"', [100_000] * 4
    with pytest.raises(DownloadError):
        download(home.remote(), tmp_path)
    home.version = version
    assert download(home.remote(DIGEST), tmp_path).read_bytes() == BODY
    assert home.sent > len(BODY)


def test_more_than_the_file_on_the_server_begins_anew(home: Home, tmp_path: Path) -> None:
    home.version = '"1"'
    (tmp_path / ".images.zip.part").write_bytes(b"x" * (len(BODY) + 1))
    (tmp_path / ".images.zip.version").write_text('"1"')
    assert download(home.remote(DIGEST), tmp_path).read_bytes() == BODY


@pytest.mark.parametrize("status", [403, 404, 503])
def test_a_server_that_refuses_is_one_sentence_and_leaves_nothing(home: Home, tmp_path: Path, status: int) -> None:
    home.statuses = [status] * 9
    with pytest.raises(DownloadError, match=f"answered {status}.*home page"):
        download(home.remote(), tmp_path)
    assert names(tmp_path) == []


def test_a_connection_that_keeps_breaking_leaves_no_file_of_that_name(home: Home, tmp_path: Path) -> None:
    home.breaks_after = [100_000] * 9
    with pytest.raises(DownloadError, match="broke off, 4 times"):
        download(home.remote(), tmp_path)
    assert names(tmp_path) == [".images.zip.part"]


def test_a_silent_server_is_given_up(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.silent_for = 0.6
    monkeypatch.setattr(module, "_SILENCE", 0.1)
    with pytest.raises(DownloadError, match="broke off"):
        download(home.remote(), tmp_path)


def test_no_server_at_all_is_one_sentence(home: Home, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="broke off"):
        download(RemoteFile("http://127.0.0.1:9/images.zip", "images.zip", gigabytes=0.0), tmp_path)


def test_an_interrupt_leaves_no_file_of_that_name(home: Home, tmp_path: Path) -> None:
    def interrupt(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(home.remote(), tmp_path, interrupt)
    assert names(tmp_path) == [".images.zip.part"]


def test_wrong_bytes_are_refused_and_not_kept(home: Home, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"other bytes came .*00ff"):
        download(home.remote("00ff"), tmp_path)
    assert names(tmp_path) == []


def test_a_file_that_is_there_is_kept_and_a_changed_one_fetched_again(home: Home, tmp_path: Path) -> None:
    path = download(home.remote(), tmp_path)
    assert download(home.remote(), tmp_path) == path
    assert home.asked == 1
    path.write_bytes(BODY[:-1])
    assert download(home.remote(), tmp_path).read_bytes() == BODY
    assert home.asked == 2


def test_a_full_disk_is_reported_before_anything_is_fetched(home: Home, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="make room"):
        download(home.remote(gigabytes=1e9), tmp_path)
    assert home.asked == 0
    assert names(tmp_path) == []


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.mkdir("repository")
        opened.writestr("repository/metadata.csv", "patientid\n1\n")
        opened.writestr("repository/images/one.png", b"pixels" * 1000)
    return path


def test_every_member_is_unpacked_once(archive: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    folder = unpack(archive, tmp_path / "images", lambda done, total: seen.append((done, total)))
    assert (folder / "repository/metadata.csv").read_text() == "patientid\n1\n"
    assert (folder / "repository/images/one.png").read_bytes() == b"pixels" * 1000
    assert seen[-1] == (6012, 6012)
    archive.write_bytes(b"no longer an archive")
    assert unpack(archive, folder) == folder


def test_an_interrupt_leaves_no_half_folder_and_the_next_run_succeeds(archive: Path, tmp_path: Path) -> None:
    def interrupt(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(archive, tmp_path / "images", interrupt)
    assert names(tmp_path) == ["images.zip"]
    assert (unpack(archive, tmp_path / "images") / "repository/images/one.png").is_file()


@pytest.mark.parametrize(
    "name", ["../outside.txt", "a/../../outside.txt", "/tmp/outside.txt", "..\\x", "C:\\x", "C:x"]
)
def test_a_member_outside_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as opened:
        opened.writestr("fine.txt", "fine")
        opened.writestr(name, "not fine")
    with pytest.raises(DownloadError, match="outside its folder"):
        unpack(tmp_path / "bad.zip", tmp_path / "inner" / "bad")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["bad.zip"]


def test_a_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as opened:
        opened.writestr(link, "/etc")
    with pytest.raises(DownloadError, match="outside its folder"):
        unpack(tmp_path / "bad.zip", tmp_path / "bad")


@pytest.mark.parametrize("content", [b"", b"<html>log in</html>", b"PK\x03\x04 torn"])
def test_a_file_that_is_not_an_archive_is_one_sentence(tmp_path: Path, content: bytes) -> None:
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
    assert names(tmp_path) == ["images.zip"]


def test_a_full_disk_is_reported_before_unpacking(archive: Path, tmp_path: Path, monkeypatch) -> None:
    usage = module.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: usage._replace(free=10))
    with pytest.raises(DownloadError, match="make room"):
        unpack(archive, tmp_path / "images")
    assert names(tmp_path) == ["images.zip"]
