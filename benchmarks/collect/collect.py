r"""Collect the figures of runs and evaluations into one table of docs/results. Figures only: no image, no path.

    python benchmarks/collect/collect.py metrics --out docs/results/article.csv NAME=FOLDER [NAME=FOLDER …]
    python benchmarks/collect/collect.py evidence --out docs/results/evidence.csv NAME=FOLDER [NAME=FOLDER …]
    python benchmarks/collect/collect.py aims --out docs/results/released.csv --released released=FOLDER \
        without-siim=FOLDER without-nih=FOLDER …

FOLDER is what `lungsight evaluate` wrote, for `metrics` also what `lungsight train` wrote. The table calls it NAME.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from aims import AIMS, HELD_OUT, RELEASED, TO_COMPARE, Aim

_FIGURE = ("value", "low", "high", "n", "positives", "negatives", "patients", "interval", "withheld")
_METRICS = ("accuracy", "balanced_accuracy", "mcc", "sensitivity", "specificity", "ppv", "npv", "f1", "auroc")
_METRICS += ("average_precision", "brier_score")
_METRIC_COLUMNS = ("run", "images_of", "scope", "source", "metric", *_FIGURE[:5], "patients", "withheld")
#: Tables of sections and audits of which ``evidence`` keeps the target's figures, and which metrics (empty: all).
_TABLES: Mapping[str, tuple[str, ...]] = {
    "metrics": ("auroc", "sensitivity", "specificity", "ppv_at_prevalence", "npv_at_prevalence"),
    "within_and_pooled": (),
    "one_against_one": (),
    "verdicts": (),
    "safeguards": (),
    "without_refused": (),
    "calibration": ("ece", "brier_score", "calibration_intercept", "calibration_slope"),
    "lungs hidden": (),
    "only the border": (),
    "only the lungs": (),
    "irrelevant changes": (),
    "where it looks": (),
    "does the heatmap follow the model": (),
    "header only": (),
    "whose image is it": (),
    "leave one source out": (),
}
_OF_THE_TARGET = ("metrics", "calibration")

Row = dict[str, Any]
Folders = Annotated[list[str], typer.Argument(metavar="NAME=FOLDER…")]
Out = Annotated[Path, typer.Option(help="The CSV to write.")]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True)
class Report:
    """One evidence.json, and its name in the table."""

    name: str
    stated: Mapping[str, Any]

    @classmethod
    def read(cls, named: str) -> Report:
        """The report that ``NAME=FOLDER`` names."""
        name, folder = _named(named)
        return cls(name, json.loads((folder / "evidence.json").read_text("utf-8")))

    @property
    def subject(self) -> Mapping[str, Any]:
        """The model, the target and the classes."""
        return self.stated["subject"]

    def rows(self, table: str) -> list[Row]:
        """The rows of a section's table, or of the audit of that name."""
        tables = [section["tables"].get(table, []) for section in self.stated["sections"].values()]
        tables += [audit["table"] for audit in self.stated["audits"] if audit["name"] == table]
        return [row for rows in tables for row in rows]


@app.command()
def metrics(
    folders: Folders,
    out: Out,
    target: Annotated[str, typer.Option(help="The class whose one-against-rest figures are kept.")] = "covid19",
    every_class: Annotated[bool, typer.Option(help="Keep the figures of every class.")] = False,
) -> None:
    """Collect metrics.csv of runs and evaluations."""
    tables = []
    for name, folder in map(_named, folders):
        file = folder / "metrics.csv"
        table = pd.read_csv(file if file.is_file() else folder / "tables/metrics.csv")
        tables.append(table.rename(columns={"split": "images_of", "kind": "images_of"}).assign(run=name))
    table = pd.concat(tables, ignore_index=True)
    kept = table["metric"].isin(_METRICS) & (every_class | table["scope"].isin([target, "all classes"]))
    _write(table.loc[kept, list(_METRIC_COLUMNS)], out)


@app.command()
def evidence(folders: Folders, out: Out) -> None:
    """Collect the tables of evidence reports."""
    rows = [row for named in folders for row in _evidence_rows(Report.read(named))]
    _write(pd.DataFrame(rows, columns=["run", "table", "of_what", "metric", *_FIGURE]), out)


def _evidence_rows(report: Report) -> Iterator[Row]:
    for audit in report.stated["audits"]:
        if effect := audit["effect"]:
            labels = {"run": report.name, "table": "effects of the audits", "of_what": audit["name"]}
            yield effect | labels | {"metric": effect["name"]}
    for table, wanted in _TABLES.items():
        for row in report.rows(table):
            other_class = table in _OF_THE_TARGET and row["scope"] != report.subject["target"]
            if not other_class and (not wanted or row["metric"] in wanted):
                labels = (value for name, value in row.items() if name not in (*_FIGURE, "metric", "scope"))
                of_what = "; ".join("" if value is None else str(value) for value in labels)
                yield row | {"run": report.name, "table": table, "of_what": of_what}


@app.command()
def aims(
    released: Annotated[str, typer.Option(metavar="NAME=FOLDER", help="The released model's test.")],
    out: Out,
    held_out: Annotated[list[str] | None, typer.Argument(metavar="NAME=FOLDER…")] = None,
) -> None:
    """Compare evidence reports with the aims of the released model.

    --released is the test of the released model on patients it wasn't trained on. The others are tests of models of
    the same recipe, each trained without one whole source.
    """
    reports = [(Report.read(released), RELEASED), *((Report.read(named), HELD_OUT) for named in held_out or ())]
    rows = []
    for aim in AIMS:
        found = [row for report, of in reports if of in aim.of for row in _aim_rows(aim, report)]
        rows += found or [_labels(aim) | {"withheld": "no report here gives it"}]
    table = _write(pd.DataFrame(rows), out)
    for line in table[table["wanted"] != TO_COMPARE].itertuples():
        of = " ".join(str(part) for part in (line.run, line.kind, line.source, line.of_what) if isinstance(part, str))
        interval = f"({line.low:.3f} to {line.high:.3f})" if pd.notna(line.low) else line.withheld
        value = f"{line.value:.3f}" if pd.notna(line.value) else "withheld"
        typer.echo(f"{line.met or '–':>3}  {line.aim}, {line.wanted}: {of} {value} {interval}")


def _aim_rows(aim: Aim, report: Report) -> Iterator[Row]:
    wanted = {
        name: [value.format(target=report.subject["target"]) for value in values]
        for name, values in aim.where.items()
    }
    for row in report.rows(aim.table):
        if all(row.get(name) in values for name, values in wanted.items()):
            yield _aim_row(aim, report, row)


def _aim_row(aim: Aim, report: Report, row: Row) -> Row:
    """One line of the table. A figure without an interval rests on too few images to meet an aim."""
    other = (name for name in row if name not in (*_FIGURE, "kind", "source", "metric", "scope"))
    worst = aim.worst(row)
    return {
        **_labels(aim),
        "run": report.name,
        "model": report.subject["model"],
        "kind": row.get("kind"),
        "source": row.get("source"),
        "of_what": "; ".join(f"{name} {row[name]}" for name in other if row[name] not in (None, "")),
        "metric": row["metric"],
        **{name: row.get(name) for name in _FIGURE},
        "met": aim.met(None if worst is None else row["value"]),
        "met_with_whole_interval": aim.met(worst),
    }


def _labels(aim: Aim) -> Row:
    return {"aim": aim.words, "wanted": aim.wanted}


def _named(argument: str) -> tuple[str, Path]:
    name, _, folder = argument.partition("=")
    if not folder:
        raise typer.BadParameter(f"'{argument}' isn't NAME=FOLDER")
    return name, Path(folder)


def _write(table: pd.DataFrame, out: Path) -> pd.DataFrame:
    for column in ("value", "low", "high"):
        table[column] = pd.to_numeric(table[column]).round(4)
    table.to_csv(out, index=False)
    typer.echo(f"{len(table)} figures in {out}")
    return table


if __name__ == "__main__":
    app()
