"""A test from beginning to end: images judged once, every part of the report computed from that, the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from lungsight._progress import ProgressBars
from lungsight.datasets.manifest import Manifest
from lungsight.errors import ManifestError
from lungsight.evaluation.audits import localization as looking
from lungsight.evaluation.audits import nuisance_edits as changes
from lungsight.evaluation.audits import occlusion
from lungsight.evaluation.audits import robustness as stressing
from lungsight.evaluation.audits import saliency_sanity_check as randomising
from lungsight.evaluation.audits.audit import Audit, not_done
from lungsight.evaluation.audits.image_statistics_only import image_statistics_only
from lungsight.evaluation.audits.leave_one_source_out import leave_one_source_out
from lungsight.evaluation.audits.retraining import HeldOut, retrain_without_each
from lungsight.evaluation.audits.source_probe import source_probe
from lungsight.evaluation.evidence import Evidence, TestedModel
from lungsight.evaluation.formatting import as_words
from lungsight.evaluation.grade import decide
from lungsight.evaluation.sections.calibration import calibration
from lungsight.evaluation.sections.decision import decision
from lungsight.evaluation.sections.discrimination import discrimination
from lungsight.evaluation.sections.flow import flow
from lungsight.evaluation.sections.section import Section
from lungsight.evaluation.sections.subgroups import subgroups
from lungsight.evaluation.tables import ALL_SOURCES
from lungsight.evaluation.testset.companions import Companions
from lungsight.evaluation.testset.data_warnings import data_warnings
from lungsight.evaluation.testset.eligibility import Eligible, eligible_images
from lungsight.evaluation.testset.external_predictions import match_predictions
from lungsight.evaluation.testset.overlap import TrainingImages
from lungsight.evaluation.testset.predict import predict_manifest_images
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, KIND, TestSet
from lungsight.inference import Detector
from lungsight.package import ModelPackage
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.outcomes import FAULT

#: An AUROC above this at a hospital the model never saw is rarer than a leak.
TOO_GOOD = 0.98
_NEEDS_A_MODEL = "Only a model package can be asked: these are somebody's predictions, without their model."


@dataclass(frozen=True)
class Settings:
    """How a test is done.

    Attributes:
        target: the class set against the rest; None: the package's own.
        prevalence: of the target where the model would be used, between 0 and 1.
        trained_patients: keep other images of patients that were trained on.
        look_alikes: keep images that only look like one trained on.
        audit_images: at most so many images of each kind are altered by an audit.
        retrain: train the package's recipe without each of its sources in turn.
        lungs_by: the package whose lung fields the audits hide; None: the tested package's own, if it has any.
        command: what the user typed.
    """

    target: str | None = None
    prevalence: float | None = None
    trained_patients: bool = False
    look_alikes: bool = False
    audit_images: int = 400
    retrain: bool = False
    lungs_by: ModelPackage | None = None
    resampling: Resampling = field(default_factory=Resampling)
    command: str = ""


def evaluate_package(
    package: ModelPackage, manifests: Sequence[Manifest], out: Path, settings: Settings = Settings()
) -> Evidence:
    """Judge every eligible image of ``manifests`` and gather the evidence. What takes long is kept in the folder
    ``out``: the same call there goes on where one was cut off.

    A source is internal where the model was trained on other patients of it, external where it wasn't. Raises
    InvalidManifest where no image is eligible or readable, or where the target is no class of the model;
    InvalidPackage."""
    description = package.description
    target = settings.target or description.target
    if target not in description.classes:
        hint = f"give one of {', '.join(description.classes)}"
        raise ManifestError(f"--target {target}", "is no class of this model", hint)
    joined = Manifest.joined(list(manifests), " + ".join(m.name for m in manifests))
    known = {source.name for source in description.sources}
    out.mkdir(parents=True, exist_ok=True)
    with ProgressBars() as tasks:
        eligible = eligible_images(
            joined, package, target=target, trained_patients=settings.trained_patients,
            look_alikes=settings.look_alikes, progress=tasks.counting("Looking for images it was trained on"),
        )  # fmt: skip
        if not len(eligible.manifest):
            names = " + ".join(m.name for m in manifests)
            raise ManifestError(names, "holds no image to test on", _why_none(eligible))
        detector, companions = Detector.load(package, features=True), Companions.of(package, settings.lungs_by)
        testset = predict_manifest_images(
            detector, eligible.manifest, progress=tasks, cache=out / "predictions.jsonl", companions=companions
        )
        _refuse_unreadable(testset, manifests)
        kinds = [INTERNAL if source in known else EXTERNAL for source in testset.table["source"]]
        testset = _told_apart(replace(testset.with_columns(**{KIND: kinds}), target=target))
        retrained = _retrained(package, joined, testset, out, settings, tasks)
        audits = [
            *_audits_of_model(package, detector, testset, out, settings, tasks),
            *_audits_of_data(testset, retrained, settings, tasks),
        ]
        subject = TestedModel(package.id, description.classes, target, description, tuple(sorted(known)))
        unit = description.split_unit
        notices = (*joined.notices, *(eligible.overlap.notices if eligible.overlap else ()))
        return _gathered(subject, testset, eligible, audits, unit, notices, settings, tasks)


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
    """Gather the evidence on somebody's predictions for the images of ``manifests``.

    ``classes`` maps each class to the manifests' labels; ``called`` is what the table calls its columns;
    ``trained_sources`` names the sources that their model was trained on, or ``trained_on`` the images. Without
    either nobody knows which source is internal. Raises InvalidPredictions, InvalidManifest."""
    out.mkdir(parents=True, exist_ok=True)
    with ProgressBars() as tasks:
        trained, joined = None, Manifest.joined(list(manifests), " + ".join(m.name for m in manifests))
        if trained_on:
            training = Manifest.joined(list(trained_on))
            trained = TrainingImages.of_manifest(training, progress=tasks.counting("Reading training images"))
            trained_sources = trained_sources or sorted(set(training.table["source"]))
        matched = match_predictions(
            table, joined, classes=classes, target=settings.target,
            called=called, trained_sources=trained_sources, trained=trained, progress=tasks,
            cache=out / "headers.jsonl",
        )  # fmt: skip
        testset = _told_apart(matched.testset)
        audits = [*_not_asked(testset.target), *_audits_of_data(testset, (), settings, tasks)]
        sources = None if trained_sources is None else tuple(sorted(trained_sources))
        subject = TestedModel(table.name, testset.classes, testset.target, None, sources)
        notices = (*joined.notices, *matched.notices)
        return _gathered(subject, testset, matched.eligible, audits, None, notices, settings, tasks)


def _told_apart(testset: TestSet) -> TestSet:
    """A source that happens to be called ``all`` must not pass for all sources together."""
    return testset.with_columns(source=testset.table["source"].replace(ALL_SOURCES, f"{ALL_SOURCES} (a source)"))


def _refuse_unreadable(testset: TestSet, manifests: Sequence[Manifest]) -> None:
    problems = testset.table[FAULT]
    if (problems != "").all():
        names = " + ".join(m.name for m in manifests)
        problem = f"none of its {len(problems)} images can be judged (the first: {problems.iloc[0].rstrip('.')})"
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


def _audits_of_model(
    package: ModelPackage, detector: Detector, testset: TestSet, out: Path, settings: Settings, tasks: ProgressBars
) -> list[Audit]:
    """The audits that ask the model something new; its answers are kept in ``audits.jsonl``."""
    cache, most, resampling = out / "audits.jsonl", settings.audit_images, settings.resampling
    return [
        *occlusion.occlusion_audits(
            detector, testset, at_most=most, cache=cache, advance=tasks.advancing("Hiding the lungs"),
            resampling=resampling,
        ),
        changes.nuisance_edits(
            detector, testset, at_most=max(1, most // 2), cache=cache,
            advance=tasks.advancing("Changing what is irrelevant"), resampling=resampling,
        ),
        stressing.stress(
            detector, testset, at_most=max(1, most // 4), cache=cache, progress=tasks.advancing("Stress"),
            resampling=resampling,
        ),
        looking.localization(
            testset, package.description.preprocessing, at_most=most, progress=tasks.advancing("Where it looks"),
            resampling=resampling,
        ),
        randomising.saliency_sanity_check(
            package, testset, cache=out / "shuffled.jsonl", progress=tasks.advancing("Shuffling weights"),
            resampling=resampling,
        ),
    ]  # fmt: skip


def _audits_of_data(
    testset: TestSet, retrained: Sequence[HeldOut], settings: Settings, tasks: ProgressBars
) -> list[Audit]:
    """The audits that need nothing but what was already judged."""
    tasks.add_task("Header only, whose image is it", total=None)
    return [
        image_statistics_only(testset, resampling=settings.resampling),
        source_probe(testset, resampling=settings.resampling),
        leave_one_source_out(testset, retrained=retrained, resampling=settings.resampling),
    ]


#: The audits that need the model, with what they ask.
_OF_MODEL = {
    **occlusion.QUESTIONS,
    **{audit.NAME: audit.QUESTION for audit in (changes, stressing, looking, randomising)},
}


def _not_asked(target: str) -> list[Audit]:
    words = as_words(target)
    return [not_done(name, question.format(target=words), _NEEDS_A_MODEL) for name, question in _OF_MODEL.items()]


def _gathered(
    subject: TestedModel,
    testset: TestSet,
    eligible: Eligible,
    audits: Sequence[Audit],
    split_unit: str | None,
    notices: Sequence[str],
    settings: Settings,
    tasks: ProgressBars,
) -> Evidence:
    resampling, prevalence = settings.resampling, settings.prevalence
    tasks.add_task("Resampling patients", total=None)
    found = discrimination(testset, prevalence=prevalence, resampling=resampling)
    package = subject.description
    image_size = package.preprocessing.image_size if package else None
    stated, stated_for = (package.decision, package.target) if package else (None, None)
    return Evidence(
        subject=subject,
        testset=testset,
        flow=flow(eligible, testset, split_unit=split_unit, resampling=resampling),
        discrimination=found,
        calibration=calibration(testset, resampling=resampling),
        decision=decision(testset, stated, stated_for=stated_for, prevalence=prevalence, resampling=resampling),
        subgroups=subgroups(testset, resampling=resampling, image_size=image_size),
        audits=tuple(audits),
        verdict=decide(testset, audits, resampling),
        resampling=resampling,
        made=datetime.now(UTC).replace(microsecond=0),
        prevalence=prevalence,
        notices=(*_too_good(found, subject.target), *data_warnings(testset), *notices),
        command=settings.command,
    )


def _too_good(found: Section, target: str) -> list[str]:
    """An alarm for each external source at which the model is better than can be believed."""
    metrics = found.tables["metrics"]
    rows = metrics[(metrics["kind"] == EXTERNAL) & (metrics["scope"] == target) & (metrics["metric"] == "auroc")]
    return [
        f"AUROC {row['value']:.3f} at {row['source']}, which the model never saw, is too good to be true: look for a "
        "leak (the same images in training, or something in the pictures that tells the label)."
        for row in rows[rows["value"] > TOO_GOOD].to_dict("records")
    ]


def _why_none(eligible: Eligible) -> str:
    reasons = "; ".join(f"{step.left_out} {step.reason}" for step in eligible.flow if step.left_out)
    return f"of {eligible.came_in} images were left out: {reasons}"
