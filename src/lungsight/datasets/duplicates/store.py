"""Fingerprints kept on disk, so that an image is decoded once and not at every check."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lungsight._files import unwritable
from lungsight.datasets.duplicates.fingerprint import THUMBNAIL_SIDE, Fingerprint
from lungsight.errors import LungsightError

#: Another way to make fingerprints needs another number: those of the old way are then made anew.
_VERSION = 1
_TABLE = "CREATE TABLE IF NOT EXISTS fingerprints (image TEXT PRIMARY KEY, file TEXT, pixels TEXT, thumbnail BLOB)"
#: How long to wait for another process that is writing, in seconds.
_PATIENCE = 60.0


@dataclass(frozen=True)
class FingerprintStore:
    """Fingerprints by path, size and time of change: a changed file is another image. Several processes may share
    one store, and a killed one leaves it whole (SQLite sees to both)."""

    database: sqlite3.Connection

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator[FingerprintStore]:
        """Raises Fault where the folder can't be written to, or the disk is full."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with cls._opened(folder) as store:
                yield store
        except OSError as error:
            raise unwritable(folder, error) from error
        except sqlite3.OperationalError as error:
            raise LungsightError(
                folder, f"can't be used as a cache ({error})", "make room or name another folder"
            ) from error
        except sqlite3.DatabaseError as error:
            raise LungsightError(
                folder, f"holds a damaged cache ({error})", "remove it or name another folder"
            ) from error

    @classmethod
    @contextmanager
    def _opened(cls, folder: Path) -> Iterator[FingerprintStore]:
        with closing(sqlite3.connect(folder / f"fingerprints-{_VERSION}.sqlite", timeout=_PATIENCE)) as database:
            database.execute(_TABLE)
            yield cls(database)

    def get(self, path: str) -> Fingerprint | None:
        image = _identity(path)
        query = "SELECT file, pixels, thumbnail FROM fingerprints WHERE image = ?"
        row = image and self.database.execute(query, (image,)).fetchone()
        if not row:
            return None
        thumbnail = np.frombuffer(row[2], dtype=np.uint8).reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        return Fingerprint(row[0], row[1], thumbnail)

    def add(self, fingerprints: Mapping[str, Fingerprint]) -> None:
        """Keep them by their paths."""
        rows = [
            (image, print_.file, print_.pixels, print_.thumbnail.tobytes())
            for path, print_ in fingerprints.items()
            if (image := _identity(path)) is not None
        ]
        with self.database:
            self.database.executemany("INSERT OR REPLACE INTO fingerprints VALUES (?, ?, ?, ?)", rows)


def _identity(path: str) -> str | None:
    """None where there is no such file."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return None
    return f"{path}|{status.st_size}|{status.st_mtime_ns}"
