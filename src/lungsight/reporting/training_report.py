"""What every training run leaves in its folder: predictions, figures with intervals, plots, a page to open first.

The folder already holds ``package/``, ``manifest.csv`` (with the split), ``recipe.toml``, ``history.csv``,
``batches.csv`` and ``environment.json``; docs/reference/run-folder.md describes them all.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from lungsight._progress import ProgressBars
from lungsight._text import as_words, in_words
from lungsight.components.decision import CostOfAnswers
from lungsight.datasets.manifest import Manifest
from lungsight.evaluation.answer_store import FILE, AnswerStore
from lungsight.evaluation.rows import Row
from lungsight.evaluation.scores import Scores, score_by_source
from lungsight.evaluation.testset.classes import class_of_labels
from lungsight.evaluation.testset.predict import predict_manifest_images
from lungsight.evaluation.testset.testset import ALL_SOURCES
from lungsight.inference import Detector
from lungsight.package import ModelPackage, PackageDescription
from lungsight.package.descriptions_text import costs_in_words, decision_in_words, share_in_words
from lungsight.reporting.gallery import write_gallery, wrong_predictions
from lungsight.reporting.html import write_page
from lungsight.reporting.plots import costs_figure
from lungsight.reporting.tables import frame, write_table
from lungsight.reporting.training_plots import (
    confusion_figure,
    confusion_table,
    learning_rate_figure,
    loss_figure,
    save_picture,
)
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.outcomes import FAULT, SHA256, TRUTH

TESTED_SPLITS = ("validation", "test")
ALSO_TRAINED_ON, NOT_TRAINED_ON = "patient or file also in training", "patient not in training"


@dataclass(frozen=True, eq=False)
class _Run:
    """A finished run: its folder, package and manifest, and the predictions of its validation and test images."""

    folder: Path
    package: ModelPackage
    manifest: Manifest
    predictions: pd.DataFrame

    @property
    def classes(self) -> tuple[str, ...]:
        return self.package.description.classes

    @property
    def splits(self) -> dict[str, pd.DataFrame]:
        """The predictions of each split that has any."""
        of_class = self.predictions[self.predictions[TRUTH] != ""]
        parts = {name: of_class[of_class["split"] == name] for name in TESTED_SPLITS}
        return {name: part for name, part in parts.items() if len(part)}


def write_run_results(run: Path) -> None:
    """Predict the run's validation and test images and write every result into its folder.

    Images that the same package already predicted are not predicted again.

    Raises:
        PackageError: the run's package can't be used.
        ManifestError: its manifest can't be read.
    """
    package = ModelPackage.open(run / "package")
    manifest = Manifest.read(run / "manifest.csv")
    testset = manifest.where(manifest.table["split"].isin(TESTED_SPLITS))
    detector = Detector.load(package, features=True)
    with ProgressBars() as bars, AnswerStore.open(run / FILE) as store:
        progress = bars.counting("Analysing images")
        predictions = predict_manifest_images(detector, testset, progress=progress, store=store).table
    classes = class_of_labels(package, predictions["label"].unique())
    predictions[TRUTH] = predictions["label"].map(classes).fillna("")
    write_table(predictions, run / "predictions.csv")
    _write_results(_Run(run, package, manifest, predictions), detector)


def _write_results(run: _Run, detector: Detector) -> None:
    scores = [s for name, part in run.splits.items() for s in score_by_source(part, run.classes, name)]
    write_table(_metrics(scores, "split"), run.folder / "metrics.csv")
    leak = _cost_of_leaking(run)
    if leak:
        write_table(_metrics(leak, "validation_images"), run.folder / "metrics_leak.csv")
    pictures = _write_pictures(run, scores)
    top_losses = write_gallery(run.folder / "mistakes.html", detector, run.predictions)
    write_page(
        run.folder / "index.html",
        "run.html.j2",
        name=run.folder.resolve().name,
        description=run.package.description,
        doubts=doubts(run.manifest.table, run.splits, run.package.description.target),
        next_commands=_next_commands(run),
        uses=_uses_of_validation(run.package.description.recipe),
        splits=_split_counts(run),
        scores=scores,
        together=[s for s in scores if s.source == ALL_SOURCES or _is_only_source(s, scores)],
        leak=leak,
        pictures=pictures,
        top_losses=top_losses,
        rule=_rule(run.package.description),
        costs=costs_in_words(run.package.description.decision),
        share_in_words=share_in_words,
        wrong_predictions=len(wrong_predictions(run.predictions)),
        unreadable=run.predictions[run.predictions[FAULT] != ""][["path", FAULT]].to_dict("records"),
        recipe=(run.folder / "recipe.toml").read_text("utf-8"),
        resampling=Resampling(),
        images=_images(run.folder / "images.json"),
        environment=json.loads((run.folder / "environment.json").read_text("utf-8")),
        history=pd.read_csv(run.folder / "history.csv").to_dict("records"),
    )


def doubts(table: pd.DataFrame, splits: Mapping[str, pd.DataFrame], target: str) -> list[str]:
    """Why nothing in a run shows that its model learned the disease.

    Args:
        table: the run's manifest, with column ``source``.
        splits: the predictions of each split, with ``source`` and ``truth``.
        target: the class set against the rest.

    Returns:
        Sentences; none if there are test images of a source that holds both the target and other classes, and
        another source was trained on too.
    """
    return list(_doubts(table, splits, as_words(target)))


def _doubts(table: pd.DataFrame, splits: Mapping[str, pd.DataFrame], target: str) -> Iterator[str]:
    sources = sorted(set(table["source"]))
    if len(sources) == 1:
        yield f"All images come from one source, {sources[0]}: any mark on its images of {target} would do as well."
    testset = pd.concat([part[["source", TRUTH]] for part in splits.values()]) if splits else pd.DataFrame()
    if len(testset) and len(sources) > 1:
        sides = (testset[TRUTH].map(as_words) == target).groupby(testset["source"]).nunique()
        if (sides < 2).all():
            yield f"No source holds images with and without {target}: telling the sources apart is enough."
    if "test" not in splits:
        used = "they helped to choose the epoch or the calibration"
        yield f"No test image was predicted: every figure is of validation images, and {used}."


def _next_commands(run: _Run) -> dict[str, str]:
    """What to do next, by what it is for."""
    package, manifest, out = (shlex.quote(str(run.folder / n)) for n in ("package", "manifest.csv", "tested"))
    evaluate = f"lungsight evaluate {package} --data"
    elsewhere = {
        "a hospital it never saw (put your manifest in)": f"{evaluate} other-hospital.csv --out {out}-elsewhere"
    }
    if "test" not in run.splits:
        return elsewhere
    return {"the test images of this run": f"{evaluate} {manifest} --out {out}", **elsewhere}


def _uses_of_validation(recipe: Mapping[str, Any]) -> dict[str, str]:
    """A caveat for each split's figures, by split."""
    chosen = "the epoch, " if recipe.get("keep") == "best" else ""
    return {"validation": f"used to choose {chosen}calibration and thresholds, so these figures are optimistic"}


def _images(file: Path) -> dict[str, Any]:
    """What training left out and which leaks it found, where the run says so."""
    stated: dict[str, Any] = {"left_out": {}, "leaks": []}
    return stated | (json.loads(file.read_text("utf-8")) if file.is_file() else {})


def _metrics(scores: list[Scores], group_column: str) -> pd.DataFrame:
    """One line per figure: group, source, and the columns of :func:`~lungsight.reporting.tables.frame`."""
    return frame(Row({group_column: s.group, "source": s.source}, e) for s in scores for e in s.estimates)


def _is_only_source(score: Scores, scores: list[Scores]) -> bool:
    return sum(other.group == score.group for other in scores) == 1


def _split_counts(run: _Run) -> list[dict[str, object]]:
    table = run.manifest.table.assign(patient_key=run.manifest.patient_key)
    return [
        {"split": name, "images": len(part), "patients": part["patient_key"].nunique()}
        | {"labels": part["label"].value_counts().to_dict(), "sources": part["source"].value_counts().to_dict()}
        for name in ("train", *TESTED_SPLITS)
        if len(part := table[table["split"] == name])
    ]


def _rule(description: PackageDescription) -> str:
    said = decision_in_words(description.decision, description.target).replace("*", "")
    return in_words(said, description.target)


def _costs(costs: Sequence[CostOfAnswers]) -> pd.DataFrame:
    """What limits on inconclusive images cost, as :func:`~lungsight.reporting.plots.costs_figure` takes it."""
    errors = ("sensitivity", "missed"), ("specificity", "false_alarms")
    rows = [
        {"kind": "validation", "source": "every source the same", "inconclusive": each.inconclusive}
        | {name: float("nan") if (right := getattr(each, of)) is None else 1 - right for of, name in errors}
        for each in costs
    ]
    return pd.DataFrame(rows)


def _cost_of_leaking(run: _Run) -> list[Scores]:
    """Validation images whose patient (or very file) was trained on, and the others, each scored alone.

    Nothing if no validation image leaks.
    """
    validation = run.splits.get("validation")
    if validation is None:
        return []
    trained = run.manifest.where(run.manifest.table["split"] == "train")
    trained_files = {image.sha256 for image in run.package.trained_on if image.split == "train"}
    keys = validation["source"] + "/" + validation["patient"]
    leaks = keys.isin(set(trained.patient_key)) | validation[SHA256].isin(trained_files)
    if not leaks.any():
        return []
    parts = {ALSO_TRAINED_ON: validation[leaks], NOT_TRAINED_ON: validation[~leaks]}
    return [score_by_source(part, run.classes, name)[0] for name, part in parts.items() if len(part)]


def _write_pictures(run: _Run, scores: list[Scores]) -> dict[str, Figure]:
    """Draw, save and return the run's plots by their file's stem."""
    pictures = {}
    for split in run.splits:
        outcomes = next(s.outcomes for s in scores if s.group == split)
        title = f"{split.capitalize()}: {len(outcomes)} images of {outcomes.patients} patients"
        pictures[f"confusion_{split}"] = confusion_figure(outcomes.confusion, run.classes, title)
        table = confusion_table(outcomes.confusion, run.classes)
        write_table(table, run.folder / f"confusion_{split}.csv")
    pictures["losses"] = loss_figure(pd.read_csv(run.folder / "history.csv"))
    pictures["learning_rates"] = learning_rate_figure(pd.read_csv(run.folder / "batches.csv"))
    if costs := run.package.description.decision.costs:
        pictures["costs"] = costs_figure(_costs(costs))
    for stem, figure in pictures.items():
        save_picture(figure, run.folder / f"{stem}.png")
    return pictures
