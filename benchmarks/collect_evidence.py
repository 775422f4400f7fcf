"""Gather the figures of evidence reports into one table for docs/results.

    python benchmarks/collect_evidence.py --out docs/results/evidence.csv NAME=FOLDER [NAME=FOLDER …]

FOLDER is what `lungsight evaluate` left. Figures only: no image, no path.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

#: Tables whose every row is an estimate, with what is kept of their metrics (None: all).
_TABLES: dict[str, tuple[str, ...] | None] = {
    "metrics": ("auroc", "sensitivity", "specificity", "ppv_at_prevalence", "npv_at_prevalence"),
    "within_and_pooled": None,
    "one_against_one": None,
    "verdicts": None,
    "safeguards": None,
    "without_refused": None,
    "calibration": ("ece", "brier_score", "calibration_intercept", "calibration_slope"),
    "audit_lungs_hidden": None,
    "audit_only_the_border": None,
    "audit_only_the_lungs": None,
    "audit_irrelevant_changes": None,
    "audit_where_it_looks": None,
    "audit_does_the_heatmap_follow_the_model": None,
    "audit_header_only": None,
    "audit_whose_image_is_it": None,
    "audit_leave_one_source_out": None,
}
_FIGURE = ["metric", "value", "low", "high", "n", "positives", "negatives", "patients", "interval", "withheld"]


def main(
    folders: Annotated[list[str], typer.Argument(metavar="NAME=FOLDER…")],
    out: Annotated[Path, typer.Option(help="The CSV to write.")],
) -> None:
    """Gather the tables of several reports into one CSV."""
    tables = [table for named in folders for table in _of_report(*named.split("=", 1))]
    table = pd.concat(tables, ignore_index=True)
    for column in ("value", "low", "high"):
        table[column] = table[column].round(4)
    table.to_csv(out, index=False)
    typer.echo(f"{len(table)} figures in {out}")


def _of_report(name: str, folder: str) -> list[pd.DataFrame]:
    evidence = json.loads((Path(folder) / "evidence.json").read_text("utf-8"))
    target = evidence["subject"]["target"]
    asked = [audit for audit in evidence["audits"] if audit["effect"]]
    effects = [{"of_what": audit["name"], "metric": audit["effect"]["name"], **audit["effect"]} for audit in asked]
    first = pd.DataFrame(effects).assign(run=name, table="effects of the audits")
    found = [first[["run", "table", "of_what", *_FIGURE]]]
    for stem, metrics in _TABLES.items():
        file = Path(folder) / "tables" / f"{stem}.csv"
        if not file.is_file():
            continue
        table = pd.read_csv(file, keep_default_na=False, na_values=[""])
        if stem in ("metrics", "calibration"):
            table = table[table["scope"] == target]
        if metrics is not None:
            table = table[table["metric"].isin(metrics)]
        labels = [column for column in table.columns if column not in (*_FIGURE, "scope")]
        of_what = table[labels].astype(object).fillna("").astype(str).agg("; ".join, axis=1)
        found.append(table.assign(run=name, table=stem, of_what=of_what)[["run", "table", "of_what", *_FIGURE]])
    return found


if __name__ == "__main__":
    typer.run(main)
