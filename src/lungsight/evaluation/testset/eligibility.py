"""Which images a model may be tested on, and how many were left out for which reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from lungsight._files import file_sha256
from lungsight.datasets.duplicates.fingerprints import Progress, silent
from lungsight.datasets.label_mapping import NO_DIAGNOSIS, label_counts, options_for
from lungsight.datasets.manifest import Manifest
from lungsight.errors import ManifestError, printable
from lungsight.evaluation.formatting import as_words
from lungsight.evaluation.testset.classes import classes_of_package, truth_of
from lungsight.evaluation.testset.overlap import Match, Overlap, TrainingImages, find_overlap
from lungsight.package import ModelPackage
from lungsight.statistics.outcomes import SHA256, TRUTH

#: From the images to bool [n]: those to keep.
Rule = Callable[[Manifest], pd.Series]

#: Why an image that was met before is left out.
SEEN_BEFORE: Mapping[Match, str] = {
    Match.PATIENT: "of a patient the model was trained or tuned on",
    Match.FILE: "the very file was trained or tuned on",
    Match.LOOK_ALIKE: "looks like an image the model was trained or tuned on",
}


@dataclass(frozen=True)
class Step:
    """One rule of the flow: why images were left out, how many, and how many that left."""

    reason: str
    left_out: int
    remain: int


@dataclass(frozen=True, eq=False)
class Eligible:
    """The images to test on, and how they were come by.

    Attributes:
        manifest: the images that remain, with ``truth`` and ``sha256``.
        came_in: how many images there were.
        flow: the rules in the order they were applied.
        labels_left_out: of the images without a class, how many had each label.
        left_out: the images left out: path, source, patient, label, reason.
        overlap: what the test shared with the training; None where nobody says what the model was trained on.
    """

    manifest: Manifest
    came_in: int
    flow: tuple[Step, ...]
    labels_left_out: Mapping[str, int]
    left_out: pd.DataFrame = field(default_factory=pd.DataFrame)
    overlap: Overlap | None = None

    def after(self, reason: str, kept: pd.Series) -> Eligible:
        """What remains when only the images under ``kept``, bool [n], are kept."""
        images = self.manifest.table
        gone = images.loc[~kept, ["path", "source", "patient", "label"]].assign(reason=reason)
        return replace(
            self,
            manifest=self.manifest.where(kept),
            flow=(*self.flow, Step(reason, int((~kept).sum()), int(kept.sum()))),
            left_out=pd.concat([self.left_out, gone], ignore_index=True),
        )


def eligible_images(
    manifest: Manifest,
    package: ModelPackage,
    *,
    target: str | None = None,
    classes: Mapping[str, Sequence[str]] | None = None,
    trained_patients: bool = False,
    look_alikes: bool = False,
    cache: Path | None = None,
    progress: Progress = silent,
) -> Eligible:
    """:func:`images_to_test_on` for a package: it says which labels its classes hold, and what it was trained on.

    ``target`` is the class set against the rest (None: the package's own), ``classes`` the labels of those classes
    that hold others than the package says. Raises PackageError and ManifestError.
    """
    known = classes_of_package(package)
    if foreign := sorted(set(classes or {}) - set(known)):
        hint = f"the model's classes are {', '.join(known)}"
        raise ManifestError(f"--class {printable(foreign[0])}", "isn't a class of this model", hint)
    return images_to_test_on(
        manifest, {**known, **(classes or {})}, target or package.description.target,
        TrainingImages.of_package(package), trained_patients=trained_patients, look_alikes=look_alikes,
        cache=cache, progress=progress,
    )  # fmt: skip


def images_to_test_on(
    manifest: Manifest,
    classes: Mapping[str, Sequence[str]],
    target: str,
    trained: TrainingImages | None = None,
    *,
    trained_patients: bool = False,
    look_alikes: bool = False,
    cache: Path | None = None,
    progress: Progress = silent,
) -> Eligible:
    """Leave out what the model's classes don't cover, what is no frontal X-ray, and what the model has seen.

    Args:
        manifest: the images.
        classes: the labels of each class.
        target: the class set against the rest.
        trained: what the model was trained or tuned on; None if that isn't known.
        trained_patients: keep other images of patients trained or tuned on.
        look_alikes: keep images that only look like one trained on.
        cache: that of :func:`find_overlap`.
        progress: likewise.

    Raises:
        ManifestError: labels are unknown or may be mistaken, a file has two of them, no image is of the target, or
            none is without it.
    """
    truth = truth_of(manifest.table["label"], classes, target, manifest.name)
    without_class = manifest.table["label"][truth == ""].value_counts()
    eligible = Eligible(
        manifest.with_columns(**{TRUTH: truth}), len(manifest), (), {str(k): int(n) for k, n in without_class.items()}
    )
    for reason, keeps in _RULES:
        eligible = eligible.after(reason, keeps(eligible.manifest))
    refuse_one_sided(eligible, classes, target)
    hashed = eligible.manifest.with_columns(**{SHA256: [_sha256(path) for path in eligible.manifest.table["path"]]})
    refuse_two_truths(hashed)
    unseen = replace(eligible, manifest=hashed)
    if trained is not None:
        unseen = without_overlap(
            unseen,
            trained,
            trained_patients=trained_patients,
            look_alikes=look_alikes,
            cache=cache,
            progress=progress,
        )
    digests = unseen.manifest.table[SHA256]
    once = unseen.after("the same file again", ~digests.duplicated() | (digests == ""))
    refuse_one_sided(once, classes, target)
    return once


_RULES: tuple[tuple[str, Rule], ...] = (
    ("label is of no class of this model", lambda images: images.table[TRUTH] != ""),
    ("no X-ray", lambda images: images.is_projection),
    ("not a frontal view", lambda images: images.is_frontal),
)


def without_overlap(
    eligible: Eligible,
    trained: TrainingImages,
    *,
    trained_patients: bool = False,
    look_alikes: bool = False,
    cache: Path | None = None,
    progress: Progress = silent,
) -> Eligible:
    """Leave out what the model was trained or tuned on.

    ``look_alikes`` keeps images that look like one trained on, though they are listed; ``trained_patients`` as in
    :func:`eligible_images`.
    """
    overlap = find_overlap(eligible.manifest, trained, patients=not trained_patients, cache=cache, progress=progress)
    reasons = [match for match in Match if not (match == Match.PATIENT and trained_patients)]
    if look_alikes or not trained.any_hash:
        reasons.remove(Match.LOOK_ALIKE)
    found = replace(eligible, overlap=overlap)
    return _without(found, [(SEEN_BEFORE[match], pd.Series(overlap.masks[match])) for match in reasons])


def refuse_one_sided(eligible: Eligible, classes: Mapping[str, Sequence[str]], target: str) -> None:
    """Raise ManifestError if no image that is left is of the target, or none is without it."""
    images = eligible.manifest
    positive = images.table[TRUTH] == target
    if not len(images) or (positive.any() and not positive.all()):
        return
    side = f"{'without' if positive.all() else 'with'} {as_words(target)}"
    labels = {str(label): int(n) for label, n in images.table["label"].value_counts().items()}
    problem = f"no image {side} among the {len(images):,} that can be tested on ({label_counts(labels)})"
    if left := {label: n for label, n in eligible.labels_left_out.items() if label not in NO_DIAGNOSIS}:
        hint = f"if some of these labels, which are of no class, mean it, say so ({label_counts(left)}): "
        raise ManifestError(images.name, problem, hint + options_for(left, classes, target))
    raise ManifestError(images.name, problem, f"add images of patients {side}, from the same places")


def refuse_two_truths(images: Manifest) -> None:
    """Raise InvalidManifest where the same content, under several names, has labels of several classes."""
    table = images.table[images.table[SHA256] != ""]
    wrong = table[table.groupby(SHA256)[TRUTH].transform("nunique") > 1]
    if wrong.empty:
        return
    same = wrong[wrong[SHA256] == wrong[SHA256].iloc[0]].drop_duplicates(TRUTH)
    said = " and ".join(
        f"{printable(path)} is labelled {printable(label)}"
        for path, label in zip(same["path"], same["label"], strict=True)
    )
    more = wrong[SHA256].nunique() - 1
    others = f", and so it is with {more:,} more" if more else ""
    raise ManifestError(images.name, f"{said}, and both are the same file{others}", "give each image one label")


def _without(eligible: Eligible, steps: Iterable[tuple[str, pd.Series]]) -> Eligible:
    """Leave out the images under each mask, all of them masks over the images as they are now."""
    remain = pd.Series(True, index=eligible.manifest.table.index)
    for reason, mask in steps:
        eligible = eligible.after(reason, ~mask[remain].reset_index(drop=True))
        remain &= ~mask
    return eligible


def _sha256(path: str) -> str:
    """Of the file's bytes, in hexadecimal; empty where it can't be read (judging it will say why)."""
    try:
        return file_sha256(path)
    except OSError:
        return ""
