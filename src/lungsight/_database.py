"""One SQLite file per cache: opened the same way everywhere, its errors told in one sentence."""

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
def open_database(file: Path, table: str) -> Iterator[sqlite3.Connection]:
    """Open a cache, and close it at the end. Several processes may share it, and a killed one leaves it whole.

    Args:
        file: the database; missing folders are made.
        table: SQL that makes its table if it isn't there.

    Raises:
        LungsightError: the file can't be written, or is damaged.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(file, timeout=_PATIENCE)) as database:
            database.execute("PRAGMA journal_mode = WAL")  # what was committed survives a kill, and writing is quick
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute(table)
            yield database
    except OSError as error:
        raise unwritable(file, error) from error
    except sqlite3.DatabaseError as error:
        damaged = not isinstance(error, sqlite3.OperationalError)
        problem = f"holds a damaged cache ({error})" if damaged else f"can't be used as a cache ({error})"
        hint = f"{'remove it' if damaged else 'make room'} or name another folder"
        raise LungsightError(file, problem, hint) from error
