"""Which test images the model has seen: the same file, the same patient, or an image that looks the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lungsight.datasets.duplicates.fingerprints import Progress, fingerprint_manifest, silent
from lungsight.datasets.duplicates.perceptual_hash import as_bits, distances, perceptual_hash, perceptual_hashes
from lungsight.datasets.manifest import Manifest
from lungsight.datasets.splits import TEST, TRAIN
from lungsight.package import ModelPackage, TrainedImage
from lungsight.package.trained_on import patient_digest
from lungsight.statistics.outcomes import SHA256, Integers, Mask

#: Perceptual hashes that differ in at most so many of 256 bits are of one image. docs/results/overlap.md measures it.
ALIKE = 44
#: The same of phantoms, which share one anatomy: of 260 the two most alike differ in 32 bits, whole copies in 24 at
#: most (128 px, seed 7100).
ALIKE_PHANTOMS = 28
#: Test images compared with all training images at a time.
_BLOCK = 1024
#: Digits of a training image's sha256 by which a table names it.
_DIGITS = 12


class Match(StrEnum):
    """How a test image was met before."""

    PATIENT = "same patient"
    FILE = "same file"
    LOOK_ALIKE = "looks the same"


@dataclass(frozen=True, eq=False)
class TrainingImages:
    """The images a model was trained or tuned on, whoever says which.

    Attributes:
        images: what is known of each.
        names: of each, for tables that list what was met again.
        stated_by: who says so: the package's path, or the manifest's name.
    """

    images: tuple[TrainedImage, ...]
    names: tuple[str, ...]
    stated_by: str

    @classmethod
    def of_package(cls, package: ModelPackage) -> Self:
        """As the package carries them. Raises InvalidPackage."""
        images = package.trained_on
        return cls(
            images, tuple(f"{image.split} image {image.sha256[:_DIGITS]}" for image in images), str(package.path)
        )

    @classmethod
    def of_manifest(cls, manifest: Manifest, *, cache: Path | None = None, progress: Progress = silent) -> Self:
        """As a manifest lists them, all but its test images, for a model without a package.

        Files that can't be read are known by their patients alone. ``cache`` is where fingerprints are kept.
        """
        fitted = manifest.where(manifest.table["split"] != TEST)
        fingerprints = fingerprint_manifest(fitted, cache=cache, progress=progress)
        rows = fitted.table[["source", "patient", "split"]].to_numpy(dtype=str)
        images = tuple(
            TrainedImage.of(
                file, source=source, patient=patient, split=split or TRAIN, perceptual_hash=perceptual_hash(thumbnail)
            )
            for file, thumbnail, (source, patient, split) in zip(
                fingerprints.files, fingerprints.thumbnails, rows, strict=True
            )
        )
        return cls(images, tuple(fitted.table["path"]), manifest.name)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def without_hash(self) -> int:
        """How many images can't be known again by their looks."""
        return sum(not image.perceptual_hash for image in self.images)

    @property
    def any_hash(self) -> bool:
        """Whether any image can be known again by its looks."""
        return self.without_hash < len(self)


@dataclass(frozen=True, eq=False)
class Overlap:
    """What a test shares with the training.

    Attributes:
        masks: bool [n] for each way an image was met before, in the order of the images looked at. An image stands in
            the first that holds: same patient, same file, looks the same.
        matches: one row per image met before: path, source, label, how, distance (bits of 256 that differ, for
            images that look the same), training_image, training_source, training_split.
        compared: how many images were compared by their looks.
        notices: what couldn't be looked for: sentences.
    """

    masks: dict[Match, Mask]
    matches: pd.DataFrame
    compared: int
    notices: tuple[str, ...]

    @property
    def counts(self) -> pd.DataFrame:
        """Images by how they were met before, and their source."""
        order = pd.CategoricalDtype([str(match) for match in Match], ordered=True)
        grouped = self.matches.assign(how=self.matches["how"].astype(order)).groupby(["how", "source"], observed=True)
        return grouped.size().rename("images").reset_index().astype({"how": object})


def find_overlap(
    images: Manifest,
    trained: TrainingImages,
    *,
    patients: bool = True,
    cache: Path | None = None,
    progress: Progress = silent,
) -> Overlap:
    """Look for each of ``images``, which have the column ``sha256``, among the images trained on.

    ``patients=False`` doesn't ask whose images they are. ``progress`` counts the images read to be compared by their
    looks; what a fingerprint needs is kept in ``cache`` (if not given, the user's cache folder).
    """
    seen = {
        Match.PATIENT: _rows_of({image.patient: row for row, image in enumerate(trained.images)}, _digests(images))
        if patients
        else np.full(len(images), -1),
        Match.FILE: _rows_of(
            {image.sha256: row for row, image in enumerate(trained.images) if image.sha256}, images.table[SHA256]
        ),
    }
    new = (seen[Match.PATIENT] < 0) & (seen[Match.FILE] < 0)
    nearest, apart = _nearest(images, np.flatnonzero(new), trained, cache, progress)
    most = np.where(images.is_simulated, ALIKE_PHANTOMS, ALIKE)
    seen[Match.LOOK_ALIKE] = np.where(apart <= most, nearest, -1)
    taken = np.zeros(len(images), dtype=bool)
    masks: dict[Match, Mask] = {}
    for match, rows in seen.items():
        masks[match] = (rows >= 0) & ~taken
        taken |= masks[match]
    listed = [_listed(images, match, mask, seen[match], apart, trained) for match, mask in masks.items()]
    compared = int(new.sum()) if trained.any_hash else 0
    return Overlap(masks, pd.concat(listed, ignore_index=True), compared, tuple(_notices(trained)))


def _rows_of(known: dict[str, int], keys: Sequence[str] | pd.Series) -> Integers:
    """The training image with each key, -1 where there is none, int [n]."""
    return np.array([known.get(key, -1) for key in keys], dtype=np.int64)


def _digests(images: Manifest) -> list[str]:
    pairs = zip(images.table["source"], images.table["patient"], strict=True)
    return [patient_digest(source, patient) for source, patient in pairs]


def _nearest(
    images: Manifest, rows: NDArray[np.intp], trained: TrainingImages, cache: Path | None, progress: Progress
) -> tuple[Integers, Integers]:
    """For each image the training image it looks most like, as it is or mirrored, and the bits that differ.

    Bits beyond any hash for images not in ``rows`` and for those that have no hash.
    """
    nearest = np.full(len(images), -1, dtype=np.int64)
    apart = np.full(len(images), np.iinfo(np.int64).max)
    hashed = np.array([i for i, image in enumerate(trained.images) if image.perceptual_hash], dtype=np.int64)
    if not len(hashed) or not len(rows):
        return nearest, apart
    known = as_bits([trained.images[i].perceptual_hash for i in hashed])
    thumbnails = fingerprint_manifest(
        Manifest(images.table.iloc[rows].reset_index(drop=True), images.name), cache=cache, progress=progress
    ).thumbnails
    for mirrored in (False, True):
        hashes = perceptual_hashes(thumbnails, mirrored=mirrored)
        comparable = np.array([i for i, digits in enumerate(hashes) if digits], dtype=np.int64)
        for block in np.array_split(comparable, max(1, -(-len(comparable) // _BLOCK))):
            between = distances(as_bits([hashes[i] for i in block]), known)
            closest, places = between.min(axis=1), rows[block]
            better = closest < apart[places]
            apart[places[better]] = closest[better]
            nearest[places[better]] = hashed[between.argmin(axis=1)[better]]
    return nearest, apart


def _listed(
    images: Manifest, match: Match, mask: Mask, rows: Integers, apart: Integers, trained: TrainingImages
) -> pd.DataFrame:
    met = [trained.images[row] for row in rows[mask]]
    named = match != Match.PATIENT  # a patient's images are many; which of them was trained on says nothing more
    return images.table.loc[mask, ["path", "source", "label"]].assign(
        how=str(match),
        distance=apart[mask].astype(float) if match == Match.LOOK_ALIKE else np.nan,
        training_image=[trained.names[row] for row in rows[mask]] if named else "",
        training_source=[image.source for image in met],
        training_split=[image.split for image in met] if named else "",
    )


def _notices(trained: TrainingImages) -> Iterator[str]:
    missing, all_of_them = trained.without_hash, len(trained)
    if not all_of_them:
        yield f"{trained.stated_by} names no image the model was trained on: no overlap with this test can be found."
    elif missing == all_of_them:
        yield (
            f"{trained.stated_by} carries no perceptual hashes, as packages made by an older lungsight do, so images "
            "that were altered or saved anew can't be known again: only the same files and patients were left out."
        )
    elif missing:
        yield (
            f"{missing:,} of the {all_of_them:,} images trained on have no perceptual hash (plain or unreadable), so "
            "altered copies of these can't be known again."
        )
