"""The journal of a scan: one JSON object per line, which survives a crash and says which files are done."""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from lungsight._files import unwritable
from lungsight.errors import LungsightError
from lungsight.inference.finding import Status

STDOUT = Path("-")
_SECONDS_BETWEEN_SYNCS = 1.0

#: A finding as ``Finding.as_json`` gives it.
Record = dict[str, Any]
T = TypeVar("T")


def is_stream(path: Path) -> bool:
    """Whether nothing can be read back from there: standard output, a pipe or a device."""
    return path == STDOUT or (path.exists() and not path.is_file())


class Lines:
    """A text file that grows by whole lines, or standard output. Not for several threads.

    A line goes to the system in one piece before :meth:`append` returns, so a killed process leaves at most its last
    line half written. Once a second, and when it is closed, the disk is asked to keep what it was given.
    """

    def __init__(self, path: Path, keep: int = 0) -> None:
        """Open it for appending.

        Args:
            path: a file, a device, or ``-`` for standard output.
            keep: what follows this many bytes is cut off.

        Raises:
            LungsightError: it can't be written.
        """
        self.path = path
        self._file: BinaryIO | None = None
        self._synced = time.monotonic()
        if path == STDOUT:
            if sys.stdout is None:
                raise LungsightError("standard output", "is closed", "open it, or name a file")
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("r+b" if keep else "wb", buffering=0)
            if keep:  # a device can't be cut, and was opened empty
                self._file.truncate(keep)
                self._file.seek(keep)
        except OSError as error:
            raise unwritable(path, error) from error

    def append(self, line: str) -> None:
        """Add a line; its end is added here. Raises LungsightError if it can't be written."""
        if self._file is None:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
            return
        content = line.encode("utf-8", "backslashreplace") + b"\n"
        try:
            while content:  # an unbuffered file may take less than it is given
                content = content[self._file.write(content) :]
            if time.monotonic() - self._synced > _SECONDS_BETWEEN_SYNCS:
                self._sync(self._file)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def close(self) -> None:
        """Nothing more will come. Raises LungsightError if the disk can't keep what it was given."""
        if self._file is None:
            return
        try:
            with self._file as file:
                self._sync(file)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def _sync(self, file: BinaryIO) -> None:
        if file.closed:
            return
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a pipe or a device has no disk behind it
                raise
        self._synced = time.monotonic()


def read_lines(path: Path, parse: Callable[[bytes], T], head: bytes) -> Iterator[tuple[T, int]]:
    """What ``parse`` makes of each whole line of a file, and after how many bytes the line ends.

    Damaged lines at the end are what a kill or a power cut leaves, and are passed over.

    Args:
        path: a file; nothing comes of one that isn't there.
        parse: raises ValueError for a line that isn't one of ours.
        head: how the first line of our files begins.

    Raises:
        LungsightError: these aren't findings, or a line amid others is damaged.
    """
    damaged, end = 0, 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                end += len(line)
                try:
                    if not line.endswith(b"\n"):
                        raise ValueError("cut short")
                    parsed = parse(line[:-1])
                except ValueError as error:
                    if number == 1 and (line.endswith(b"\n") or head[: len(line)] != line[: len(head)]):
                        problem = "is there already and holds no findings of a scan"
                        raise LungsightError(path, problem, "name another file, or give --restart") from error
                    damaged = damaged or number
                    continue
                if damaged:
                    raise LungsightError(path, f"line {damaged} is damaged", "repair or remove it, or give --restart")
                yield parsed, end
    except FileNotFoundError:
        return
    except OSError as error:
        raise unwritable(path, error) from error


def refuse_other_model(path: Path, stated: object, model: str) -> None:
    """Raise LungsightError unless the model that ``path`` states is the one that scans."""
    if stated != model:
        raise LungsightError(
            path, f"holds findings of {stated}, not of {model}", "name another file, or give --restart"
        )


class Journal:
    """The findings of a scan, in the order in which they came. Not for several threads.

    A scan that was broken off goes on with its journal; tables and page are exported from it. Two files may have the
    same name, so names are counted: the first that comes by is the first that was done.

    Attributes:
        failed: files that an earlier scan couldn't read.
    """

    def __init__(self, path: Path, model: str, *, restart: bool = False) -> None:
        """Read what an earlier scan left; nothing is written until :meth:`open`.

        Args:
            path: a file.
            model: the id of the model that scans.
            restart: replace what an earlier scan left, unread.

        Raises:
            LungsightError: the file holds something else, or findings of another model.
        """
        self.path = path
        self.failed: set[str] = set()
        self._model = model
        self._left: Counter[str] = Counter()
        self._kept = 0
        self._lines: Lines | None = None
        if not restart:
            for record, end in read_lines(path, self._parse, b'{"file": "'):
                self._note(record)
                self._kept = end

    def open(self) -> None:
        """Cut off what a kill left half written, and take more. Raises LungsightError if it can't be written."""
        self._lines = Lines(self.path, self._kept)

    def __contains__(self, file: str) -> bool:
        """Whether an earlier scan did a file of this name that hasn't come by yet."""
        return self._left[file] > 0

    def pass_by(self, file: str) -> None:
        """A file of this name came by, and its finding stays as it is."""
        self._left[file] -= 1

    def forget(self, file: str) -> None:
        """Every file that comes by under this name from now on is new."""
        self._left[file] = 0

    def append(self, record: Record) -> None:
        """Add a finding. Raises LungsightError if it can't be written."""
        assert self._lines is not None
        self._lines.append(json.dumps(record, ensure_ascii=False))

    def take_over(self, records: Iterable[Record]) -> None:
        """Add the findings of an earlier scan that aren't here: as many of each name as are missing."""
        left = self._left.copy()
        for record in records:
            if left[record["file"]]:
                left[record["file"]] -= 1
            else:
                self.append(record)
                self._note(record)

    def records(self) -> Iterator[Record]:
        """The findings, from the first on."""
        return (record for record, _ in read_lines(self.path, self._parse, b""))

    def close(self) -> None:
        """Nothing more will come."""
        if self._lines is not None:
            self._lines.close()

    def _note(self, record: Record) -> None:
        self._left[record["file"]] += 1
        if record["status"] == Status.ERROR:
            self.failed.add(record["file"])

    def _parse(self, line: bytes) -> Record:
        record = json.loads(line)
        if not isinstance(record, dict) or not isinstance(record.get("file"), str) or "verdict" not in record:
            raise ValueError("not a finding")
        refuse_other_model(self.path, record.get("model"), self._model)
        return record
