"""One cache for all that is computed per image: predictions, statistics, altered images, shuffled networks."""

from __future__ import annotations

import base64
import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lungsight._database import open_database

#: A change in how answers are computed or written needs another number: older ones are then computed again.
_VERSION = 2
_TABLE = "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer BLOB) WITHOUT ROWID"
#: The file's name in the folder of an evaluation or a training.
FILE = "answers.sqlite"
#: Its name in the cache folder, for what is known of images whatever the model.
OF_IMAGES = "statistics.sqlite"

#: What an answer depends on, the kind of answer first: text and numbers.
Key = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class AnswerStore:
    """Answers by everything that they depend on: with another file, model or setting the key is another.

    An answer is what JSON can hold, and arrays. Not for several threads; several processes may share one file.
    """

    database: sqlite3.Connection

    @classmethod
    @contextmanager
    def open(cls, file: Path | None) -> Iterator[AnswerStore]:
        """The store in ``file``; in memory if None. Raises LungsightError."""
        if file is None:
            yield cls.in_memory()
            return
        with open_database(file, _TABLE) as database:
            yield cls(database)

    @classmethod
    def in_memory(cls) -> AnswerStore:
        """A store that ends with the process."""
        database = sqlite3.connect(":memory:")
        database.execute(_TABLE)
        return cls(database)

    def get(self, keys: Iterable[Key]) -> dict[Key, Any]:
        """The answers that are kept, by their keys."""
        query = "SELECT answer FROM answers WHERE key = ?"
        rows = ((key, self.database.execute(query, (_text(key),)).fetchone()) for key in dict.fromkeys(keys))
        return {key: json.loads(zlib.decompress(row[0]), object_hook=_as_array) for key, row in rows if row}

    def add(self, answers: Mapping[Key, Any]) -> None:
        """Keep the answers: all of them or, if the process is killed meanwhile, none."""
        rows = [
            (_text(key), zlib.compress(json.dumps(answer, default=_as_json).encode(), 1))
            for key, answer in answers.items()
        ]
        with self.database:
            self.database.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?)", rows)


def _text(key: Key) -> str:
    return json.dumps([_VERSION, *key])


def _as_json(array: np.ndarray) -> dict[str, Any]:
    content = np.packbits(array) if array.dtype == bool else array
    return {"array": str(array.dtype), "shape": array.shape, "content": base64.b64encode(content.tobytes()).decode()}


def _as_array(stated: dict[str, Any]) -> Any:
    if "array" not in stated:
        return stated
    content, shape = base64.b64decode(stated["content"]), stated["shape"]
    if stated["array"] != "bool":
        return np.frombuffer(content, dtype=stated["array"]).reshape(shape)
    bits = np.unpackbits(np.frombuffer(content, dtype=np.uint8), count=int(np.prod(shape)))
    return bits.astype(bool).reshape(shape)
