"""A collection's archives, fetched by pooch and unpacked: each is there in whole or not at all."""

from __future__ import annotations

import lzma
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath

from lungsight._files import atomic_folder, file_sha256, unwritable, write_whole
from lungsight.datasets.collection import RemoteFile
from lungsight.errors import DownloadError

#: Called with the bytes that are done, and with how many there will be (None: the server doesn't say).
Progress = Callable[[int, int | None], None]
_CHUNK_BYTES = 1 << 16
#: Further attempts after a broken connection or a wrong checksum, and the seconds without a byte that end one.
_RETRIES, _SILENCE = 3, 60.0
#: What zipfile raises for an archive that is damaged, cut short, encrypted, or packed in a way it doesn't know.
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError)


def download(remote: RemoteFile, folder: Path, progress: Progress = lambda done, total: None) -> Path:
    """Fetch ``remote`` into ``folder`` and record its SHA-256 beside it, as ``sha256sum`` writes it.

    A file that is there and has its recorded checksum is kept; one that has changed is fetched again. What a broken
    download has fetched is kept, and the next attempt or call asks for the rest, if the server can tell that the file
    is still the same.

    Raises:
        DownloadError: the server refuses or keeps failing, the disk is too small, or other bytes came than promised.
    """
    import pooch  # here, with requests: listing the collections needs neither
    import requests

    pooch.get_logger().setLevel("WARNING")
    target = folder / remote.name
    record = folder / f"{remote.name}.sha256"
    recorded = record.read_text("utf-8").split()[:1] if record.is_file() and target.is_file() else []
    expected = remote.sha256 or "".join(recorded) or None
    name = remote.name
    home = pooch.create(folder, "", registry={name: expected}, urls={name: remote.url}, retry_if_failed=_RETRIES)

    def attempt(url: str, output: str, _: object) -> None:
        partial = folder / f".{name}.part"
        kept = partial.stat().st_size if partial.is_file() else 0
        _refuse_full_disk(remote.url, int(remote.gigabytes * 1e9) - kept, folder)
        _fetch_rest(url, partial, progress)
        partial.replace(output)

    try:
        home.fetch(name, downloader=attempt)
    except requests.RequestException as error:
        raise _failed(remote, error) from error
    except ValueError as error:  # pooch's, for a wrong checksum
        problem = f"other bytes came than expected (SHA-256 {expected})"
        raise DownloadError(
            remote.url, problem, "run the command again; distrust the source if it happens twice"
        ) from error
    except OSError as error:
        raise unwritable(target, error) from error
    if not recorded or remote.sha256:
        write_whole(record, f"{file_sha256(target)}  {target.name}\n")
    return target


def _fetch_rest(url: str, partial: Path, progress: Progress) -> None:
    """Append to ``partial`` what it lacks of the file at ``url``.

    Beside it stands the version it is of (ETag or date); another version on the server, or a server that names none,
    begins anew (If-Range, RFC 9110, section 13.1.5).

    Raises:
        requests.RequestException: the server refuses, or the connection breaks.
    """
    import requests

    version = partial.with_suffix(".version")
    done = partial.stat().st_size if partial.is_file() and version.is_file() else 0
    headers = {"Accept-Encoding": "identity"}
    if done:
        headers |= {"Range": f"bytes={done}-", "If-Range": version.read_text("utf-8")}
    with requests.get(url, headers=headers, stream=True, timeout=_SILENCE) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            partial.unlink()  # it holds more than the server's file: the next attempt begins anew
        response.raise_for_status()
        if response.status_code != requests.codes.partial_content:
            done = 0
        _keep_version(response.headers, version)
        length = response.headers.get("Content-Length", "")
        total = done + int(length) if length.isdigit() else None
        partial.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("ab" if done else "wb") as file:
            for chunk in response.iter_content(_CHUNK_BYTES):
                file.write(chunk)
                done += len(chunk)
                progress(done, total)
    version.unlink(missing_ok=True)


def _keep_version(headers: Mapping[str, str], version: Path) -> None:
    etag = headers.get("ETag", "")
    stated = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", "")
    if stated:
        write_whole(version, stated)
    else:
        version.unlink(missing_ok=True)


def unpack(archive: Path, folder: Path, progress: Progress = lambda done, total: None) -> Path:
    """Unpack the zip file ``archive`` into ``folder``; if the folder is there, nothing is done.

    Raises:
        DownloadError: the archive is damaged or encrypted, the disk has no room for it, or one of its members is a
            link or would be written outside the folder.
    """
    if folder.is_dir():
        return folder
    try:
        with atomic_folder(folder) as partial, zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
            for member in members:
                if not _stays_inside(member):
                    problem = f"its member {member.filename!r} would be written outside its folder"
                    raise DownloadError(archive, problem, "don't use this file")
            total, done = sum(member.file_size for member in members), 0
            _refuse_full_disk(archive, total, folder.parent)
            for member in members:
                opened.extract(member, partial)
                done += member.file_size
                progress(done, total)
    except _DAMAGED as error:
        problem = f"not a zip archive that can be unpacked ({error})"
        raise DownloadError(archive, problem, "delete it and run the command again") from error
    return folder


def _failed(remote: RemoteFile, error: OSError) -> DownloadError:
    """The error of a server that refused, or of a connection that kept breaking."""
    response = getattr(error, "response", None)
    if response is None:
        problem = f"the download broke off, {1 + _RETRIES} times ({error or type(error).__name__})"
        return DownloadError(remote.url, problem, "run the command again: it goes on from there if the server allows")
    problem = f"the server answered {response.status_code} {response.reason}"
    return DownloadError(remote.url, problem, "look at the collection's home page: the file may have moved")


def _stays_inside(member: zipfile.ZipInfo) -> bool:
    if stat.S_ISLNK(member.external_attr >> 16):
        return False
    posix, windows = PurePosixPath(member.filename), PureWindowsPath(member.filename)
    return not (posix.is_absolute() or windows.drive or windows.root or ".." in windows.parts)


def _refuse_full_disk(subject: object, needed: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        problem = f"needs {needed / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB are free"
        raise DownloadError(subject, problem, "make room and run the command again, or choose another folder")
