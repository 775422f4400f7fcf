"""Files that grow line by line and outlive a kill: a line is there in whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from lungsight.errors import LungsightError

STDOUT = Path("-")
_SECONDS_BETWEEN_SYNCS = 1.0


class GrowingFile:
    """A text file whose lines are appended one by one. Not for several threads.

    A line goes to the system in one piece before :meth:`append` returns, so a killed process leaves at most its last
    line half written; :meth:`lines` finds that, and :meth:`begin` cuts it off. Once a second, and when it is closed,
    the disk is asked to keep what it was given.

    Raises Fault where the place can't be written to, or the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        self._synced = time.monotonic()

    def lines(self) -> Iterator[bytes]:
        """The whole lines that are there, without their ends."""
        if self.path.exists() and not self.path.is_file():  # a device or a pipe would never come to an end
            return
        try:
            with self.path.open("rb") as file:
                for line in file:
                    if line.endswith(b"\n"):
                        yield line[:-1]
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._fault(error) from error

    def begin(self, keep: int) -> None:
        """Open it for appending, after its first ``keep`` bytes; what follows them is cut off."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("r+b" if keep else "wb", buffering=0)
            if keep:  # a device can't be cut, and was opened empty
                self._file.truncate(keep)
                self._file.seek(keep)
        except OSError as error:
            raise self._fault(error) from error

    def append(self, line: str) -> None:
        """Add a line; its end is added here."""
        assert self._file is not None
        content = line.encode("utf-8", "backslashreplace") + b"\n"
        try:
            while content:  # an unbuffered file may take less than it is given
                content = content[self._file.write(content) :]
            if time.monotonic() - self._synced > _SECONDS_BETWEEN_SYNCS:
                self._sync()
        except OSError as error:
            raise self._fault(error) from error

    def close(self) -> None:
        if self._file is None:
            return
        try:
            self._sync()
            self._file.close()
        except OSError as error:
            raise self._fault(error) from error
        finally:
            self._file = None

    def _sync(self) -> None:
        assert self._file is not None
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a pipe or a device has no disk behind it
                raise
        self._synced = time.monotonic()

    def _fault(self, error: OSError) -> LungsightError:
        reason = error.strerror or type(error).__name__
        return LungsightError(
            self.path, f"can't be written ({reason})", "make room or name another file; what is there is whole"
        )


class StandardOutput:
    """Standard output as a place for lines; nothing of an earlier run is there."""

    path = STDOUT

    def lines(self) -> Iterator[bytes]:
        return iter(())

    def begin(self, keep: int) -> None:
        if sys.stdout is None:
            raise LungsightError("standard output", "is closed", "open it, or name a file")

    def append(self, line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def close(self) -> None:
        pass


class FinishedFiles:
    """Which files' findings are there from an earlier scan. Names may read the same and be two files, so they are
    counted: the first of them that comes by is the first that was done.

    Attributes:
        failed: those that could not be read.
    """

    def __init__(self, counts: Counter[str], failed: Iterable[str] = ()) -> None:
        self.failed = frozenset(failed)
        self._left = counts

    def __contains__(self, file: str) -> bool:
        return self._left[file] > 0

    def pass_by(self, file: str) -> None:
        """One of them came by, and is left as it is."""
        self._left[file] -= 1

    def forget(self, file: str) -> None:
        """Whatever is called so from now on is new."""
        self._left[file] = 0


def already_there(
    file: GrowingFile | StandardOutput, read: Callable[[bytes, int], str | None]
) -> tuple[Counter[str], int]:
    """The files that an earlier run has written of, and after how many bytes to go on.

    Args:
        file: what may hold lines already.
        read: the file that a line speaks of, None for a heading; raises ValueError where it is no such line, Fault
            where it is one of another model. Its second argument is the line's number from 0.

    Raises:
        Fault: these aren't findings, or those of another model.
    """
    done: Counter[str] = Counter()
    kept = 0
    bad: int | None = None
    for number, line in enumerate(file.lines()):
        try:
            name = read(line, number)
        except ValueError as error:
            if number == 0:
                raise _foreign(file.path) from error
            bad = number
            continue
        if bad is not None:
            raise LungsightError(file.path, f"line {bad + 1} is damaged", "mend or remove it, or give --restart")
        kept += len(line) + 1
        if name is not None:
            done[name] += 1
    if kept == 0 and file.path != STDOUT and _holds_something(file.path):
        raise _foreign(file.path)
    return done, kept


def _foreign(path: Path) -> LungsightError:
    return LungsightError(
        path, "is there already and holds no findings of a scan", "name another file, or give --restart"
    )


def of_another_model(path: Path, theirs: object, model: str) -> LungsightError:
    """What is said of a file with findings by another model."""
    return LungsightError(path, f"holds findings of {theirs}, not of {model}", "name another file, or give --restart")


def _holds_something(path: Path) -> bool:
    """A first line that was cut short looks like the beginning of one of ours."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return False
    ours = (b'{"file": "', b"file,status,")
    return bool(head) and not any(head[: len(own)] == own[: len(head)] for own in ours)


def as_object(line: bytes) -> dict[str, object]:
    """The JSON object on a line. Raises ValueError."""
    stated = json.loads(line)
    if not isinstance(stated, dict):
        raise ValueError("no object")
    return stated
