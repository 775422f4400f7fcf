"""``lungsight evaluate``: test a detector on images it never saw."""

from __future__ import annotations

from datetime import date
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lungsight import RESEARCH_ONLY
from lungsight.faults import UnreadableImage

if TYPE_CHECKING:
    from lungsight.evaluation.independent_test import IndependentTest
    from lungsight.statistics.estimate import Estimate

_SHOWN = ("auroc", "sensitivity", "specificity")
_FAULTS_SHOWN = 5


def command(
    package: Annotated[Path, typer.Argument(help="The model package: a folder or a zip.")],
    data: Annotated[list[Path], typer.Option("--data", help="A manifest, CSV or Parquet. Several are joined.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the results.", show_default="evaluation-<package's name>-<today>"),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="The class set against the rest.", show_default="the package's own")
    ] = None,
    trained_patients: Annotated[
        bool, typer.Option("--trained-patients", help="Keep other images of patients the model was trained on.")
    ] = False,
    replicates: Annotated[int, typer.Option(min=100, help="Bootstrap replicates of each interval.")] = 2000,
) -> None:
    """Test PACKAGE on the images of one or more manifests, each source alone, internal beside external.

    Only frontal X-rays whose label the model has a class for count, and none that the model was trained or tuned on,
    nor other images of those patients. A test that was cut off goes on in the same folder.

    Example: lungsight evaluate runs/baseline/package --data siim.csv --data shenzhen.csv --out tested
    """
    from lungsight.datasets.manifest import Manifest
    from lungsight.evaluation.independent_test import evaluate_package
    from lungsight.package import ModelPackage
    from lungsight.statistics.bootstrap import Resampling

    model = ModelPackage.open(package)
    folder = out or Path(f"evaluation-{model.description.name}-{date.today().isoformat()}")
    manifests = [Manifest.read(path) for path in data]
    result = evaluate_package(
        model,
        manifests,
        folder,
        target=target,
        trained_patients=trained_patients,
        resampling=Resampling(replicates=replicates),
    )
    console = Console()
    _print_flow(console, result)
    _print_scores(console, result)
    for alarm in result.alarms:
        console.print(f"[bold red]{escape(alarm)}[/bold red]")
    console.print(f"Page: {folder / 'index.html'}\n{RESEARCH_ONLY}", highlight=False, markup=False)
    if result.unreadable:
        raise typer.Exit(UnreadableImage.exit_status)


def _print_flow(console: Console, result: IndependentTest) -> None:
    console.print(f"{result.eligible.came_in:,} images in the manifests", highlight=False)
    for step in result.eligible.flow:
        if step.left_out:
            console.print(f"  {step.left_out:,} left out: {step.reason}", highlight=False, markup=False)
    for fault in result.unreadable[:_FAULTS_SHOWN]:
        console.print(f"  left out: {fault}", highlight=False, markup=False)
    if (more := len(result.unreadable) - _FAULTS_SHOWN) > 0:
        console.print(f"  {more:,} more left out that can't be read; the page names them", highlight=False)
    judged = len(result.predictions) - len(result.unreadable)
    console.print(f"{judged:,} images judged by {result.model}\n", highlight=False, markup=False)


def _print_scores(console: Console, result: IndependentTest) -> None:
    from lungsight.statistics.metrics import TITLES

    table = Table(box=None, pad_edge=False)
    table.add_column("source", overflow="fold")
    for heading in ("images", result.target):
        table.add_column(heading, justify="right", no_wrap=True)
    for name in _SHOWN:
        table.add_column(TITLES[name], no_wrap=True)
    for group, scores in groupby(result.scores, key=lambda score: score.group):
        table.add_row(f"[bold]{group}[/bold]")
        for score in scores:
            estimates = [score.get(result.target, name) for name in _SHOWN]
            counts = f"{len(score.outcomes):,}", f"{estimates[0].positives:,}"
            table.add_row(escape(score.source), *counts, *(_short(e) for e in estimates))
    console.print(table)
    console.print(f"{result.target} against the rest; 95% intervals by resampling patients.", highlight=False)
    for score in result.scores:
        estimate = score.get(result.target, "auroc")
        if estimate.value is None:
            sentence = f"{score.source}: AUROC withheld, {estimate.withheld}."
            console.print(sentence, highlight=False, markup=False)


def _short(estimate: Estimate) -> str:
    if estimate.value is None:
        return "withheld"
    interval = "no interval" if estimate.low is None else f"{estimate.low:.2f}–{estimate.high:.2f}"
    return f"{estimate.value:.3f} {interval}"
