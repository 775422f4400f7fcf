"""Cards of a page that is being made, on disk: however many they are, the page shows the most urgent."""

from __future__ import annotations

import base64
import heapq
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from lungsight.components.lungs import Box
from lungsight.inference.finding import Status
from lungsight.scanning.card import JUDGED, Card, Floats, full_scale
from lungsight.scanning.journal import FinishedFiles, GrowingFile, already_there, as_object, of_another_model

#: A page with more pictures than this no browser likes to open, and nobody looks through.
MOST_SHOWN = 500
#: Of what was refused or couldn't be read, and has no card: so many are listed by name.
MOST_LISTED = 1000

_BYTES = ("jpeg", "lungs")


class SkippedFile(NamedTuple):
    """A file that was refused or couldn't be read, as a row of text."""

    file: str
    status: str
    reason: str


class _Place(NamedTuple):
    """Where a card that is shown stands in the spool. A heap of these has the one that goes first at its top."""

    order: tuple[float, ...]
    start: int
    size: int
    evidence: Floats | None
    unjudged: SkippedFile | None


class CardSpool:
    """The cards of one page. A scan that was broken off finds its cards here again.

    Every file has a line, so that it is known to be done; only those among the most urgent when they came have their
    pictures in it.

    Attributes:
        done: the files whose cards were here when it was opened.
        counts: how many cards there are of each verdict.
        outlined: whether any of them shows lungs.
        listed: of the files that were refused or couldn't be read and have no card on the page, the first.
    """

    def __init__(self, path: Path, model: str, *, restart: bool) -> None:
        """Raises Fault where the place can't be written to, or holds the cards of another model."""
        self.path = path
        self.counts: Counter[str] = Counter()
        self._groups: Counter[str] = Counter()
        self.outlined = False
        self.listed: list[SkippedFile] = []
        self._model = model
        self._shown: list[_Place] = []
        self._end = 0
        self._file = GrowingFile(path)
        self._failed: set[str] = set()
        counts = Counter[str]() if restart else already_there(self._file, self._read)[0]
        self.done = FinishedFiles(counts, self._failed)
        self._file.begin(self._end)

    def __len__(self) -> int:
        return self.counts.total()

    def add(self, card: Card) -> None:
        kept = card if self._is_shown(card) else replace(card, jpeg=None, evidence=None, lungs=None)
        line = json.dumps({"file": card.file, "model": self._model, "card": as_json(kept)})
        self._file.append(line)
        self._note(kept, len(line) + 1)

    def sorted(self) -> Iterator[Card]:
        """The cards to show, group by group, the most urgent first."""
        with self.path.open("rb") as file:
            for place in sorted(self._shown, key=lambda place: place.order, reverse=True):
                file.seek(place.start)
                yield from_json(json.loads(file.read(place.size))["card"])

    @property
    def full_scale(self) -> float:
        """How many logits have the strongest colour: one scale for the whole page, so that pictures compare."""
        return full_scale(place.evidence for place in self._shown if place.evidence is not None)

    @property
    def more_analysed(self) -> int:
        """How many judged images have no card on the page, because five hundred are more urgent."""
        return max(0, self._groups[JUDGED] - MOST_SHOWN)

    @property
    def more_skipped(self) -> int:
        """How many others have neither a card nor a row on the page."""
        return len(self) - len(self._shown) - self.more_analysed - len(self.listed)

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

    def _order(self, card: Card) -> tuple[float, ...]:
        """What goes first is least: the last group, the least urgent, the latest."""
        group, urgency = card.order
        return (-group, -urgency, -self._end)

    def _is_shown(self, card: Card) -> bool:
        return len(self._shown) < MOST_SHOWN or self._order(card) > self._shown[0].order

    def _note(self, card: Card, size: int) -> None:
        unjudged = None if card.group == JUDGED else SkippedFile(card.file, card.status, " ".join(card.reasons))
        place = _Place(self._order(card), self._end, size, card.evidence, unjudged)
        if len(self._shown) < MOST_SHOWN:
            heapq.heappush(self._shown, place)
        else:
            gone = heapq.heappushpop(self._shown, place)
            if gone.unjudged is not None and len(self.listed) < MOST_LISTED:
                self.listed.append(gone.unjudged)
        self._end += size
        self.counts[str(card.decision or card.status)] += 1
        self._groups[card.group] += 1
        self.outlined = self.outlined or card.lungs is not None


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
