"""``lungsight evaluate``: how far can a model be trusted? One page with the evidence, and a verdict with reasons."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from lungsight import RESEARCH_ONLY
from lungsight._environment import use_cores
from lungsight.cli import streams
from lungsight.cli.table_options import Columns, Labels, naming, read_tables
from lungsight.errors import ManifestError, PackageError, UnreadableImageError, printable

if TYPE_CHECKING:
    from lungsight.datasets.manifest import Manifest
    from lungsight.evaluation.evaluate import Settings
    from lungsight.evaluation.evidence import Evidence
    from lungsight.package import ModelPackage

_SHOWN = {"auroc": "AUROC", "sensitivity": "Sensitivity", "specificity": "Specificity"}
_FAULTS_SHOWN = 5
_SAFEGUARDS = {
    "refused": "the package's gate would refuse; judged here all the same",
    "unfamiliar": "unlike anything in training: inconclusive when scanned",
    "lung_faults": "without two plausible lungs",
}
_OF_PREDICTIONS, _LEFT_OUT, _EFFORT = "With --predictions", "What is left out", "How much is computed"


def command(
    package: Annotated[
        Path | None,
        typer.Argument(
            help="The model package: a folder, a zip, or 'released' for the one that ships with lungsight."
        ),
    ] = None,
    data: Annotated[
        list[Path] | None, typer.Option("--data", help="A manifest, CSV or Parquet. Several are joined.")
    ] = None,
    columns: Columns = None,
    labels: Labels = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the report.", show_default="evaluation-<model's name>-<today>"),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="Instead of PACKAGE: a table of somebody's probabilities for the images of --data.",
            rich_help_panel=_OF_PREDICTIONS,
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            help="CLASS=LABEL,LABEL… of the manifest; * is all others. Once for each class.",
            rich_help_panel=_OF_PREDICTIONS,
        ),
    ] = None,
    trained_source: Annotated[
        list[str] | None,
        typer.Option(
            help="A source that their model was trained on. Once for each source.", rich_help_panel=_OF_PREDICTIONS
        ),
    ] = None,
    trained_on: Annotated[
        list[Path] | None,
        typer.Option(
            help="A manifest of the images it was trained on: these, their patients and look-alikes are left out.",
            rich_help_panel=_OF_PREDICTIONS,
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="The class set against the rest.", show_default="the package's own")
    ] = None,
    prevalence: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Share of patients with the target where the model would be used."),
    ] = None,
    retrain: Annotated[
        bool,
        typer.Option(
            "--retrain",
            help="Train the package's recipe again without each of its sources (--data must hold their images). "
            "As long as the trainings.",
            rich_help_panel=_EFFORT,
        ),
    ] = False,
    lung_fields: Annotated[
        str | None,
        typer.Option(
            metavar="PACKAGE",
            help="A package by whose lung fields the audits go, in place of the tested package's own: a path, or "
            "'released' for the one that ships with lungsight.",
            rich_help_panel=_EFFORT,
        ),
    ] = None,
    audit_images: Annotated[
        int,
        typer.Option(
            min=20,
            help="At most so many internal, and so many external images are altered by an audit.",
            rich_help_panel=_EFFORT,
        ),
    ] = 400,
    trained_patients: Annotated[
        bool,
        typer.Option(
            "--trained-patients",
            help="Keep other images of patients the model was trained on.",
            rich_help_panel=_LEFT_OUT,
        ),
    ] = False,
    look_alikes: Annotated[
        bool,
        typer.Option(
            "--look-alikes", help="Keep images that look like one it was trained on.", rich_help_panel=_LEFT_OUT
        ),
    ] = False,
    replicates: Annotated[
        int, typer.Option(min=100, help="Bootstrap replicates of each interval.", rich_help_panel=_EFFORT)
    ] = 2000,
    threads: Annotated[int, typer.Option(min=0, help="Cores to use; 0 is all of them.", rich_help_panel=_EFFORT)] = 0,
) -> None:
    """Say how far PACKAGE can be trusted: the evidence from the images of one or more manifests, and a verdict.

    Only frontal X-rays whose label the model has a class for count, and none that the model was trained or tuned on,
    nor other images of those patients, nor copies. An evaluation that was cut off goes on in the same folder.

    Example: lungsight evaluate runs/baseline/package --data siim.csv --data shenzhen.csv --prevalence 0.05 --out seen

    Example: lungsight evaluate --predictions covid-net.csv --data siim.csv --class covid19=covid19 --class 'other=*'
    --trained-source ieee8023
    """
    use_cores(threads)
    from lungsight.evaluation.evaluate import Settings
    from lungsight.reporting.write import write_report
    from lungsight.statistics.bootstrap import Resampling
    from lungsight.statistics.outcomes import FAULT

    _refuse_mixed(
        package,
        predictions,
        data,
        {"--class": classes, "--trained-on": trained_on, "--trained-source": trained_source},
    )
    if predictions is not None and lung_fields is not None:
        raise ManifestError("--lung-fields", "goes with a model package", "leave it out: only a model can be asked")
    settings = Settings(
        target=target, prevalence=_share(prevalence), trained_patients=trained_patients, look_alikes=look_alikes,
        audit_images=audit_images, retrain=retrain, lungs_by=_with_lung_fields(lung_fields),
        resampling=Resampling(replicates=replicates),
        command=shlex.join(["lungsight", *sys.argv[1:]]),
    )  # fmt: skip
    said = naming(columns, labels, _columns_of_predictions(columns) if predictions else ())
    manifests = read_tables(data, said)
    if predictions is not None:
        folder = out or Path(f"evaluation-{predictions.stem}-{date.today().isoformat()}")
        training = read_tables(trained_on, replace(said, labels={}))
        evidence = _of_predictions(
            predictions, manifests, folder, settings, classes, trained_source, training, _pairs_of(columns)
        )
    else:
        assert package is not None
        evidence, folder = _of_package(package, manifests, out, settings)
    page = write_report(evidence, folder)
    console = streams.console()
    _print_flow(console, evidence)
    _print_figures(console, evidence)
    _print_verdict(console, evidence)
    console.print(f"Page: {printable(page)}\n{RESEARCH_ONLY}", highlight=False, markup=False)
    if (evidence.testset.table[FAULT] != "").any():
        raise typer.Exit(UnreadableImageError.exit_status)


def _of_package(
    path: Path, manifests: Sequence[Manifest], out: Path | None, settings: Settings
) -> tuple[Evidence, Path]:
    from lungsight.evaluation.evaluate import evaluate_package
    from lungsight.package import ModelPackage
    from lungsight.package.bundled import find_package

    model = ModelPackage.open(find_package(path))
    folder = out or Path(f"evaluation-{model.description.name}-{date.today().isoformat()}")
    if folder.resolve().is_relative_to(model.path.resolve()):
        raise PackageError(folder, "lies in the package that is tested", "name another folder for the report")
    return evaluate_package(model, manifests, folder, settings), folder


def _of_predictions(
    table: Path, manifests: Sequence[Manifest], folder: Path, settings: Settings, classes: list[str] | None,
    trained_source: list[str] | None, trained_on: Sequence[Manifest], called: Mapping[str, str],
) -> Evidence:  # fmt: skip
    from lungsight.datasets.label_mapping import classes_of
    from lungsight.evaluation.evaluate import evaluate_predictions

    return evaluate_predictions(
        table, manifests, folder, settings,
        classes=classes_of(classes or ()), called=called, trained_sources=trained_source, trained_on=trained_on,
    )  # fmt: skip


def _pairs_of(columns: Sequence[str] | None) -> dict[str, str]:
    pairs = (option.partition("=") for option in columns or ())
    return {column.strip(): name.strip() for column, _, name in pairs}


def _columns_of_predictions(columns: Sequence[str] | None) -> list[str]:
    """Those of the columns named that a table of predictions may have, and no manifest."""
    return [
        name for name in _pairs_of(columns) if name in ("probability", "score") or name.startswith("probability_")
    ]


def _refuse_mixed(
    package: Path | None, predictions: Path | None, data: object, of_predictions: Mapping[str, object]
) -> None:
    if (package is None) == (predictions is None):
        problem = "both are given" if package else "neither is given"
        raise ManifestError("PACKAGE and --predictions", problem, "give a model package or a table of predictions")
    if not data:
        raise ManifestError("--data", "is missing", "give the manifest of the images to test on")
    given = [name for name, value in of_predictions.items() if value]
    if package is not None and given:
        hint = "leave it out: the package knows"
        if given[0] == "--class":
            hint += ". What the table's labels mean is said with --label FOUND=LABEL"
        raise ManifestError(given[0], "goes with --predictions", hint)


def _with_lung_fields(name_or_path: str | None) -> ModelPackage | None:
    from lungsight.package import ModelPackage
    from lungsight.package.bundled import find_package

    if name_or_path is None:
        return None
    path = find_package(name_or_path)
    package = ModelPackage.open(path)
    if package.lung_fields(1) is None:
        raise PackageError(path, "holds no lung fields", "give a package that does, or leave --lung-fields out")
    return package


def _share(prevalence: float | None) -> float | None:
    if prevalence is not None and not 0 < prevalence < 1:
        raise ManifestError(f"--prevalence {prevalence:g}", "isn't between 0 and 1", "give a share, such as 0.05")
    return prevalence


def _print_flow(console: Console, evidence: Evidence) -> None:
    from lungsight.statistics.outcomes import FAULT

    steps: list[dict[Any, Any]] = evidence.flow.tables["flow"].to_dict("records")
    console.print(f"{steps[0]['remain']:,} images in the manifests", highlight=False)
    for step in steps[1:]:
        if step["left_out"]:
            console.print(f"  {step['left_out']:,} left out: {step['step']}", highlight=False, markup=False)
    problems = [problem for problem in evidence.testset.table[FAULT] if problem]
    for problem in problems[:_FAULTS_SHOWN]:
        console.print(f"  left out: {printable(problem)}", highlight=False, markup=False)
    if (more := len(problems) - _FAULTS_SHOWN) > 0:
        console.print(f"  {more:,} more that can't be judged; predictions.csv names them", highlight=False)
    testset = len(evidence.testset) - len(problems)
    console.print(f"{testset:,} images judged by {printable(evidence.subject.model)}", highlight=False, markup=False)
    for column, said in _SAFEGUARDS.items():
        if column in evidence.testset.table:
            counted = int((~evidence.testset.table[column].isin(("", False))).sum())
            console.print(f"  {counted:,} of them {said}", highlight=False)
    console.print()


def _print_figures(console: Console, evidence: Evidence) -> None:
    from lungsight.evaluation.formatting import as_words

    metrics = evidence.discrimination.tables["metrics"]
    of_target = metrics[metrics["scope"] == evidence.subject.target]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))  # a long source name has room in 80 columns
    table.add_column("source", overflow="fold")
    for heading in ("images", as_words(evidence.subject.target)):
        table.add_column(heading, justify="right", no_wrap=True)
    for title in _SHOWN.values():
        table.add_column(title, no_wrap=True)
    for kind, rows in of_target.groupby("kind", sort=False):
        table.add_row(f"[bold]{kind}[/bold]")
        for source, figures in rows.groupby("source", sort=False):
            by_name = figures.set_index("metric").to_dict("index")
            known = by_name["auroc"]
            counts = f"{known['positives'] + known['negatives']:,}", f"{known['positives']:,}"
            table.add_row(escape(printable(source)), *counts, *(_short(by_name[name]) for name in _SHOWN))
    console.print(table)
    withheld = " The page says why a figure is withheld." if of_target["value"].isna().any() else ""
    said = f"{as_words(evidence.subject.target)} against the rest; 95% intervals by resampling patients.{withheld}\n"
    console.print(said, highlight=False, markup=False)


def _print_verdict(console: Console, evidence: Evidence) -> None:
    verdict = evidence.verdict
    console.print(f"Verdict: [bold]{verdict.grade}[/bold]. {escape(verdict.sentence)}", highlight=False)
    for reason in verdict.reasons:
        if reason.met:
            name = reason.rule.partition(":")[0]
            _print_indented(console, f"{name}: {printable(reason.sentence)}")
    for notice in evidence.notices:
        _print_indented(console, f"Mind: {printable(notice)}")


def _print_indented(console: Console, sentence: str) -> None:
    console.print(Padding(escape(sentence), (0, 0, 0, 2), expand=False), highlight=False)


def _short(row: Mapping[Any, Any]) -> str:
    if _missing(row["value"]):
        return "withheld"
    interval = "no interval" if _missing(row["low"]) else f"{row['low']:.2f}–{row['high']:.2f}"
    return f"{row['value']:.2f} {interval}"


def _missing(figure: float | None) -> bool:
    """A column that holds no number at all holds None, any other NaN."""
    return figure is None or figure != figure
