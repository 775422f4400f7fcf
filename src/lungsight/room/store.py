"""What the room keeps: images and their queue, findings, reads, references and the audit log, in one SQLite database.

An image's bytes are a file named by the sha256 of what was sent; everything else is a row. A row that was committed
survives SIGKILL and a power cut (WAL, ``synchronous = FULL``).
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.sqlite import insert as insert_or
from sqlalchemy.exc import DatabaseError

from lungsight._files import unwritable
from lungsight.errors import LungsightError
from lungsight.room.tables import AUDIT, FINDINGS, IMAGES, READS, REFERENCES, SCHEMA, SCHEMA_VERSION

WAITING, RUNNING, DONE, ERROR, DELETING = "waiting", "running", "done", "error", "deleting"
#: An image that ended the program so often is not tried again.
MOST_ATTEMPTS = 3
_PATIENCE = 30.0
_WRITING = "writes"


@dataclass(frozen=True)
class Claim:
    """An image that is this worker's to scan."""

    id: str
    path: Path
    received: str


@dataclass(frozen=True)
class Arrival:
    """What is known of an image when it comes.

    Attributes:
        id: the sha256 of the bytes that were sent.
        bytes: the size of the file that is kept.
        name: None unless identifiers are kept.
        patient: a keyed digest of the patient's ID; None if the file states none.
        study_date: ISO 8601.
        phantom: what a phantom shows; None for a file.
    """

    id: str
    bytes: int
    name: str | None = None
    patient: str | None = None
    study_date: str | None = None
    phantom: str | None = None


def now() -> str:
    """The time, in UTC, to milliseconds, as all rows have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def usual_folder() -> Path:
    """Where a room's store is unless another folder is named."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "lungsight" / "room"


class Store:
    """The folder of a room. Safe to call from several threads; one process at a time has it.

    Attributes:
        folder: everything is below it.
        incoming: files that are still being received.
        key: 32 bytes that only this store has: patients' digests and session cookies are keyed by it.
    """

    def __init__(self, folder: Path) -> None:
        """Open it, or make it. Raises LungsightError: it can't be written, is damaged, or another room has it."""
        self.folder, self.incoming, self._files = folder, folder / "incoming", folder / "images"
        self._lock = threading.RLock()
        try:
            for made in (folder, self.incoming, self._files):
                made.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._claimed = _claimed(folder)
            self.key = _key(folder / "key")
        except OSError as error:
            raise unwritable(folder, error) from error
        self._engine = _engine(folder / "room.sqlite")
        self._writes = self._engine.execution_options(**{_WRITING: True})
        try:
            self._prepare()
        except (DatabaseError, OSError) as error:
            self.close()
            cause = getattr(error, "orig", None) or error
            hint = "name another folder with --store, or restore this one from a copy"
            raise LungsightError(folder, f"can't be used as a store ({cause})", hint) from error

    def close(self) -> None:
        """Nothing more is asked of it."""
        self._engine.dispose()
        self._claimed.close()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads, of one moment."""
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes; it is on disk when the block ends without an error."""
        with self._lock, self._writes.begin() as connection:
            yield connection

    def path(self, image: str) -> Path:
        """The file that holds an image's bytes."""
        return self._files / image[:2] / image

    def accept(self, file: Path, arrival: Arrival) -> tuple[str, bool]:
        """Take a file that is on disk into the store; it is there after any kill once this returns.

        Args:
            file: in :attr:`incoming`, already synced; it is moved.
            arrival: what is known of it.

        Returns:
            the image's state, and whether it was here already.
        """
        place = self.path(arrival.id)
        with self.writing() as connection:
            there = connection.execute(select(IMAGES.c.state).where(IMAGES.c.id == arrival.id)).scalar()
            if there is not None:
                file.unlink()
                return str(there), True
            place.parent.mkdir(exist_ok=True, mode=0o700)
            file.replace(place)
            for folder in (place.parent, self._files):
                _sync_folder(folder)
            row = {name: getattr(arrival, name) for name in arrival.__dataclass_fields__}
            connection.execute(insert(IMAGES).values(**row, state=WAITING, received=now(), attempts=0))
        return WAITING, False

    def claim(self) -> Claim | None:
        """Take the image that has waited longest, in one UPDATE; None if none waits."""
        first = select(IMAGES.c.number).where(IMAGES.c.state == WAITING).order_by(IMAGES.c.number).limit(1)
        claim = (
            update(IMAGES)
            .where(IMAGES.c.number == first.scalar_subquery())
            .values(state=RUNNING, attempts=IMAGES.c.attempts + 1)
            .returning(IMAGES.c.id, IMAGES.c.received)
        )
        with self.writing() as connection:
            row = connection.execute(claim).first()
        return None if row is None else Claim(row.id, self.path(row.id), row.received)

    def finish(self, image: str, columns: Mapping[str, Any], finding: Mapping[str, Any]) -> bool:
        """Keep the finding of a claimed image; false if it was deleted meanwhile.

        Args:
            image: its id.
            columns: of :data:`IMAGES`.
            finding: of :data:`FINDINGS`.
        """
        with self.writing() as connection:
            mine = (IMAGES.c.id == image) & (IMAGES.c.state == RUNNING)
            if not connection.execute(update(IMAGES).where(mine).values(**columns)).rowcount:
                return False
            row = {"image": image, "finished": now(), **finding}
            statement = insert_or(FINDINGS).values(**row)
            connection.execute(statement.on_conflict_do_update(index_elements=["image"], set_=row))
        return True

    def put_back(self, image: str) -> None:
        """Let a claimed image wait again: the room closes before it was begun."""
        with self.writing() as connection:
            mine = (IMAGES.c.id == image) & (IMAGES.c.state == RUNNING)
            connection.execute(update(IMAGES).where(mine).values(state=WAITING, attempts=IMAGES.c.attempts - 1))

    def resume(self, model: str) -> list[str]:
        """Go on where the last process stopped: its claims wait again, and so does what another model scanned.

        Returns:
            the images that ended the program :data:`MOST_ATTEMPTS` times; they are claimed no more.
        """
        with self.writing() as connection:
            stuck = (IMAGES.c.state == RUNNING) & (IMAGES.c.attempts >= MOST_ATTEMPTS)
            given_up = list(connection.execute(select(IMAGES.c.id).where(stuck)).scalars())
            again = (IMAGES.c.state == RUNNING) & (IMAGES.c.attempts < MOST_ATTEMPTS)
            connection.execute(update(IMAGES).where(again).values(state=WAITING))
            other = IMAGES.c.state.in_((DONE, ERROR)) & (IMAGES.c.model != model)
            connection.execute(update(IMAGES).where(other).values(state=WAITING, attempts=0))
        return given_up

    def delete(self, image: str) -> bool:
        """Delete an image's bytes, finding, reads and reference, and what the database still held of them.

        Returns:
            false if there is no such image.
        """
        with self.writing() as connection:
            there = (IMAGES.c.id == image) & (IMAGES.c.state != DELETING)
            if not connection.execute(update(IMAGES).where(there).values(state=DELETING)).rowcount:
                return False
        self._delete_for_good([image])
        return True

    def counts(self) -> dict[str, int]:
        """The number of images in each state, and ``deleted``."""
        with self.reading() as connection:
            by_state = select(IMAGES.c.state, func.count()).group_by(IMAGES.c.state)
            found = {str(state): int(n) for state, n in connection.execute(by_state).all()}
            deleted = select(func.count()).select_from(AUDIT).where(AUDIT.c.what == "deleted")
            found["deleted"] = int(connection.execute(deleted).scalar_one())
        return found

    def size(self) -> int:
        """The number of images."""
        with self.reading() as connection:
            return int(connection.execute(select(func.count()).select_from(IMAGES)).scalar_one())

    def log(self, who: str, what: str, model: str, image: str | None = None, note: str = "") -> None:
        """Add a line to the audit log."""
        with self.writing() as connection:
            log(connection, who, what, model, image, note)

    def free_bytes(self) -> int:
        """What the disk has left."""
        return shutil.disk_usage(self.folder).free

    def _prepare(self) -> None:
        with self.writing() as connection:
            version = connection.execute(text("PRAGMA user_version")).scalar_one()
            if version > SCHEMA_VERSION:
                problem = f"was written by a newer lungsight (schema {version})"
                raise LungsightError(self.folder, problem, "install that version, or name another folder")
            SCHEMA.create_all(connection)
            connection.execute(text(f"PRAGMA user_version = {SCHEMA_VERSION}"))
        for left in self.incoming.iterdir():
            left.unlink()
        with self.reading() as connection:
            half = list(connection.execute(select(IMAGES.c.id).where(IMAGES.c.state == DELETING)).scalars())
        if half:
            self._delete_for_good(half)
        self._remove_strangers()

    def _remove_strangers(self) -> None:
        """Remove files that no row names: their upload was never acknowledged, or their deletion was broken off."""
        with self.reading() as connection:
            known = set(connection.execute(select(IMAGES.c.id)).scalars())
        for file in self._files.glob("*/*"):
            if file.name not in known:
                file.unlink()

    def _delete_for_good(self, ids: list[str]) -> None:
        with self.writing() as connection:
            for image in ids:
                self.path(image).unlink(missing_ok=True)
                for table in (FINDINGS, READS, REFERENCES):
                    connection.execute(delete(table).where(table.c.image == image))
                connection.execute(delete(IMAGES).where(IMAGES.c.id == image))
        self._empty_the_log()

    def _empty_the_log(self) -> None:
        """Move what the write-ahead log holds into the database, whose freed pages are overwritten with zeros."""
        raw = self._engine.raw_connection()
        try:
            for _ in range(100):
                with self._lock:
                    busy = raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
                if not busy:
                    return
                time.sleep(0.05)
        finally:
            raw.close()


def log(connection: Connection, who: str, what: str, model: str, image: str | None = None, note: str = "") -> None:
    """Add a line to the audit log, in a transaction with what it tells of."""
    row = {"at": now(), "who": who, "what": what, "model": model, "image": image, "note": note}
    connection.execute(insert(AUDIT).values(**row))


def _engine(file: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{file}", connect_args={"timeout": _PATIENCE}, pool_size=8, max_overflow=56, pool_timeout=60
    )

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin below, and not when the driver thinks fit
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITING)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _claimed(folder: Path) -> sqlite3.Connection:
    """A lock that the system takes back when this process ends, however it ends."""
    lock = sqlite3.connect(folder / "in-use.sqlite", timeout=0, isolation_level=None, check_same_thread=False)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        lock.close()
        problem = "is open in another reading room"
        raise LungsightError(folder, problem, "close that one, or name another folder with --store") from error
    return lock


def _key(file: Path) -> bytes:
    with suppress(FileNotFoundError):
        return file.read_bytes()
    made = secrets.token_bytes(32)
    partial = file.with_suffix(".part")
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(made)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(file)
    _sync_folder(file.parent)
    return made


def _sync_folder(folder: Path) -> None:
    """Ask the disk to keep the folder's names, where the system can."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
