"""Irrelevant changes: does a mark, a softer focus or a larger patient alone make an image positive?

The causal question behind every shortcut (Castro, Walker & Glocker 2020): the disease stays as it is, something else
is changed, and the model's answer should stay too. Blur and magnification reach into the lungs, where hiding can't
part them from the disease.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np

from lungsight.evaluation.audits.audit import Audit, AuditResult, not_done
from lungsight.evaluation.audits.corruptions import AS_IT_IS, STRESSES
from lungsight.evaluation.audits.perturbed_predictions import (
    Alteration,
    AuditedImage,
    audited_rows,
    predict_perturbed,
)
from lungsight.evaluation.formatting import as_figure, as_sample, as_words, withheld_because
from lungsight.evaluation.tables import estimate_table
from lungsight.evaluation.testset.testset import KIND, KINDS, TestSet
from lungsight.inference import Detector
from lungsight.statistics.auroc import Ranked
from lungsight.statistics.bootstrap import Resampling, patient_weights, percentile_interval
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import Floats, Floats32

NAME = "irrelevant changes"
QUESTION = "Does a mark, a softer focus or a closer patient alone move an image towards {target}?"
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
_FEWEST_PATIENTS = 10
#: A probability nearer to 0 or 1 than this is as good as certain; keeps the logit finite.
_CERTAIN = 1e-6


def closer(exam: AuditedImage) -> Floats32:
    """The middle of the image, magnified: a larger patient, or one nearer to the tube."""
    height, width = exam.pixels.shape
    enlarge = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 0, _MAGNIFIED)
    return np.asarray(cv2.warpAffine(exam.pixels, enlarge, (width, height)), dtype=np.float32)


def _changes() -> dict[str, tuple[str, Alteration]]:
    """By what is shown to people: the key of the network's answers, and the alteration."""
    changes: dict[str, tuple[str, Alteration]] = {_CLOSER: (f"closer {_MAGNIFIED:g}", closer)}
    for stress in STRESSES:
        if stress.name in _NAMES:
            strength = _NAMES[stress.name]
            alter: Alteration = lambda exam, s=stress, x=strength: s.alter(exam, x)  # type: ignore[misc] # noqa: E731
            changes[f"{stress.name} ({stress.level(strength)})"] = (stress.key(strength), alter)
    return changes


def nuisance_edits(
    detector: Detector,
    testset: TestSet,
    *,
    at_most: int = 200,
    cache: Path | None = None,
    advance: Callable[[int], None] = lambda done: None,
    resampling: Resampling = Resampling(),
) -> Audit:
    """Change at most ``at_most`` images of each kind and see how far towards the target that moves those which
    truly aren't. The effect is the largest mean move of the target's logit among the negatives, as a part of the
    distance between the mean logits of negatives and positives as they are."""
    question = QUESTION.format(target=as_words(testset.target))
    kinds = [(testset.table[KIND] == kind).to_numpy() for kind in KINDS]
    rows = np.sort(np.concatenate([audited_rows(testset, at_most, among=kind) for kind in kinds if kind.any()]))
    changes = _changes()
    alterations = {AS_IT_IS: lambda exam: exam.pixels, **dict(changes.values())}
    answers = predict_perturbed(detector, testset, rows, alterations, cache=cache, advance=advance)
    logits = {name: _logit(p[:, testset.classes.index(testset.target)]) for name, p in answers.items()}
    shown = testset.where(np.isin(np.arange(len(testset)), rows))
    figures: list[tuple[Mapping[str, object], Estimate]] = []
    for kind in KINDS:
        mask = (shown.table[KIND] == kind).to_numpy() & np.isfinite(logits[AS_IT_IS])
        for name, (key, _) in changes.items() if mask.any() else ():
            moved = _moved(shown.where(mask), logits[AS_IT_IS][mask], logits[key][mask], resampling)
            figures.append(({"kind": kind, "source": "all", "change": name}, moved))
    known = [(labels, e) for labels, e in figures if e.low is not None]
    if not known:
        reasons = sorted({withheld_because(e) for _, e in figures if e.withheld}) or ["no image could be altered"]
        return not_done(NAME, question, f"It couldn't be asked: {'; '.join(reasons)}.", RULE)
    labels, effect = max(known, key=lambda one: float(one[1].low or 0))
    called = effect.low is not None and effect.low > MOVES
    return Audit(
        NAME, question, AuditResult.SHORTCUT if called else AuditResult.CLEAR,
        _meaning(labels, effect, testset.target, called),
        effect, estimate_table(figures), len(shown), RULE,
    )  # fmt: skip


def _logit(probability: Floats) -> Floats:
    clipped = np.clip(probability, _CERTAIN, 1 - _CERTAIN)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def _moved(images: TestSet, before: Floats, after: Floats, resampling: Resampling) -> Estimate:
    """Mean move of the negatives over the distance between positives and negatives, resampled together by patient."""
    positive, name = images.positive, "moved_towards_target"
    codes = np.unique(images.patient, return_inverse=True)[1]
    patients = [len(np.unique(codes[side])) for side in (positive, ~positive)]
    counts = (len(codes), int(positive.sum()), int((~positive).sum()), len(np.unique(codes)))
    if min(patients) < _FEWEST_PATIENTS:
        reason = (
            f"{patients[0]} positive and {patients[1]} negative patients, and {_FEWEST_PATIENTS} of each are needed"
        )
        return Estimate(name, images.target, None, None, None, *counts, withheld=reason)
    told = Ranked(positive, images.patient, images.target).auroc(before, resampling)
    if told.low is None or told.low <= TOLD:
        reason = f"the model hardly tells the two apart here, AUROC {as_figure(told)}"
        return Estimate(name, images.target, None, None, None, *counts, withheld=reason)
    move = np.where(positive, 0.0, after - before)

    def part(weights: Floats) -> Floats:
        of_positive, of_negative = weights * positive, weights * ~positive
        negatives = of_negative.sum(axis=1)
        distance = of_positive @ before / of_positive.sum(axis=1) - of_negative @ before / negatives
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(distance > 0, of_negative @ move / negatives / distance, np.nan))

    blocks = patient_weights(counts[3], len(codes), resampling)
    bounds = percentile_interval(np.concatenate([part(weights[:, codes]) for weights in blocks]), resampling.level)
    value = float(part(np.ones((1, len(codes))))[0])
    if bounds is None or not np.isfinite(value):
        reason = "the model's answers for positives and negatives don't lie surely apart"
        return Estimate(name, images.target, None, None, None, *counts, withheld=reason)
    return Estimate(name, images.target, value, *bounds, *counts, interval="percentile")


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
