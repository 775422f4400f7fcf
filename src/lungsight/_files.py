"""Files and folders that are there in whole or not at all: the one way in which lungsight replaces what it writes."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

from lungsight.errors import LungsightError

_CURE = "make room, change its permissions, or name another place"
#: A file's name may be 255 bytes long, and ours is longer by the ending.
_LONGEST_STEM = 60


@contextmanager
def atomic_write(path: Path, mode: Literal["w", "wb"] = "wb") -> Iterator[IO[Any]]:
    """A new file, which takes the place of ``path`` when the block ends without an error.

    Until then it lies beside ``path`` under a name of its own, so several processes may write the same file; when the
    block fails, or is interrupted, it is removed and ``path`` stays as it was. Missing folders are made. Text is
    UTF-8, its lines end as they are written, and bytes of a file's name that aren't UTF-8 become ``\\udcff``. The
    disk isn't asked to keep the file at once: a killed process can't leave half of it, a power cut may.

    Raises:
        Fault: it can't be written: a full disk, a folder without permission.
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
        with suppress(OSError):  # the folder can't be written, or has gone: that is said already
            partial.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write all of ``content`` or nothing. Raises Fault, as :func:`atomic_write`."""
    with atomic_write(path, "w" if isinstance(content, str) else "wb") as file:
        file.write(content)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """A new, empty folder, which takes the place of ``folder`` when the block ends without an error, else is removed.
    One process may do so at a time: what a killed one left half done is swept away.

    Raises:
        Fault: it can't be written.
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


def unwritable(path: Path | str, error: OSError) -> LungsightError:
    """Why the system doesn't take what is written to ``path``, as a sentence."""
    return LungsightError(path, f"can't be written ({error.strerror or str(error) or type(error).__name__})", _CURE)


def previous(folder: Path) -> Path:
    """Where a folder lies while another takes its place: after a kill in that moment, it is the one to read."""
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
