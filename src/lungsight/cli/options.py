"""Options that several commands have: a table of the user's own, the recipe of a training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from lungsight.cli import output

if TYPE_CHECKING:
    from lungsight.datasets.manifest import ColumnMapping, Manifest
    from lungsight.training.recipe import Recipe

_PANEL = "What the table's words mean"
Data = Annotated[list[Path], typer.Option("--data", help="A manifest, CSV or Parquet. Several are joined.")]
RecipeName = Annotated[str, typer.Argument(help="article, baseline, demo, or the path of a recipe in TOML.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Override a key: image_size=512.")]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="COLUMN=NAME",
        help="The table calls the column COLUMN of a manifest NAME: path=FilePath. Can be repeated.",
        rich_help_panel=_PANEL,
    ),
]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        metavar="FOUND=LABEL",
        help="The table's label FOUND means LABEL: 'COVID-19 positive=covid19'. Can be repeated.",
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


def pairs(
    options: Sequence[str] | None, name: str, grammar: str, example: str, *, from_end: bool = False
) -> dict[str, str]:
    """The options ``BEFORE=AFTER`` by what is before the first (``from_end``: the last) equals sign."""
    found: dict[str, str] = {}
    for option in options or ():
        before, _, after = (part.strip() for part in (option.rpartition("=") if from_end else option.partition("=")))
        if not before or not after:
            raise typer.BadParameter(f"'{option}' isn't {grammar}, for example {name} '{example}'.")
        if found.setdefault(before, after) != after:
            raise typer.BadParameter(f"{name} gives '{before}' two meanings, {found[before]} and {after}.")
    return found


def column_pairs(columns: Sequence[str] | None) -> dict[str, str]:
    """The names that the table has for the columns of a manifest."""
    return pairs(columns, "--column", "COLUMN=NAME", "path=FilePath")


def naming(columns: Sequence[str] | None, labels: Sequence[str] | None, others: Iterable[str] = ()) -> ColumnMapping:
    """The mapping that the options state; ``others`` are columns that another table of the command may have.

    Raises:
        typer.BadParameter: an option can't be read, or names an unknown column.
    """
    from lungsight.datasets.manifest import COLUMNS, ColumnMapping

    named = column_pairs(columns)
    for column in named:
        if column not in COLUMNS and column not in others:
            near = get_close_matches(column, COLUMNS, 1)
            hint = f"did you mean {near[0]}?" if near else f"Give one of {', '.join(COLUMNS)}."
            raise typer.BadParameter(f"--column: a manifest has no column '{column}'. {hint}")
    mapped = pairs(labels, "--label", "FOUND=LABEL", "COVID-19 positive=covid19", from_end=True)
    return ColumnMapping({name: called for name, called in named.items() if name in COLUMNS}, mapped)


def read_tables(
    paths: Sequence[Path] | None, mapping: ColumnMapping, console: Console | None = None
) -> list[Manifest]:
    """Read the manifests and print what was assumed of them (on standard error, unless ``console`` is given)."""
    from lungsight.datasets.manifest import read_manifests

    manifests = read_manifests(list(paths or ()), mapping)
    print_notes(manifests, console)
    return manifests


def print_notes(manifests: Iterable[Manifest], console: Console | None = None) -> None:
    """Print what was assumed of the manifests."""
    for manifest in manifests:
        for notice in manifest.notices:
            output.say(console or output.console(stderr=True), f"Note: {notice}")


def recipe_and_data(
    recipe: str,
    overrides: Sequence[str] | None,
    classes: Sequence[str] | None,
    data: Sequence[Path],
    mapping: ColumnMapping,
    console: Console,
    goes_on_from: str = "",
) -> tuple[Recipe, Manifest, tuple[Path, ...]]:
    """The recipe with what overrides it, the images, and the folders in which a recipe's lists may be."""
    from lungsight.datasets.label_mapping import classes_of
    from lungsight.datasets.manifest import Manifest
    from lungsight.training.recipe import load_recipe

    chosen = load_recipe(recipe, overrides or [], classes_of(classes or ()), goes_on_from)
    manifest = Manifest.joined(read_tables(data, mapping, console), data[0].stem)
    return chosen, manifest, tuple(path.resolve().parent for path in (*data, Path(recipe)))
