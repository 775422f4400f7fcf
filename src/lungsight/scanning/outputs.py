"""Everything that a scan writes, each place gone on with where an earlier scan was broken off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lungsight.inference.detector import Detector
from lungsight.inference.finding import Finding
from lungsight.scanning.card import Card, card_of
from lungsight.scanning.exporters import CsvTable, JsonLines, Sink
from lungsight.scanning.heatmap import HeatmapFolder, OverlayFolder
from lungsight.scanning.journal import STDOUT
from lungsight.scanning.page import FindingsPage


@dataclass(frozen=True)
class OutputPaths:
    """Where the findings of a scan go; None: not there.

    Attributes:
        json: one object a line; ``-`` is standard output.
        csv: one row a file; ``-`` is standard output.
        parquet: a folder of Parquet files.
        html: a page.
        heatmaps: a folder of 16-bit pictures of the evidence.
        overlays: a folder of pictures with the evidence in colour.
    """

    json: Path | None = None
    csv: Path | None = None
    parquet: Path | None = None
    html: Path | None = None
    heatmaps: Path | None = None
    overlays: Path | None = None

    @property
    def pictures(self) -> tuple[Path, ...]:
        """Folders of pictures."""
        return tuple(path for path in (self.heatmaps, self.overlays) if path is not None)

    @property
    def tables(self) -> tuple[Path, ...]:
        """Those that hold every finding and outlive the scan."""
        return tuple(path for path in (self.json, self.csv, self.parquet) if path not in (None, STDOUT))

    @property
    def records(self) -> tuple[Path, ...]:
        """Those that say which files are done."""
        return tuple(path for path in (self.json, self.csv, self.parquet, self.html) if path is not None)


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A finding with what was drawn of it; its pixels are gone.

    Attributes:
        pictures: by kind (``heatmap``, ``overlay``), where each lies.
        card: for the page, where there is to be one.
    """

    finding: Finding
    pictures: Mapping[str, Path] = field(default_factory=dict)
    card: Card | None = None


class Drawing:
    """Draws what is to be drawn of findings. Safe to call from several threads, and needs none but its own machine.

    Raises Fault where a folder for pictures can't be made.
    """

    def __init__(self, places: OutputPaths, detector: Detector) -> None:
        self._target, self._cautions = detector.description.target, detector.cautions
        self._with_cards = places.html is not None
        self._heatmaps = HeatmapFolder(places.heatmaps, detector) if places.heatmaps else None
        self._overlays = OverlayFolder(places.overlays, detector) if places.overlays else None

    def draw(self, finding: Finding) -> Drawn:
        """The pictures of ``finding``, each in its folder, and its card for the page."""
        pictures: dict[str, Path] = {}
        for kind, folder in (("heatmap", self._heatmaps), ("overlay", self._overlays)):
            if folder is not None and (path := folder.add(finding)) is not None:
                pictures[kind] = path
        card = card_of(finding, self._target, self._cautions) if self._with_cards else None
        return Drawn(replace(finding, radiograph=None, evidence=None), pictures, card)


class Outputs:
    """Opens all places before the first image is read, so that one that can't be written to is known at once.

    Raises Fault where a place can't be used; ``restart`` replaces what an earlier scan left.

    Attributes:
        drawing: what makes of findings what :meth:`add` takes.
    """

    def __init__(self, places: OutputPaths, detector: Detector, *, restart: bool = False) -> None:
        self.drawing = Drawing(places, detector)
        self._records = list(_records(places, detector, restart))
        self._page = FindingsPage(places.html, detector, places.tables, restart=restart) if places.html else None
        self._done = [sink.done for sink in self._records]
        if self._page is not None:
            self._done.append(self._page.done)

    def pass_by(self, file: str, *, once: bool = False) -> bool:
        """Whether every place holds the finding of this file, so that it needn't be scanned; to be asked once a file,
        in their order. ``once``: what comes by under that name later is new, as in a watched folder."""
        if not self._done or not all(file in done for done in self._done):
            return False
        for done in self._done:
            if once:
                done.forget(file)
            else:
                done.pass_by(file)
        return True

    def failed_before(self, file: str) -> bool:
        """Whether an earlier scan could not read this file."""
        return any(file in done.failed for done in self._done)

    def add(self, drawn: Drawn) -> None:
        """Write a finding to every place that hasn't got it."""
        for sink in self._records:
            sink.add(drawn.finding, drawn.pictures)
        if self._page is not None and drawn.card is not None:
            self._page.add(drawn.card)

    def close(self, *, complete: bool) -> None:
        """Write what comes last: the page. ``complete``: all was scanned."""
        for sink in self._records:
            sink.close()
        if self._page is not None:
            self._page.write(complete=complete)


def _records(places: OutputPaths, detector: Detector, restart: bool) -> list[Sink]:
    sinks: list[Sink] = []
    if places.parquet is not None:
        from lungsight.scanning.parquet import ParquetFolder

        sinks.append(ParquetFolder(places.parquet, detector.model, restart=restart))
    if places.json is not None:
        sinks.append(JsonLines(places.json, detector.model, restart=restart))
    if places.csv is not None:
        sinks.append(CsvTable(places.csv, detector.model, detector.description.classes, restart=restart))
    return sinks
