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
from lungsight.alterations.corruptions import AS_IT_IS, STRESSES, as_it_is, at
from lungsight.alterations.image import Alteration, AuditedImage
from lungsight.evaluation.audits.audit import (
    FEWEST_IMAGES,
    AuditAnswer,
    AuditInput,
    AuditResult,
    AuditSpec,
    Need,
    concluded,
    unanswered,
)
from lungsight.evaluation.audits.illustration import Illustrated
from lungsight.evaluation.audits.perturbed_predictions import Perturbations
from lungsight.evaluation.audits.within_sources import WITHIN_EACH, why_not_within
from lungsight.evaluation.formatting import as_percent
from lungsight.evaluation.rows import Row
from lungsight.evaluation.testset.testset import KINDS
from lungsight.statistics.distance import logit, share_moved
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import Floats32

MOVED = "moved_towards_target"
#: A change that moves images without the target by more than this part of the way to those with it is read as it;
#: one that surely moves them by less isn't. On phantoms half the way was too little: a fragile network moves far.
MOVES = 2 / 3
RULE = (
    "found, where one change moves the images without the target by more than two thirds of the distance within "
    "sources between those without and those with it, with its whole 95% interval; not found, where each moves them "
    f"by less, with the whole interval, on at least {FEWEST_IMAGES} images of a kind"
)
_NAMES = {"letter below": 8, "white border": 2, "blur": 0.5}
_CLOSER = "taken closer"
_MAGNIFIED = 1.15


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
PERTURBATIONS = Perturbations({AS_IT_IS: as_it_is, **dict(CHANGES.values())}, share=3 / 4, mixed_sources=True)


def nuisance_edits(given: AuditInput) -> AuditAnswer:
    """Change images and measure how far towards the target that moves the negatives.

    The effect is the largest mean move of the target's logit among the negatives, as a part of the distance between
    the mean logits of negatives and positives as they are, all within sources.
    """
    shown, answers = given.perturbed(PERTURBATIONS)
    logits = {name: logit(p[:, given.target]) for name, p in answers.items()}
    rows = []
    for kind in KINDS:
        mask = shown.of_kind(kind) & np.isfinite(logits[AS_IT_IS])
        images, before = shown.where(mask), logits[AS_IT_IS][mask]
        sources = images.table["source"].to_numpy(dtype=str)
        for name, (key, _) in CHANGES.items() if mask.any() else ():
            labels = {"kind": kind, "source": WITHIN_EACH, "change": name}
            after = logits[key][mask]
            rows.append(Row(labels, share_moved(MOVED, images.sample, sources, before, after, given.resampling)))
    known = [row for row in rows if row.estimate.low is not None]
    if not known:
        return unanswered(why_not_within(given.testset, rows, "no image could be altered"), tuple(rows))
    chosen = max(known, key=lambda row: float(row.estimate.low or 0))
    kinds = ([row.estimate for row in rows if row.labels["kind"] == kind] for kind in KINDS)
    call = concluded(kinds, above=MOVES, below=MOVES)
    meaning = _meaning(chosen.labels, chosen.estimate, shown.target, call)
    moved = f"images without the disease {as_percent(chosen.estimate)} of the way to those with it"
    found = f"'{chosen.labels['change']}' moves {moved}"
    return AuditAnswer(call, meaning, chosen.estimate, tuple(rows), chosen.estimate.n, found)


def _meaning(labels: Mapping[str, object], effect: Estimate, target: str, call: AuditResult) -> str:
    return (
        f"Of the changes, '{labels['change']}' moves {labels['kind']} images without {as_words(target)} most: "
        f"{as_percent(effect)} of the way to those with it, within sources. {_CONSEQUENCES[call]}"
    )


_CONSEQUENCES = {
    AuditResult.FOUND: "The model reads it as a sign of the disease.",
    AuditResult.NOT_FOUND: "That is too little to be taken for the disease.",
    AuditResult.NOT_SHOWN: "That neither shows a shortcut nor excludes it.",
}

SPEC = AuditSpec(
    "irrelevant changes",
    "Does a mark, a softer focus or a closer patient alone move an image towards {target}?",
    nuisance_edits,
    RULE,
    f"below {MOVES:.0%}; above it is a shortcut",
    needs=frozenset({Need.MODEL}),
    calls_shortcut=True,
    perturbations=PERTURBATIONS,
    illustrated=tuple(Illustrated(key, words, positive=False) for words, (key, _) in CHANGES.items()),
)
