"""``lungsight train``: train a detector by a recipe, and write its results beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from lungsight import RESEARCH_ONLY
from lungsight._environment import use_cores
from lungsight.cli import output
from lungsight.cli.options import Classes, Columns, Data, Labels, Overrides, RecipeName, naming, recipe_and_data


def command(
    recipe: RecipeName,
    data: Data,
    out: Annotated[Path, typer.Option("--out", help="Folder of the run. An interrupted run there is resumed.")],
    goes_on_from: Annotated[
        str, typer.Option("--from", metavar="PACKAGE", help="Go on training this model package: a name or a path.")
    ] = "",
    settings: Overrides = None,
    cache: Annotated[Path | None, typer.Option(help="Folder for decoded images.", show_default="user cache")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that load images beside the one that trains.")] = 0,
    classes: Classes = None,
    columns: Columns = None,
    labels: Labels = None,
    threads: Annotated[int, typer.Option(min=0, help="Cores to use; 0 is all of them.")] = 0,
    results: Annotated[bool, typer.Option(help="Test the network and draw the results when trained.")] = True,
) -> None:
    """Train a detector by RECIPE, and write the model package and all results into the run's folder.

    The same command resumes a run that was killed, which then ends as if it hadn't been. Several GPUs or machines:
    [bold]accelerate launch -m lungsight train …[/bold]

    Examples:
        lungsight train baseline --data all.csv --out runs/baseline

        lungsight train baseline --data all.csv --out runs/two --class covid19=covid19 --class 'other=*'

        lungsight train balanced --data mine.csv --from released --out runs/mine

        lungsight train article --data all.csv --out runs/article --set backbone=resnet34 --set image_size=1024
    """
    use_cores(threads)
    from lungsight.training.run import train

    first = os.environ.get("RANK", "0") == "0"  # of the processes that share the run
    console = output.console(stderr=True, quiet=not first)
    chosen, manifest, folders = recipe_and_data(
        recipe, settings, classes, data, naming(columns, labels), console, goes_on_from
    )
    outcome = train(
        chosen, manifest, out, list_folders=folders, cache=cache, workers=workers, console=console
    )  # fmt: skip
    if not first:
        return
    if results and outcome.finished:
        from lungsight.reporting.training_report import write_run_results

        write_run_results(out)
    if outcome.diagnosis is not None:
        output.say(console, f"What the losses showed at the end: {outcome.diagnosis}")
    output.say(console, f"Model package: {out / 'package'}\nResults: {out / 'index.html'}\n{RESEARCH_ONLY}")
