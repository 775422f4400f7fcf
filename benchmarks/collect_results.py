"""Gather the measured figures of runs and evaluations into one table for docs/results.

    python benchmarks/collect_results.py --out docs/results/article.csv NAME=FOLDER [NAME=FOLDER …]

FOLDER is what `lungsight train` or `lungsight evaluate` left; NAME says in the table what it is. Figures only: no
image, no path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

_METRICS = ("accuracy", "balanced_accuracy", "mcc", "sensitivity", "specificity", "ppv", "npv", "f1", "auroc")
_METRICS = (*_METRICS, "average_precision", "brier_score")
_COLUMNS = ["run", "images_of", "scope", "source", "metric", "value", "low", "high", "n", "positives", "patients"]


def main(
    folders: Annotated[list[str], typer.Argument(metavar="NAME=FOLDER…")],
    out: Annotated[Path, typer.Option(help="The CSV to write.")],
    target: Annotated[str, typer.Option(help="The class whose one-against-rest figures are kept.")] = "covid19",
    every_class: Annotated[bool, typer.Option(help="Keep the figures of every class.")] = False,
) -> None:
    """Gather metrics.csv of several folders into one CSV."""
    tables = [_figures(*named.split("=", 1)) for named in folders]
    table = pd.concat(tables, ignore_index=True)
    if not every_class:
        table = table[table["scope"].isin([target, "all classes"])]
    table = table[table["metric"].isin(_METRICS)]
    for column in ("value", "low", "high"):
        table[column] = table[column].round(4)
    table.to_csv(out, index=False)
    typer.echo(f"{len(table)} figures in {out}")


def _figures(name: str, folder: str) -> pd.DataFrame:
    place = Path(folder)
    table = pd.read_csv(place / "metrics.csv" if (place / "metrics.csv").is_file() else place / "tables/metrics.csv")
    table = table.rename(columns={"split": "images_of", "kind": "images_of"}).assign(run=name)
    return table[[*_COLUMNS, "withheld"]]


if __name__ == "__main__":
    typer.run(main)
