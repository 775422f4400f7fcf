"""Findings as one page to look at: self-contained, surest first."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from lungsight import RESEARCH_ONLY, __version__
from lungsight._files import atomic_write
from lungsight.faults import Fault
from lungsight.package import PackageDescription
from lungsight.package.in_words import calibration_in_words, decision_in_words, parts_in_words
from lungsight.scanning.card import Card
from lungsight.scanning.detector import Detector
from lungsight.scanning.pictures import AGAINST, FOR, OUTLINE
from lungsight.scanning.spool import CardSpool

_HEAD = 1000


class FindingsPage:
    """Collects cards as they come, on disk beside the page, then writes the page.

    Attributes:
        done: the files whose cards are there from a scan that was broken off.
    """

    def __init__(self, path: Path, detector: Detector, *, restart: bool = False) -> None:
        """Raises Fault where the place can't be written to, or holds the cards of another model."""
        if path.exists() and not path.is_file():
            raise Fault(path, "is a folder or a device", "give --html the path of a file")
        if not (restart or _is_ours(path)):
            raise Fault(path, "is there already and is no page of findings", "name another file, or give --restart")
        self._path = path
        self._detector = detector
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
        return {
            "cards": self._spool.sorted(),
            "number": len(self._spool),
            "counts": self._spool.counts.most_common(),
            "full": self._spool.full_scale,
            "model": self._detector.model,
            "description": self._detector.description,
            "cautions": self._detector.cautions,
            "research_only": RESEARCH_ONLY,
            "version": __version__,
            "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "colour_for": _rgb(FOR),
            "colour_against": _rgb(AGAINST),
            "colour_outline": _rgb(OUTLINE),
            "outlined": self._spool.outlined,
            "in_words": in_words(self._detector.description),
        }


def _is_ours(path: Path) -> bool:
    """Whether it may be replaced: an earlier page, or nothing at all."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return True  # whoever writes it will say what is wrong
    return not head or b"<title>lungsight: " in head


def in_words(description: PackageDescription) -> dict[str, str]:
    """What a package holds and how it decides, by heading."""
    calibration = calibration_in_words(description.calibration)
    decision = decision_in_words(description.decision, description.target)
    said = {"Probabilities": calibration, "Verdict": decision, **parts_in_words(description)}
    return {heading: sentences.replace("*", "") for heading, sentences in said.items()}


def _template() -> Template:
    loader = PackageLoader("lungsight.scanning")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["signed"] = lambda value: f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")
    return environment.get_template("findings.html.j2")


def _rgb(colour: tuple[int, int, int]) -> str:
    return f"rgb({', '.join(map(str, colour))})"
