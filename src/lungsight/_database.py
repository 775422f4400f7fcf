"""SQLite files, of caches and queues: opened the same way everywhere, their errors told in one sentence."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from lungsight._files import unwritable
from lungsight.errors import LungsightError

#: Seconds to wait for another process that is writing.
_PATIENCE = 60.0


@contextmanager
def open_database(
    file: Path, tables: str, what: str = "cache", *, durable: bool = False
) -> Iterator[sqlite3.Connection]:
    """Open a database, and close it at the end. Several processes may share it, and a killed one leaves it whole.

    Threads may share the connection too, if only one uses it at a time.

    Args:
        file: the database; missing folders are made.
        tables: SQL that makes its tables if they aren't there.
        what: it is, for messages.
        durable: what was committed survives a power cut as well, which takes the disk's time.

    Raises:
        LungsightError: the file can't be written, or is damaged.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(file, timeout=_PATIENCE, check_same_thread=False)) as database:
            database.execute("PRAGMA journal_mode = WAL")  # what was committed survives a kill, and writing is quick
            database.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            database.executescript(tables)
            yield database
    except OSError as error:
        raise unwritable(file, error) from error
    except sqlite3.DatabaseError as error:
        damaged = not isinstance(error, sqlite3.OperationalError)
        problem = f"holds a damaged {what} ({error})" if damaged else f"can't be used as a {what} ({error})"
        hint = f"{'remove it' if damaged else 'make room'} or name another folder"
        raise LungsightError(file, problem, hint) from error
