"""The queue: which images arrived, and how far each has come. It survives kills and power cuts."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import NamedTuple, Self

from lungsight._database import open_database

_TABLES = """
CREATE TABLE IF NOT EXISTS images (
  number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
  due REAL NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '', received REAL NOT NULL, changed REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS by_state ON images (state, due);
CREATE TABLE IF NOT EXISTS objects (
  uid TEXT PRIMARY KEY, image INTEGER NOT NULL, class TEXT NOT NULL, asked TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS by_image ON objects (image);
CREATE TABLE IF NOT EXISTS passed_by (reason TEXT PRIMARY KEY, times INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS followed (source TEXT PRIMARY KEY, last INTEGER NOT NULL);
"""

#: Seconds until something is tried again: 2, 4, 8 … at most ten minutes.
_FIRST_WAIT, _LONGEST_WAIT = 2.0, 600.0
#: An image at which the process died, or failed, so many times is left alone.
MOST_ATTEMPTS = 10


class State(StrEnum):
    """How far an image has come. ``taken``: by an archive that doesn't offer storage commitment."""

    RECEIVED = "received"
    JUDGED = "judged"
    MADE = "made"
    SENT = "sent"
    TAKEN = "taken"
    COMMITTED = "committed"
    PASSED_BY = "passed by"
    GIVEN_UP = "given up"


#: Nothing more happens to these.
DONE = (State.TAKEN, State.COMMITTED, State.PASSED_BY, State.GIVEN_UP)


class Waiting(NamedTuple):
    """An image in the queue.

    Attributes:
        number: in the order of arrival; logs name images by it.
        name: of its files: a digest of its UID.
        attempts: at the step that it is at.
    """

    number: int
    name: str
    state: State
    attempts: int


class Sent(NamedTuple):
    """A result object: class and UID."""

    sop_class: str
    uid: str


@dataclass(frozen=True)
class Counts:
    """The queue in figures.

    Attributes:
        images: by state.
        passed_by: objects that aren't images for lungsight, by reason.
        problems: of images that wait to be tried again or were given up: number, state and reason.
        oldest: seconds for which the image that has waited longest has waited; None if none waits.
    """

    images: dict[State, int]
    passed_by: dict[str, int]
    problems: list[tuple[int, State, str]]
    oldest: float | None


def name_of(uid: str) -> str:
    """By which files and rows name an image, so that neither holds its UID."""
    return hashlib.sha256(uid.encode()).hexdigest()[:40]


class Queue:
    """One SQLite file; safe to call from several threads. What a method returned from is on the disk."""

    def __init__(self, file: Path) -> None:
        """Open it, or make it. Raises LungsightError if it can't be used."""
        self._lock, self._open = Lock(), ExitStack()
        self._database = self._open.enter_context(open_database(file, _TABLES, "queue", durable=True))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._open.close()

    def receive(self, uid: str, followed: tuple[str, int] | None = None) -> int:
        """An image arrived, whose file is on the disk; its number. One that is done already is done again.

        Args:
            uid: of the image.
            followed: source and number of its last change that was dealt with, kept in the same step.
        """
        now, done = time.time(), ",".join(f"'{state}'" for state in DONE)
        with self._lock, self._database as database:
            database.execute(
                "INSERT INTO images (name, state, received, changed) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET state = excluded.state, attempts = 0, due = 0, reason = '', "
                f"received = excluded.received, changed = excluded.changed WHERE state IN ({done})",
                (name_of(uid), State.RECEIVED, now, now),
            )
            _follow(database, followed)
            found = database.execute("SELECT number FROM images WHERE name = ?", (name_of(uid),)).fetchone()
        return int(found[0])

    def pass_by(self, reason: str, followed: tuple[str, int] | None = None) -> None:
        """Count an object that isn't an image for lungsight."""
        with self._lock, self._database as database:
            database.execute(
                "INSERT INTO passed_by VALUES (?, 1) ON CONFLICT (reason) DO UPDATE SET times = times + 1", (reason,)
            )
            _follow(database, followed)

    def follow(self, source: str, last: int) -> None:
        """Keep the number of the last change of a source that was dealt with."""
        with self._lock, self._database as database:
            _follow(database, (source, last))

    def followed(self, source: str) -> int | None:
        """What was kept by :meth:`follow`; None for a source that is new."""
        with self._lock:
            found = self._database.execute("SELECT last FROM followed WHERE source = ?", (source,)).fetchone()
        return None if found is None else int(found[0])

    def due(self, states: Iterable[State], most: int, but: Iterable[int] = ()) -> list[Waiting]:
        """The images in these states whose time has come; those that failed before come last."""
        wanted, left_out = [str(state) for state in states], list(but)
        marks, others = ",".join("?" * len(wanted)), ",".join("?" * len(left_out))
        with self._lock:
            rows = self._database.execute(
                f"SELECT number, name, state, attempts FROM images WHERE state IN ({marks}) AND due <= ? "
                f"AND number NOT IN ({others}) ORDER BY attempts, number LIMIT ?",
                (*wanted, time.time(), *left_out, most),
            ).fetchall()
        return [Waiting(number, name, State(state), attempts) for number, name, state, attempts in rows]

    def count(self, state: State) -> int:
        """The images in a state."""
        with self._lock:
            found = self._database.execute("SELECT count(*) FROM images WHERE state = ?", (state,)).fetchone()
        return int(found[0])

    def begin(self, number: int) -> int:
        """An attempt begins, which may end in the death of this process; how many there were before."""
        with self._lock, self._database as database:
            database.execute("UPDATE images SET attempts = attempts + 1 WHERE number = ?", (number,))
            found = database.execute("SELECT attempts FROM images WHERE number = ?", (number,)).fetchone()
        return int(found[0]) - 1

    def move(self, number: int, state: State, reason: str = "") -> None:
        """An image came to a state; the attempts count from nothing."""
        with self._lock, self._database as database:
            _move(database, number, state, reason)

    def made(self, number: int, objects: Sequence[Sent]) -> None:
        """The objects of an image are on the disk."""
        self._with_objects(number, State.MADE, objects)

    def sent(self, number: int, objects: Sequence[Sent]) -> None:
        """An archive took these objects."""
        self._with_objects(number, State.SENT, objects)

    def asked(self, number: int, transaction: str) -> None:
        """The archive is about to be asked to commit to the objects of an image."""
        with self._lock, self._database as database:
            database.execute("UPDATE objects SET asked = ? WHERE image = ?", (transaction, number))

    def objects(self, number: int) -> list[Sent]:
        """The objects of an image, as they were made or sent."""
        with self._lock:
            rows = self._database.execute("SELECT class, uid FROM objects WHERE image = ? ORDER BY uid", (number,))
            return [Sent(*row) for row in rows]

    def is_ours(self, uid: str) -> bool:
        """Whether an object of this UID was made here."""
        with self._lock:
            return self._database.execute("SELECT 1 FROM objects WHERE uid = ?", (uid,)).fetchone() is not None

    def asked_in(self, transaction: str) -> Waiting | None:
        """The image whose objects were asked for in a transaction; None if there is none."""
        with self._lock:
            found = self._database.execute(
                "SELECT number, name, state, attempts FROM images WHERE number = "
                "(SELECT image FROM objects WHERE asked = ? LIMIT 1)",
                (transaction,),
            ).fetchone()
        return None if found is None else Waiting(found[0], found[1], State(found[2]), found[3])

    def retry(self, waiting: Waiting, reason: str, *, for_ever: bool = False) -> None:
        """Try a step again later, each time after a longer while.

        Args:
            waiting: the image.
            reason: why the step failed.
            for_ever: never give up.
        """
        attempts = waiting.attempts + 1
        if attempts >= MOST_ATTEMPTS and not for_ever:
            return self.move(waiting.number, State.GIVEN_UP, reason)
        due = time.time() + min(_FIRST_WAIT * 2 ** min(waiting.attempts, 20), _LONGEST_WAIT)
        with self._lock, self._database as database:
            database.execute(
                "UPDATE images SET attempts = ?, due = ?, reason = ? WHERE number = ?",
                (attempts, due, reason, waiting.number),
            )
        return None

    def names(self, states: Iterable[State]) -> set[str]:
        """Names of the images in these states."""
        wanted = [str(state) for state in states]
        with self._lock:
            rows = self._database.execute(
                f"SELECT name FROM images WHERE state IN ({','.join('?' * len(wanted))})", wanted
            ).fetchall()
        return {row[0] for row in rows}

    def counts(self) -> Counts:
        """The queue in figures."""
        going = ",".join(f"'{state}'" for state in State if state not in DONE)
        with self._lock:
            by_state = dict(self._database.execute("SELECT state, count(*) FROM images GROUP BY state").fetchall())
            passed = dict(
                self._database.execute("SELECT reason, times FROM passed_by ORDER BY times DESC").fetchall()
            )
            problems = self._database.execute(
                f"SELECT number, state, reason FROM images WHERE reason != '' AND state IN ({going}, 'given up') "
                "ORDER BY number"
            ).fetchall()
            (first,) = self._database.execute(f"SELECT min(received) FROM images WHERE state IN ({going})").fetchone()
        return Counts(
            {state: by_state.get(state, 0) for state in State},
            passed,
            [(number, State(state), reason) for number, state, reason in problems],
            None if first is None else max(0.0, time.time() - first),
        )

    def _with_objects(self, number: int, state: State, objects: Sequence[Sent]) -> None:
        with self._lock, self._database as database:
            database.execute("DELETE FROM objects WHERE image = ?", (number,))
            database.executemany(
                "INSERT OR REPLACE INTO objects (uid, image, class) VALUES (?, ?, ?)",
                [(one.uid, number, one.sop_class) for one in objects],
            )
            _move(database, number, state, "")


def _move(database: sqlite3.Connection, number: int, state: State, reason: str) -> None:
    database.execute(
        "UPDATE images SET state = ?, attempts = 0, due = 0, reason = ?, changed = ? WHERE number = ?",
        (state, reason, time.time(), number),
    )


def _follow(database: sqlite3.Connection, followed: tuple[str, int] | None) -> None:
    if followed is not None:
        database.execute(
            "INSERT INTO followed VALUES (?, ?) ON CONFLICT (source) DO UPDATE SET last = excluded.last", followed
        )
