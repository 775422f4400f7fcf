"""``lungsight data check``: what manifests hold, and what in them would spoil a result."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.columns import Columns as SideBySide
from rich.console import Console
from rich.table import Table

from lungsight._files import write_whole
from lungsight._progress import ProgressBars
from lungsight.cli import streams
from lungsight.cli.table_options import Columns, Labels, naming, read_tables
from lungsight.datasets.check import Check, check_manifest
from lungsight.datasets.manifest import Manifest
from lungsight.errors import printable

#: Unreadable files and leaks beyond this many are only counted; --json has them all.
_SHOWN = 20


def check(
    manifests: Annotated[list[Path], typer.Argument(help="Tables made by `lungsight data build`, or your own.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all that was found to this file.")] = None,
    pairs: Annotated[Path | None, typer.Option(help="Write the pairs of copies to this CSV file.")] = None,
    columns: Columns = None,
    labels: Labels = None,
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder for what is known of images seen before.", show_default="user cache"),
    ] = None,
) -> None:
    """Count the images; find unreadable files, copies within and between collections, and leaks of a split.

    Copies are found though they were re-encoded, resized, mirrored or cropped. Ends with status 4 when a patient, a
    study or an image stands on several sides of the split, else with 3 when one image has two labels, else with 1
    when files can't be read.
    """
    manifest = Manifest.joined(read_tables(manifests, naming(columns, labels)))
    found = _checked(manifest, cache)
    _show(found)
    if json_file is not None:
        write_whole(json_file, json.dumps(found.to_json(), indent=1, ensure_ascii=False) + "\n")
    if pairs is not None:
        write_whole(pairs, found.pairs_table().to_csv(index=False))
    raise typer.Exit(found.exit_status)


def _checked(manifest: Manifest, cache: Path | None) -> Check:
    with ProgressBars(streams.console(stderr=True)) as bars:
        return check_manifest(
            manifest, cache=cache, reading=bars.counting("reading"), comparing=bars.counting("comparing")
        )


def _show(found: Check) -> None:
    console = streams.console()
    console.print(f"{len(found.manifest):,} images{_patients(found)}", highlight=False)
    console.print(_cross_table(found))
    console.print(SideBySide([_counts(name, values) for name, values in found.counts.items()], padding=(1, 4)))
    _list(console, "files can't be read", found.unreadable)
    console.print(f"\n{len(found.pairs):,} pairs of images are the same", highlight=False)
    if found.pairs:
        console.print(_copies(found))
    if sentences := found.two_labels():
        _list(console, "pairs of the same image have two labels", sentences)
    if (found.manifest.table["split"] != "").any():
        _list(console, "patients, studies or images stand on several sides of the split", found.leaks)


def _patients(found: Check) -> str:
    """Of how many patients, as far as the table tells them apart."""
    unknown = int((~found.manifest.has_patient).sum())
    if not unknown:
        return f" of {found.known_patients:,} patients"
    if unknown == len(found.manifest):
        return "; of which patients, the table doesn't say"
    return f" of {found.known_patients:,} patients, and {unknown:,} of them of unknown patients"


def _cross_table(found: Check) -> Table:
    """Images by source and label: a source with a single label can't show whether a model knows the disease."""
    images = found.cross_table()
    table = Table(box=None, pad_edge=False, title="Images by source and label", title_justify="left")
    for name in images.index.names:
        table.add_column(str(name), overflow="fold")
    for label in images.columns:
        table.add_column(printable(label).replace("[", r"\["), justify="right")
    for place, counts in zip(images.index.to_flat_index(), images.to_numpy(), strict=True):
        names = [str(one) for one in (place if isinstance(place, tuple) else (place,))]
        table.add_row(
            *(printable(one).replace("[", r"\[") for one in names), *(f"{n:,}" if n else "–" for n in counts)
        )
    return table


def _counts(name: str, values: Mapping[str, int]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(name)
    table.add_column("images", justify="right")
    for value, count in values.items():
        table.add_row(value.replace("[", r"\["), f"{count:,}")
    return table


def _copies(found: Check) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("within or between", "how"):
        table.add_column(heading)
    table.add_column("pairs", justify="right")
    for (one, other), kinds in found.pairs_by_place().items():
        place = one if one == other else f"{one} and {other}"
        for kind, count in kinds.most_common():
            table.add_row(place.replace("[", r"\["), str(kind), f"{count:,}")
    return table


def _list(console: Console, heading: str, sentences: Sequence[object]) -> None:
    lines = [str(sentence) for sentence in sentences]
    console.print(f"\n{len(lines):,} {heading}", highlight=False)
    for line in lines[:_SHOWN]:
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    if len(lines) > _SHOWN:
        console.print(f"  … and {len(lines) - _SHOWN:,} more; --json FILE has them all", highlight=False)
