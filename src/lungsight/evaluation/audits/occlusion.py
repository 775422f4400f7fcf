"""Lungs hidden, only the border, only the lungs: what of the score is left?

With the lung fields hidden nothing that tells the disease is in the picture any more: an AUROC that survives comes
from somewhere else (Maguolo & Nanni 2021; DeGrave et al. 2021).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from lungsight.components.preprocessing import Region
from lungsight.evaluation.audits.audit import Audit, AuditResult, not_done
from lungsight.evaluation.audits.perturbed_predictions import (
    Alteration,
    AuditedImage,
    audited_rows,
    predict_perturbed,
)
from lungsight.evaluation.formatting import as_figure, as_words, withheld_because
from lungsight.evaluation.tables import estimate_table
from lungsight.evaluation.testset.testset import KIND, KINDS, TestSet
from lungsight.inference import Detector
from lungsight.statistics.auroc import Ranked
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import Floats, Floats32, Mask

#: Half an AUROC of chance; what stays above this with its whole interval isn't chance.
SURVIVES = 0.55
#: What surrounds the lung fields and is hidden with them, as a share of the image's shorter side.
_MARGIN = 0.04
#: Width of the frame that ``only the border`` leaves, as a share of each side.
_FRAME = 0.1

HIDDEN_BLACK, HIDDEN_FILLED = "lungs black", "lungs filled from around"
LUNGS_HIDDEN, ONLY_BORDER, ONLY_LUNGS = "lungs hidden", "only the border", "only the lungs"
#: What each of the three asks.
QUESTIONS: Mapping[str, str] = {
    LUNGS_HIDDEN: "Does the model still tell {target} from the rest when the lungs are hidden?",
    ONLY_BORDER: "Does the model still tell {target} from the rest when it sees only the image's border?",
    ONLY_LUNGS: "Does the model still tell {target} from the rest when it sees nothing but the lungs?",
}


def black_lungs(exam: AuditedImage) -> Floats32 | None:
    """The lung fields, with a margin, black."""
    return None if exam.lungs is None else np.where(_widened(exam.lungs), 0, exam.pixels).astype(np.float32)


def filled_lungs(exam: AuditedImage) -> Floats32 | None:
    """The lung fields, with a margin, filled with the blurred greys of what lies around them: no outline is left that
    is sharp, and nothing of what was inside."""
    if exam.lungs is None:
        return None
    hidden = _widened(exam.lungs)
    seen = (~hidden).astype(np.float32)
    sigma = max(exam.pixels.shape) / 10
    weight = cv2.GaussianBlur(seen, (0, 0), sigma)
    around = cv2.GaussianBlur(exam.pixels * seen, (0, 0), sigma) / np.maximum(weight, 1e-6)
    return np.where(hidden, np.clip(around, 0, 1), exam.pixels).astype(np.float32)


def only_border(exam: AuditedImage) -> Floats32:
    """A frame of a tenth of each side, without what of the lungs reaches into it; the rest is black. Of a network
    that sees only the box around the lungs, the frame is that of the box: of the image's own it would see nothing."""
    height, width = exam.pixels.shape
    seen = exam.region or Region(0, 0, width, height)
    y, x = (max(1, round(_FRAME * side)) for side in (seen.bottom - seen.top, seen.right - seen.left))
    hidden = np.zeros(exam.pixels.shape, dtype=bool)
    hidden[seen.top + y : seen.bottom - y, seen.left + x : seen.right - x] = True
    if exam.lungs is not None:
        hidden |= _widened(exam.lungs)
    return np.where(hidden, 0, exam.pixels).astype(np.float32)


def only_lungs(exam: AuditedImage) -> Floats32 | None:
    """Everything but the lung fields black."""
    return None if exam.lungs is None else np.where(exam.lungs, exam.pixels, 0).astype(np.float32)


ALTERATIONS: Mapping[str, Alteration] = {
    HIDDEN_BLACK: black_lungs,
    HIDDEN_FILLED: filled_lungs,
    ONLY_BORDER: only_border,
    ONLY_LUNGS: only_lungs,
}


def occlusion_audits(
    detector: Detector,
    testset: TestSet,
    *,
    at_most: int = 400,
    cache: Path | None = None,
    advance: Callable[[int], None] = lambda done: None,
    resampling: Resampling = Resampling(),
) -> list[Audit]:
    """The three audits, on one reading of at most ``at_most`` images of each kind, spread over source and truth. Lung
    fields are those of the manifest's masks and, where it names none, those that a network found; where these aren't
    two plausible lungs they aren't hidden either: what a bad mask leaves open would pass for a shortcut."""
    kinds = [(testset.table[KIND] == kind).to_numpy() for kind in KINDS]
    rows = np.sort(np.concatenate([audited_rows(testset, at_most, among=kind) for kind in kinds if kind.any()]))
    altered = predict_perturbed(detector, testset, rows, ALTERATIONS, cache=cache, advance=advance)
    target = testset.classes.index(testset.target)
    scores = {name: probabilities[:, target] for name, probabilities in altered.items()}
    shown = testset.where(np.isin(np.arange(len(testset)), rows))
    said = whose_lungs(shown)
    hidden = {name: scores[name] for name in (HIDDEN_BLACK, HIDDEN_FILLED)}
    audits = [
        _surviving(LUNGS_HIDDEN, shown, hidden, resampling),
        _surviving(ONLY_BORDER, shown, {ONLY_BORDER: scores[ONLY_BORDER]}, resampling),
        _lungs_alone(shown, scores[ONLY_LUNGS], resampling),
    ]
    return [
        replace(one, meaning=f"{one.meaning} {said}") if one.call is not AuditResult.NOT_DONE else one
        for one in audits
    ]


def whose_lungs(shown: TestSet) -> str:
    """Where the lung fields of the images come from, how many of each, and how the network sees altered images."""
    masks = (shown.table["lung_mask"] != "").to_numpy()
    found = [lungs for lungs, masked in zip(shown.lungs or (), masks, strict=False) if lungs and not masked]
    plausible = sum(lungs.plausible for lungs in found)
    parts = [f"{int(masks.sum()):,} from the manifest's masks"] if masks.any() else []
    parts += [f"{plausible:,} found by a network"] if plausible else []
    without = len(shown) - int(masks.sum()) - plausible
    parts += [f"{without:,} without"] if without else []
    cropped = any(lungs is not None and lungs.crop is not None for lungs in shown.lungs)
    crop = " The network sees altered images in the box around the lungs of the unaltered one." if cropped else ""
    return f"Lung fields of {len(shown):,} images: {', '.join(parts)}.{crop}"


def _question(name: str, shown: TestSet) -> str:
    return QUESTIONS[name].format(target=as_words(shown.target))


def _surviving(name: str, shown: TestSet, scores: Mapping[str, Floats], resampling: Resampling) -> Audit:
    question = _question(name, shown)
    rule = f"a shortcut, where the AUROC's whole 95% interval stays above {SURVIVES:g}"
    rows = [
        row for kind in _by_kind(shown, next(iter(scores.values()))) for row in _figures(kind, scores, resampling)
    ]
    known = [(labels, e) for labels, e in rows if e.low is not None and labels["picture"] in scores]
    if not known:
        return not_done(name, question, _why_not(rows, shown), rule)
    labels, effect = max(known, key=lambda one: float(one[1].low or 0))
    whole = next(e for other, e in rows if other == {**labels, "picture": "as it is"})
    survives = effect.low is not None and effect.low > SURVIVES
    left = "what is left doesn't come from the lungs" if survives else "without the lungs hardly anything is left"
    meaning = (
        f"On {labels['kind']} images the AUROC is {as_figure(whole)} as they are and {as_figure(effect)} with "
        f"{labels['picture']}: {left}."
    )
    call = AuditResult.SHORTCUT if survives else AuditResult.CLEAR
    return Audit(name, question, call, meaning, effect, estimate_table(rows), effect.n, rule)


def _lungs_alone(shown: TestSet, score: Floats, resampling: Resampling) -> Audit:
    question = _question(ONLY_LUNGS, shown)
    rows = [row for kind in _by_kind(shown, score) for row in _figures(kind, {ONLY_LUNGS: score}, resampling)]
    known = [(labels, e) for labels, e in rows if e.value is not None and labels["picture"] == ONLY_LUNGS]
    if not known:
        return not_done(ONLY_LUNGS, question, _why_not(rows, shown))
    labels, effect = known[0]
    whole = next(e for other, e in rows if other == {**labels, "picture": "as it is"})
    meaning = (
        f"On {labels['kind']} images the AUROC is {as_figure(whole)} as they are and {as_figure(effect)} with "
        "the lungs alone. A fall may come from the strange picture as well as from what was hidden, so no rule hangs "
        "on it."
    )
    return Audit(ONLY_LUNGS, question, AuditResult.REPORTED, meaning, effect, estimate_table(rows), effect.n)


Row = tuple[Mapping[str, object], Estimate]


def _by_kind(shown: TestSet, score: Floats) -> list[tuple[str, TestSet, Mask]]:
    """Of each kind, the images that could be altered."""
    parts = []
    for kind in KINDS:
        mask = (shown.table[KIND] == kind).to_numpy() & np.isfinite(score)
        if mask.any():
            parts.append((kind, shown.where(mask), mask))
    return parts


def _figures(part: tuple[str, TestSet, Mask], scores: Mapping[str, Floats], resampling: Resampling) -> list[Row]:
    kind, images, mask = part
    ranked = Ranked(images.positive, images.patient, images.target)
    pictures = {"as it is": images.score, **{name: score[mask] for name, score in scores.items()}}
    together: list[Row] = [
        ({"kind": kind, "source": "all", "picture": name}, ranked.auroc(score, resampling))
        for name, score in pictures.items()
    ]
    sources = images.table["source"].to_numpy(dtype=str)
    if len(set(sources)) < 2:
        return together
    within: list[Row] = [
        ({"kind": kind, "source": "within each", "picture": name}, ranked.mean_within(score, sources, resampling))
        for name, score in pictures.items()
    ]
    return together + within


def _why_not(rows: list[Row], shown: TestSet) -> str:
    if not rows:
        return "No image here has a mask of its lung fields, and none were found by a network."
    reasons = sorted({withheld_because(e) for _, e in rows if e.withheld})
    return f"Among the images that could be altered there are too few: {'; '.join(reasons)}."


def _widened(lungs: Mask) -> Mask:
    radius = max(1, round(_MARGIN * min(lungs.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(lungs.astype(np.uint8), disc), dtype=bool)
