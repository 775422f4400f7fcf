"""``lungsight scan``: X-rays to findings in the terminal, as JSON lines, as CSV, as a page and as heatmaps."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lungsight.cli.scan_table import ScanTable
from lungsight.faults import Fault
from lungsight.package import find_package
from lungsight.package.bundled import DEFAULT
from lungsight.reading import ImageFile, walk_images
from lungsight.scanning import Detector, Finding, Status
from lungsight.scanning.heatmap import HeatmapFolder
from lungsight.scanning.page import FindingsPage
from lungsight.scanning.records import CsvTable, JsonLines
from lungsight.scanning.scan import BATCH_SIZE, Found, cores, scan_found

STDOUT = Path("-")
SOME_UNREADABLE = 1

Sink = Callable[[Finding, str | None], None]


def command(
    paths: Annotated[list[Path], typer.Argument(help="X-ray images, folders and zip archives.", metavar="PATH…")],
    model: Annotated[
        str,
        typer.Option(
            help="The model: a bundled one by its name, or a package's folder or zip.", metavar="NAME_OR_PATH"
        ),
    ] = DEFAULT,
    json: Annotated[
        Path | None, typer.Option(help="Write one JSON object a line; '-' is standard output.", metavar="FILE")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write one row a file.", metavar="FILE")] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write a page with each image and its evidence, surest first.", metavar="FILE")
    ] = None,
    heatmaps: Annotated[
        Path | None,
        typer.Option(help="Write a 16-bit PNG of the evidence for each image, on its own pixel grid.", metavar="DIR"),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images that go through the network together.")] = BATCH_SIZE,
    threads: Annotated[int, typer.Option(min=0, help="Cores to use; 0 is all of them.")] = 0,
) -> None:
    """Look for signs of COVID-19 in X-rays.

    Files that can't be read are named and the others are done. JSON and CSV grow line by line while the scan runs, so
    that a stopped scan keeps what it found. The exit status is 0, or 1 when a file could not be read, or 3 when the
    model package or every PATH is missing or wrong.

    Example: [bold]lungsight scan wards/ --html findings.html --json findings.jsonl[/bold]
    """
    _refuse_missing(paths)
    outputs = [path for path in (json, csv, html) if path is not None]
    _refuse_clashing(outputs, html)
    threads = min(threads or cores(), cores())
    package = find_package(model)
    detector = Detector.load(package, threads)
    found = list(walk_images(paths))
    _refuse_overwriting(outputs, found, package)
    table = ScanTable(detector)
    with ExitStack() as stack:
        sinks = _Sinks(stack, detector, heatmaps)
        sinks.open(json=json, csv=csv, html=html)
        findings = scan_found(found, detector, batch_size=batch_size, threads=threads)
        for finding in _with_progress(findings, found):
            sinks.add(finding)
            table.add(finding)
    table.print(Console(stderr=json == STDOUT), quiet=json == STDOUT)
    if table.counts[Status.ERROR]:
        raise typer.Exit(SOME_UNREADABLE)


@dataclass
class _Sinks:
    """Where findings go, besides the terminal."""

    stack: ExitStack
    detector: Detector
    heatmap_folder: Path | None
    sinks: list[Sink] = field(default_factory=list)

    def open(self, json: Path | None, csv: Path | None, html: Path | None) -> None:
        """Open all of them before the first image is read, so that a path that can't be written is known at once."""
        heatmaps = HeatmapFolder(self.heatmap_folder, self.detector) if self.heatmap_folder else None
        self._heatmap = heatmaps.add if heatmaps else None
        if json is not None:
            self.sinks.append(JsonLines(self._file(json)).add)
        if csv is not None:
            self.sinks.append(CsvTable(self._file(csv), self.detector.description.classes).add)
        if html is not None:
            page = self.stack.enter_context(_page(html, self.detector))
            self.sinks.append(lambda finding, _heatmap: page.add(finding))

    def add(self, finding: Finding) -> None:
        path = self._heatmap(finding) if self._heatmap else None
        for sink in self.sinks:
            sink(finding, str(path) if path else None)

    def _file(self, path: Path) -> TextIO:
        if path == STDOUT:
            return sys.stdout
        path.parent.mkdir(parents=True, exist_ok=True)
        return self.stack.enter_context(path.open("w", encoding="utf-8", newline=""))


@contextmanager
def _page(path: Path, detector: Detector) -> Iterator[FindingsPage]:
    """A page that is written at the end, also when the end is Ctrl-C."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise Fault(path, "is a folder", "give --html the path of a file")
    path.with_name(path.name + ".part").touch()  # a place that can't be written to is known before the scan
    page = FindingsPage(detector)
    try:
        yield page
    finally:
        page.write(path)


def _with_progress(findings: Iterator[Finding], found: list[Found]) -> Iterator[Finding]:
    console = Console(stderr=True)
    columns = (TextColumn("Scanning"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield from progress.track(findings, total=len(found), description="")


def _refuse_clashing(outputs: list[Path], html: Path | None) -> None:
    if html == STDOUT:
        raise typer.BadParameter("'-' is for --json and --csv; give --html the path of a file.")
    if len({path if path == STDOUT else path.resolve() for path in outputs}) < len(outputs):
        raise typer.BadParameter("--json, --csv and --html each need a place of their own.")


def _refuse_overwriting(outputs: list[Path], found: list[Found], model: Path) -> None:
    """A slip of the shell's completion mustn't cost an X-ray: no output may take the place of what is read."""
    read = {file.path.resolve() for file in found if isinstance(file, ImageFile)} | {model.resolve()}
    for path in outputs:
        if path != STDOUT and path.resolve() in read:
            raise Fault(path, "is read by this scan and would be overwritten", "name another file for the output")


def _refuse_missing(paths: list[Path]) -> None:
    if not any(path.is_symlink() or path.exists() for path in paths):
        names = ", ".join(str(path) for path in paths[:3]) + (" …" if len(paths) > 3 else "")
        raise Fault(names, "there is no such file or folder", "check the path")
