"""Everything that a scan writes: one journal, which a broken-off scan goes on with, and what is exported from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lungsight.inference.detector import Detector
from lungsight.inference.finding import Finding
from lungsight.scanning.card import SmallImage
from lungsight.scanning.exporters import CsvTable, Exporter, JsonStream
from lungsight.scanning.heatmap import HeatmapFolder, OverlayFolder
from lungsight.scanning.journal import STDOUT, Journal, is_stream
from lungsight.scanning.page import FindingsPage, refuse_other_content


@dataclass(frozen=True)
class OutputPaths:
    """Where the findings of a scan are written; None: not there.

    Attributes:
        json: one object per line; ``-`` is standard output.
        csv: one row per file; ``-`` is standard output.
        parquet: a folder of Parquet files.
        html: a page.
        heatmaps: a folder of 16-bit images of the evidence.
        overlays: a folder of images with the evidence in colour.
        dicom: a folder of DICOM objects, which the caller fills.
    """

    json: Path | None = None
    csv: Path | None = None
    parquet: Path | None = None
    html: Path | None = None
    heatmaps: Path | None = None
    overlays: Path | None = None
    dicom: Path | None = None

    @property
    def pictures(self) -> tuple[Path, ...]:
        """Folders of heatmaps, overlays and DICOM objects."""
        return tuple(path for path in (self.heatmaps, self.overlays, self.dicom) if path is not None)

    @property
    def tables(self) -> tuple[Path, ...]:
        """Files and folders that hold every finding and outlive the scan."""
        return tuple(path for path in (self.json, self.csv, self.parquet) if path not in (None, STDOUT))

    @property
    def records(self) -> tuple[Path, ...]:
        """All places that findings are written to."""
        return tuple(path for path in (self.json, self.csv, self.parquet, self.html) if path is not None)

    @property
    def journals(self) -> tuple[Path, ...]:
        """Files that may hold the journal, the one to use first."""
        if self.json is not None and not is_stream(self.json):
            return (self.json, *self._beside)
        return tuple(sorted(self._beside, key=lambda path: not path.exists()))

    @property
    def _beside(self) -> tuple[Path, ...]:
        """Without ``--json``, a journal is beside another output until the scan is complete."""
        exports = [path for path in (self.csv, self.parquet, self.html) if path is not None]
        return tuple(
            path.with_name(path.name + ".journal") for path in exports if path.is_dir() or not is_stream(path)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A finding with what was drawn of it; its pixels are gone.

    Attributes:
        pictures: the paths of its ``heatmap`` and its ``overlay``.
        image: for the page, if there is to be one.
    """

    finding: Finding
    pictures: Mapping[str, Path] = field(default_factory=dict)
    image: SmallImage | None = None


class Drawing:
    """Draws what is to be drawn of findings. Safe to call from several threads, and on any machine.

    Raises LungsightError if a folder for pictures can't be made.
    """

    def __init__(self, paths: OutputPaths, detector: Detector) -> None:
        self._with_images = paths.html is not None
        target = detector.description.target
        self._heatmaps = HeatmapFolder(paths.heatmaps, target) if paths.heatmaps else None
        self._overlays = OverlayFolder(paths.overlays, target) if paths.overlays else None

    def draw(self, finding: Finding) -> Drawn:
        """Write the pictures of ``finding``, and draw its image for the page."""
        pictures: dict[str, Path] = {}
        for kind, folder in (("heatmap", self._heatmaps), ("overlay", self._overlays)):
            if folder is not None and (path := folder.add(finding)) is not None:
                pictures[kind] = path
        image = SmallImage.of(finding) if self._with_images else None
        return Drawn(replace(finding, radiograph=None), pictures, image)


class Outputs:
    """Opens everything before the first image is read, so that what can't be written to is known at once.

    Attributes:
        drawing: makes of findings what :meth:`add` takes.
    """

    def __init__(self, paths: OutputPaths, detector: Detector, *, restart: bool = False) -> None:
        """Go on with what an earlier scan left.

        Args:
            paths: where to write.
            detector: whose findings are written.
            restart: replace what an earlier scan left.

        Raises:
            LungsightError: something can't be written to, or holds something else.
        """
        if paths.html is not None:
            refuse_other_content(paths.html, restart=restart)
        self.drawing = Drawing(paths, detector)
        self._paths = paths
        self._exporters = list(_exporters(paths, detector))
        self._streaming = any(exporter.is_stream for exporter in self._exporters)
        self._journal = self._resumed(paths.journals, detector.model, restart=restart) if paths.journals else None
        self._page: FindingsPage | None = None
        if paths.html is not None and self._journal is not None:
            earlier = self._journal.records()
            self._page = FindingsPage(paths.html, detector, paths.tables, earlier=earlier, restart=restart)
        for exporter in self._exporters:
            exporter.begin(() if exporter.is_stream or self._journal is None else self._journal.records())

    def pass_by(self, file: str, *, once: bool = False) -> bool:
        """Whether an earlier scan did this file, so that it needn't be scanned; ask once per file, in their order.

        Args:
            file: as findings name it.
            once: a file that comes by under that name later is new, as in a watched folder.
        """
        if self._streaming or self._journal is None or file not in self._journal:
            return False
        if self._page is not None and self._page.wants(file):
            return False
        if once:
            self._journal.forget(file)
        else:
            self._journal.pass_by(file)
        return True

    def failed_before(self, file: str) -> bool:
        """Whether an earlier scan could not read this file."""
        return self._journal is not None and file in self._journal.failed

    def add(self, drawn: Drawn) -> None:
        """Write a finding, unless an earlier scan did. Raises LungsightError if it can't be written."""
        record, known = drawn.finding.as_json(drawn.pictures), False
        if self._journal is not None:
            known = drawn.finding.file in self._journal
            if known:
                self._journal.pass_by(drawn.finding.file)
            else:
                self._journal.append(record)
        for exporter in self._exporters:
            if exporter.is_stream or not known:
                exporter.add(record)
        if self._page is not None:
            self._page.add(record, drawn.image, known=known)

    def close(self, *, complete: bool) -> None:
        """Write what comes last: the page.

        Args:
            complete: all was scanned, so that no journal is needed but one that was asked for.
        """
        for exporter in self._exporters:
            exporter.close()
        if self._journal is None:
            return
        self._journal.close()
        if self._page is not None:
            self._page.write(self._journal.records(), complete=complete)
        if complete and self._journal.path != self._paths.json:
            self._journal.path.unlink(missing_ok=True)

    def _resumed(self, paths: tuple[Path, ...], model: str, *, restart: bool) -> Journal:
        """The journal at the first of ``paths``, with all that earlier scans left at the others or in a table."""
        journal = Journal(paths[0], model, restart=restart)
        others = [path for path in paths[1:] if path.is_file()]
        earlier: list[Journal | Exporter] = []
        if not restart:
            earlier = [*(Journal(path, model) for path in others), *self._exporters]
        for source in earlier:
            next(iter(source.records()), None)  # what holds something else is refused before anything is written
        journal.open()
        for source in earlier:
            journal.take_over(source.records())
        for path in others:
            path.unlink()
        return journal


def _exporters(paths: OutputPaths, detector: Detector) -> Iterator[Exporter]:
    if paths.json is not None and is_stream(paths.json):
        yield JsonStream(paths.json)
    if paths.csv is not None:
        yield CsvTable(paths.csv, detector.model, detector.description.classes)
    if paths.parquet is not None:
        from lungsight.scanning.parquet import ParquetFolder

        yield ParquetFolder(paths.parquet, detector.model)
