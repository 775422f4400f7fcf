"""An evaluation from beginning to end: predictions, sections, audits, the grade."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from lungsight._progress import ProgressBars
from lungsight.datasets.manifest import Manifest
from lungsight.errors import ManifestError
from lungsight.evaluation.answer_store import FILE, AnswerStore
from lungsight.evaluation.audits.audit import Audit, AuditInput
from lungsight.evaluation.audits.perturbed_predictions import planned
from lungsight.evaluation.audits.registry import AUDITS
from lungsight.evaluation.audits.retraining import HeldOut, retrain_without_each
from lungsight.evaluation.evidence import Evidence, TestedModel
from lungsight.evaluation.failures import failures
from lungsight.evaluation.grade import decide
from lungsight.evaluation.other_models import OpenedModel
from lungsight.evaluation.sections.calibration import calibration
from lungsight.evaluation.sections.decision import decision
from lungsight.evaluation.sections.discrimination import discrimination
from lungsight.evaluation.sections.flow import flow
from lungsight.evaluation.sections.section import Section
from lungsight.evaluation.sections.subgroups import subgroups
from lungsight.evaluation.testset.data_warnings import data_warnings
from lungsight.evaluation.testset.eligibility import Eligible, eligible_images, images_to_test_on
from lungsight.evaluation.testset.external_predictions import match_predictions
from lungsight.evaluation.testset.guessed_views import with_guessed_views
from lungsight.evaluation.testset.overlap import TrainingImages
from lungsight.evaluation.testset.predict import predict_manifest_images
from lungsight.evaluation.testset.testset import ALL_SOURCES, EXTERNAL, KIND, TestSet, kind_of
from lungsight.inference import Detector, Model
from lungsight.package import ModelPackage, TrainedImage
from lungsight.package.bundled import package_with_view_classifier
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.outcomes import FAULT

#: An AUROC above this at a hospital the model never saw is rarer than a leak.
TOO_GOOD = 0.98


@dataclass(frozen=True)
class Settings:
    """How an evaluation is done.

    Attributes:
        target: the class set against the rest; None: the package's own.
        prevalence: of the target in the model's place of use, between 0 and 1.
        trained_patients: keep other images of patients that were trained on.
        look_alikes: keep images that only look like one trained on.
        audit_images: an audit alters at most this many images of each kind.
        retrain: train the package's recipe without each of its sources in turn.
        lungs_by: the package whose lung segmentation the audits use; None: the tested package's own, if it has one.
        classes: the manifest's labels of each class, where they are others than the model says.
        command: what the user typed.
        pictures: the report shows some of the images.
    """

    target: str | None = None
    prevalence: float | None = None
    trained_patients: bool = False
    look_alikes: bool = False
    audit_images: int = 400
    retrain: bool = False
    lungs_by: ModelPackage | None = None
    classes: Mapping[str, Sequence[str]] | None = None
    resampling: Resampling = field(default_factory=Resampling)
    command: str = ""
    pictures: bool = True


def evaluate_package(
    package: ModelPackage, manifests: Sequence[Manifest], out: Path, settings: Settings = Settings()
) -> Evidence:
    """Predict every eligible image of ``manifests``, audit the model and grade it.

    A source is internal if the model was trained on other patients of it, else external.

    Args:
        package: the model.
        manifests: the images.
        out: a folder that keeps what takes long: the same call continues where one was cut off.
        settings: how it is done.

    Raises:
        ManifestError: no image is eligible or readable, or the target isn't one of the model's classes.
        PackageError: the package can't be used.
    """
    description = package.description
    target = settings.target or description.target
    _refuse_target(target, description.classes)
    joined = Manifest.joined(list(manifests), " + ".join(m.name for m in manifests))
    known = {source.name for source in description.sources}
    out.mkdir(parents=True, exist_ok=True)
    with ProgressBars() as tasks, AnswerStore.open(out / FILE) as store:
        eligible = eligible_images(
            joined, package, target=target, classes=settings.classes, trained_patients=settings.trained_patients,
            look_alikes=settings.look_alikes, progress=tasks.counting("Looking for images it was trained on"),
        )  # fmt: skip
        views_from = package_with_view_classifier()
        detector = Detector.load(package, features=True, lungs_from=settings.lungs_by, views_from=views_from)
        testset = _predicted(detector, eligible, known, target, joined.name, settings, store, tasks)
        retrained = _retrained(package, joined, testset, out, settings, tasks)
        audits = _audits(testset, settings, tasks, store, detector, retrained, package.trained_on)
        subject = TestedModel(package.id, description.classes, target, description, tuple(sorted(known)))
        notices = (*joined.notices, *(eligible.overlap.notices if eligible.overlap else ()))
        return _gathered(subject, testset, eligible, audits, notices, settings, tasks, detector)


def evaluate_model(
    opened: OpenedModel,
    manifests: Sequence[Manifest],
    out: Path,
    settings: Settings = Settings(),
    *,
    trained_sources: Sequence[str] | None = None,
    trained_on: Sequence[Manifest] = (),
) -> Evidence:
    """:func:`evaluate_package` for a model that isn't a package.

    Args:
        opened: the model.
        manifests: the images.
        out: as in :func:`evaluate_package`.
        settings: likewise.
        trained_sources: the sources that the model was trained on.
        trained_on: the images that it was trained on. Without either it isn't known which source is internal, unless
            the model states it.

    Raises:
        ManifestError: no image is eligible or readable, or the target isn't one of the model's classes.
    """
    model = opened.model
    target = settings.target or model.target
    _refuse_target(target, model.classes)
    joined = Manifest.joined(list(manifests), " + ".join(m.name for m in manifests))
    out.mkdir(parents=True, exist_ok=True)
    with ProgressBars() as tasks, AnswerStore.open(out / FILE if opened.kept else None) as store:
        trained, sources = _trained(trained_on, trained_sources or opened.trained_sources, tasks)
        eligible = images_to_test_on(
            joined, opened.labels, target, trained,
            trained_patients=settings.trained_patients, look_alikes=settings.look_alikes,
            progress=tasks.counting("Looking for images it was trained on"),
        )  # fmt: skip
        testset = _predicted(model, eligible, sources, target, joined.name, settings, store, tasks)
        audits = _audits(testset, settings, tasks, store, model, trained=trained.images if trained else ())
        subject = TestedModel(model.model, model.classes, target, None, None if sources is None else tuple(sources))
        seen = eligible.overlap.notices if eligible.overlap else ()
        return _gathered(
            subject, testset, eligible, audits, (*opened.notices, *joined.notices, *seen), settings, tasks, model
        )


def evaluate_predictions(
    table: Path,
    manifests: Sequence[Manifest],
    out: Path,
    settings: Settings = Settings(),
    *,
    classes: Mapping[str, Sequence[str]] | None = None,
    called: Mapping[str, str] | None = None,
    trained_sources: Sequence[str] | None = None,
    trained_on: Sequence[Manifest] = (),
) -> Evidence:
    """Evaluate predictions that come without their model.

    Args:
        table: the predictions.
        manifests: their images.
        out: as in :func:`evaluate_package`.
        settings: likewise.
        classes: the manifests' labels of each class.
        called: what the table calls its columns.
        trained_sources: the sources that the model was trained on.
        trained_on: the images that it was trained on. Without either it isn't known which source is internal.

    Raises:
        PredictionsError: the table can't be used.
        ManifestError: no image is eligible.
    """
    out.mkdir(parents=True, exist_ok=True)
    with ProgressBars() as tasks, AnswerStore.open(out / FILE) as store:
        joined = Manifest.joined(list(manifests), " + ".join(m.name for m in manifests))
        trained, sources = _trained(trained_on, trained_sources, tasks)
        matched = match_predictions(
            table, joined, classes=classes, target=settings.target,
            called=called, trained_sources=sources, trained=trained,
            progress=tasks.counting("Reading images"), store=store,
        )  # fmt: skip
        testset = matched.testset.with_columns(source=_told_apart(matched.testset.table["source"]))
        seen = tasks.counting("Predicting views")
        testset = with_guessed_views(testset, package_with_view_classifier(), progress=seen, store=store)
        audits = _audits(testset, settings, tasks, store, trained=trained.images if trained else ())
        subject = TestedModel(
            table.name, testset.classes, testset.target, None, None if sources is None else tuple(sources)
        )
        return _gathered(
            subject, testset, matched.eligible, audits, (*joined.notices, *matched.notices), settings, tasks
        )


def evaluate_testset(
    subject: TestedModel,
    testset: TestSet,
    eligible: Eligible,
    notices: Sequence[str],
    settings: Settings,
    tasks: ProgressBars,
    model: Model,
) -> Evidence:
    """The evidence of predictions that are there already, such as cross-validated ones; audits can't alter an image.

    ``model`` is what made them: its rule and its input size are the test's.
    """
    audits = _audits(testset, settings, tasks, AnswerStore.in_memory())
    return _gathered(subject, testset, eligible, audits, notices, settings, tasks, model)


def _refuse_target(target: str, classes: Sequence[str]) -> None:
    if target not in classes:
        raise ManifestError(f"--target {target}", "isn't a class of this model", f"give one of {', '.join(classes)}")


def _trained(
    manifests: Sequence[Manifest], sources: Sequence[str] | None, tasks: ProgressBars
) -> tuple[TrainingImages | None, list[str] | None]:
    """What a model was trained on, images and sources, as far as the user says."""
    if not manifests:
        return None, None if sources is None else sorted(sources)
    training = Manifest.joined(list(manifests))
    images = TrainingImages.of_manifest(training, progress=tasks.counting("Reading training images"))
    return images, sorted(sources or set(training.table["source"]))


def _predicted(
    model: Model,
    eligible: Eligible,
    trained_sources: Collection[str] | None,
    target: str,
    names: str,
    settings: Settings,
    store: AnswerStore,
    tasks: ProgressBars,
) -> TestSet:
    """The eligible images with the model's predictions, and into the store those for all that audits do to them."""
    if not len(eligible.manifest):
        raise ManifestError(names, "holds no image to test on", _why_none(eligible))
    images = eligible.manifest
    kinds = [kind_of(source, trained_sources) for source in images.table["source"]]
    images = images.with_columns(**{KIND: kinds}, source=_told_apart(images.table["source"]))
    perturbations = [audit.perturbations for audit in AUDITS if audit.perturbations]
    plan = planned(perturbations, images, model.classes, target, settings.audit_images)
    progress = tasks.counting("Analysing images")
    testset = predict_manifest_images(model, images, progress=progress, store=store, alterations=plan)
    _refuse_unreadable(testset, names)
    return replace(testset, target=target)


def _told_apart(sources: pd.Series[str]) -> pd.Series[str]:
    """A source that happens to be called ``all`` must not pass for all sources together."""
    return sources.replace(ALL_SOURCES, f"{ALL_SOURCES} (a source)")


def _refuse_unreadable(testset: TestSet, names: str) -> None:
    problems = testset.table[FAULT]
    if (problems != "").all():
        problem = f"none of its {len(problems)} images can be analysed (the first: {problems.iloc[0].rstrip('.')})"
        raise ManifestError(names, problem, "check the column path")


def _retrained(
    package: ModelPackage, manifest: Manifest, testset: TestSet, out: Path, settings: Settings, tasks: ProgressBars
) -> tuple[HeldOut, ...]:
    if not settings.retrain:
        return ()
    return retrain_without_each(
        package, manifest, testset, out / "retrained",
        say=tasks.console.print, progress=tasks.counting("Training without each source"),
    )  # fmt: skip


def _audits(
    testset: TestSet,
    settings: Settings,
    tasks: ProgressBars,
    store: AnswerStore,
    detector: Model | None = None,
    retrained: tuple[HeldOut, ...] = (),
    trained: tuple[TrainedImage, ...] = (),
) -> tuple[Audit, ...]:
    bars: dict[str, Callable[[int, int], None]] = {}

    def progress(step: str, done: int, total: int) -> None:
        if step not in bars:
            bars[step] = tasks.counting(step)
        bars[step](done, total)

    given = AuditInput(
        testset, settings.resampling, detector, settings.audit_images, store, retrained, progress,
        illustrate=settings.pictures, trained=trained,
    )  # fmt: skip
    progress("Audits", 0, len(AUDITS))
    done = []
    for audit in AUDITS:
        done.append(audit.audit(given))
        progress("Audits", len(done), len(AUDITS))
    return tuple(done)


def _gathered(
    subject: TestedModel,
    testset: TestSet,
    eligible: Eligible,
    audits: tuple[Audit, ...],
    notices: Sequence[str],
    settings: Settings,
    tasks: ProgressBars,
    model: Model | None = None,
) -> Evidence:
    resampling, prevalence = settings.resampling, settings.prevalence
    tasks.add_task("Resampling patients", total=None)
    found = discrimination(testset, prevalence=prevalence, resampling=resampling)
    package = subject.description
    image_size = model.preprocessing.image_size if model else None
    stated, stated_for = (model.decision, model.target) if model else (None, None)
    return Evidence(
        subject=subject,
        testset=testset,
        flow=flow(eligible, testset, split_unit=package.split_unit if package else None, resampling=resampling),
        discrimination=found,
        calibration=calibration(testset, resampling=resampling),
        decision=decision(testset, stated, stated_for=stated_for, prevalence=prevalence, resampling=resampling),
        subgroups=subgroups(testset, resampling=resampling, image_size=image_size),
        audits=audits,
        verdict=decide(testset, audits, resampling),
        resampling=resampling,
        made=datetime.now(UTC).replace(microsecond=0),
        prevalence=prevalence,
        notices=(*_too_good(found, subject.target), *data_warnings(testset), *notices),
        command=settings.command,
        failures=failures(testset, model) if settings.pictures else None,
    )


def _too_good(found: Section, target: str) -> list[str]:
    """An alarm for each external source at which the model is better than can be believed."""
    external = ((row.labels, row.estimate) for row in found.estimates["metrics"] if row.labels[KIND] == EXTERNAL)
    return [
        f"AUROC {e.value:.3f} at {labels['source']}, which the model never saw, is too good to be true: look for a "
        "leak (the same images in training, or something in the pictures that tells the label)."
        for labels, e in external
        if e.scope == target and e.name == "auroc" and e.value is not None and e.value > TOO_GOOD
    ]


def _why_none(eligible: Eligible) -> str:
    reasons = "; ".join(f"{step.left_out} {step.reason}" for step in eligible.flow if step.left_out)
    return f"of {eligible.came_in} images were left out: {reasons}"
