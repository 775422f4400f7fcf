"""Findings as one page to look at: self-contained, the most urgent first."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from lungsight import RESEARCH_ONLY, __version__
from lungsight._files import atomic_write
from lungsight._text import as_words, percent, percent_beside, signed
from lungsight._text import in_words as said_in_words
from lungsight.errors import LungsightError
from lungsight.inference.detector import Detector
from lungsight.inference.finding import INCONCLUSIVE
from lungsight.package import PackageDescription
from lungsight.package.bundled import bundled_packages
from lungsight.package.descriptions_text import calibration_in_words, decision_in_words, parts_in_words
from lungsight.rendering import AGAINST, FOR, OUTLINE
from lungsight.scanning.card import JUDGED, Card
from lungsight.scanning.spool import CardSpool

SUFFIXES = (".html", ".htm")

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
    """Collects cards as they come, on disk beside the page, then writes the page.

    Attributes:
        done: the files whose cards are there from a scan that was broken off.
    """

    def __init__(
        self, path: Path, detector: Detector, tables: tuple[Path, ...] = (), *, restart: bool = False
    ) -> None:
        """``tables`` hold the findings that the page has no room for. Raises Fault where the place can't be written
        to, holds the cards of another model, or isn't named as a page."""
        if path.exists() and not path.is_file():
            raise LungsightError(path, "is a folder or a device", "give --html the path of a file")
        if path.suffix.lower() not in SUFFIXES:
            hint = "give --html a name that ends in .html; a browser prints the page to PDF"
            raise LungsightError(path, "is no name of a web page, and that is what --html writes", hint)
        if not (restart or _is_ours(path)):
            raise LungsightError(
                path, "is there already and is no page of findings", "name another file, or give --restart"
            )
        self._path = path
        self._detector, self._tables = detector, tables
        self._spool = CardSpool(path.with_name(path.name + ".cards"), detector.model, restart=restart)
        self.done = self._spool.done

    def add(self, card: Card) -> None:
        """Keep ``card``, unless an earlier scan did."""
        if card.file in self.done:
            self.done.pass_by(card.file)
        else:
            self._spool.add(card)

    def write(self, *, complete: bool = True) -> None:
        """Write the page, in whole. Unless the scan is ``complete``, its cards are kept for the next one.

        Raises Fault where it can't be written."""
        with atomic_write(self._path) as file:
            _template().stream(self._content()).dump(file, encoding="utf-8", errors="backslashreplace")
        if complete:
            self._spool.remove()
        else:
            self._spool.close()

    def _content(self) -> dict[str, object]:
        spool, description = self._spool, self._detector.description
        first = next(spool.sorted(), None)
        return {
            "cards": spool.sorted(),
            "rows": _rows(spool) if len(spool) > 1 else (),
            "only": PurePosixPath(first.file).name if first is not None and len(spool) == 1 else None,
            "spool": spool,
            "tables": ", ".join(map(str, self._tables)),
            "full": spool.full_scale,
            "model": self._detector.model,
            "describe": _named(self._detector),
            "description": description,
            "target": as_words(description.target),
            "cautions": self._detector.cautions,
            "research_only": RESEARCH_ONLY,
            "version": __version__,
            "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "colour_for": _rgb(FOR),
            "colour_against": _rgb(AGAINST),
            "colour_outline": _rgb(OUTLINE),
            "in_words": in_words(description),
            "meaning": lambda card: meaning(card, description),
            "script": Markup(SCRIPT),
            "script_digest": base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode("ascii"),
        }


class Row(NamedTuple):
    """A card's line in the table at the top."""

    file: str
    result: str
    probability: str


def _rows(spool: CardSpool) -> Iterator[Row]:
    for card in spool.sorted():
        yield Row(card.file, card.result, percent(card.urgency) if card.probabilities else "")


def meaning(card: Card, description: PackageDescription) -> str:
    """What the result of a judged image rests on, in a sentence or two; empty where its reasons say it."""
    if card.group != JUDGED or card.decision is None or card.decision == INCONCLUSIVE:
        return ""
    target, thresholds = as_words(description.target), description.decision.thresholds
    if thresholds is None:
        return f"Of the classes that the model tells apart, {as_words(card.decision)} is the most probable."
    if card.decision == description.target:
        p, high = percent_beside(card.urgency, thresholds[1])
        return f"The probability of {target} is {p}: the model calls it from {high} on."
    p, low = percent_beside(card.urgency, thresholds[0])
    return (
        f"The probability of {target} is {p}: the model rules it out below {low}. Of its other classes, "
        f"{as_words(card.decision)} is the most probable."
    )


def _named(detector: Detector) -> str:
    """How the package is named on the command line."""
    path = detector.package.path
    return next((name for name, folder in bundled_packages().items() if folder == path), str(path))


def _is_ours(path: Path) -> bool:
    """Whether it may be replaced: an earlier page, or nothing at all."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return True  # whoever writes it will say what is wrong
    return not head or any(mark in head for mark in _OURS)


def in_words(description: PackageDescription) -> dict[str, str]:
    """What a package holds and how it decides, by heading."""
    calibration = calibration_in_words(description.calibration)
    decision = decision_in_words(description.decision, description.target)
    said = {"Probabilities": calibration, "Decision": decision, **parts_in_words(description)}
    return {
        heading: said_in_words(sentences.replace("*", ""), description.target) for heading, sentences in said.items()
    }


def _template() -> Template:
    loader = PackageLoader("lungsight.scanning")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(words=as_words, percent=percent, signed=signed)
    return environment.get_template("findings.html.j2")


def _rgb(colour: tuple[int, int, int]) -> str:
    return f"rgb({', '.join(map(str, colour))})"
