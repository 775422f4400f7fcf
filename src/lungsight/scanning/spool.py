"""Cards of a page that is being made, on disk: however many they are, memory holds one at a time."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from lungsight.package.lung_fields import Box
from lungsight.scanning.card import Card
from lungsight.scanning.durable import Done, GrowingFile, already_there, as_object, of_another_model
from lungsight.scanning.finding import Status

_BYTES = ("jpeg", "lungs")


class _Place(NamedTuple):
    """Where a card stands in the spool, and by what it is sorted."""

    order: tuple[int, float]
    start: int
    size: int


class CardSpool:
    """The cards of one page. A scan that was broken off finds its cards here again.

    Attributes:
        done: the files whose cards were here when it was opened.
        counts: how many cards there are of each verdict.
        outlined: whether any of them shows lungs.
    """

    def __init__(self, path: Path, model: str, *, restart: bool) -> None:
        """Raises Fault where the place can't be written to, or holds the cards of another model."""
        self.path = path
        self.counts: Counter[str] = Counter()
        self.outlined = False
        self._model = model
        self._places: list[_Place] = []
        self._strengths = Strengths()
        self._end = 0
        self._file = GrowingFile(path)
        self._failed: set[str] = set()
        counts = Counter[str]() if restart else already_there(self._file, self._read)[0]
        self.done = Done(counts, self._failed)
        self._file.begin(self._end)

    def __len__(self) -> int:
        return len(self._places)

    def add(self, card: Card) -> None:
        line = json.dumps({"file": card.file, "model": self._model, "card": as_json(card)})
        self._file.append(line)
        self._note(card, len(line) + 1)

    def sorted(self) -> Iterator[Card]:
        """The cards, group by group, the surest first."""
        with self.path.open("rb") as file:
            for place in sorted(self._places):
                file.seek(place.start)
                yield from_json(json.loads(file.read(place.size))["card"])

    @property
    def full_scale(self) -> float:
        """How many logits have the strongest colour: one scale for the whole page, so that pictures can be compared.
        It is the 99th percentile of all evidence on it."""
        return self._strengths.percentile(99)

    def close(self) -> None:
        self._file.close()

    def remove(self) -> None:
        """The page is written: the cards aren't needed any more."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _read(self, line: bytes, number: int) -> str:
        stated = as_object(line)
        if not {"file", "model", "card"} <= stated.keys():
            raise ValueError("no card")
        if stated["model"] != self._model:
            raise of_another_model(self.path, stated["model"], self._model)
        try:
            card = from_json(cast(dict[str, Any], stated["card"]))
            self._note(card, len(line) + 1)
        except (KeyError, TypeError) as error:
            raise ValueError("no card") from error
        if card.status == Status.ERROR:
            self._failed.add(card.file)
        return str(stated["file"])

    def _note(self, card: Card, size: int) -> None:
        self._places.append(_Place(card.order, self._end, size))
        self._end += size
        self.counts[str(card.verdict or card.status)] += 1
        self.outlined = self.outlined or card.lungs is not None
        if card.evidence is not None:
            self._strengths.add(card.evidence)


class Strengths:
    """How strong evidence is, as a histogram of absolute values in steps of about one in a hundred."""

    _EDGES = np.geomspace(1e-4, 1e4, 1851)

    def __init__(self) -> None:
        self._counts = np.zeros(len(self._EDGES) + 1, dtype=np.int64)

    def add(self, evidence: np.ndarray) -> None:
        places = np.searchsorted(self._EDGES, np.abs(evidence).ravel())
        self._counts += np.bincount(places, minlength=len(self._counts))

    def percentile(self, percent: float) -> float:
        """The absolute value that so many per cent lie below; 0 where there is nothing."""
        total = int(self._counts.sum())
        if total == 0:
            return 0.0
        place = int(np.searchsorted(np.cumsum(self._counts), percent / 100 * total))
        return float(self._EDGES[min(place, len(self._EDGES) - 1)]) if place else 0.0


def as_json(card: Card) -> dict[str, Any]:
    """A card as JSON holds it: bytes in base64, evidence as lists."""
    stated = asdict(card)
    for name in _BYTES:
        stated[name] = None if stated[name] is None else base64.b64encode(stated[name]).decode("ascii")
    stated["evidence"] = None if card.evidence is None else card.evidence.tolist()
    return stated


def from_json(stated: dict[str, Any]) -> Card:
    """What :func:`as_json` was given. Raises KeyError, TypeError, ValueError where it is no such thing."""
    given = dict(stated)
    for name in _BYTES:
        given[name] = None if given[name] is None else base64.b64decode(given[name])
    given["evidence"] = None if given["evidence"] is None else np.array(given["evidence"], dtype=np.float32)
    given["crop"] = None if given["crop"] is None else Box(**given["crop"])
    given["reasons"], given["warnings"] = tuple(given["reasons"]), tuple(given["warnings"])
    return Card(**given)
