"""Test a package on images it never saw: each source alone, internal and external side by side, never pooled."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from lungsight import RESEARCH_ONLY, __version__
from lungsight.datasets.manifest import Manifest
from lungsight.evaluation.eligibility import Eligible, eligible_images
from lungsight.evaluation.predictions import predict_manifest, progress_bar
from lungsight.evaluation.report.figures import confusion_figure, confusion_table, save_picture
from lungsight.evaluation.report.page import write_page
from lungsight.evaluation.tables import ALL_SOURCES, Scores, metric_table, score_by_source, write_table
from lungsight.faults import InvalidManifest
from lungsight.package import ModelPackage
from lungsight.scanning import Detector
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.outcomes import FAULT

INTERNAL, EXTERNAL = "internal", "external"
#: An AUROC above this at a hospital the model never saw is rarer than a leak.
TOO_GOOD = 0.98


@dataclass(frozen=True, eq=False)
class IndependentTest:
    """What came of a test.

    Attributes:
        model: the package's id.
        target: the class set against the rest.
        resampling: how the intervals were found.
        eligible: the images tested on, and those left out.
        predictions: the eligible images with what the model said of each.
        scores: internal sources first; within a kind, all sources together first where there are several.
        alarms: sentences about figures that are too good.
    """

    model: str
    classes: tuple[str, ...]
    target: str
    resampling: Resampling
    eligible: Eligible
    predictions: pd.DataFrame
    scores: tuple[Scores, ...]
    alarms: tuple[str, ...]

    @property
    def unreadable(self) -> list[str]:
        """Why images couldn't be read, a sentence each."""
        return [fault for fault in self.predictions[FAULT] if fault]


def evaluate_package(
    package: ModelPackage,
    manifests: Sequence[Manifest],
    out: Path,
    *,
    target: str | None = None,
    trained_patients: bool = False,
    resampling: Resampling = Resampling(),
) -> IndependentTest:
    """Judge every eligible image of ``manifests``, score each source, and write all into the folder ``out``.

    A source is internal where the model was trained on other patients of it, external where it wasn't. Taken up again
    in the same folder, images already judged aren't judged again. Raises InvalidManifest where no image is eligible,
    or where ``target`` is no class of the model; InvalidPackage.
    """
    description = package.description
    chosen = target or description.target
    if chosen not in description.classes:
        cure = f"give one of {', '.join(description.classes)}"
        raise InvalidManifest(f"--target {chosen}", "is no class of this model", cure)
    eligible = eligible_images(Manifest.joined(list(manifests)), package, trained_patients=trained_patients)
    if not len(eligible.manifest):
        raise InvalidManifest(" + ".join(m.name for m in manifests), "holds no image to test on", _why_none(eligible))
    out.mkdir(parents=True, exist_ok=True)
    with progress_bar() as progress:
        cache = out / "predictions.jsonl"
        predictions = predict_manifest(
            Detector.load(package, features=True), eligible.manifest, progress=progress, cache=cache
        )
        known = {source.name for source in description.sources}
        predictions["kind"] = [INTERNAL if source in known else EXTERNAL for source in predictions["source"]]
        progress.add_task("Resampling patients", total=None)
        kinds = (INTERNAL, EXTERNAL)
        scores = [s for kind in kinds for s in _scores(predictions, description.classes, kind, resampling)]
    result = IndependentTest(
        model=package.id,
        classes=description.classes,
        target=chosen,
        resampling=resampling,
        eligible=eligible,
        predictions=predictions,
        scores=tuple(scores),
        alarms=tuple(_alarms(scores, chosen)),
    )
    _write(result, package, out)
    return result


def _scores(predictions: pd.DataFrame, classes: tuple[str, ...], kind: str, resampling: Resampling) -> list[Scores]:
    part = predictions[predictions["kind"] == kind]
    return score_by_source(part, classes, kind, resampling) if len(part) else []


def _alarms(scores: Iterable[Scores], target: str) -> Iterable[str]:
    for score in scores:
        auroc = score.get(target, "auroc").value
        if score.group == EXTERNAL and auroc is not None and auroc > TOO_GOOD:
            where = "all external sources together" if score.source == ALL_SOURCES else score.source
            yield (
                f"AUROC {auroc:.3f} on {where}, which the model never saw, is too good to be true: look for a leak "
                "(the same images in training, or something in the pictures that tells the label)."
            )


def _why_none(eligible: Eligible) -> str:
    reasons = "; ".join(f"{step.left_out} {step.reason}" for step in eligible.flow if step.left_out)
    return f"of {eligible.came_in} images were left out: {reasons}"


def _write(result: IndependentTest, package: ModelPackage, out: Path) -> None:
    write_table(result.predictions, out / "predictions.csv")
    write_table(metric_table(result.scores, "kind"), out / "metrics.csv")
    pictures = {}
    for score in result.scores:
        if score.source == ALL_SOURCES or not len(score.outcomes):
            continue
        title = f"{score.source} ({score.group}): {len(score.outcomes)} images, {score.outcomes.patients} patients"
        figure = confusion_figure(score.outcomes.confusion, result.classes, title)
        stem = f"confusion_{_as_file_name(score.source)}"
        write_table(confusion_table(score.outcomes.confusion, result.classes), out / f"{stem}.csv")
        save_picture(figure, out / f"{stem}.png")
        pictures[score.source] = figure
    _write_json(result, out / "evaluation.json")
    page = {"result": result, "description": package.description, "pictures": pictures}
    write_page(out / "index.html", "evaluation.html.j2", **page)


def _write_json(result: IndependentTest, path: Path) -> None:
    content: dict[str, Any] = {
        "model": result.model,
        "target": result.target,
        "classes": list(result.classes),
        "replicates": result.resampling.replicates,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "lungsight": __version__,
        "notice": RESEARCH_ONLY,
        "images_given": result.eligible.came_in,
        "flow": [asdict(step) for step in result.eligible.flow],
        "labels_left_out": dict(result.eligible.labels_left_out),
        "unreadable": result.unreadable,
        "alarms": list(result.alarms),
        "scores": [
            {
                "kind": score.group,
                "source": score.source,
                "images": len(score.outcomes),
                "patients": score.outcomes.patients,
                "estimates": [asdict(estimate) for estimate in score.estimates],
            }
            for score in result.scores
        ],
    }
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(content, indent=1), "utf-8")
    partial.replace(path)


def _as_file_name(source: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in source)
