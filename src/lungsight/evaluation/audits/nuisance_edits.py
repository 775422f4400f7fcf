"""Irrelevant changes: does a mark, a softer focus or a larger patient alone make an image positive?

The causal question behind every shortcut (Castro, Walker & Glocker 2020): the disease stays as it is, something else
is changed, and the model's answer should stay too. Blur and magnification reach into the lungs, where hiding can't
part them from the disease.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from lungsight._text import as_words
from lungsight.evaluation.audits.audit import AuditAnswer, AuditInput, AuditSpec, Need, by_rule, unanswered
from lungsight.evaluation.audits.corruptions import AS_IT_IS, STRESSES, as_it_is, at
from lungsight.evaluation.audits.illustration import Illustrated
from lungsight.evaluation.audits.perturbed_predictions import Perturbations
from lungsight.evaluation.formatting import as_figure, as_sample, withheld_because
from lungsight.evaluation.rows import Row
from lungsight.evaluation.testset.altered import Alteration, AuditedImage
from lungsight.evaluation.testset.testset import ALL_SOURCES, KINDS, TestSet
from lungsight.statistics.bootstrap import FEWEST_PATIENTS, Resampling, estimate, withheld
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import Floats, Floats32
from lungsight.statistics.ranking import auroc, ranking_estimate

#: A change that moves a negative more than this part of the way to a positive is read as the disease.
MOVES = 2 / 3
RULE = (
    "a shortcut, where one change moves the images without the disease by more than two thirds of the distance "
    "between those without and those with it, with its whole 95% interval"
)
#: A model whose AUROC isn't above this with its whole interval leaves no distance to measure a move by.
TOLD = 0.65
_NAMES = {"letter below": 8, "white border": 2, "blur": 0.5}
_CLOSER = "taken closer"
_MAGNIFIED = 1.15
#: A probability nearer to 0 or 1 than this is as good as certain; keeps the logit finite.
_CERTAIN = 1e-6


def closer(exam: AuditedImage) -> Floats32:
    """The middle of the image, magnified: a larger patient, or one nearer to the tube."""
    height, width = exam.pixels.shape
    enlarge = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 0, _MAGNIFIED)
    return np.asarray(cv2.warpAffine(exam.pixels, enlarge, (width, height)), dtype=np.float32)


def _changes() -> dict[str, tuple[str, Alteration]]:
    """By the words for people: the name among the network's answers, and the alteration."""
    stressed = ((s, _NAMES[s.name]) for s in STRESSES if s.name in _NAMES)
    return {_CLOSER: (f"closer {_MAGNIFIED:g}", closer)} | {
        f"{s.name} ({s.level(x)})": (s.key(x), at(s, x)) for s, x in stressed
    }


CHANGES = _changes()
PERTURBATIONS = Perturbations({AS_IT_IS: as_it_is, **dict(CHANGES.values())}, share=1 / 2)


def nuisance_edits(given: AuditInput) -> AuditAnswer:
    """Change images and measure how far towards the target that moves the negatives.

    The effect is the largest mean move of the target's logit among the negatives, as a part of the distance between
    the mean logits of negatives and positives as they are.
    """
    shown, answers = given.perturbed(PERTURBATIONS)
    logits = {name: _logit(p[:, given.target]) for name, p in answers.items()}
    rows = []
    for kind in KINDS:
        mask = shown.of_kind(kind) & np.isfinite(logits[AS_IT_IS])
        images, before = shown.where(mask), logits[AS_IT_IS][mask]
        for name, (key, _) in CHANGES.items() if mask.any() else ():
            labels = {"kind": kind, "source": ALL_SOURCES, "change": name}
            rows.append(Row(labels, _moved(images, before, logits[key][mask], given.resampling)))
    known = [row for row in rows if row.estimate.low is not None]
    if not known:
        withheld = (withheld_because(row.estimate) for row in rows if row.estimate.withheld)
        return unanswered(
            f"It couldn't be asked: {'; '.join(sorted(set(withheld)) or ['no image could be altered'])}."
        )
    chosen = max(known, key=lambda row: float(row.estimate.low or 0))
    called = chosen.estimate.low is not None and chosen.estimate.low > MOVES
    excluded = all(row.estimate.high is not None and row.estimate.high < MOVES for row in known)
    call = by_rule(found=called, excluded=excluded, images=chosen.estimate.n)
    meaning = _meaning(chosen.labels, chosen.estimate, shown.target, called)
    return AuditAnswer(call, meaning, chosen.estimate, tuple(rows), len(shown))


def _logit(probability: Floats) -> Floats:
    clipped = np.clip(probability, _CERTAIN, 1 - _CERTAIN)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def _moved(images: TestSet, before: Floats, after: Floats, resampling: Resampling) -> Estimate:
    """Mean move of the negatives over the distance between positives and negatives, resampled together by patient."""
    sample, positive, name = images.sample, images.positive, "moved_towards_target"
    patients = [sample.patients_among(side) for side in (positive, ~positive)]
    if min(patients) < FEWEST_PATIENTS:
        reason = (
            f"{patients[0]} positive and {patients[1]} negative patients, and {FEWEST_PATIENTS} of each are needed"
        )
        return withheld(name, sample, reason)
    told = ranking_estimate("auroc", sample, auroc(before, positive), resampling=resampling)
    if told.low is None or told.low <= TOLD:
        return withheld(name, sample, f"the model hardly tells the two apart here, AUROC {as_figure(told)}")
    move = np.where(positive, 0.0, after - before)

    def part(weights: Floats) -> Floats:
        of_positive, of_negative = weights * positive, weights * ~positive
        negatives = of_negative.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            distance = of_positive @ before / of_positive.sum(axis=1) - of_negative @ before / negatives
            return np.asarray(np.where(distance > 0, of_negative @ move / negatives / distance, np.nan))

    found = estimate(name, sample, part, resampling=resampling)
    if found.low is None:
        return withheld(name, sample, "the model's probabilities for positives and negatives aren't surely apart")
    return found


def _meaning(labels: Mapping[str, object], effect: Estimate, target: str, called: bool) -> str:
    part = f"{effect.value:.0%} ({effect.low:.0%} to {effect.high:.0%}, {as_sample(effect)})"
    sentence = (
        f"Of the changes, '{labels['change']}' moves {labels['kind']} images without {as_words(target)} most: "
        f"{part} of the way to those with it. "
    )
    return sentence + (
        "The model reads it as a sign of the disease."
        if called
        else "That is too little to be taken for the disease."
    )


SPEC = AuditSpec(
    "irrelevant changes",
    "Does a mark, a softer focus or a closer patient alone move an image towards {target}?",
    nuisance_edits,
    RULE,
    needs=frozenset({Need.MODEL}),
    calls_shortcut=True,
    perturbations=PERTURBATIONS,
    illustrated=tuple(Illustrated(key, words, positive=False) for words, (key, _) in CHANGES.items()),
)
