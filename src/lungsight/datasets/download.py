"""Fetching a large file over a line that may break: resumed, checked, and whole or not there at all."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from lungsight._files import write_whole
from lungsight.datasets.collection import RemoteFile
from lungsight.errors import DownloadError

#: Called with the bytes that are there, and with how many there will be (None: the server doesn't say).
Progress = Callable[[int, int | None], None]
_CONTENT_RANGE = re.compile(r"bytes (?:(?P<start>\d+)-\d+|\*)/(?P<total>\d+|\*)")


@dataclass(frozen=True)
class Patience:
    """How long to go on where a server fails.

    Attributes:
        attempts: in a row that bring nothing, before it is given up.
        pause: seconds before the second attempt; doubled for each one after it.
        silence: seconds without a byte after which an attempt has failed.
    """

    attempts: int = 5
    pause: float = 1.0
    silence: float = 60.0


class _Interrupted(Exception):
    """An attempt that failed in a way that another may not."""


@dataclass(frozen=True)
class _Partial:
    """What has come so far, and the mark (ETag or date) by which the server knows the version it came from."""

    file: Path
    mark: Path

    @classmethod
    def of(cls, target: Path) -> _Partial:
        return cls(target.with_name(target.name + ".part"), target.with_name(target.name + ".part.version"))

    @property
    def size(self) -> int:
        return self.file.stat().st_size if self.file.is_file() else 0

    def discard(self) -> None:
        self.file.unlink(missing_ok=True)
        self.mark.unlink(missing_ok=True)


def download(
    remote: RemoteFile,
    folder: Path,
    progress: Progress = lambda done, total: None,
    patience: Patience | None = None,
) -> Path:
    """Fetch ``remote`` into ``folder``, and record its SHA-256 beside it as ``sha256sum`` would.

    What an earlier call left in a ``.part`` file is taken up again where the server can tell that it still holds the
    same version, or where the checksum is known beforehand. A file that is already there is checked and kept.

    Raises:
        DownloadFailed: the server refuses or keeps failing, the disk is too small, or other bytes came than promised.
    """
    patience = patience or Patience()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / remote.name
    if target.is_file():
        _check_kept(target, remote)
        return target
    partial = _Partial.of(target)
    with httpx.Client(follow_redirects=True, timeout=httpx.Timeout(patience.silence)) as client:
        _fetch_patiently(client, remote, partial, progress, patience)
    digest = sha256_of(partial.file)
    if remote.sha256 not in (None, digest):
        partial.discard()
        raise DownloadError(
            remote.url,
            f"other bytes came than its home promises (SHA-256 {digest}, expected {remote.sha256})",
            "run the command again, and distrust the source if it happens twice",
        )
    partial.file.replace(target)
    partial.mark.unlink(missing_ok=True)
    write_whole(_record(target), f"{digest}  {target.name}\n")
    return target


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _record(target: Path) -> Path:
    return target.with_name(target.name + ".sha256")


def _check_kept(target: Path, remote: RemoteFile) -> None:
    record = _record(target)
    expected = remote.sha256 or (record.read_text("utf-8").split()[0] if record.is_file() else None)
    if expected is not None and sha256_of(target) != expected:
        raise DownloadError(
            target,
            f"changed since it was downloaded (SHA-256 {expected} expected)",
            "delete it and run the command again",
        )


def _fetch_patiently(
    client: httpx.Client, remote: RemoteFile, partial: _Partial, progress: Progress, patience: Patience
) -> None:
    """Attempt until the file is whole. An attempt that came further than all before makes up for the failed ones."""
    failed, furthest = 0, partial.size
    while True:
        try:
            return _attempt(client, remote, partial, progress)
        except (httpx.TransportError, _Interrupted) as error:
            failed = 1 if partial.size > furthest else failed + 1
            furthest = max(furthest, partial.size)
            if failed >= patience.attempts:
                raise DownloadError(
                    remote.url,
                    f"the download broke off at {partial.size:,} bytes, and {failed} attempts brought no more "
                    f"({error or type(error).__name__})",
                    "run the command again: it goes on from there where the server allows",
                ) from error
            time.sleep(patience.pause * 2 ** (failed - 1))


def _attempt(client: httpx.Client, remote: RemoteFile, partial: _Partial, progress: Progress) -> None:
    with client.stream("GET", remote.url, headers=_headers(remote, partial)) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            if _total(response) == partial.size:
                return
            partial.discard()
            raise _Interrupted("the server holds another version than the one begun")
        _refuse_failure(response, remote)
        resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
        if resumed and _start(response) != partial.size:
            partial.discard()
            raise _Interrupted("the server sent another part than the one asked for")
        done = partial.size if resumed else 0
        total = _total(response)
        _check_room(partial.file.parent, remote, None if total is None else total - done)
        _keep_mark(response, partial)
        with partial.file.open("ab" if resumed else "wb") as file:
            for chunk in response.iter_raw():
                file.write(chunk)
                done += len(chunk)
                progress(done, total)


def _headers(remote: RemoteFile, partial: _Partial) -> dict[str, str]:
    """Ask for the rest only where it can't be spliced to another version: with If-Range, or with a known checksum."""
    headers = {"Accept-Encoding": "identity"}
    mark = partial.mark.read_text("utf-8") if partial.mark.is_file() else ""
    if partial.size and (mark or remote.sha256):
        headers["Range"] = f"bytes={partial.size}-"
        if mark:
            headers["If-Range"] = mark
    return headers


def _keep_mark(response: httpx.Response, partial: _Partial) -> None:
    etag = response.headers.get("ETag", "")
    # A weak ETag may not stand in If-Range (RFC 9110, section 13.1.5).
    mark = response.headers.get("Last-Modified", "") if not etag or etag.startswith("W/") else etag
    if mark:
        partial.mark.write_text(mark, "utf-8")
    else:
        partial.mark.unlink(missing_ok=True)


def _refuse_failure(response: httpx.Response, remote: RemoteFile) -> None:
    status = response.status_code
    if response.is_success:
        return
    if status == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
        raise _Interrupted(f"the server answered {status} {response.reason_phrase}")
    raise DownloadError(
        remote.url,
        f"the server answered {status} {response.reason_phrase}",
        "look at the collection's home page: the file may have moved",
    )


def _total(response: httpx.Response) -> int | None:
    """How large the whole file is; None where the server doesn't say."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match:
        return None if match["total"] == "*" else int(match["total"])
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _start(response: httpx.Response) -> int | None:
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return int(match["start"]) if match and match["start"] else None


def _check_room(folder: Path, remote: RemoteFile, needed: int | None) -> None:
    expected = needed if needed is not None else int(remote.gigabytes * 1e9)
    free = shutil.disk_usage(folder).free
    if expected > free:
        raise DownloadError(
            remote.url,
            f"needs {expected / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB are free",
            "make room, or choose another folder with --to",
        )
