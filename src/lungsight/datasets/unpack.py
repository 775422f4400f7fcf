"""Unpacking a downloaded zip archive: nothing outside its folder, and whole or not at all."""

from __future__ import annotations

import lzma
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from lungsight._files import atomic_folder
from lungsight.datasets.download import Progress
from lungsight.errors import DownloadError

_CHUNK_BYTES = 1 << 20
#: What zipfile raises for an archive that is damaged, cut short, encrypted, or packed in a way it doesn't know.
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError)


def unpack(archive: Path, folder: Path, progress: Progress = lambda done, total: None) -> Path:
    """Unpack ``archive`` into ``folder``, which appears only once it is whole; if it is there, nothing is done.

    Raises:
        DownloadFailed: not a zip archive, a damaged or encrypted one, one that the disk has no room for, or one with
            a member that points outside the folder or is a link.
    """
    if folder.is_dir():
        return folder
    try:
        with atomic_folder(folder) as partial, zipfile.ZipFile(archive) as opened:
            _check(opened, archive, folder.parent)
            _extract(opened, partial, progress)
    except _DAMAGED as error:
        raise DownloadError(
            archive, f"not a zip archive that can be unpacked ({error})", "delete it and run the command again"
        ) from error
    return folder


def _check(archive: zipfile.ZipFile, path: Path, folder: Path) -> None:
    for member in archive.infolist():
        if not _stays_inside(member):
            raise DownloadError(
                path, f"its member {member.filename!r} would be written outside its folder", "don't use this file"
            )
    needed = sum(member.file_size for member in archive.infolist())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DownloadError(
            path,
            f"unpacks to {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free in {folder}",
            "make room and run the command again",
        )


def _stays_inside(member: zipfile.ZipInfo) -> bool:
    if stat.S_ISLNK(member.external_attr >> 16):
        return False
    posix, windows = PurePosixPath(member.filename), PureWindowsPath(member.filename)
    return not (posix.is_absolute() or windows.drive or windows.root or ".." in windows.parts)


def _extract(archive: zipfile.ZipFile, folder: Path, progress: Progress) -> None:
    total = sum(member.file_size for member in archive.infolist())
    done = 0
    for member in archive.infolist():
        target = folder / member.filename
        if member.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, _CHUNK_BYTES)
        done += member.file_size
        progress(done, total)
