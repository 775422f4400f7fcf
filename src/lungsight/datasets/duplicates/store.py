"""Fingerprints kept on disk, so that an image is decoded once and not at every check."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lungsight._files import file_state, unwritable
from lungsight.datasets.duplicates.fingerprint import THUMBNAIL_SIDE, Fingerprint
from lungsight.errors import LungsightError

#: Another way to make fingerprints needs another number: those of the old way are then made anew.
_VERSION = 1
_TABLE = "CREATE TABLE IF NOT EXISTS fingerprints (image TEXT PRIMARY KEY, file TEXT, pixels TEXT, thumbnail BLOB)"
#: How long to wait for another process that is writing, in seconds.
_PATIENCE = 60.0


@dataclass(frozen=True)
class FingerprintStore:
    """Fingerprints by path, size and time of change: a changed file is another image.

    Several processes may share one store, and a killed one leaves it whole (SQLite takes care of both).
    """

    database: sqlite3.Connection

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator[FingerprintStore]:
        """Open the store in ``folder``. Raises LungsightError where it can't be written to, or is damaged."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / f"fingerprints-{_VERSION}.sqlite"
            with closing(sqlite3.connect(file, timeout=_PATIENCE)) as database:
                database.execute(_TABLE)
                yield cls(database)
        except OSError as error:
            raise unwritable(folder, error) from error
        except sqlite3.DatabaseError as error:
            damaged = not isinstance(error, sqlite3.OperationalError)
            problem = f"holds a damaged cache ({error})" if damaged else f"can't be used as a cache ({error})"
            hint = f"{'remove it' if damaged else 'make room'} or name another folder"
            raise LungsightError(folder, problem, hint) from error

    def get(self, path: str) -> Fingerprint | None:
        """Return the fingerprint of the file as it is now; None where none is kept."""
        query = "SELECT file, pixels, thumbnail FROM fingerprints WHERE image = ?"
        row = self.database.execute(query, (_key(path),)).fetchone()
        if not row:
            return None
        thumbnail = np.frombuffer(row[2], dtype=np.uint8).reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        return Fingerprint(row[0], row[1], thumbnail)

    def add(self, fingerprints: Mapping[str, Fingerprint]) -> None:
        """Keep fingerprints by their files' paths."""
        rows = [
            (key, one.file, one.pixels, one.thumbnail.tobytes())
            for path, one in fingerprints.items()
            if (key := _key(path)) is not None
        ]
        with self.database:
            self.database.executemany("INSERT OR REPLACE INTO fingerprints VALUES (?, ?, ?, ?)", rows)


def _key(path: str) -> str | None:
    """None where there is no such file."""
    _, size, changed = file_state(path)
    return f"{path}|{size}|{changed}" if changed else None
