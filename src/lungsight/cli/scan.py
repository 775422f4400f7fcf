"""``lungsight scan``: X-rays to findings in the terminal, as tables, as a page and as pictures."""

from __future__ import annotations

import os
import webbrowser
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from enum import StrEnum
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated, TypeVar
from urllib.parse import urlparse
from urllib.request import url2pathname

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import MofNCompleteColumn, ProgressColumn, Task
from rich.text import Text

from lungsight._cores import cores
from lungsight._progress import ProgressBars
from lungsight._text import shortened
from lungsight.cli import output
from lungsight.cli.scan_table import ScanTable
from lungsight.components.runtime import AUTO
from lungsight.errors import LungsightError
from lungsight.inference import Detector, Finding, Status
from lungsight.package import find_package
from lungsight.package.bundled import DEFAULT
from lungsight.reading import ImageFile
from lungsight.reading.remote import RemoteFile, is_url
from lungsight.scanning.journal import STDOUT
from lungsight.scanning.outputs import OutputPaths, Outputs
from lungsight.scanning.scan import BATCH_SIZE, scan_and_finish
from lungsight.scanning.sources import Found, find_images, name_of
from lungsight.scanning.watch import arrivals

T = TypeVar("T")

SOME_UNREADABLE = 1

_FILE_URL = "file://"

# options by the panel of `--help` in which they stand
_table = partial(typer.Option, rich_help_panel="Tables and page")
_picture = partial(typer.Option, rich_help_panel="Pictures")
_work = partial(typer.Option, rich_help_panel="How the work is done")
_cluster = partial(typer.Option, rich_help_panel="On many machines")


class Engine(StrEnum):
    """Where the work is done."""

    LOCAL = "local"
    RAY = "ray"


def command(
    paths: Annotated[
        list[str],
        typer.Argument(
            help="X-ray images, folders, zip archives, URLs, and Parquet lists of these.", metavar="PATH…"
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            help="The model: a bundled one by its name, or a package's folder or zip.", metavar="NAME_OR_PATH"
        ),
    ] = DEFAULT,
    json: Annotated[
        Path | None, _table(help="Write one JSON object a line; '-' is standard output.", metavar="FILE")
    ] = None,
    csv: Annotated[Path | None, _table(help="Write one row a file.", metavar="FILE")] = None,
    parquet: Annotated[Path | None, _table(help="Write a folder of Parquet files.", metavar="DIR")] = None,
    html: Annotated[
        Path | None,
        _table(
            help="Write a page with the images and their heatmaps, the most urgent first; it prints to PDF.",
            metavar="FILE",
        ),
    ] = None,
    open_page: Annotated[
        bool,
        _table("--open", help="Open the page in the browser; without --html it is in a new temporary folder."),
    ] = False,
    heatmaps: Annotated[
        Path | None,
        _picture(help="Write a 16-bit PNG of the evidence for each image, on its own pixel grid.", metavar="DIR"),
    ] = None,
    overlays: Annotated[
        Path | None, _picture(help="Write a PNG of each image, small, under its evidence in colour.", metavar="DIR")
    ] = None,
    dicom: Annotated[
        Path | None,
        _picture(help="Write DICOM objects for the study of each DICOM image that is analysed.", metavar="DIR"),
    ] = None,
    dicom_objects: Annotated[
        str,
        _picture(
            help="Which: sc (a picture with words), sr (a structured report), gsps (an overlay), seg (the lungs).",
            metavar="KIND,…",
        ),
    ] = "sc,sr",
    keep_identifiers: Annotated[
        bool,
        _table(
            "--keep-identifiers",
            help="Write the patient's ID to the tables, too; study, series, image and accession number always are.",
        ),
    ] = False,
    restart: Annotated[
        bool, _work("--restart", help="Replace what an earlier scan left, instead of going on with it.")
    ] = False,
    watch: Annotated[
        bool,
        _work("--watch", help="Go on until Ctrl-C, scanning what arrives in the folders once it has fully arrived."),
    ] = False,
    runtime: Annotated[
        str,
        _work(help="What runs the networks: onnxruntime, openvino, onnxruntime-cuda, openvino-gpu, or the quickest."),
    ] = AUTO,
    batch_size: Annotated[int, _work(min=1, help="The most images that go through a GPU together.")] = BATCH_SIZE,
    threads: Annotated[int, _work(min=0, help="Cores to use; 0 is all of them.")] = 0,
    engine: Annotated[
        Engine, _cluster(help="'ray' scans in many processes, on this machine or a cluster.")
    ] = Engine.LOCAL,
    address: Annotated[str | None, _cluster(help="A Ray cluster's; without it one is started here.")] = None,
    workers: Annotated[int, _cluster(min=0, help="The most processes at once; 0 is one a core.")] = 0,
) -> None:
    """Look for signs of COVID-19 in X-rays.

    Files that can't be read are named and the others are done. A scan that was broken off goes on with the same
    command: what stands in --json, --csv or --parquet is not scanned again. The exit status is 0, or 1 when a file
    could not be read, or 3 when the model package or every PATH is missing or wrong.

    Example: [bold]lungsight scan chest.png --open[/bold]

    Example: [bold]lungsight scan wards/ --html findings.html --json findings.jsonl[/bold]

    Example: [bold]lungsight scan /mnt/inbox --watch --json findings.jsonl --overlays seen/[/bold]

    Example: [bold]lungsight scan study/ --dicom results/ --dicom-objects sc,sr,seg[/bold]

    Example: [bold]lungsight scan s3://archive/chest --engine ray --address auto --parquet findings/[/bold]
    """
    _refuse_missing(paths)
    _refuse_at_odds(paths, engine, address, workers, watch=watch, dicom=dicom)
    if open_page and watch:
        raise typer.BadParameter("--open is for a scan that ends: its page is written last.")
    if open_page and html is None:
        html = Path(mkdtemp(prefix="lungsight-")) / "findings.html"
    places = OutputPaths(json, csv, parquet, html, heatmaps, overlays, dicom)
    _refuse_clashing(places)
    package = find_package(model)
    detector = Detector.load(
        package, threads=1, runtime=runtime, keep_identifiers=keep_identifiers, keep_header=dicom is not None
    )
    table = ScanTable(detector)
    found = [] if watch else list(_not_pictures(find_images(paths, table.passed_over), places))
    _refuse_overwriting(places, paths, found, package)
    if STDOUT in (json, csv):
        output.write_utf8_to_stdout()
    add_results = _results(dicom, dicom_objects, detector)
    outputs = Outputs(places, detector, restart=restart)
    complete = False
    try:
        coming = _not_pictures(arrivals(paths, passed_over=table.passed_over), places) if watch else found
        new = _not_done(coming, outputs, table, watch=watch)
        to_do = new if watch else list(new)
        if engine is Engine.RAY:
            from lungsight.scanning.ray_engine import scan_on_ray

            done = scan_on_ray(
                list(to_do),
                detector.package,
                places,
                address=address,
                workers=workers,
                runtime=runtime,
                keep_identifiers=keep_identifiers,
            )
        else:
            done = scan_and_finish(
                to_do,
                detector,
                lambda finding: outputs.drawing.draw(add_results(finding)),
                batch_size=batch_size,
                threads=min(threads or cores(), cores()),
            )
        with closing(done):
            for drawn in _with_progress(done, len(to_do) if isinstance(to_do, list) else None):
                outputs.add(drawn)
                table.add(drawn.finding)
        complete = True
    except KeyboardInterrupt:
        if not watch:
            raise
    finally:
        outputs.close(complete=complete or watch)
    console = output.console(stderr=json == STDOUT or csv == STDOUT)
    table.print(console, quiet=STDOUT in (json, csv))
    if open_page and html is not None:
        _open(html.resolve(), console)
    if table.counts[Status.ERROR] or table.failed_before:
        raise typer.Exit(SOME_UNREADABLE)


def _results(folder: Path | None, kinds: str, detector: Detector) -> Callable[[Finding], Finding]:
    """What writes the DICOM objects of a finding, and gives the finding back."""
    if folder is None:
        return lambda finding: finding
    from lungsight.dicom_results.folder import ResultFolder
    from lungsight.dicom_results.objects import kinds_of

    return ResultFolder(folder, detector, kinds_of(kinds)).add


def _open(page: Path, console: Console) -> None:
    """Show the page, and print where it is: there may be no browser here."""
    what = "The page" if webbrowser.open(page.as_uri()) else "There is no browser here. The page"
    console.print(escape(f"{what}: {page}"), highlight=False, soft_wrap=True)


def _not_pictures(found: Iterable[Found], places: OutputPaths) -> Iterator[Found]:
    """All but what a scan drew: its own pictures may be in a folder that is scanned."""
    drawn = tuple(str(_real(folder)) + os.sep for folder in places.pictures)
    for one in found:
        path = _place_of(one) if drawn else None
        if path is None or not str(path).startswith(drawn):
            yield one


def _not_done(found: Iterable[Found], outputs: Outputs, table: ScanTable, *, watch: bool) -> Iterator[Found]:
    """The files that aren't done yet."""
    for one in found:
        if outputs.pass_by(name_of(one), once=watch):
            table.already_there += 1
            table.failed_before += outputs.failed_before(name_of(one))
        else:
            yield one


class _Rate(ProgressColumn):
    """Images per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} images/s", style="progress.data.speed")


def _with_progress(findings: Iterator[T], total: int | None) -> Iterator[T]:
    with ProgressBars(output.console(stderr=True), MofNCompleteColumn(), _Rate()) as bars:
        yield from bars.track(findings, total=total, description="Scanning")


def _refuse_clashing(places: OutputPaths) -> None:
    if STDOUT in (places.html, places.parquet):
        raise typer.BadParameter("'-' is for --json and --csv; give --html and --parquet a path.")
    paths = [*places.records, *places.pictures]
    if len({path if path == STDOUT else path.resolve() for path in paths}) < len(paths):
        raise typer.BadParameter("Each output needs a place of its own.")


def _refuse_overwriting(places: OutputPaths, paths: list[str], found: list[Found], model: Path) -> None:
    """A slip of the shell's completion mustn't cost an X-ray: no output may take the place of what is read."""
    given = {_real(_local(path)) for path in paths}
    read = {_place_of(one) for one in found} | given | {_real(model)}
    for path in (*places.records, *places.journals):
        if path != STDOUT and (_real(path) in read or _real(model) in _real(path).parents):
            problem = "is read by this scan and would be overwritten"
            raise LungsightError(path, problem, "name another file for the output")
    for folder in places.pictures:
        if any(_real(folder) in (one, *one.parents) for one in given):
            raise LungsightError(folder, "is scanned itself", "name a folder of its own for the pictures")


def _place_of(found: Found) -> Path | None:
    """Its path on this machine; None for what is elsewhere."""
    if isinstance(found, RemoteFile):
        return _real(_local(found.url)) if found.url.startswith(_FILE_URL) else None
    return _real(found.path if isinstance(found, ImageFile) else Path(found.subject))


def _local(path: str) -> Path:
    return Path(url2pathname(urlparse(path).path) if path.startswith(_FILE_URL) else path)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _refuse_at_odds(
    paths: list[str], engine: Engine, address: str | None, workers: int, *, watch: bool, dicom: Path | None
) -> None:
    if engine is Engine.LOCAL and (address is not None or workers):
        raise typer.BadParameter("--address and --workers are for --engine ray.")
    if watch and engine is Engine.RAY:
        raise typer.BadParameter("--watch is for the local engine: a folder has one watcher.")
    if dicom is not None and engine is Engine.RAY:
        raise typer.BadParameter("--dicom is for the local engine.")
    if watch and any(is_url(path) for path in paths):
        raise typer.BadParameter("--watch is for folders of this machine, not for URLs.")


def _refuse_missing(paths: list[str]) -> None:
    if not any(is_url(path) or os.path.lexists(path) for path in paths):
        raise LungsightError(shortened(paths, 3), "there is no such file or folder", "check the path")
