"""Downloads from a server on this machine that does what servers do: break off, ignore Range, lie, fail, be slow."""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from lungsight.datasets import download as module
from lungsight.datasets.collection import RemoteFile
from lungsight.datasets.download import Patience, download
from lungsight.errors import DownloadError

BODY = bytes(range(256)) * 2048
QUICK = Patience(attempts=3, pause=0.0, silence=0.5)


@dataclass
class Home:
    """What the server sends, and what it was asked."""

    body: bytes = BODY
    etag: str | None = '"first"'
    knows_range: bool = True
    tells_length: bool = True
    breaks_after: list[int] = field(default_factory=list)  # bytes of each of the first answers
    statuses: list[int] = field(default_factory=list)  # of the first answers
    silent_for: float = 0.0
    shift: int = 0  # how far off the part lies that it sends
    asked: list[str] = field(default_factory=list)  # the Range of each request
    url: str = ""

    def remote(self, sha256: str | None = None) -> RemoteFile:
        return RemoteFile(self.url, "images.zip", gigabytes=1e-3, sha256=sha256)


@pytest.fixture
def home() -> Iterator[Home]:
    home = Home()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, home)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    home.url = f"http://127.0.0.1:{server.server_port}/images.zip"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield home
    server.shutdown()
    server.server_close()
    thread.join()


def answer(request: BaseHTTPRequestHandler, home: Home) -> None:
    asked = request.headers.get("Range", "")
    home.asked.append(asked)
    if home.statuses:
        request.send_error(home.statuses.pop(0))
        return
    same = request.headers.get("If-Range") in (None, home.etag)
    start = int(re.findall(r"\d+", asked)[0]) if asked and home.knows_range and same else 0
    if start >= len(home.body):
        request.send_response(416)
        request.send_header("Content-Range", f"bytes */{len(home.body)}")
        request.end_headers()
        return
    part = home.body[start:]
    request.send_response(206 if start else 200)
    if start:
        begin = start + home.shift
        request.send_header("Content-Range", f"bytes {begin}-{len(home.body) - 1}/{len(home.body)}")
    if home.etag:
        request.send_header("ETag", home.etag)
    if home.tells_length:
        request.send_header("Content-Length", str(len(part)))
    request.end_headers()
    time.sleep(home.silent_for)
    request.wfile.write(part[: home.breaks_after.pop(0)] if home.breaks_after else part)


def test_the_file_arrives_whole_with_its_checksum_beside_it(home: Home, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    path = download(home.remote(), tmp_path / "new", lambda done, total: seen.append((done, total)))
    digest = hashlib.sha256(BODY).hexdigest()
    assert path.read_bytes() == BODY
    assert (tmp_path / "new/images.zip.sha256").read_text() == f"{digest}  images.zip\n"
    assert sorted(os.listdir(path.parent)) == ["images.zip", "images.zip.sha256"]
    assert seen[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_it_resumes_where_the_line_broke(home: Home, tmp_path: Path) -> None:
    home.breaks_after = [100_000, 50_000]
    assert download(home.remote(), tmp_path, patience=QUICK).read_bytes() == BODY
    assert home.asked == ["", "bytes=100000-", "bytes=150000-"]


def test_it_resumes_what_an_earlier_run_left(home: Home, tmp_path: Path) -> None:
    home.breaks_after = [100_000, 0, 0, 0]
    with pytest.raises(DownloadError, match="broke off at 100,000 bytes"):
        download(home.remote(), tmp_path, patience=QUICK)
    assert not (tmp_path / "images.zip").exists()
    home.breaks_after = []
    assert download(home.remote(), tmp_path, patience=QUICK).read_bytes() == BODY
    assert home.asked[-1] == "bytes=100000-"


def test_an_interrupt_leaves_a_part_that_the_next_run_completes(home: Home, tmp_path: Path) -> None:
    def interrupt(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(home.remote(), tmp_path, interrupt)
    assert not (tmp_path / "images.zip").exists()
    left = (tmp_path / "images.zip.part").stat().st_size
    assert 0 < left < len(BODY)
    assert download(home.remote(), tmp_path).read_bytes() == BODY
    assert home.asked[-1] == f"bytes={left}-"


def test_a_server_that_ignores_range_is_read_from_the_start(home: Home, tmp_path: Path) -> None:
    home.knows_range = False
    home.breaks_after = [100_000]
    assert download(home.remote(), tmp_path, patience=QUICK).read_bytes() == BODY
    assert home.asked == ["", "bytes=100000-"]


def test_two_versions_are_never_spliced(home: Home, tmp_path: Path) -> None:
    (tmp_path / "images.zip.part").write_bytes(b"another version" * 100)
    (tmp_path / "images.zip.part.version").write_text('"older"')
    assert download(home.remote(), tmp_path, patience=QUICK).read_bytes() == BODY
    assert home.asked == ["bytes=1500-"]


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_version_or_checksum_it_begins_anew(home: Home, tmp_path: Path, etag: str | None) -> None:
    home.etag = etag
    home.breaks_after = [100_000]
    assert download(home.remote(), tmp_path, patience=QUICK).read_bytes() == BODY
    assert home.asked == ["", ""]


def test_without_a_version_a_known_checksum_lets_it_resume(home: Home, tmp_path: Path) -> None:
    home.etag = None
    home.breaks_after = [100_000]
    remote = home.remote(hashlib.sha256(BODY).hexdigest())
    assert download(remote, tmp_path, patience=QUICK).read_bytes() == BODY
    assert home.asked == ["", "bytes=100000-"]


def test_a_part_that_was_complete_is_taken(home: Home, tmp_path: Path) -> None:
    (tmp_path / "images.zip.part").write_bytes(BODY)
    (tmp_path / "images.zip.part.version").write_text('"first"')
    assert download(home.remote(), tmp_path, patience=QUICK).read_bytes() == BODY
    assert home.asked == [f"bytes={len(BODY)}-"]


def test_a_part_longer_than_the_file_is_thrown_away(home: Home, tmp_path: Path) -> None:
    (tmp_path / "images.zip.part").write_bytes(BODY + b"more")
    (tmp_path / "images.zip.part.version").write_text('"first"')
    assert download(home.remote(), tmp_path, patience=QUICK).read_bytes() == BODY


def test_a_part_from_the_wrong_place_is_thrown_away(home: Home, tmp_path: Path) -> None:
    home.shift = 7
    home.breaks_after = [100_000]
    assert download(home.remote(), tmp_path, patience=QUICK).read_bytes() == BODY
    assert home.asked == ["", "bytes=100000-", ""]


def test_wrong_bytes_are_refused_and_not_kept(home: Home, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"other bytes came .* expected 00ff"):
        download(home.remote("00ff"), tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_not_tried_again(home: Home, tmp_path: Path, status: int) -> None:
    home.statuses = [status]
    with pytest.raises(DownloadError, match=f"answered {status}.*home page"):
        download(home.remote(), tmp_path, patience=QUICK)
    assert len(home.asked) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_is_tried_again(home: Home, tmp_path: Path, status: int) -> None:
    home.statuses = [status, status]
    assert download(home.remote(), tmp_path, patience=QUICK).read_bytes() == BODY
    assert len(home.asked) == 3


def test_a_server_that_stays_in_trouble_is_given_up(home: Home, tmp_path: Path) -> None:
    home.statuses = [503] * 9
    with pytest.raises(DownloadError, match=r"3 attempts brought no more .*503"):
        download(home.remote(), tmp_path, patience=QUICK)
    assert len(home.asked) == 3


def test_the_pauses_double(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.statuses = [503] * 3
    pauses: list[float] = []
    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=pauses.append))
    download(home.remote(), tmp_path, patience=Patience(attempts=4, pause=0.5))
    assert pauses == [0.5, 1.0, 2.0]


def test_a_server_that_always_starts_over_and_breaks_off_is_given_up(home: Home, tmp_path: Path) -> None:
    home.etag = None
    home.breaks_after = [100_000, 50_000] * 50
    with pytest.raises(DownloadError, match="3 attempts brought no more"):
        download(home.remote(), tmp_path, patience=QUICK)
    assert len(home.asked) == 3


def test_a_server_that_falls_silent_is_given_up(home: Home, tmp_path: Path) -> None:
    home.silent_for = 0.6
    with pytest.raises(DownloadError, match="attempts brought no more"):
        download(home.remote(), tmp_path, patience=Patience(attempts=2, pause=0.0, silence=0.2))


def test_nobody_listening_is_one_sentence(tmp_path: Path) -> None:
    remote = RemoteFile("http://127.0.0.1:9/images.zip", "images.zip", gigabytes=0.0)
    with pytest.raises(DownloadError, match="attempts brought no more"):
        download(remote, tmp_path, patience=QUICK)


def test_a_length_that_the_server_does_not_tell_is_no_obstacle(home: Home, tmp_path: Path) -> None:
    home.tells_length = False
    seen: list[int | None] = []
    path = download(home.remote(), tmp_path, lambda done, total: seen.append(total))
    assert path.read_bytes() == BODY
    assert set(seen) == {None}


def test_a_disk_too_small_is_told_before_anything_is_written(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = module.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: usage._replace(free=1000))
    with pytest.raises(DownloadError, match="make room"):
        download(home.remote(), tmp_path, patience=QUICK)
    assert not (tmp_path / "images.zip.part").exists()


def test_a_file_that_is_there_is_checked_not_fetched(home: Home, tmp_path: Path) -> None:
    path = download(home.remote(), tmp_path)
    assert download(home.remote(), tmp_path) == path
    assert len(home.asked) == 1
    path.write_bytes(BODY[:-1])
    with pytest.raises(DownloadError, match="changed since it was downloaded"):
        download(home.remote(), tmp_path)
