"""``lungsight find-lr``: search for a learning rate and draw the curve."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from lungsight.cli import streams
from lungsight.cli.table_options import Classes, Columns, Labels, naming, read_tables


def command(
    recipe: Annotated[str, typer.Argument(help="article, baseline, demo, or the path of a recipe in TOML.")],
    data: Annotated[list[Path], typer.Option("--data", help="A manifest, CSV or Parquet. Several are joined.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the curve.")] = Path("learning-rate"),
    settings: Annotated[list[str] | None, typer.Option("--set", help="Override a key: image_size=512.")] = None,
    classes: Classes = None,
    columns: Columns = None,
    labels: Labels = None,
) -> None:
    """Train for a moment at ever higher rates, draw the loss, and name a rate.

    Example:

    lungsight find-lr baseline --data all.csv --set learning_rate_search.iterations=60
    """
    from lungsight.datasets.label_mapping import classes_of
    from lungsight.datasets.manifest import Manifest
    from lungsight.training.recipe import load_recipe
    from lungsight.training.run import find_learning_rate

    chosen = load_recipe(recipe, settings or [], classes_of(classes or ()))
    manifest = Manifest.joined(read_tables(data, naming(columns, labels)), data[0].stem)
    folders = tuple(path.resolve().parent for path in (*data, Path(recipe)))
    console = streams.console(stderr=True)
    curve = find_learning_rate(chosen, manifest, out, list_folders=folders, console=console)
    print(f"suggested learning rate: {curve.suggestion:.1e}")
    print(f"use it with: {' '.join(f'--set {shlex.quote(one)}' for one in curve.settings(chosen.stages))}")
    if len(chosen.stages) > 1:
        kept = "The search trains as the first stage does; the later stages keep their proportion to it."
        console.print(kept, highlight=False)
    console.print(f"Curve: {out / 'learning_rate.png'}", highlight=False)
