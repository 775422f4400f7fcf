"""A file, or a member of an archive, that may hold an image."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lungsight.errors import UnreadableImageError, printable
from lungsight.reading import archives
from lungsight.reading.limits import check_bytes


@dataclass(frozen=True, slots=True)
class ImageFile:
    """The path of one image. Cheap, hashable and picklable: nothing is read before :meth:`read_bytes`.

    Attributes:
        name: as users see it; a member of a zip is ``archive.zip!/member.png``.
        path: the file, or the archive it is a member of.
        member: the member's index in the archive's directory, None for a plain file.
    """

    name: str
    path: Path
    member: int | None = None

    @classmethod
    def at(cls, path: Path | str) -> ImageFile:
        """The plain file at ``path``."""
        return cls(printable(path), Path(path))

    def read_bytes(self) -> bytes:
        """The whole content. Raises UnreadableImageError."""
        if self.member is not None:
            return archives.read_member(self.name, self.path, self.member)
        check_bytes(self.name, self.size())
        return self._read(-1)

    def size(self) -> int:
        """In bytes; for a member, as its archive states it. Raises UnreadableImageError."""
        if self.member is not None:
            return archives.size_of_member(self.name, self.path, self.member)
        return status_of(self.path).st_size

    def arrived(self) -> datetime | None:
        """When the file, or its archive, was last changed; None if that isn't known."""
        try:
            return datetime.fromtimestamp(self.path.stat().st_mtime, UTC)
        except (OSError, ValueError, OverflowError):
            return None

    def read_head(self, size: int) -> bytes:
        """The first ``size`` bytes. Raises UnreadableImageError."""
        if self.member is not None:
            return archives.read_member(self.name, self.path, self.member, size)
        return self._read(size)

    def _read(self, size: int) -> bytes:
        refuse_special(self.path)
        try:
            with self.path.open("rb") as file:
                return file.read(size)
        except OSError as error:
            raise unreachable(self.path, error) from error


def refuse_special(path: Path) -> None:
    """Raise UnreadableImageError unless it is a regular file: others may block for ever when they are opened."""
    mode = status_of(path).st_mode
    if stat.S_ISDIR(mode):
        raise UnreadableImageError(path, "this is a folder, not a file", "give the image files in it")
    if not stat.S_ISREG(mode):
        raise UnreadableImageError(
            path, "this is a pipe, socket or device, not a file", "save the image to a file first"
        )


def status_of(path: Path) -> os.stat_result:
    """``path.stat()``, following links. Raises UnreadableImageError."""
    try:
        return path.stat()
    except (OSError, ValueError) as error:
        raise unreachable(path, error) from error


def unreachable(path: Path, error: OSError | ValueError) -> UnreadableImageError:
    """The error for a path that the system can't open."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        if path.is_symlink():
            return UnreadableImageError(path, "this link leads to nothing", "mend or remove the link")
        return UnreadableImageError(path, "there is no such file", "check the path")
    if isinstance(error, PermissionError):
        return UnreadableImageError(path, "there is no permission to read it", "change its permissions or its owner")
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return UnreadableImageError(path, "this link leads back to itself", "mend or remove the link")
    reason = getattr(error, "strerror", None) or str(error)
    return UnreadableImageError(path, f"the system can't open it ({reason})", "check the path and its disk")
