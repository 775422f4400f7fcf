"""Adapt a package to a hospital: what is learnt from its images, and what that is worth on patients it didn't see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from lungsight._progress import ProgressBars
from lungsight._text import counted, listed
from lungsight.adaptation.figures import Comparison, compare
from lungsight.adaptation.learn import BIAS_ALONE, CrossValidated, Learned, Plan, Step, cross_validate, learn
from lungsight.adaptation.prepare import Prepared, prepare
from lungsight.datasets.manifest import Manifest
from lungsight.evaluation.sections.decisions_table import decisions_of
from lungsight.evaluation.testset.testset import DECISION, TestSet
from lungsight.package import ModelPackage
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.outcomes import PREDICTION, logit_column, probability_column


@dataclass(frozen=True)
class Settings:
    """How a package is adapted.

    Attributes:
        name: of the adapted package; empty: the package's own, with ``-adapted``.
        classes: the manifest's labels of those classes that hold others than the package says.
        cache: the folder that keeps what is computed from images; None: the user's own.
        resampling: replicates, level and seed of the intervals.
        command: what the user typed.
    """

    name: str = ""
    classes: Mapping[str, Sequence[str]] | None = None
    cache: Path | None = None
    resampling: Resampling = field(default_factory=Resampling)
    command: str = ""


@dataclass(frozen=True, eq=False)
class Adaptation:
    """What was learnt, and what it is worth; nothing is written yet.

    Attributes:
        package: the model before.
        settings: how it was adapted.
        prepared: the images.
        plan: how much was learnt.
        learned: from all images: what the adapted package holds.
        after: the images with what adaptations that didn't see their patient predict and decide.
        comparison: before and after.
        made: when.
    """

    package: ModelPackage
    settings: Settings
    prepared: Prepared
    plan: Plan
    learned: Learned
    after: TestSet
    comparison: Comparison
    made: datetime

    @property
    def patients(self) -> int:
        """How many patients the images come from."""
        return len(np.unique(self.prepared.images.patients))

    @property
    def name(self) -> str:
        """Of the adapted package."""
        return self.settings.name or f"{self.package.description.name}-adapted"

    @property
    def fitted(self) -> str:
        """What was fitted: a sentence."""
        if self.plan.step is Step.CALIBRATION:
            return "Fitted: the bias of the last layer, calibration and thresholds."
        if self.learned.strength == BIAS_ALONE:
            return (
                "Fitted: calibration and thresholds. Of the last layer only the bias changes: other weights did no "
                "better on patients that they didn't see."
            )
        rows = "every class" if self.plan.all_classes else "the target"
        return (
            f"Fitted: the last layer's weights of {rows} (ridge towards the package's own, penalty "
            f"{self.learned.strength:g}), calibration and thresholds."
        )

    @property
    def history(self) -> str:
        """What became of the package, in a few words, as ``initial_weights`` states it."""
        layer = "last layer" if self.learned.strength != BIAS_ALONE else "bias of the last layer"
        images = self.prepared.images
        where = listed(sorted(set(images.sources)))
        return (
            f"{layer}, calibration and thresholds adapted to {counted(len(images), 'image')} of "
            f"{counted(self.patients, 'patient')} of {where}"
        )


def adapt_package(
    package: ModelPackage, manifests: Sequence[Manifest], settings: Settings = Settings()
) -> Adaptation:
    """Learn from a hospital's images, and measure by cross-validation what that is worth.

    A call that was cut off goes on where it stopped: predictions are kept.

    Args:
        package: the model.
        manifests: the hospital's images; several are joined.
        settings: how it is done.

    Raises:
        ManifestError: too few images with or without the target can be used.
        PackageError: the package can't be used.
    """
    joined = Manifest.joined(list(manifests), " + ".join(m.name for m in manifests))
    with ProgressBars() as tasks:
        prepared = prepare(package, joined, tasks, classes=settings.classes, cache=settings.cache)
        plan = Plan.of(prepared.images, package.description)
        crossed = cross_validate(prepared.images, plan, tasks.counting("Learning without each fold of patients"))
        learned = learn(prepared.images, plan)
        after = predicted_anew(prepared.testset, crossed)
        tasks.add_task("Resampling patients", total=None)
        comparison = compare(prepared.testset, after, prepared.images.patients, settings.resampling)
    now = datetime.now(UTC).replace(microsecond=0)
    return Adaptation(package, settings, prepared, plan, learned, after, comparison, now)


def predicted_anew(testset: TestSet, crossed: CrossValidated) -> TestSet:
    """The images with cross-validated predictions and decisions in place of the package's own."""
    columns: dict[str, object] = {}
    for k, name in enumerate(testset.classes):
        columns |= {logit_column(name): crossed.logits[:, k], probability_column(name): crossed.probabilities[:, k]}
    names = np.array(testset.classes, dtype=object)
    after = testset.with_columns(**columns, **{PREDICTION: names[crossed.probabilities.argmax(axis=1)]})
    decisions = np.empty(len(testset), dtype=object)
    for rule, rows in crossed.rules:
        fold = np.isin(np.arange(len(testset)), rows)
        decisions[fold] = decisions_of(after.where(fold), rule, testset.target)
    return replace(after.with_columns(**{DECISION: decisions}), features=None, maps=None, lungs=())
