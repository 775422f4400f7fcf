"""``lungsight data``: list, describe, get, build and check collections of images."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import DownloadColumn, TransferSpeedColumn
from rich.table import Table

from lungsight._progress import ProgressBars
from lungsight.cli import data_check, streams
from lungsight.cli.table_options import Columns, naming, say_notices
from lungsight.datasets import download
from lungsight.datasets.collection import Build, BuildOptions, Collection
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
    table = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0))
    for heading in ("name", "what it is", "labels rest on", "to get it"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "name")
    for collection in COLLECTIONS.values():
        how = "data get" if collection.downloads else "by hand" if collection.home else "yours"
        table.add_row(collection.name, collection.title, collection.labels_rest_on, how)
    console = streams.console()
    console.print(table)
    console.print("`lungsight data describe NAME` says more: the licence, known traps, how to get it.", markup=False)


@app.command(epilog="Example: [bold]lungsight data describe ieee8023[/bold]")
def describe(name: Name) -> None:
    """Tell where a collection comes from, what its labels rest on, and what has misled others."""
    collection = collection_named(name)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for heading, text in _facts(collection):
        table.add_row(heading, text)
    console = streams.console()
    console.print(table)
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
    yield "layout", escape(collection.layout)
    yield "to get it", escape(collection.how_to_get)


def _columns() -> Table:
    table = Table(box=None, pad_edge=False, title="\nThe columns of a table", title_justify="left")
    for heading in ("column", "meaning", "values"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "column")
    for column in COLUMNS.values():
        kind = "a number" if column.numeric else ", ".join(column.allowed or ("any text",))
        meaning = escape(column.meaning)
        table.add_row(column.name, f"required: {meaning}" if column.required else meaning, kind)
    return table


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
            print(f"Its home publishes no checksum; that of what came is in {archive}.sha256.")
        with _bars() as bars:
            download.unpack(archive, unpacked, bars.counting(f"unpacking {remote.name}"))
        print(f"Unpacked into {unpacked}; {archive} may be deleted.")
    print(f"Now: lungsight data build {name} {folder} --out {name}.csv")


def _bars() -> ProgressBars:
    return ProgressBars(streams.console(stderr=True), DownloadColumn(), TransferSpeedColumn())


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
            help="table: the label FOUND means LABEL; class-folders: so does a folder's name. As often as needed.",
            metavar="FOUND=LABEL",
        ),
    ] = None,
    patient: Annotated[
        str | None,
        typer.Option(help="class-folders: a regular expression; its first group in the file name is the patient."),
    ] = None,
) -> None:
    """Make one manifest from one collection or several."""
    if out.suffix not in (".csv", ".parquet"):
        raise typer.BadParameter(f"--out {out}: a manifest ends in .csv or .parquet.")
    said = naming(columns, label)
    options = BuildOptions(said.labels, _pattern(patient), said.columns)
    pairs = [(collection_named(name), folder) for name, folder in _pairs(what)]
    _refuse_unused(options, {collection.name for collection, _ in pairs})
    with streams.console(stderr=True).status("reading …"):
        builds = [collection.build(folder, options) for collection, folder in pairs]
    _refuse_repeats(pd.concat([built.manifest.table["path"] for built in builds]))
    manifest = Manifest.joined([built.manifest for built in builds], out.stem)
    say_notices([manifest])
    manifest.write(out)
    console = streams.console()
    console.print(_counts(manifest))
    for built in builds:
        _print_left_out(console, built)
    own = sorted(set(manifest.table["label"]) - set(LABELS))
    if own:
        print(f"Labels of your own: {', '.join(own)}. --label FOUND=LABEL gives them others ({', '.join(LABELS)}).")
    print(f"{len(manifest):,} images of {manifest.patient_key.nunique():,} patients in {out}.")
    print(f"Now: lungsight data check {out}")


app.command(epilog="Example: [bold]lungsight data check all.csv --pairs copies.csv[/bold]")(data_check.check)


def _refuse_unused(options: BuildOptions, names: set[str]) -> None:
    if (options.labels or options.patient) and not names & {"class-folders", "table"}:
        raise typer.BadParameter("--label and --patient are for class-folders; the other collections know their own.")
    if options.patient and "class-folders" not in names:
        raise typer.BadParameter("--patient is for class-folders; a table has a column patient.")
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
            raise typer.BadParameter(
                f"'{word}' names no folder: give NAME FOLDER, or NAME=FOLDER as often as needed."
            )
    return [(name, Path(folder)) for name, _, folder in pairs]


def _pattern(text: str | None) -> re.Pattern[str] | None:
    try:
        return None if text is None else re.compile(text)
    except re.error as error:
        raise typer.BadParameter(f"'{text}' isn't a regular expression ({error}).") from error


def _counts(manifest: Manifest) -> Table:
    """Images and patients by source, label, modality and view."""
    keys = ["source", "label", "modality", "view"]
    table = Table(box=None, pad_edge=False)
    for key in keys:
        table.add_column(key)
    for number in ("images", "patients"):
        table.add_column(number, justify="right")
    for values, group in manifest.table.groupby(keys):
        table.add_row(*(escape(str(value)) for value in values), f"{len(group):,}", f"{group['patient'].nunique():,}")
    return table


def _print_left_out(console: Console, built: Build) -> None:
    for reason, count in built.left_out.items():
        console.print(f"{built.manifest.name}: {count:,} left out: {reason}", markup=False, highlight=False)
