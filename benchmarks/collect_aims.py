"""Hold evidence reports against the aims of the released model, and write what came of each as one table.

    python benchmarks/collect_aims.py --out docs/results/released.csv --released released=FOLDER \
        without-siim=FOLDER without-nih=FOLDER …

Each FOLDER is what `lungsight evaluate` left. ``--released`` is the test of the released model on patients it wasn't
trained on, the others are tests of models of the same recipe, each trained without one whole source. All is read from
evidence.json. Figures only: no image, no path.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

TARGET, NORMAL = "{target}", "no_pneumonia"
RELEASED, HELD_OUT = "released", "held out"
_FIGURE = ("value", "low", "high", "n", "positives", "negatives", "patients", "interval", "withheld")
_AUDIT = "audit: "
_TO_COMPARE = "to compare with"


@dataclass(frozen=True)
class Aim:
    """One aim, and where in a report its figures stand.

    Attributes:
        words: the aim, as the table says it.
        table: a section's table, or an audit's, ``audit: NAME``.
        where: columns, and the values of which a row must have one; ``{target}`` is the report's target.
        least, most: what is aimed at; neither: a figure to read the others by.
        of: which models it is asked of.
    """

    words: str
    table: str
    where: Mapping[str, tuple[str, ...]]
    least: float | None = None
    most: float | None = None
    of: tuple[str, ...] = (RELEASED, HELD_OUT)

    @property
    def wanted(self) -> str:
        if self.least is not None:
            return f"at least {self.least:g}"
        return _TO_COMPARE if self.most is None else f"at most {self.most:g}"

    def met(self, figure: float | None) -> str:
        """``yes`` or ``no``; empty where there is nothing to say."""
        if figure is None or self.wanted == _TO_COMPARE:
            return ""
        reached = figure >= self.least if self.least is not None else figure <= (self.most or 0)
        return "yes" if reached else "no"

    def worst(self, row: Mapping[str, Any]) -> float | None:
        """The interval's end that is farther from the aim."""
        end: float | None = row["low"] if self.least is not None else row["high"]
        return end


def _where(**columns: str | tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {name: value if isinstance(value, tuple) else (value,) for name, value in columns.items()}


_INTERNAL, _EXTERNAL = _where(kind="internal"), _where(kind="external")
_SIIM = _where(source="siim", scope=TARGET, against=NORMAL, metric="auroc")
_IEEE = _where(source="ieee8023", scope=TARGET, against="other_pneumonia")
_BOXES = _where(source="siim", region="lesions")
_HIDDEN = ("lungs black", "lungs filled from around")
_ONE, _LOOKS = "one_against_one", _AUDIT + "where it looks"

AIMS = (
    Aim("AUROC Typical against Negative within siim, other patients", _ONE, _INTERNAL | _SIIM, 0.94, of=(RELEASED,)),
    Aim("AUROC Typical against Negative, siim held out whole", _ONE, _EXTERNAL | _SIIM, 0.85, of=(HELD_OUT,)),
    Aim(
        "AUROC COVID-19 against other pneumonia within ieee8023, other patients",
        _ONE, _INTERNAL | _IEEE | _where(metric="auroc"), 0.85, of=(RELEASED,),
    ),
    Aim(
        "AUROC COVID-19 against other pneumonia within the shared sites of ieee8023, other patients",
        _ONE, _INTERNAL | _IEEE | _where(metric="auroc_within_site"), 0.75, of=(RELEASED,),
    ),
    Aim("AUROC COVID-19 against the rest within each source", "metrics", _where(scope=TARGET, metric="auroc")),
    Aim(
        "AUROC abnormal against normal, source held out whole",
        "metrics", _EXTERNAL | _where(scope=NORMAL, metric="auroc"), 0.90, of=(HELD_OUT,),
    ),
    Aim(
        "gap between pooled and mean within-source AUROC",
        "within_and_pooled", _where(metric="auroc_pooled_minus_within_source"), most=0.05,
    ),
    Aim(
        "sensitivity at the shipped threshold, source held out",
        "decision", _EXTERNAL | _where(rule="threshold", metric="sensitivity"), 0.85, of=(HELD_OUT,),
    ),
    Aim(
        "specificity at the shipped threshold, source held out",
        "decision", _EXTERNAL | _where(rule="threshold", metric="specificity"), 0.80, of=(HELD_OUT,),
    ),
    Aim("ECE of COVID-19 after recalibration", "calibration", _where(metric="ece", scope=TARGET), most=0.05),
    Aim("ECE of the most probable class", "calibration", _where(metric="ece", scope="all classes"), most=0.05),
    Aim("ECE that chance gives a calibrated model", "calibration", _where(metric="ece_if_calibrated", scope=TARGET)),
    Aim("pointing game on siim's boxes", _LOOKS, _BOXES | _where(metric="pointing_game"), 0.75),
    Aim("pointing: one fixed place", _LOOKS, _BOXES | _where(metric="pointing_at_fixed_place")),
    Aim("pointing: less the fixed place", _LOOKS, _BOXES | _where(metric="pointing_minus_fixed_place")),
    Aim("pointing: by lot, in the image", _LOOKS, _BOXES | _where(metric="area")),
    Aim("pointing: by lot, in what the network sees", _LOOKS, _BOXES | _where(metric="area_in_view")),
    Aim("share of the heat inside siim's boxes", _LOOKS, _BOXES | _where(metric="heat_inside"), 0.50),
    Aim("heat inside: of a map that doesn't look", _LOOKS, _BOXES | _where(metric="guess_heat_inside")),
    Aim(
        "normal radiographs of a held-out source called normal",
        "metrics", _EXTERNAL | _where(scope=NORMAL, metric="sensitivity"), 0.90, of=(HELD_OUT,),
    ),
    Aim(
        "normal radiographs that scanning says are normal",
        "verdicts", _where(truth=NORMAL, metric=f"verdict_{NORMAL}"),
    ),
    Aim("AUROC with the lungs hidden", _AUDIT + "lungs hidden", _where(picture=_HIDDEN), most=0.60),
    Aim("AUROC with the lungs shown, same images", _AUDIT + "lungs hidden", _where(picture="as it is")),
    Aim(
        "real radiographs that the gate would refuse",
        "safeguards", _where(metric="refused", truth="every class"), most=0.02,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Report:
    """One evidence.json: of which model, and under which name the table has it."""

    name: str
    of: str
    stated: Mapping[str, Any]

    @classmethod
    def read(cls, named: str, of: str) -> Report:
        name, _, folder = named.partition("=")
        if not folder:
            raise typer.BadParameter(f"'{named}' is no NAME=FOLDER")
        return cls(name, of, json.loads((Path(folder) / "evidence.json").read_text("utf-8")))

    def rows(self, table: str) -> list[dict[str, Any]]:
        if table.startswith(_AUDIT):
            asked = (audit for audit in self.stated["audits"] if audit["name"] == table.removeprefix(_AUDIT))
            return [row for audit in asked for row in audit["table"]]
        sections = (section["tables"] for section in self.stated["sections"].values())
        return [row for tables in sections for row in tables.get(table, ())]

    def figures(self, aim: Aim) -> Iterator[dict[str, Any]]:
        target = self.stated["subject"]["target"]
        wanted = {name: tuple(v.replace(TARGET, target) for v in values) for name, values in aim.where.items()}
        for row in self.rows(aim.table) if self.of in aim.of else ():
            if all(row.get(name) in values for name, values in wanted.items()):
                yield self._line(aim, row)

    def _line(self, aim: Aim, row: Mapping[str, Any]) -> dict[str, Any]:
        named = {"run": self.name, "model": self.stated["subject"]["model"], "kind": row.get("kind")}
        labels = (name for name in row if name not in (*_FIGURE, "kind", "source", "metric", "scope"))
        of_what = "; ".join(f"{name} {row[name]}" for name in labels if row[name] not in (None, ""))
        figure = {name: row.get(name) for name in _FIGURE}
        worst = aim.worst(row)
        value = (
            None if worst is None else row["value"]
        )  # of so few images that there is no interval: it shows nothing
        met = {"met": aim.met(value), "met_with_whole_interval": aim.met(worst)}
        where = {"source": row.get("source"), "of_what": of_what, "metric": row["metric"]}
        return _about(aim) | named | where | figure | met


def _about(aim: Aim) -> dict[str, Any]:
    return {"aim": aim.words, "wanted": aim.wanted}


def held_against(reports: list[Report]) -> pd.DataFrame:
    """A row per figure of each aim, in the aims' order; an aim that no report speaks of has a row that says so."""
    rows: list[dict[str, Any]] = []
    for aim in AIMS:
        found = [line for report in reports for line in report.figures(aim)]
        rows += found or [_about(aim) | {"withheld": "no report here gives it"}]
    return pd.DataFrame(rows)


def main(
    released: Annotated[str, typer.Option(metavar="NAME=FOLDER", help="The released model's test.")],
    out: Annotated[Path, typer.Option(help="The CSV to write.")],
    held_out: Annotated[list[str] | None, typer.Argument(metavar="NAME=FOLDER…")] = None,
) -> None:
    """Hold the reports against the aims."""
    reports = [Report.read(released, RELEASED), *(Report.read(named, HELD_OUT) for named in held_out or ())]
    table = held_against(reports)
    for column in ("value", "low", "high"):
        table[column] = pd.to_numeric(table[column]).round(4)
    table.to_csv(out, index=False)
    asked = table[table["wanted"] != _TO_COMPARE]
    for line in asked.fillna({"met": "", "withheld": ""}).itertuples():
        between = line.withheld if pd.isna(line.low) else f"{line.low:.3f} to {line.high:.3f}"
        value = f"withheld: {line.withheld}" if pd.isna(line.value) else f"{line.value:.3f} ({between})"
        whose = " ".join(
            str(part) for part in (line.run, line.kind, line.source, line.of_what) if isinstance(part, str)
        )
        typer.echo(f"{line.met or '–':>3}  {line.aim}, {line.wanted}: {whose} {value}")
    typer.echo(f"{len(table)} figures in {out}")


if __name__ == "__main__":
    typer.run(main)
