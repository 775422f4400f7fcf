"""Atomic writing of files and folders: each is complete, or absent."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

from lungsight.errors import LungsightError

_HINT = "make room, change its permissions, or name another place"
#: A file's name may have 255 bytes; the temporary name is longer than the final one.
_LONGEST_STEM = 60

#: A file's path, size in bytes and time of change in nanoseconds.
FileState = tuple[str, int, int]


@contextmanager
def atomic_write(path: Path, mode: Literal["w", "wb"] = "wb") -> Iterator[IO[Any]]:
    r"""Open a new file, which replaces ``path`` when the block ends without an error.

    Until then it is beside ``path`` under its own name, so several processes may write the same file. If the block
    fails or is interrupted, it is removed and ``path`` stays as it was. Missing folders are created. Text is UTF-8
    with its line ends unchanged; bytes of a file name that aren't UTF-8 become ``\udcff``. The file isn't synced to
    disk: a killed process can't leave half of it, a power cut may.

    Raises:
        LungsightError: it can't be written: a full disk, a folder without permission.
    """
    text = {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""} if mode == "w" else {}
    partial = _beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open(mode, **text) as file:  # type: ignore[call-overload]
            yield file
        partial.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):  # the folder can't be written, or is gone: reported already
            partial.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write ``content`` with :func:`atomic_write`."""
    with atomic_write(path, "w" if isinstance(content, str) else "wb") as file:
        file.write(content)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Make a new, empty folder, which replaces ``folder`` when the block ends without an error.

    Otherwise it is removed. Only one process at a time may do so: what a killed one left is removed.

    Raises:
        LungsightError: it can't be written.
    """
    partial = folder.with_name(folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        _swap(partial, folder)
    except OSError as error:
        raise unwritable(folder, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def output_folder(folder: Path, holds: str) -> Path:
    """Make the folder of what a command writes, such as ``pictures``. Raises LungsightError if it can't be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"can't be a folder of {holds} ({error.strerror})"
        raise LungsightError(folder, problem, "name another place") from error
    return folder


def unwritable(path: Path | str, error: OSError) -> LungsightError:
    """The error for a file that the system can't write."""
    return LungsightError(path, f"can't be written ({error.strerror or str(error) or type(error).__name__})", _HINT)


def file_state(path: Path | str) -> FileState:
    """Return the file as it is now, by which a cache knows whether it changed; zeros where it can't be read."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return str(path), 0, 0
    return str(path), status.st_size, status.st_mtime_ns


def file_sha256(path: Path | str) -> str:
    """Return the SHA-256 of the file's bytes, in hexadecimal. Raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def previous(folder: Path) -> Path:
    """The name of a folder while another replaces it; after a kill in that moment, it is the one to read."""
    return folder.with_name(folder.name + ".old")


def _swap(partial: Path, folder: Path) -> None:
    old = previous(folder)
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name[:_LONGEST_STEM]}.{secrets.token_hex(4)}.part")
