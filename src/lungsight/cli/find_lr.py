"""``lungsight find-lr``: search for a learning rate and draw the curve."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from lungsight.cli import output
from lungsight.cli.options import Classes, Columns, Data, Labels, Overrides, RecipeName, naming, recipe_and_data


def command(
    recipe: RecipeName,
    data: Data,
    out: Annotated[Path, typer.Option("--out", help="Folder for the curve.")] = Path("learning-rate"),
    settings: Overrides = None,
    classes: Classes = None,
    columns: Columns = None,
    labels: Labels = None,
) -> None:
    """Train for a moment at ever higher rates, draw the loss, and suggest a rate.

    Example: lungsight find-lr baseline --data all.csv --set learning_rate_search.iterations=60
    """
    from lungsight.training.run import find_learning_rate

    console = output.console(stderr=True)
    chosen, manifest, folders = recipe_and_data(recipe, settings, classes, data, naming(columns, labels), console)
    curve = find_learning_rate(chosen, manifest, out, list_folders=folders, console=console)
    print(f"suggested learning rate: {curve.suggestion:.1e}")
    print(f"use it with: {' '.join(f'--set {shlex.quote(one)}' for one in curve.settings(chosen.stages))}")
    if len(chosen.stages) > 1:
        output.say(
            console, "The search trains as the first stage does; the later stages keep their proportion to it."
        )
    output.say(console, f"Curve: {out / 'learning_rate.png'}")
