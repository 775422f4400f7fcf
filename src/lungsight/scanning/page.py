"""Findings as one page, the most urgent first. Its sentences are in ``templates/findings.html.j2``, ``card.py``."""

from __future__ import annotations

import hashlib
import heapq
import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from lungsight._files import atomic_write, write_whole
from lungsight._templates import template
from lungsight._text import as_words, in_words
from lungsight.components.decision import decision_words
from lungsight.errors import LungsightError
from lungsight.inference.detector import Detector
from lungsight.inference.finding import Status
from lungsight.package import PackageDescription
from lungsight.package.bundled import bundled_packages
from lungsight.package.descriptions_text import calibration_in_words, decision_in_words, parts_in_words
from lungsight.rendering import AGAINST, FOR, OUTLINE
from lungsight.scanning.card import GROUPS, Card, SmallImage, full_scale
from lungsight.scanning.journal import Record

SUFFIXES = (".html", ".htm")

#: A browser opens a page with so many images; people look through fewer.
MOST_SHOWN = 500
#: So many of the files that were refused or couldn't be read, and have no card, are listed by name.
MOST_LISTED = 1000

#: Moves what the reader of the page moves: how strongly the heatmap shows, and where a picture is enlarged.
SCRIPT = """
document.documentElement.classList.add("js");
document.addEventListener("input", event => {
  if (event.target.matches(".fade")) event.target.closest("figure").style.setProperty("--fade", event.target.value);
});
""".strip()

_HEAD = 1000
#: What the head of a page of ours holds; the second is that of older ones.
_OURS = (b'content="lungsight findings"', b"<title>lungsight: ")


class FindingsPage:
    """Shows the most urgent findings of a journal.

    Small copies of their images are kept beside the page until it is written for good: a scan that was broken off
    goes on without reading them again, and a watched folder may be emptied meanwhile.
    """

    def __init__(
        self,
        path: Path,
        detector: Detector,
        tables: tuple[Path, ...] = (),
        *,
        earlier: Iterable[Record] = (),
        restart: bool = False,
    ) -> None:
        """Rank what an earlier scan found; nothing is written yet.

        Args:
            path: of the page.
            detector: whose findings it shows.
            tables: files that hold the findings that the page has no room for.
            earlier: what an earlier scan found.
            restart: the images that an earlier scan left aren't used.
        """
        self._path, self._detector, self._tables = path, detector, tables
        self._folder = path.with_name(path.name + ".images")
        if restart:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._shown: list[_Place] = []
        self._count = 0
        self._missing: dict[str, list[str]] = defaultdict(list)
        for record in earlier:
            self._place(record)
        for place in self._shown:
            if place.can_be_shown and not self._file(place.key).exists():
                self._missing[place.file].append(place.key)

    def wants(self, file: str) -> bool:
        """Whether an earlier scan's finding of this file would be on the page, and its image is missing."""
        return bool(self._missing.get(file))

    def add(self, record: Record, image: SmallImage | None, *, known: bool = False) -> None:
        """Take a finding, or the image that it lacks.

        Args:
            record: its line in the journal.
            image: None if it couldn't be read.
            known: an earlier scan's finding of this file stays as it is.

        Raises:
            LungsightError: the image can't be kept.
        """
        keys = self._missing.get(record["file"], []) if known else [self._place(record)]
        if keys and image is not None and any(place.key == keys[0] for place in self._shown):
            write_whole(self._file(keys[0]), json.dumps(image.as_json()))
        if keys:
            keys.pop(0)

    def write(self, records: Iterable[Record], *, complete: bool = True) -> None:
        """Write the page, in whole.

        Args:
            records: all findings.
            complete: nothing more will come, so that the images needn't be kept.

        Raises:
            LungsightError: it can't be written.
        """
        with atomic_write(self._path) as file:
            page = template("lungsight.scanning", "findings.html.j2", SCRIPT)
            page.stream(self._content(records)).dump(file, encoding="utf-8", errors="backslashreplace")
        if complete:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _place(self, record: Record) -> str:
        """Rank a finding among the most urgent, and return its key."""
        key = _key(record)
        place = _Place(-GROUPS.index(record["status"]), self._urgency(record), -self._count, key, record["file"])
        self._count += 1
        if len(self._shown) < MOST_SHOWN:
            heapq.heappush(self._shown, place)
        else:
            self._file(heapq.heappushpop(self._shown, place).key).unlink(missing_ok=True)
        return key

    def _file(self, key: str) -> Path:
        return self._folder / f"{key}.json"

    def _urgency(self, record: Record) -> float:
        return float(record["probabilities"].get(self._detector.description.target, 0.0))

    def _card(self, record: Record) -> Card:
        try:
            stated = json.loads(self._file(_key(record)).read_bytes())
            image = SmallImage.from_json(stated, self._detector.description.preprocessing)
        except (OSError, KeyError, TypeError, ValueError):
            image = None
        own = tuple(warning for warning in record["warnings"] if warning not in self._detector.cautions)
        return Card(record, self._detector.description.target, self._urgency(record), image, own)

    def _content(self, records: Iterable[Record]) -> dict[str, object]:
        counts: Counter[str] = Counter()
        shown: dict[str, Record] = {place.key: {} for place in sorted(self._shown, reverse=True)}
        skipped: list[Record] = []
        more_analysed, more_skipped = 0, 0
        for record in records:
            counts[decision_words(record["verdict"] or record["status"], self._detector.description.target)] += 1
            if (key := _key(record)) in shown:
                shown[key] = record
            elif record["status"] == Status.READ:
                more_analysed += 1
            elif len(skipped) < MOST_LISTED:
                skipped.append(record)
            else:
                more_skipped += 1
        cards = [self._card(record) for record in shown.values()]
        images = [card.image for card in cards if card.image is not None]
        description, total = self._detector.description, counts.total()
        return {
            "cards": cards,
            "only": PurePosixPath(cards[0].record["file"]).name if total == 1 else None,
            "total": total,
            "counts": counts,
            "skipped": skipped,
            "more_analysed": more_analysed,
            "more_skipped": more_skipped,
            "outlined": any(image.lungs is not None for image in images),
            "tables": ", ".join(map(str, self._tables)),
            "full": full_scale(image.map for image in images if image.map is not None),
            "model": self._detector.model,
            "describe": _named(self._detector),
            "description": description,
            "target": as_words(description.target),
            "cautions": self._detector.cautions,
            "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "colour_for": _rgb(FOR),
            "colour_against": _rgb(AGAINST),
            "colour_outline": _rgb(OUTLINE),
            "package_text": package_text(description),
        }


class _Place(NamedTuple):
    """Where a finding stands among those shown; the least of a heap of these is the first to go."""

    group: int
    urgency: float
    number: int
    key: str
    file: str

    @property
    def can_be_shown(self) -> bool:
        return GROUPS[-self.group] != Status.ERROR


def _key(record: Record) -> str:
    """By what the image of a finding is found again, whatever journal holds it."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode("utf-8", "backslashreplace")).hexdigest()[:32]


def _named(detector: Detector) -> str:
    """How the package is named on the command line."""
    path = detector.package.path
    return next((name for name, folder in bundled_packages().items() if folder == path), str(path))


def refuse_other_content(path: Path, *, restart: bool) -> None:
    """Raise LungsightError unless a page may be written there; ``restart`` replaces any file."""
    if path.exists() and not path.is_file():
        raise LungsightError(path, "is a folder or a device", "give --html the path of a file")
    if path.suffix.lower() not in SUFFIXES:
        hint = "give --html a name that ends in .html; a browser prints the page to PDF"
        raise LungsightError(path, "is not the name of a web page, and that is what --html writes", hint)
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return  # writing it will show what is wrong
    if head and not restart and not any(mark in head for mark in _OURS):
        hint = "name another file, or give --restart"
        raise LungsightError(path, "is there already and is not a page of findings", hint)


def package_text(description: PackageDescription) -> dict[str, str]:
    """What a package holds and how it decides, by heading."""
    calibration = calibration_in_words(description.calibration)
    decision = decision_in_words(description.decision, description.target)
    texts = {"Probabilities": calibration, "Decision": decision, **parts_in_words(description)}
    return {heading: in_words(text.replace("*", ""), description.target) for heading, text in texts.items()}


def _rgb(colour: tuple[int, int, int]) -> str:
    return f"rgb({', '.join(map(str, colour))})"
