"""From a hospital's manifest to the images that a package can be adapted to, each with its prediction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lungsight._progress import ProgressBars
from lungsight._text import as_words, counted
from lungsight.adaptation.learn import ENOUGH_FOR_LAST_LAYER, ENOUGH_IN_ALL, FEWEST
from lungsight.adaptation.local_images import Directions, LocalImages
from lungsight.datasets.cache_folder import cache_folder
from lungsight.datasets.duplicates.fingerprint import Thumbnail
from lungsight.datasets.duplicates.fingerprints import Fingerprints, fingerprint_manifest
from lungsight.datasets.duplicates.perceptual_hash import BITS, as_bits, distances, perceptual_hashes
from lungsight.datasets.duplicates.search import DuplicatePair, Kind
from lungsight.datasets.leakage import leak_groups
from lungsight.datasets.manifest import COLUMNS, Manifest
from lungsight.datasets.splits import TEST
from lungsight.errors import ManifestError
from lungsight.evaluation.answer_store import AnswerStore
from lungsight.evaluation.testset.eligibility import Eligible, eligible_images
from lungsight.evaluation.testset.overlap import ALIKE
from lungsight.evaluation.testset.predict import predict_manifest_images
from lungsight.evaluation.testset.testset import INTERNAL, KIND, REFUSED, TestSet
from lungsight.inference import Detector
from lungsight.package import ModelPackage
from lungsight.package.bundled import package_with_view_classifier
from lungsight.statistics.bootstrap import FEWEST_PATIENTS
from lungsight.statistics.outcomes import FAULT, TRUTH, logit_column

#: The file in the cache folder that keeps predictions: a call that was cut off goes on where it stopped.
ANSWERS = "adapt.sqlite"
_KEPT_FOR_TESTING = "kept for testing by the column split"
_UNREADABLE, _REFUSED = "can't be read or analysed", "refused by the package's input gate"


@dataclass(frozen=True, eq=False)
class Prepared:
    """The images to adapt to.

    Attributes:
        testset: the images, with the package's own predictions and decisions.
        images: the same for learning.
        directions: of their features.
        fingerprints: of their files.
        eligible: how they were chosen.
        problems: the images that can't be read or analysed: a sentence each.
        warnings: what to keep in mind: sentences.
    """

    testset: TestSet
    images: LocalImages
    directions: Directions
    fingerprints: Fingerprints
    eligible: Eligible
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def prepare(
    package: ModelPackage,
    manifest: Manifest,
    tasks: ProgressBars,
    *,
    classes: Mapping[str, Sequence[str]] | None = None,
    cache: Path | None = None,
) -> Prepared:
    """Predict the images of ``manifest`` that the package can be adapted to.

    Left out are images of no class, of another view, kept for testing, refused by the gate, and those that the
    package was trained on: files, near-duplicates and patients.

    Args:
        package: the model.
        manifest: the hospital's images.
        tasks: shows the progress.
        classes: the manifest's labels of those classes that hold others than the package says.
        cache: the folder that keeps what is computed from images; None: the user's own.

    Raises:
        ManifestError: too few images with or without the target can be used.
        PackageError: the package can't be used.
    """
    folder = cache or cache_folder()
    eligible = eligible_images(
        manifest, package, classes=classes, cache=cache,
        progress=tasks.counting("Looking for images it was trained on"),
    )  # fmt: skip
    eligible = eligible.after(_KEPT_FOR_TESTING, eligible.manifest.table["split"] != TEST)
    target = package.description.target
    refuse_too_few(eligible, target)
    detector = Detector.load(package, features=True, views_from=package_with_view_classifier())
    with AnswerStore.open(folder / ANSWERS) as store:
        asked = eligible.manifest.with_columns(**{KIND: INTERNAL})
        predicted = predict_manifest_images(
            detector, asked, progress=tasks.counting("Analysing images"), store=store
        )  # fmt: skip
    table = predicted.table
    readable = table[FAULT] == ""
    accepted = table[REFUSED] == "" if REFUSED in table else readable
    eligible = eligible.after(_UNREADABLE, readable)
    eligible = eligible.after(_REFUSED, accepted[readable].reset_index(drop=True))
    problems = tuple(table[FAULT][~readable])
    refuse_too_few(eligible, target, problems)
    testset = predicted.where((readable & accepted).to_numpy(dtype=bool))
    used = Manifest(testset.table[list(COLUMNS)], manifest.name)
    fingerprints = fingerprint_manifest(used, cache=cache, progress=tasks.counting("Looking for near-duplicates"))
    groups = leak_groups(used, near_duplicates(fingerprints.thumbnails))
    images, directions = local_images(testset, groups)
    return Prepared(
        testset, images, directions, fingerprints, eligible,
        problems, tuple(_warnings(used, images)),
    )  # fmt: skip


def near_duplicates(thumbnails: Thumbnail) -> list[DuplicatePair]:
    """The pairs of images whose perceptual hashes are alike, as they are or mirrored: as a test knows an image again.

    Args:
        thumbnails: uint8 [n, side, side], of :class:`.Fingerprints`.
    """
    pairs = []
    plain = perceptual_hashes(thumbnails)
    for kind, hashes in ((Kind.REENCODED, plain), (Kind.MIRRORED, perceptual_hashes(thumbnails, mirrored=True))):
        known = [i for i in range(len(plain)) if plain[i] and hashes[i]]
        bits, others = as_bits([plain[i] for i in known]), as_bits([hashes[i] for i in known])
        for place, row in enumerate(known):
            apart = distances(bits[place : place + 1], others[place + 1 :])[0]
            near = np.flatnonzero(apart <= ALIKE)
            pairs += [DuplicatePair(row, known[place + 1 + i], kind, 1 - apart[i] / BITS) for i in near]
    return pairs


def refuse_too_few(eligible: Eligible, target: str, problems: Sequence[str] = ()) -> None:
    """Raise ManifestError if there are too few images, or patients, with or without the target.

    ``problems`` are of images that can't be read or analysed.
    """
    images = eligible.manifest
    positive = images.table[TRUTH] == target
    patients = images.patient_key
    for side, name in ((positive, f"with {as_words(target)}"), (~positive, f"without {as_words(target)}")):
        n, of = int(side.sum()), patients[side].nunique()
        if n < FEWEST or of < FEWEST_PATIENTS:
            left = [f"{step.left_out:,} left out: {step.reason}" for step in eligible.flow if step.left_out]
            left += [f"the first: {problem.rstrip('.')}" for problem in problems[:1]]
            why = f" ({'; '.join(left)})" if left else ""
            problem = f"{counted(n, 'image')} of {counted(of, 'patient')} {name} can be used{why}"
            hint = f"give at least {FEWEST} images of {FEWEST_PATIENTS} patients on either side"
            raise ManifestError(images.name, problem, hint)


def local_images(testset: TestSet, groups: np.ndarray) -> tuple[LocalImages, Directions]:
    """The images of a test set for learning, and the directions of their features.

    Args:
        testset: images with a label that were predicted with their features.
        groups: int [n], the same for images that share a patient, a study or an exposure.
    """
    assert testset.features is not None
    directions = Directions.of(testset.features.astype(np.float64))
    logits = testset.table[[logit_column(name) for name in testset.classes]].to_numpy(dtype=np.float64)
    target = testset.classes.index(testset.target)
    others = np.where(np.arange(len(testset.classes)) == target, -np.inf, logits).argmax(axis=1)
    index = {name: i for i, name in enumerate(testset.classes)}
    stated = testset.table[TRUTH].map(index)
    return LocalImages(
        classes=testset.classes,
        target=target,
        logits=logits,
        features=directions.along(testset.features.astype(np.float64)),
        labels=stated.fillna(0).to_numpy(dtype=np.int64) + stated.isna().to_numpy() * others,
        certain=stated.notna().to_numpy(dtype=bool),
        patients=np.unique(groups, return_inverse=True)[1].astype(np.int64),
        sources=testset.table["source"].to_numpy(dtype=str),
    ), directions


def _warnings(used: Manifest, images: LocalImages) -> Iterator[str]:
    if len(images) < ENOUGH_IN_ALL:
        yield (
            f"{counted(len(images), 'image')} are few: with fewer than {ENOUGH_IN_ALL}, thresholds and the figures "
            "below are largely a matter of chance."
        )
    positives = int(images.positive.sum())
    if len(images) < ENOUGH_IN_ALL and min(positives, len(images) - positives) < ENOUGH_FOR_LAST_LAYER:
        yield (
            f"The last layer stays as it is, except for its bias: that takes {ENOUGH_FOR_LAST_LAYER} images on "
            f"either side, or {ENOUGH_IN_ALL} in all."
        )
    if unnamed := int((~used.has_patient).sum()):
        yield (
            f"The patient of {unnamed:,} of {len(used):,} images isn't stated: each is taken for another patient, "
            "and the figures flatter if several are of one."
        )
    together = used.patient_key.nunique() - len(np.unique(images.patients))
    if together > 0:
        yield (
            f"Images of different patients are near-duplicates or of one study: {counted(together, 'patient')} fewer "
            "are counted."
        )
