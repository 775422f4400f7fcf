"""``lungsight compare``: several tests side by side, on the images they share."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from lungsight import RESEARCH_ONLY
from lungsight.cli import output
from lungsight.errors import printable

if TYPE_CHECKING:
    from lungsight.evaluation.compare import Comparison, OnSource


def command(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders that `lungsight evaluate` wrote, two or more.", metavar="FOLDER…")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the results.", show_default="comparison-<today>")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="The class set against the rest.", show_default="that of the tests")
    ] = None,
    replicates: Annotated[int, typer.Option(min=100, help="Bootstrap replicates of each interval.")] = 2000,
) -> None:
    """Set tests of several models side by side on the images that all of them analysed, each source alone.

    Differences of AUROC, sensitivity, specificity and Brier score come with 95% intervals from resampling patients
    and with p-values (bootstrap, DeLong, McNemar), adjusted by Holm for the number of comparisons. The grade of each
    model stands beside its figures.

    Example: lungsight compare tested/ours tested/covid-net --out compared
    """
    from lungsight.evaluation.compare import compare
    from lungsight.reporting.comparison_files import write_comparison
    from lungsight.statistics.bootstrap import Resampling

    folder = out or Path(f"comparison-{date.today().isoformat()}")
    comparison = compare(folders, target=target, resampling=Resampling(replicates=replicates))
    write_comparison(comparison, folder)
    console = output.console()
    for letter, tested in comparison.models.items():
        output.say(console, printable(f"{letter}  {tested.model} ({tested.folder}): {tested.words}"))
    output.say(console, f"{comparison.shared:,} images that all of them analysed\n")
    console.print(_table(comparison))
    for sentence in (*comparison.notices, *comparison.sentences):
        output.say(console, printable(sentence))
    output.say(console, f"Page: {printable(folder / 'index.html')}\n{RESEARCH_ONLY}")


def _table(comparison: Comparison) -> Table:
    """AUROCs, and the difference of the first two models."""
    aurocs = [f"AUROC {letter}" for letter in comparison.models]
    rows = (
        (source.source, source.images, *(_short(source, letter) for letter in comparison.models), _difference(source))
        for source in comparison.sources
    )
    return output.table(["source", "images", *aurocs, "A − B"], rows, numbers=["images"], whole=[*aurocs, "A − B"])


def _short(source: OnSource, letter: str) -> str:
    value = source.get(letter, "auroc").value
    return "withheld" if value is None else f"{value:.3f} {source.kinds[letter]}"


def _difference(source: OnSource) -> str:
    estimate = next(d.estimate for d in source.differences if d.metric == "auroc")
    if estimate.value is None:
        return "withheld"
    if estimate.low is None:
        return f"{estimate.value:+.3f}"
    return f"{estimate.value:+.3f} ({estimate.low:+.2f} to {estimate.high:+.2f})"
