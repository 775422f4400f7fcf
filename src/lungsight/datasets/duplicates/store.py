"""Fingerprints kept on disk, so that an image is decoded once and not at every check."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lungsight._database import open_database
from lungsight._files import file_state
from lungsight.datasets.duplicates.fingerprint import THUMBNAIL_SIDE, Fingerprint

#: Another way to make fingerprints needs another number: those of the old way are then made anew.
_VERSION = 1
_TABLE = "CREATE TABLE IF NOT EXISTS fingerprints (image TEXT PRIMARY KEY, file TEXT, pixels TEXT, thumbnail BLOB)"


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
        with open_database(folder / f"fingerprints-{_VERSION}.sqlite", _TABLE) as database:
            yield cls(database)

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
