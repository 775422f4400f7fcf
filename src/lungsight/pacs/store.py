"""The folder of a service: the queue, images that wait for it, and result objects that wait to be sent."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from lungsight._files import unwritable
from lungsight.errors import LungsightError
from lungsight.pacs.queue import DONE, Queue, State, Waiting, name_of

_IMAGES, _RESULTS, _QUEUE, _LOCK = "images", "results", "queue.sqlite", "lock"
#: Nobody but the service's own user may look at the images of patients.
_PRIVATE = 0o700


class Store:
    """One service at a time works in a store.

    Attributes:
        queue: what the files are there for.
    """

    def __init__(self, folder: Path) -> None:
        """Open the store, or make it, and remove what a killed service left that no row of the queue needs.

        Raises:
            LungsightError: it can't be used, or another service uses it.
        """
        self._folder = folder
        try:
            for part in (folder, folder / _IMAGES, folder / _RESULTS):
                part.mkdir(parents=True, exist_ok=True, mode=_PRIVATE)
            self._lock = (folder / _LOCK).open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LungsightError(
                folder, "another service works in this folder", "stop it, or name another"
            ) from error
        except OSError as error:
            raise unwritable(folder, error) from error
        self.queue, self._files = Queue(folder / _QUEUE), Lock()
        self._remove_leftovers()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.queue.__exit__(kind, error, trace)
        self._lock.close()

    def image(self, name: str) -> Path:
        """Where the image of this name is, or will be."""
        return self._folder / _IMAGES / f"{name}.dcm"

    def receive(self, uid: str, data: bytes, followed: tuple[str, int] | None = None) -> int:
        """Keep an image that arrived, and put it into the queue; both are on the disk when this returns.

        Args:
            uid: of the image.
            data: its file.
            followed: as for :meth:`Queue.receive`.

        Returns:
            Its number in the queue. Raises OSError if it can't be written.
        """
        with self._files:
            _write_durably(self.image(name_of(uid)), data)
            return self.queue.receive(uid, followed)

    def finish(self, waiting: Waiting, state: State, reason: str = "") -> None:
        """Nothing more happens to an image: its files are removed."""
        with self._files:  # or one that arrives again meanwhile would lose its file
            self.queue.move(waiting.number, state, reason)
            self.remove(waiting.name)

    def keep_results(self, name: str, results: Iterable[tuple[str, bytes]]) -> None:
        """Write the result objects of an image, each by its kind; they are on the disk. Raises OSError."""
        folder = self._folder / _RESULTS / name
        folder.mkdir(exist_ok=True, mode=_PRIVATE)
        for kind, data in results:
            _write_durably(folder / f"{kind}.dcm", data)

    def results(self, name: str) -> list[Path]:
        """The files of an image's result objects."""
        return sorted((self._folder / _RESULTS / name).glob("*.dcm"))

    def remove(self, name: str) -> None:
        """Remove everything of an image to which nothing more happens."""
        with suppress(FileNotFoundError):
            self.image(name).unlink()
        shutil.rmtree(self._folder / _RESULTS / name, ignore_errors=True)

    def _remove_leftovers(self) -> None:
        """A file without a row was never acknowledged; one whose row is done was about to be removed."""
        needed = self.queue.names(state for state in State if state not in DONE)
        there = {path.name.removesuffix(".dcm") for path in (self._folder / _IMAGES).iterdir()}
        there |= {path.name for path in (self._folder / _RESULTS).iterdir()}
        for name in there - needed:
            self.remove(name)
        for partial in (self._folder / _IMAGES).glob("*.part"):
            partial.unlink()


def open_queue(folder: Path) -> Queue:
    """The queue of a store, to look at while a service works. Raises LungsightError if there is none."""
    file = folder / _QUEUE
    if not file.is_file():
        raise LungsightError(folder, "holds no queue of `lungsight pacs`", "name its folder by --store")
    return Queue(file)


def _write_durably(path: Path, data: bytes) -> None:
    """The whole file or none, on the disk when this returns."""
    partial = path.with_suffix(".part")
    with _open_private(partial) as file:
        _write_all(file, data)
        os.fsync(file)
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _open_private(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        yield file
    finally:
        os.close(file)


def _write_all(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
