"""How a user's own table is read: the options that every command with a table has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from lungsight.cli import streams

if TYPE_CHECKING:
    from lungsight.datasets.manifest import ColumnMapping, Manifest

_PANEL = "What the table's words mean"
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="COLUMN=NAME",
        help="The table calls the column COLUMN of a manifest NAME: path=FilePath. As often as needed.",
        rich_help_panel=_PANEL,
    ),
]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        metavar="FOUND=LABEL",
        help="The table's label FOUND means LABEL: 'COVID-19 positive=covid19'. As often as needed.",
        rich_help_panel=_PANEL,
    ),
]
Classes = Annotated[
    list[str] | None,
    typer.Option(
        "--class",
        metavar="CLASS=LABEL,…",
        help="The labels of a class; * is every other diagnosis: covid19=covid19, 'other=*'. Once for each class.",
        rich_help_panel=_PANEL,
    ),
]


def naming(columns: Sequence[str] | None, labels: Sequence[str] | None, others: Iterable[str] = ()) -> ColumnMapping:
    """What the options say. ``others`` are columns that a manifest hasn't, and another table of the command may have.
    Raises InvalidManifest."""
    from lungsight.datasets.manifest import COLUMNS, ColumnMapping

    named = _pairs(columns, "--column", "COLUMN=NAME", "path=FilePath")
    for column in named:
        if column not in COLUMNS and column not in others:
            near = get_close_matches(column, COLUMNS, 1)
            hint = f"did you mean {near[0]}?" if near else f"Give one of {', '.join(COLUMNS)}."
            raise typer.BadParameter(f"--column: a manifest has no column '{column}'. {hint}")
    mapped = _pairs(labels, "--label", "FOUND=LABEL", "COVID-19 positive=covid19", from_end=True)
    return ColumnMapping({name: called for name, called in named.items() if name in COLUMNS}, mapped)


def _pairs(
    options: Sequence[str] | None, name: str, grammar: str, example: str, *, from_end: bool = False
) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for option in options or ():
        before, _, after = (part.strip() for part in (option.rpartition("=") if from_end else option.partition("=")))
        if not before or not after:
            raise typer.BadParameter(f"'{option}' isn't {grammar}, for example {name} '{example}'.")
        if pairs.setdefault(before, after) != after:
            raise typer.BadParameter(f"{name} gives '{before}' two meanings, {pairs[before]} and {after}.")
    return pairs


def read_tables(paths: Sequence[Path] | None, said: ColumnMapping, console: Console | None = None) -> list[Manifest]:
    """The manifests; what was assumed of them is said on ``console`` (standard error, if not given). Raises
    InvalidManifest."""
    from lungsight.datasets.manifest import read_manifests

    manifests = read_manifests(list(paths or ()), said)
    say_notices(manifests, console)
    return manifests


def say_notices(manifests: Iterable[Manifest], console: Console | None = None) -> None:
    console = console or streams.console(stderr=True)
    for manifest in manifests:
        for notice in manifest.notices:
            console.print(f"Note: {notice}", markup=False, highlight=False, soft_wrap=True)
