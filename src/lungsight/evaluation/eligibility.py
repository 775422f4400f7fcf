"""Which images a model may be tested on, and how many were left out for which reason."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lungsight.datasets.manifest import Manifest
from lungsight.evaluation.classes import class_of_labels
from lungsight.package import ModelPackage
from lungsight.package.trained_on import patient_digest
from lungsight.statistics.outcomes import SHA256, TRUTH

Rule = Callable[[Manifest], pd.Series]


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
    """

    manifest: Manifest
    came_in: int
    flow: tuple[Step, ...]
    labels_left_out: Mapping[str, int]


def eligible_images(manifest: Manifest, package: ModelPackage, *, trained_patients: bool = False) -> Eligible:
    """Leave out what the model's classes don't cover, what is no frontal X-ray, and what the model has seen.

    ``trained_patients`` keeps other images of patients trained or tuned on. Raises InvalidPackage."""
    classes = class_of_labels(package, manifest.table["label"].unique())
    truth = manifest.table["label"].map(classes).fillna("")
    labelled = manifest.with_columns(**{TRUTH: truth})
    left, flow = _apply(_rules_for_rows(package, trained_patients), labelled)
    hashed = left.with_columns(**{SHA256: [_sha256(Path(path)) for path in left.table["path"]]})
    left, more = _apply(_rules_for_files(package), hashed)
    without_class = manifest.table["label"][truth == ""].value_counts()
    return Eligible(left, len(manifest), (*flow, *more), {str(k): int(n) for k, n in without_class.items()})


def _apply(rules: Iterator[tuple[str, Rule]], images: Manifest) -> tuple[Manifest, list[Step]]:
    flow = []
    for reason, keeps in rules:
        kept = keeps(images)
        flow.append(Step(reason, int((~kept).sum()), int(kept.sum())))
        images = images.where(kept)
    return images, flow


def _rules_for_rows(package: ModelPackage, trained_patients: bool) -> Iterator[tuple[str, Rule]]:
    """Each reason to leave images out, with what tells the images to keep."""
    yield "label is of no class of this model", lambda images: images.table[TRUTH] != ""
    yield "no X-ray", lambda images: images.is_projection
    yield "not a frontal view", lambda images: images.is_frontal
    if not trained_patients:
        patients = {image.patient for image in package.trained_on}
        yield "of a patient the model was trained or tuned on", lambda images: ~_digests(images.table).isin(patients)


def _rules_for_files(package: ModelPackage) -> Iterator[tuple[str, Rule]]:
    files = {image.sha256 for image in package.trained_on}
    yield "the very file was trained or tuned on", lambda images: ~images.table[SHA256].isin(files)
    yield "the same file again", lambda images: ~images.table[SHA256].duplicated() | (images.table[SHA256] == "")


def _digests(table: pd.DataFrame) -> pd.Series:
    pairs = zip(table["source"], table["patient"], strict=True)
    return pd.Series([patient_digest(source, patient) for source, patient in pairs], index=table.index, dtype=object)


def _sha256(path: Path) -> str:
    """Of the file's bytes, in hexadecimal; empty where it can't be read (judging it will say why)."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
