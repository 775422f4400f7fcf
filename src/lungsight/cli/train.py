"""``lungsight train``: train a detector by a recipe, and leave its results beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from lungsight import RESEARCH_ONLY
from lungsight._environment import use_cores
from lungsight.cli import streams
from lungsight.cli.table_options import Classes, Columns, Labels, naming, read_tables


def command(
    recipe: Annotated[str, typer.Argument(help="article, baseline, demo, or the path of a recipe in TOML.")],
    data: Annotated[list[Path], typer.Option("--data", help="A manifest, CSV or Parquet. Several are joined.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run. A run that was cut off there goes on.")],
    settings: Annotated[list[str] | None, typer.Option("--set", help="Override a key: image_size=512.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder for decoded images.", show_default="user cache")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that load images beside the one that trains.")] = 0,
    classes: Classes = None,
    columns: Columns = None,
    labels: Labels = None,
    threads: Annotated[int, typer.Option(min=0, help="Cores to use; 0 is all of them.")] = 0,
    results: Annotated[bool, typer.Option(help="Test the network and draw the results when trained.")] = True,
) -> None:
    """Train a detector by RECIPE; leave the model package and all results in the run's folder.

    A run that was killed is taken up where it was by the same command, and ends the same. Several GPUs or machines:
    [bold]accelerate launch -m lungsight train …[/bold]

    Examples:

    lungsight train baseline --data all.csv --out runs/baseline

    lungsight train baseline --data all.csv --out runs/two --class covid19=covid19 --class 'other=*'

    lungsight train article --data all.csv --out runs/article --set backbone=resnet34 --set image_size=1024
    """
    use_cores(threads)
    from lungsight.datasets.label_mapping import classes_of
    from lungsight.datasets.manifest import Manifest
    from lungsight.training.recipe import load_recipe
    from lungsight.training.run import train

    chosen = load_recipe(recipe, settings or [], classes_of(classes or ()))
    console = streams.console(stderr=True, quiet=not _is_first_process())
    manifests = read_tables(data, naming(columns, labels), console)
    folders = tuple(path.resolve().parent for path in (*data, Path(recipe)))
    outcome = train(
        chosen, Manifest.joined(manifests, data[0].stem), out,
        list_folders=folders, cache=cache, workers=workers, console=console,
    )  # fmt: skip
    if not _is_first_process():
        return
    if results and outcome.finished:
        from lungsight.reporting.training_report import write_run_results

        write_run_results(out)
    if outcome.diagnosis is not None:
        console.print(f"What the losses showed at the end: {outcome.diagnosis}", highlight=False)
    console.print(
        f"Model package: {out / 'package'}\nResults: {out / 'index.html'}\n{RESEARCH_ONLY}", highlight=False
    )


def _is_first_process() -> bool:
    return os.environ.get("RANK", "0") == "0"
