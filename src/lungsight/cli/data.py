"""``lungsight data``: list, describe, get, build, check and complete collections of images."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.progress import DownloadColumn, TransferSpeedColumn
from rich.table import Table

from lungsight._progress import ProgressBars
from lungsight.cli import data_check, data_views, output
from lungsight.cli.options import Columns, naming, print_notes
from lungsight.datasets import download
from lungsight.datasets.collection import BuildOptions, Collection
from lungsight.datasets.docs_page import catalogue
from lungsight.datasets.manifest import COLUMNS, LABELS, Manifest
from lungsight.datasets.registry import COLLECTIONS, collection_named
from lungsight.errors import CollectionError, ManifestError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="List, get, build and check collections of images.",
    epilog="Example: [bold]lungsight data build kermany=chest_xray ieee8023=covid --out all.csv[/bold]",
)
Name = Annotated[str, typer.Argument(help="A collection, as `lungsight data list` has it.", metavar="NAME")]


@app.command("list", epilog="Example: [bold]lungsight data list[/bold]")
def list_collections(
    markdown: Annotated[bool, typer.Option("--markdown", help="All that is known of them, as a page.")] = False,
) -> None:
    """List the collections that lungsight reads."""
    if markdown:
        print(catalogue(), end="")
        return
    rows = (
        (one.name, one.title, one.labels_rest_on, "data get" if one.downloads else "by hand" if one.home else "yours")
        for one in COLLECTIONS.values()
    )
    headings = ("name", "what it is", "labels rest on", "to get it")
    console = output.console()
    console.print(output.table(headings, rows, whole=["name"], padding=(0, 2, 1, 0)))
    output.say(console, "`lungsight data describe NAME` prints more: the licence, known traps, how to get it.")


@app.command(epilog="Example: [bold]lungsight data describe ieee8023[/bold]")
def describe(name: Name) -> None:
    """Print where a collection comes from, what its labels rest on, and what has misled others."""
    collection = collection_named(name)
    console = output.console()
    console.print(output.facts(_facts(collection)))
    for remote in collection.downloads:  # unfolded, so that the address can be copied
        print(f"\n{remote.url}\n  is about {remote.gigabytes:g} GB and becomes {remote.name}")
    if name == "table":
        console.print(_columns())


def _facts(collection: Collection) -> Iterator[tuple[str, str]]:
    yield collection.name, collection.title
    if collection.home:
        yield "home", collection.home
    yield "licence", collection.licence
    yield "labels rest on", collection.labels_rest_on
    for trap in collection.traps:
        yield "trap", trap
    yield "layout", collection.layout
    yield "to get it", collection.how_to_get


def _columns() -> Table:
    rows = (
        (
            column.name,
            f"required: {column.meaning}" if column.required else column.meaning,
            "a number" if column.numeric else ", ".join(column.allowed or ("any text",)),
        )
        for column in COLUMNS.values()
    )
    return output.table(("column", "meaning", "values"), rows, whole=["column"], title="\nThe columns of a table")


@app.command(epilog="Example: [bold]lungsight data get kermany --to collections/kermany[/bold]")
def get(
    name: Name,
    to: Annotated[
        Path | None, typer.Option(help="The folder for it; NAME in the current folder if not given.")
    ] = None,
) -> None:
    """Download a collection and unpack it; run again, it keeps the files that are whole."""
    collection = collection_named(name)
    if not collection.downloads:
        raise CollectionError(name, "can't be downloaded by a program", collection.how_to_get)
    folder = to or Path(name)
    for remote in collection.downloads:
        unpacked = folder / Path(remote.name).stem
        if unpacked.is_dir():
            print(f"{unpacked} is already there.")
            continue
        with _bars() as bars:
            archive = download.download(remote, folder, bars.counting(f"fetching {remote.name}"))
        if remote.sha256 is None:
            print(f"Its home page publishes no checksum; that of what came is in {archive}.sha256.")
        with _bars() as bars:
            download.unpack(archive, unpacked, bars.counting(f"unpacking {remote.name}"))
        print(f"Unpacked into {unpacked}; {archive} may be deleted.")
    print(f"Now: lungsight data build {name} {folder} --out {name}.csv")


def _bars() -> ProgressBars:
    return ProgressBars(output.console(stderr=True), DownloadColumn(), TransferSpeedColumn())


@app.command(
    epilog="Examples:\n\n[bold]lungsight data build kermany chest_xray --out kermany.csv[/bold]\n\n"
    "[bold]lungsight data build ieee8023=covid kermany=chest_xray --out all.parquet[/bold]\n\n"
    "[bold]lungsight data build class-folders mine --label COVID=covid19 --patient '^(P\\[0-9]+)_'[/bold]"
)
def build(
    what: Annotated[
        list[str],
        typer.Argument(help="NAME FOLDER, or several of NAME=FOLDER.", metavar="NAME FOLDER | NAME=FOLDER…"),
    ],
    out: Annotated[Path, typer.Option(help="The manifest to write, .csv or .parquet.")] = Path("manifest.csv"),
    columns: Columns = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            help="table: the label FOUND means LABEL; class-folders: so does a folder's name. Can be repeated.",
            metavar="FOUND=LABEL",
        ),
    ] = None,
    patient: Annotated[
        str | None,
        typer.Option(help="class-folders: a regular expression; its first group in the file name is the patient."),
    ] = None,
    nih_table: Annotated[
        Path | None,
        typer.Option(
            help="nih: its Data_Entry_2017*.csv or .csv.gz, which states views and ages, if it isn't in the folder."
        ),
    ] = None,
) -> None:
    """Make one manifest from one collection or several."""
    if out.suffix not in (".csv", ".parquet"):
        raise typer.BadParameter(f"--out {out}: a manifest ends in .csv or .parquet.")
    mapping = naming(columns, label)
    options = BuildOptions(mapping.labels, _pattern(patient), mapping.columns, nih_table)
    pairs = [(collection_named(name), folder) for name, folder in _pairs(what)]
    _refuse_unused(options, {collection.name for collection, _ in pairs})
    with output.console(stderr=True).status("reading …"):
        builds = [collection.build(folder, options) for collection, folder in pairs]
    _refuse_repeats(pd.concat([built.manifest.table["path"] for built in builds]))
    manifest = Manifest.joined([built.manifest for built in builds], out.stem)
    print_notes([manifest])
    manifest.write(out)
    console = output.console()
    console.print(_counts(manifest))
    for built in builds:
        for reason, count in built.left_out.items():
            output.say(console, f"{built.manifest.name}: {count:,} left out: {reason}")
    own = sorted(set(manifest.table["label"]) - set(LABELS))
    if own:
        print(f"Labels of your own: {', '.join(own)}. --label FOUND=LABEL gives them others ({', '.join(LABELS)}).")
    print(f"{len(manifest):,} images of {manifest.patient_key.nunique():,} patients in {out}.")
    print(f"Now: lungsight data check {out}")


app.command(epilog="Example: [bold]lungsight data check all.csv --pairs copies.csv[/bold]")(data_check.check)
app.command(epilog="Example: [bold]lungsight data views all.csv --out all.csv[/bold]")(data_views.views)


def _refuse_unused(options: BuildOptions, names: set[str]) -> None:
    if (options.labels or options.patient) and not names & {"class-folders", "table"}:
        raise typer.BadParameter("--label and --patient are for class-folders; the other collections know their own.")
    if options.patient and "class-folders" not in names:
        raise typer.BadParameter("--patient is for class-folders; a table has a column patient.")
    if options.nih_table and "nih" not in names:
        raise typer.BadParameter("--nih-table is for nih; the other collections know their own.")
    if options.columns and "table" not in names:
        raise typer.BadParameter("--column is for a table; the other collections know their own.")


def _refuse_repeats(paths: pd.Series) -> None:
    repeated = paths.duplicated()
    if repeated.any():
        raise ManifestError(
            paths[repeated].iloc[0],
            f"comes twice, as do {int(repeated.sum()) - 1:,} other images",
            "name each folder once",
        )


def _pairs(what: list[str]) -> list[tuple[str, Path]]:
    if len(what) == 2 and what[0] in COLLECTIONS:
        return [(what[0], Path(what[1]))]
    pairs = [word.partition("=") for word in what]
    for word, (_, _, folder) in zip(what, pairs, strict=True):
        if not folder:
            raise typer.BadParameter(f"'{word}' names no folder: give NAME FOLDER, or several of NAME=FOLDER.")
    return [(name, Path(folder)) for name, _, folder in pairs]


def _pattern(text: str | None) -> re.Pattern[str] | None:
    try:
        return None if text is None else re.compile(text)
    except re.error as error:
        raise typer.BadParameter(f"'{text}' isn't a regular expression ({error}).") from error


def _counts(manifest: Manifest) -> Table:
    """Images and patients by source, label, modality and view."""
    keys, numbers = ["source", "label", "modality", "view"], ["images", "patients"]
    groups = manifest.table.groupby(keys)
    rows = ((*values, len(group), int(group["patient"].nunique())) for values, group in groups)
    return output.table([*keys, *numbers], rows, numbers=numbers)
