"""Read images behind URLs that fsspec and its plug-ins open, such as s3://, gs://, https:// and hdfs://."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lungsight.errors import UnreadableImageError, printable
from lungsight.reading.formats import HEAD_BYTES, has_image_ending, recognise
from lungsight.reading.limits import check_bytes

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # two letters at least: C:// is a drive


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One image behind a URL. Cheap, hashable and picklable: nothing is fetched before :meth:`read_bytes`."""

    url: str

    @property
    def name(self) -> str:
        """The URL in printable characters."""
        return printable(self.url)

    def read_bytes(self) -> bytes:
        """The whole content. Raises UnreadableImageError."""
        return self._fetch(None)

    def arrived(self) -> datetime | None:
        """When it was last changed; None if the store doesn't state it."""
        try:
            system, path = _system_of(self.url)
            changed = system.modified(path)
        except Exception:  # each store has its own exceptions, and many don't state the time
            return None
        return changed if isinstance(changed, datetime) else None

    def read_head(self, size: int) -> bytes:
        """The first ``size`` bytes. Raises UnreadableImageError."""
        return self._fetch(size)

    def _fetch(self, size: int | None) -> bytes:
        try:
            system, path = _system_of(self.url)
            if size is None:
                check_bytes(self.name, int(system.size(path) or 0))
            return bytes(system.cat_file(path, start=0, end=size))
        except UnreadableImageError:
            raise
        except Exception as error:  # each store has its own exceptions, without a common base
            raise _unreachable(self.url, error) from error


def is_url(path: object) -> bool:
    """Whether ``path`` is a URL, not a path of this machine."""
    return isinstance(path, str) and _URL.match(path) is not None


def walk_url(url: str) -> Iterator[RemoteFile | UnreadableImageError]:
    """The image at ``url``, or every image below it, in a stable order; for one that can't be read, its error.

    A file counts if its ending is that of an image; one without an ending, if its first bytes are. Archives aren't
    opened.
    """
    try:
        system, path = _system_of(url)
        if system.isfile(path):
            yield RemoteFile(url)
            return
        there = sorted(system.find(path))
    except UnreadableImageError as problem:
        yield problem
        return
    except Exception as error:  # as above
        yield _unreachable(url, error)
        return
    files = [RemoteFile(system.unstrip_protocol(name)) for name in there]
    empty = True
    for file in files:
        for found in _if_image(file):
            empty = False
            yield found
    if empty:
        yield UnreadableImageError(url, "there is no image at it", "check the URL")


def _if_image(file: RemoteFile) -> Iterator[RemoteFile | UnreadableImageError]:
    if has_image_ending(file.url):
        yield file
    elif "." not in file.url.rpartition("/")[2]:  # its first bytes cost a request
        try:
            found = recognise(file.read_head(HEAD_BYTES))
        except UnreadableImageError as problem:
            yield problem
            return
        if found is not None and found.is_image:
            yield file


def _system_of(url: str) -> tuple[AbstractFileSystem, Any]:
    """The file system of fsspec for ``url``, and the path in it.

    Raises UnreadableImageError if its plug-in isn't installed, and whatever fsspec raises.
    """
    try:
        from fsspec.core import url_to_fs

        system, path = url_to_fs(url)
        return system, path
    except ImportError as error:
        raise UnreadableImageError(
            url, f"it can't be fetched yet ({error})", "install what that names with pip"
        ) from error


def _unreachable(url: str, error: Exception) -> UnreadableImageError:
    if isinstance(error, FileNotFoundError):
        return UnreadableImageError(url, "there is no such file", "check the URL")
    if isinstance(error, PermissionError):
        return UnreadableImageError(url, "there is no permission to read it", "check the store's credentials")
    reason = (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
    return UnreadableImageError(url, f"it can't be fetched ({reason})", "check the URL and the connection")
