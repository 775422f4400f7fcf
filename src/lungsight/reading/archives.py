"""Read zip archives member by member, without unpacking them to disk."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from functools import lru_cache
from lzma import LZMAError
from pathlib import Path
from zipfile import BadZipFile, ZipFile, ZipInfo

from lungsight.errors import UnreadableImageError, printable
from lungsight.reading.limits import check_bytes

_ENCRYPTED = 0x1
_DAMAGED = (BadZipFile, zlib.error, LZMAError, EOFError, OSError, ValueError, RuntimeError)


def members(path: Path) -> Iterator[tuple[str, int]]:
    """The name and index of every file in the archive, sorted by name. Raises UnreadableImageError."""
    files = [(info.filename, index) for index, info in enumerate(_directory(path)) if not info.is_dir()]
    for name, index in sorted(files):
        yield f"{printable(path)}!/{printable(name)}", index


def size_of_member(name: str, path: Path, index: int) -> int:
    """The unpacked size of a member in bytes, as its archive states it. Raises UnreadableImageError."""
    return _info(name, path, index).file_size


def read_member(name: str, path: Path, index: int, size: int | None = None) -> bytes:
    """The content of one member, or its first ``size`` bytes. Raises UnreadableImageError."""
    info = _info(name, path, index)
    if info.flag_bits & _ENCRYPTED:
        raise UnreadableImageError(
            name, "this member is encrypted", "unpack the archive with its password and give the files"
        )
    check_bytes(name, info.file_size)
    try:
        # zipfile never yields more than the declared size, which was checked: a wrong header can't unpack a bomb.
        with _archive(path).open(info) as file:
            return file.read(info.file_size if size is None else size)
    except NotImplementedError as error:
        raise UnreadableImageError(
            name, "it is compressed in an unusual way", "pack the archive again as plain zip"
        ) from error
    except _DAMAGED as error:
        raise UnreadableImageError(
            name, f"this member is damaged ({error})", "fetch or pack the archive again"
        ) from error


def _info(name: str, path: Path, index: int) -> ZipInfo:
    directory = _directory(path)
    if index >= len(directory):
        raise UnreadableImageError(name, "the archive has changed since it was listed", "run the command again")
    return directory[index]


def _directory(path: Path) -> list[ZipInfo]:
    archive = _archive(path)
    directory = archive.infolist()
    if sum(info.compress_size for info in directory) > path.stat().st_size:
        raise UnreadableImageError(
            path, "its members overlap, as in a zip bomb", "check where it comes from, or pack the files again"
        )
    return directory


def _archive(path: Path) -> ZipFile:
    try:
        status = path.stat()
        return _opened(path, status.st_mtime_ns, status.st_size, os.getpid())
    except NotImplementedError as error:
        raise UnreadableImageError(
            path, "this kind of zip archive is not known", "pack it again as plain zip"
        ) from error
    except _DAMAGED as error:
        raise UnreadableImageError(path, f"not a whole zip archive ({error})", "fetch or pack it again") from error


@lru_cache(maxsize=4)
def _opened(path: Path, _modified: int, _size: int, _process: int) -> ZipFile:
    """An archive that is kept open: parsing a directory of thousands of members takes longer than reading one.

    One per process: forked workers would move each other's position in a shared file.
    """
    return ZipFile(path)


def close_all() -> None:
    """Close the archives that are kept open: a file that was removed stays on the disk as long as one has it open."""
    _opened.cache_clear()
