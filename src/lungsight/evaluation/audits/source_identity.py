"""Own source: is each source another one, by what its images show and not by what the table calls it?

The images of one hospital under two names are still of one hospital. A probe that can't tell the images of two names
apart gives no reason to count them as two; and an external name that it can't tell from a source of the training
isn't shown to be external.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lungsight.datasets.duplicates.fingerprints import fingerprint_manifest
from lungsight.datasets.duplicates.perceptual_hash import as_bits, perceptual_hashes
from lungsight.datasets.manifest import Manifest
from lungsight.evaluation.audits.audit import AuditAnswer, AuditInput, AuditResult, AuditSpec, Need, unanswered
from lungsight.evaluation.audits.source_probe import out_of_fold
from lungsight.evaluation.formatting import as_figure
from lungsight.evaluation.rows import Row
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, KIND, TestSet
from lungsight.package import TrainedImage
from lungsight.statistics.bootstrap import Resampling, Sample, too_few, withheld
from lungsight.statistics.estimate import ALL_CLASSES, Estimate
from lungsight.statistics.outcomes import TRUTH, Floats32
from lungsight.statistics.ranking import auroc, auroc_within, ranking_estimate

#: Two names count as two sources where the probe's AUROC is above this with its whole interval, else as one: with few
#: images the interval is wide, and calling one hospital by two names must not be worth more for that.
DIFFERENT = 0.6
NAME = "own source"
BETWEEN = "auroc_between_sources"
#: The label that names the source that a row's own can't be told from; empty where it can.
SAME_AS = "same_as"
#: The ``other_kind`` of rows whose other images are those that the model was trained on, known by their hashes.
TRAINING = "training"
#: Kinds of sources that the model was trained on.
_TRAINED = (INTERNAL, TRAINING)
#: With fewer patients a name isn't compared, and at most so many images of one are.
_FEWEST, _MOST = 20, 400


def source_identity(given: AuditInput, *, seed: int = 0) -> AuditAnswer:
    """Whether a probe tells each source that isn't internal from the others before it, and from the training's.

    Two sources of the test are compared among images of the same class, by the network's features, image statistics
    and perceptual hashes. With a source of the training that has no images in the test only the hashes can be
    compared, over all classes. The probe is a logistic regression, tested on patients that it wasn't fitted on.

    A row's label :data:`SAME_AS` names the source that its own can't be told from. Of two names for the same images
    only the later one has it, so that one of them counts.
    """
    images = _Described.of(_sampled(given.testset.scored, seed))
    kinds = dict(zip(images.testset.table["source"], images.testset.table[KIND], strict=True))
    asked = sorted(name for name, kind in kinds.items() if kind != INTERNAL)
    if not asked:
        return unanswered("No source with enough patients is external.")
    rows: list[Row] = []
    for place, name in enumerate(asked):
        for other in (*(one for one in sorted(kinds) if kinds[one] == INTERNAL), *asked[:place]):
            found = images.between(name, other, given.resampling, seed)
            rows.append(_row(kinds[name], name, kinds[other], other, found))
        for other, trained in _of_training(given.trained, kinds) if kinds[name] == EXTERNAL else ():
            found = images.against(name, trained, given.resampling, seed)
            rows.append(_row(EXTERNAL, name, TRAINING, other, found))
    if not any(row.estimate.low is not None for row in rows):
        return unanswered("There are no two sources that could be compared.", tuple(rows))
    return _concluded(tuple(rows), asked, len(images.testset))


def _row(kind: str, name: str, other_kind: str, other: str, found: Estimate) -> Row:
    alike = found.low is not None and found.low <= DIFFERENT
    labels = {"kind": kind, "source": name, "other_kind": other_kind, "other": other, SAME_AS: other if alike else ""}
    return Row(labels, found)


def _sampled(testset: TestSet, seed: int) -> TestSet:
    """At most :data:`_MOST` images of each source with enough patients."""
    rng, chosen = np.random.default_rng(seed), np.zeros(len(testset), dtype=bool)
    for _, _, mask in testset.group_masks(together=False):
        rows = np.flatnonzero(mask)
        if len(np.unique(testset.patient[rows])) >= _FEWEST:
            chosen[rng.permutation(rows)[:_MOST]] = True
    return testset.where(chosen)


def _of_training(trained: Sequence[TrainedImage], kinds: dict[str, str]) -> Iterator[tuple[str, list[TrainedImage]]]:
    """Images with a hash, of each source that the test has no internal images of."""
    hashed = [image for image in trained if image.perceptual_hash]
    for name in sorted({image.source for image in hashed}):
        if kinds.get(name) != INTERNAL:
            yield name, [image for image in hashed if image.source == name]


@dataclass(frozen=True, eq=False)
class _Described:
    """Images and what the probe gets of them.

    Attributes:
        testset: the images, n.
        bits: float32 [n, 256], each bit of the perceptual hash as ±1; 0 where there is no hash.
        seen: float32 [n, c], features, statistics and bits.
    """

    testset: TestSet
    bits: Floats32
    seen: Floats32

    @classmethod
    def of(cls, images: TestSet) -> _Described:
        # most are kept since the look-alikes of the training were looked for; processes take longer to start
        fingerprints = fingerprint_manifest(Manifest(images.table, "test"), workers=1)
        bits = _bits(perceptual_hashes(fingerprints.thumbnails))
        parts = [bits, images.headers.to_numpy(dtype=np.float32)]
        parts += [] if images.features is None else [images.features]
        seen = np.concatenate(parts, axis=1)
        complete = np.isfinite(seen).all(axis=1)
        return cls(images.where(complete), bits[complete], seen[complete])

    def between(self, one: str, other: str, resampling: Resampling, seed: int) -> Estimate:
        """Of two sources of the test, among images of the same class."""
        names = self.testset.table["source"].to_numpy(dtype=str)
        mask = (names == one) | (names == other)
        images, second = self.testset.where(mask), names[mask] == other
        sample = Sample(images.patient, second, ALL_CLASSES)
        if reason := _too_few(sample):
            return withheld(BETWEEN, sample, reason)
        score = out_of_fold(self.seen[mask], second.astype(np.int64), images.patient, seed)[:, 1]
        truth = images.table[TRUTH].to_numpy(dtype=str)
        return auroc_within(BETWEEN, sample, score, truth, weighing="pairs", resampling=resampling)

    def against(self, name: str, trained: list[TrainedImage], resampling: Resampling, seed: int) -> Estimate:
        """Of a source of the test and one of the training, by perceptual hashes."""
        mask = (self.testset.table["source"] == name).to_numpy(dtype=bool) & self.bits.any(axis=1)
        chosen = np.random.default_rng(seed).permutation(len(trained))[:_MOST]
        theirs = [trained[i] for i in chosen]
        bits = np.concatenate([self.bits[mask], _bits([image.perceptual_hash for image in theirs])])
        second = np.arange(len(bits)) >= mask.sum()
        patients = [f"test {p}" for p in self.testset.patient[mask]] + [image.patient for image in theirs]
        sample = Sample(np.unique(patients, return_inverse=True)[1], second, ALL_CLASSES)
        if reason := _too_few(sample):
            return withheld(BETWEEN, sample, reason)
        score = out_of_fold(bits, second.astype(np.int64), sample.patient, seed)[:, 1]
        return ranking_estimate(BETWEEN, sample, auroc(score, second), resampling=resampling)


def _too_few(sample: Sample) -> str | None:
    return too_few(sample.smaller_side, "of one source", _FEWEST)


def _bits(hashes: Sequence[str]) -> Floats32:
    bits = np.zeros((len(hashes), 256), dtype=np.float32)
    known = np.array([bool(one) for one in hashes], dtype=bool)
    if known.any():
        bits[known] = np.unpackbits(as_bits([one for one in hashes if one]), axis=1) * np.float32(2) - 1
    return bits


def _concluded(rows: tuple[Row, ...], asked: Sequence[str], images: int) -> AuditAnswer:
    """The effect is the pair that is told apart worst."""
    known = [row for row in rows if row.estimate.low is not None]
    worst = min(known, key=lambda row: float(row.estimate.low or 0))
    alike = [_pair(row) for row in known if row.labels[SAME_AS]]
    sentence = (
        f"Told apart worst are {_pair(worst)}: AUROC {as_figure(worst.estimate)}, and {DIFFERENT:g} is needed with "
        "the whole interval. "
    )
    sentence += f"Not told apart, so counted as one source: {'; '.join(alike)}. " if alike else ""
    compared = {row.labels["source"] for row in known if row.labels["other_kind"] in _TRAINED}
    if unchecked := [name for name in asked if name not in compared]:
        sentence += f"Compared with no source of the training: {', '.join(unchecked)}."
    return AuditAnswer(AuditResult.REPORTED, sentence.strip(), worst.estimate, rows, images)


def _pair(row: Row) -> str:
    trained = " (trained on)" if row.labels["other_kind"] in _TRAINED else ""
    return f"{row.labels['source']} and {row.labels['other']}{trained}"


SPEC = AuditSpec(
    NAME,
    "Do the images of each source differ from those of the others, and from those that the model was trained on?",
    source_identity,
    needs=frozenset({Need.FILES, Need.TWO_SOURCES}),
)
