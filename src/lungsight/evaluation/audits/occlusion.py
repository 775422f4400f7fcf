"""Lungs hidden, only the border, only the lungs: how much of the score is left?

With the lungs hidden nothing of the disease is in the picture any more: an AUROC that survives comes from somewhere
else (Maguolo & Nanni 2021; DeGrave et al. 2021).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import cv2
import numpy as np

from lungsight.components.preprocessing import Region
from lungsight.evaluation.audits.audit import (
    AuditAnswer,
    AuditInput,
    AuditResult,
    AuditSpec,
    Need,
    by_rule,
    unanswered,
)
from lungsight.evaluation.audits.illustration import Illustrated
from lungsight.evaluation.audits.perturbed_predictions import Perturbations
from lungsight.evaluation.formatting import as_figure, withheld_because
from lungsight.evaluation.rows import Row
from lungsight.evaluation.testset.altered import AuditedImage
from lungsight.evaluation.testset.testset import ALL_SOURCES, KINDS, TestSet
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.outcomes import Floats, Floats32, Mask
from lungsight.statistics.ranking import auroc, auroc_within, ranking_estimate

#: Half an AUROC of chance; what stays above this with its whole interval isn't chance.
SURVIVES = 0.55
#: What surrounds the lung fields and is hidden with them, as a share of the image's shorter side.
_MARGIN = 0.04
#: Width of the frame that ``only the border`` leaves, as a share of each side.
_FRAME = 0.1

HIDDEN_BLACK, HIDDEN_FILLED = "lungs black", "lungs filled from around"
BORDER, LUNGS = "only the border", "only the lungs"
RULE = f"a shortcut, where the AUROC's whole 95% interval stays above {SURVIVES:g}"


def black_lungs(exam: AuditedImage) -> Floats32 | None:
    """The lung fields, with a margin, black."""
    return None if exam.lungs is None else np.where(_widened(exam.lungs), 0, exam.pixels).astype(np.float32)


def filled_lungs(exam: AuditedImage) -> Floats32 | None:
    """The lungs, with a margin, filled with the blurred greys around them.

    No sharp outline is left, and nothing of what was inside.
    """
    if exam.lungs is None:
        return None
    hidden = _widened(exam.lungs)
    seen = (~hidden).astype(np.float32)
    sigma = max(exam.pixels.shape) / 10
    weight = cv2.GaussianBlur(seen, (0, 0), sigma)
    around = cv2.GaussianBlur(exam.pixels * seen, (0, 0), sigma) / np.maximum(weight, 1e-6)
    return np.where(hidden, np.clip(around, 0, 1), exam.pixels).astype(np.float32)


def only_border(exam: AuditedImage) -> Floats32:
    """A frame of a tenth of each side, without what of the lungs reaches into it; the rest is black.

    For a network that sees only the box around the lungs, the frame of the box: it would see nothing of the image's.
    """
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


#: The three audits alter the same images.
PERTURBATIONS = Perturbations(
    {HIDDEN_BLACK: black_lungs, HIDDEN_FILLED: filled_lungs, BORDER: only_border, LUNGS: only_lungs}
)


def whose_lungs(shown: TestSet) -> str:
    """Where the lungs of the images come from, how many of each, and how the network sees altered images."""
    masks = (shown.table["lung_mask"] != "").to_numpy()
    found = [lungs for lungs, masked in zip(shown.lungs or (), masks, strict=False) if lungs and not masked]
    plausible = sum(lungs.plausible for lungs in found)
    parts = [f"{int(masks.sum()):,} from the manifest's masks"] if masks.any() else []
    parts += [f"{plausible:,} found by a network"] if plausible else []
    without = len(shown) - int(masks.sum()) - plausible
    parts += [f"{without:,} without"] if without else []
    cropped = any(lungs is not None and lungs.crop is not None for lungs in shown.lungs)
    crop = " The network sees altered images in the box around the lungs of the unaltered one." if cropped else ""
    return f"Lung segmentation of {len(shown):,} images: {', '.join(parts)}.{crop}"


def _surviving(pictures: tuple[str, ...], given: AuditInput) -> AuditAnswer:
    """By the rule, from the picture that keeps most of the AUROC."""
    shown, rows = _figures(pictures, given)
    known = [row for row in rows if row.estimate.low is not None and row.labels["picture"] in pictures]
    if not known:
        return unanswered(_why_not(rows))
    chosen = max(known, key=lambda row: float(row.estimate.low or 0))
    effect = chosen.estimate
    survives = effect.low is not None and effect.low > SURVIVES
    left = "what is left doesn't come from the lungs" if survives else "without the lungs hardly anything is left"
    meaning = f"{_before_and_after(chosen, rows)} with {chosen.labels['picture']}: {left}. {whose_lungs(shown)}"
    call = by_rule(found=survives, excluded=not survives, images=effect.n)
    return AuditAnswer(call, meaning, effect, rows, effect.n)


def _lungs_alone(given: AuditInput) -> AuditAnswer:
    shown, rows = _figures((LUNGS,), given)
    chosen = next((row for row in rows if row.estimate.value is not None and row.labels["picture"] == LUNGS), None)
    if chosen is None:
        return unanswered(_why_not(rows))
    meaning = (
        f"{_before_and_after(chosen, rows)} with the lungs alone. A fall may come from the strange picture as well "
        f"as from what was hidden, so no rule hangs on it. {whose_lungs(shown)}"
    )
    return AuditAnswer(AuditResult.REPORTED, meaning, chosen.estimate, rows, chosen.estimate.n)


def _before_and_after(chosen: Row, rows: tuple[Row, ...]) -> str:
    whole = next(row.estimate for row in rows if row.labels == {**chosen.labels, "picture": "as it is"})
    kind = chosen.labels["kind"]
    return f"On {kind} images the AUROC is {as_figure(whole)} as they are and {as_figure(chosen.estimate)}"


def _figures(pictures: tuple[str, ...], given: AuditInput) -> tuple[TestSet, tuple[Row, ...]]:
    """The altered images, and the AUROC of each picture and of the image as it is, for each kind."""
    shown, answers = given.perturbed(PERTURBATIONS)
    scores = {name: answers[name][:, given.target] for name in pictures}
    altered = np.isfinite(scores[pictures[0]])
    rows: list[Row] = []
    for kind in KINDS:
        mask = shown.of_kind(kind) & altered
        if mask.any():
            rows += _of_kind(kind, shown.where(mask), {n: s[mask] for n, s in scores.items()}, given.resampling)
    return shown, tuple(rows)


def _of_kind(kind: str, images: TestSet, scores: Mapping[str, Floats], resampling: Resampling) -> list[Row]:
    sample, sources = images.sample, images.table["source"].to_numpy(dtype=str)
    found = []
    for name, score in {"as it is": images.score, **scores}.items():
        pooled = ranking_estimate("auroc", sample, auroc(score, sample.positive), resampling=resampling)
        found.append(Row({"kind": kind, "source": ALL_SOURCES, "picture": name}, pooled))
    for name, score in {"as it is": images.score, **scores}.items() if len(set(sources)) > 1 else ():
        within = auroc_within("auroc_within", sample, score, sources, resampling=resampling)
        found.append(Row({"kind": kind, "source": "within each", "picture": name}, within))
    return found


def _why_not(rows: tuple[Row, ...]) -> str:
    if not rows:
        return "No image here has a lung mask, and no network found its lungs."
    reasons = sorted({withheld_because(row.estimate) for row in rows if row.estimate.withheld})
    return f"Among the images that could be altered there are too few: {'; '.join(reasons)}."


def _widened(lungs: Mask) -> Mask:
    radius = max(1, round(_MARGIN * min(lungs.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(lungs.astype(np.uint8), disc), dtype=bool)


LUNGS_HIDDEN = AuditSpec(
    "lungs hidden",
    "Does the model still tell {target} from the rest when the lungs are hidden?",
    partial(_surviving, (HIDDEN_BLACK, HIDDEN_FILLED)),
    RULE,
    needs=frozenset({Need.MODEL, Need.LUNGS}),
    calls_shortcut=True,
    required="occlusion",
    perturbations=PERTURBATIONS,
    illustrated=(Illustrated(HIDDEN_FILLED, "the lungs filled with the greys around them"),),
)
ONLY_BORDER = AuditSpec(
    BORDER,
    "Does the model still tell {target} from the rest when it sees only the image's border?",
    partial(_surviving, (BORDER,)),
    RULE,
    needs=frozenset({Need.MODEL}),
    calls_shortcut=True,
    required="occlusion",
    perturbations=PERTURBATIONS,
    illustrated=(Illustrated(BORDER, "everything but the border black"),),
)
ONLY_LUNGS = AuditSpec(
    LUNGS,
    "Does the model still tell {target} from the rest when it sees nothing but the lungs?",
    _lungs_alone,
    needs=frozenset({Need.MODEL, Need.LUNGS}),
    perturbations=PERTURBATIONS,
    illustrated=(Illustrated(LUNGS, "everything but the lungs black"),),
)
