"""``lungsight evaluate``: how far can a model be trusted? One page with the evidence, and a grade with reasons."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from lungsight import RESEARCH_ONLY
from lungsight._environment import use_cores
from lungsight.cli import output
from lungsight.cli.options import Classes, Columns, Labels, column_pairs, naming, read_tables
from lungsight.errors import ManifestError, PackageError, UnreadableImageError, printable

if TYPE_CHECKING:
    from lungsight.datasets.manifest import Manifest
    from lungsight.evaluation.evaluate import Settings
    from lungsight.evaluation.evidence import Evidence
    from lungsight.package import ModelPackage
    from lungsight.statistics.estimate import Estimate

_ERRORS_SHOWN = 5
_CHECKS = {
    "refused": "the package's gate would refuse; tested here all the same",
    "unfamiliar": "unlike the training images: scanning warns of it",
    "lung_faults": "without two plausible lungs",
}
_OTHERS, _LEFT_OUT, _EFFORT = "For a model that isn't a package", "What is left out", "How much is computed"


def _option(panel: str, text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


def command(
    model: Annotated[
        str | None,
        typer.Argument(
            help="A package (a folder, a zip, or 'released' for the one that ships with lungsight), the model.toml "
            "of an ONNX network, xrv:NAME for a torchxrayvision model, or file.py:function.",
        ),
    ] = None,
    data: Annotated[
        list[Path] | None, typer.Option("--data", help="A manifest, CSV or Parquet. Several are joined.")
    ] = None,
    columns: Columns = None,
    labels: Labels = None,
    classes: Classes = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the report.", show_default="evaluation-<model's name>-<today>"),
    ] = None,
    predictions: Annotated[
        Path | None,
        _option(_OTHERS, "Instead of MODEL: a table of another model's probabilities for the images of --data."),
    ] = None,
    output_read: Annotated[
        str | None, _option(_OTHERS, "The one output of a torchxrayvision model that is read: Pneumonia.", "--output")
    ] = None,
    weights: Annotated[
        Path | None,
        _option(_OTHERS, "A state dict for a torchxrayvision model, in place of the weights in its own cache."),
    ] = None,
    version: Annotated[
        str | None,
        _option(
            _OTHERS,
            "Of a function and all that it rests on: what it gives is kept under it, so that a test can be resumed.",
            "--model-version",
        ),
    ] = None,
    trained_source: Annotated[
        list[str] | None, _option(_OTHERS, "A source that the model was trained on. Once for each source.")
    ] = None,
    trained_on: Annotated[
        list[Path] | None,
        _option(
            _OTHERS,
            "A manifest of the images it was trained on: these, their patients and near-duplicates are left out.",
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="The class set against the rest.", show_default="the model's own")
    ] = None,
    prevalence: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Share of patients with the target where the model would be used."),
    ] = None,
    retrain: Annotated[
        bool,
        _option(
            _EFFORT,
            "Train the package's recipe again without each of its sources (--data must hold their images). Takes as "
            "long as the trainings.",
            "--retrain",
        ),
    ] = False,
    lung_fields: Annotated[
        str | None,
        _option(
            _EFFORT,
            "A package whose lung segmentation the audits use, in place of the tested package's own: a path, or "
            "'released' for the one that ships with lungsight, which serves models that aren't packages anyway.",
            metavar="PACKAGE",
        ),
    ] = None,
    audit_images: Annotated[
        int, _option(_EFFORT, "An audit alters at most this many internal, and this many external images.", min=20)
    ] = 400,
    trained_patients: Annotated[
        bool, _option(_LEFT_OUT, "Keep other images of patients the model was trained on.", "--trained-patients")
    ] = False,
    look_alikes: Annotated[
        bool, _option(_LEFT_OUT, "Keep near-duplicates of images it was trained on.", "--look-alikes")
    ] = False,
    replicates: Annotated[int, _option(_EFFORT, "Bootstrap replicates of each interval.", min=100)] = 2000,
    threads: Annotated[int, _option(_EFFORT, "Cores to use; 0 is all of them.", min=0)] = 0,
    pictures: Annotated[
        bool, typer.Option(help="Show images in the report: the worst errors, and some that audits altered.")
    ] = True,
) -> None:
    """Test how far MODEL can be trusted on the images of one or more manifests: the evidence, and a grade.

    Only frontal X-rays count whose label the model has a class for, and none that the model was trained or tuned on,
    nor other images of those patients, nor copies. The same command resumes a test that was interrupted.

    Example: lungsight evaluate runs/baseline/package --data siim.csv --data shenzhen.csv --prevalence 0.05 --out seen

    Example: lungsight evaluate covid-net.toml --data siim.csv --class covid19=covid19 --class 'other=*'

    Example: lungsight evaluate xrv:densenet121-res224-all --output Pneumonia --data siim.csv
    --class pneumonia=covid19,other_pneumonia --class 'other=no_pneumonia,*'

    Example: lungsight evaluate mymodel.py:predict --data siim.csv --class covid19=covid19 --class 'other=*'

    Example: lungsight evaluate --predictions covid-net.csv --data siim.csv --class covid19=covid19 --class 'other=*'
    --trained-source ieee8023
    """
    use_cores(threads)
    from lungsight.datasets.label_mapping import classes_of
    from lungsight.evaluation.evaluate import Settings, evaluate_predictions
    from lungsight.reporting.write import write_report
    from lungsight.statistics.bootstrap import Resampling
    from lungsight.statistics.outcomes import FAULT

    of_others = {"--trained-on": trained_on, "--trained-source": trained_source}
    of_models = {"--output": output_read, "--weights": weights, "--model-version": version}
    _refuse_mixed(model, predictions, data, of_others, of_models | {"--lung-fields": lung_fields}, retrain)
    stated = classes_of(classes or ())
    settings = Settings(
        target=target, prevalence=_share(prevalence), trained_patients=trained_patients, look_alikes=look_alikes,
        audit_images=audit_images, retrain=retrain, lungs_by=_with_lung_segmentation(lung_fields),
        resampling=Resampling(replicates=replicates), command=shlex.join(["lungsight", *sys.argv[1:]]),
        pictures=pictures, classes=stated,
    )  # fmt: skip
    named = column_pairs(columns)
    of_their_table = [name for name in named if name in ("probability", "score") or name.startswith("probability_")]
    mapping = naming(columns, labels, of_their_table if predictions else ())
    manifests = read_tables(data, mapping)
    trained = read_tables(trained_on, replace(mapping, labels={}))
    if predictions is not None:
        folder = out or _folder_for(predictions.stem)
        evidence = evaluate_predictions(
            predictions, manifests, folder, settings, classes=stated, called=named,
            trained_sources=trained_source, trained_on=trained,
        )  # fmt: skip
        write_report(evidence, folder)
    else:
        said = _Said(output_read or "", weights, version or "", trained_source, trained, threads)
        evidence, folder = _tested(model or "", manifests, out, settings, said)
    console = output.console()
    _print_flow(console, evidence)
    _print_figures(console, evidence)
    _print_grade(console, evidence)
    output.say(console, f"Page: {printable(folder / 'index.html')}\n{RESEARCH_ONLY}")
    if (evidence.testset.table[FAULT] != "").any():
        raise typer.Exit(UnreadableImageError.exit_status)


@dataclass(frozen=True)
class _Said:
    """What the options say of a model that isn't a package."""

    output: str
    weights: Path | None
    version: str
    trained_sources: list[str] | None
    trained_on: list[Manifest]
    threads: int


def _tested(
    name: str, manifests: list[Manifest], out: Path | None, settings: Settings, said: _Said
) -> tuple[Evidence, Path]:
    """The evidence of a model, and the folder of its report."""
    from lungsight.api import evaluate
    from lungsight.evaluation.evaluate import evaluate_model
    from lungsight.evaluation.other_models import Options, is_other_model, open_other_model
    from lungsight.package import ModelPackage, find_package
    from lungsight.reporting.write import write_report

    if not is_other_model(name):
        package = ModelPackage.open(find_package(name))
        folder = out or _folder_for(package.description.name)
        return evaluate(package, manifests, folder, settings), folder
    opened = open_other_model(
        name,
        Options(
            said.output,
            said.weights,
            said.version,
            settings.target,
            settings.classes,
            settings.lungs_by,
            said.threads,
        ),
    )
    folder = out or _folder_for(opened.name)
    evidence = evaluate_model(
        opened, manifests, folder, settings, trained_sources=said.trained_sources, trained_on=said.trained_on
    )
    write_report(evidence, folder)
    return evidence, folder


def _folder_for(name: str) -> Path:
    return Path(f"evaluation-{name}-{date.today().isoformat()}")


def _refuse_mixed(
    model: str | None,
    predictions: Path | None,
    data: object,
    of_others: Mapping[str, object],
    of_models: Mapping[str, object],
    retrain: bool,
) -> None:
    """Raise ManifestError where options don't go together."""
    from lungsight.evaluation.other_models import is_other_model

    if (model is None) == (predictions is None):
        problem = "both are given" if model else "neither is given"
        raise ManifestError("MODEL and --predictions", problem, "give a model or a table of predictions")
    if not data:
        raise ManifestError("--data", "is missing", "give the manifest of the images to test on")
    other = model is not None and is_other_model(model)
    if predictions is not None:
        _refuse(of_models, "goes with a model", "leave it out: only a model can be asked")
    elif not other:
        in_vain = {name: value for name, value in of_models.items() if name != "--lung-fields"}
        hint = "leave it out: the package knows"
        _refuse({**of_others, **in_vain}, "goes with a model that isn't a package", hint)
    if retrain and (other or predictions is not None):
        raise ManifestError("--retrain", "goes with a package", "leave it out: only a package has a recipe")


def _refuse(options: Mapping[str, object], problem: str, hint: str) -> None:
    for name, value in options.items():
        if value:
            raise ManifestError(name, problem, hint)


def _with_lung_segmentation(name_or_path: str | None) -> ModelPackage | None:
    from lungsight.package import ModelPackage, find_package

    if name_or_path is None:
        return None
    package = ModelPackage.open(find_package(name_or_path))
    if package.lung_fields(1) is None:
        hint = "give a package that does, or leave --lung-fields out"
        raise PackageError(package.path, "holds no lung segmentation", hint)
    return package


def _share(prevalence: float | None) -> float | None:
    if prevalence is not None and not 0 < prevalence < 1:
        raise ManifestError(f"--prevalence {prevalence:g}", "isn't between 0 and 1", "give a share, such as 0.05")
    return prevalence


def _print_flow(console: Console, evidence: Evidence) -> None:
    from lungsight.statistics.outcomes import FAULT

    first, *steps = evidence.flow.tables["flow"].to_dict("records")
    output.say(console, f"{first['remain']:,} images in the manifests")
    for step in steps:
        if step["left_out"]:
            output.say(console, f"  {step['left_out']:,} left out: {step['step']}")
    problems = [problem for problem in evidence.testset.table[FAULT] if problem]
    for problem in problems[:_ERRORS_SHOWN]:
        output.say(console, f"  left out: {printable(problem)}")
    if (more := len(problems) - _ERRORS_SHOWN) > 0:
        output.say(console, f"  {more:,} more can't be tested; predictions.csv names them")
    tested = len(evidence.testset) - len(problems)
    output.say(console, f"{tested:,} images tested with {printable(evidence.subject.model)}")
    for column, meaning in _CHECKS.items():
        if column in evidence.testset.table:
            counted = int((~evidence.testset.table[column].isin(("", False))).sum())
            output.say(console, f"  {counted:,} of them {meaning}")
    console.print()


def _print_figures(console: Console, evidence: Evidence) -> None:
    """The AUROC by source, and what scanning answers there."""
    from lungsight._text import as_words
    from lungsight.reporting.page_tables import INTERVALS

    target = as_words(evidence.subject.target)
    aurocs = [
        row
        for row in evidence.discrimination.estimates["metrics"]
        if row.estimate.scope == evidence.subject.target and row.estimate.name == "auroc"
    ]
    lines: list[Sequence[object]] = []
    for kind, rows in groupby(aurocs, key=lambda row: row.labels["kind"]):
        lines.append([Text(str(kind), style="bold")])
        for row in rows:
            e = row.estimate
            lines.append([row.labels["source"], e.positives + e.negatives, e.positives, _short(e)])
    numbers = ("images", target)
    console.print(output.table(["source", *numbers, "AUROC"], lines, numbers=numbers, whole=["AUROC"]))
    kinds = ", ".join(
        name for kind, name in INTERVALS.items() if any(row.estimate.interval == kind for row in aurocs)
    )
    withheld = " The page says why a figure is withheld." if any(row.estimate.value is None for row in aurocs) else ""
    output.say(console, f"{target} against the rest; 95% intervals of patients ({kinds or 'none'}).{withheld}\n")
    output.say(console, f"{evidence.answers_title}:")
    for answers in evidence.answers:
        output.say(console, printable(f"  {answers.sentence}"))
    console.print()


def _print_grade(console: Console, evidence: Evidence) -> None:
    """The grade, the shortcut flag beside it, and every reason."""
    stated = evidence.verdict
    console.print(Text.assemble("Grade: ", (str(stated.grade), "bold"), f". {stated.sentence}"))
    console.print(Text.assemble("Shortcut: ", (str(stated.shortcut), "bold"), f". {stated.shortcut_sentence}"))
    for sentence in (*map(str, stated.reasons), *(f"Note: {notice}" for notice in evidence.notices)):
        console.print(Padding(Text(printable(sentence)), (0, 0, 0, 2), expand=False))


def _short(estimate: Estimate) -> str:
    if estimate.value is None:
        return "withheld"
    interval = "no interval" if estimate.low is None else f"{estimate.low:.2f}–{estimate.high:.2f}"
    return f"{estimate.value:.2f} {interval}"
