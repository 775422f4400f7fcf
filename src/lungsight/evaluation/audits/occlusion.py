"""Lungs hidden, only the border, only the lungs: how much is left of what the model tells apart?

With the lungs and what is between them hidden, the disease is out of sight: what still sets positives and negatives
of one source apart comes from somewhere else (Maguolo & Nanni 2021; DeGrave et al. 2021). Some of that is legitimate
context, such as tubes, the heart's size and the patient's build. So the rules ask how much of what the AUROC is
above chance is left, not whether anything is. Only images of the same source are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from lungsight._text import as_words, fixed
from lungsight.alterations.occlusions import black_lungs, filled_lungs, only_border, only_lungs
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
from lungsight.evaluation.audits.source_probe import out_of_fold
from lungsight.evaluation.audits.within_sources import WITHIN_EACH, why_not_within
from lungsight.evaluation.formatting import as_figure, as_percent
from lungsight.evaluation.rows import Label, Row
from lungsight.evaluation.testset.predict import FEATURES_OF
from lungsight.evaluation.testset.testset import KINDS, TestSet
from lungsight.statistics.bootstrap import FEWEST_PATIENTS, Resampling
from lungsight.statistics.distance import share_left
from lungsight.statistics.outcomes import Floats
from lungsight.statistics.ranking import auroc_within

#: A shortcut is found where more than this share of what the AUROC is above chance is left, not found where less.
FOUND_ABOVE, NOT_FOUND_BELOW = 1 / 2, 1 / 3

AS_IT_IS = "as it is"
HIDDEN_BLACK, HIDDEN_FILLED = "lungs and mediastinum black", "lungs and mediastinum filled from around"
BORDER, LUNGS = "the border alone", "the lungs alone"
SHARE_LEFT, PROBE = "share_left", "auroc_of_probe"
_NO_LUNGS = "no image here has a lung mask, and no network found its lungs"
RULE = (
    "found, where more than half of what the AUROC within sources is above chance is left, with its whole 95% "
    "interval; not found, where less than a third is left, with the whole interval, on at least "
    f"{FEWEST_IMAGES} images of a kind"
)
_ASKS = f"below {NOT_FOUND_BELOW:.0%}; above {FOUND_ABOVE:.0%} it is a shortcut"


#: The three audits alter the same images.
PERTURBATIONS = Perturbations(
    {
        HIDDEN_BLACK: black_lungs,
        HIDDEN_FILLED: filled_lungs,
        FEATURES_OF + HIDDEN_FILLED: filled_lungs,
        BORDER: only_border,
        LUNGS: only_lungs,
    },
    mixed_sources=True,
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


def _left(pictures: tuple[str, ...], given: AuditInput) -> AuditAnswer:
    """By the rule, from the picture that leaves most of what the AUROC is above chance."""
    shown, rows = _figures(pictures, given)
    shares = [row for row in rows if row.estimate.name == SHARE_LEFT]
    known = [row for row in shares if row.estimate.low is not None]
    if not known:
        return _unanswered(given.testset, shown, rows)
    chosen = max(known, key=lambda row: float(row.estimate.low or 0))
    kinds = ([row.estimate for row in shares if row.labels["kind"] == kind] for kind in KINDS)
    call = concluded(kinds, above=FOUND_ABOVE, below=NOT_FOUND_BELOW)
    meaning = f"{_in_words(chosen, rows, given.testset.target)} {_CONSEQUENCES[call]} {whose_lungs(shown)}"
    found = f"{as_percent(chosen.estimate)} of what the AUROC is above chance is left"
    return AuditAnswer(call, meaning, chosen.estimate, rows, chosen.estimate.n, found)


_CONSEQUENCES = {
    AuditResult.FOUND: "Most of what the model tells apart doesn't come from the lungs.",
    AuditResult.NOT_FOUND: "Most of what the model tells apart is in what was hidden.",
    AuditResult.NOT_SHOWN: "That neither shows a shortcut nor excludes it.",
}


def _lungs_alone(given: AuditInput) -> AuditAnswer:
    shown, rows = _figures((LUNGS,), given)
    shares = [row for row in rows if row.estimate.name == SHARE_LEFT]
    chosen = next((row for row in shares if row.estimate.value is not None), None)
    if chosen is None:
        return _unanswered(given.testset, shown, rows)
    meaning = (
        f"{_in_words(chosen, rows, given.testset.target)} A fall may come from the strange picture as well as from "
        f"what was hidden, so there is no rule. {whose_lungs(shown)}"
    )
    return AuditAnswer(AuditResult.REPORTED, meaning, chosen.estimate, rows, chosen.estimate.n)


def _unanswered(testset: TestSet, shown: TestSet, rows: tuple[Row, ...]) -> AuditAnswer:
    shares = [row for row in rows if row.estimate.name == SHARE_LEFT]
    reason = why_not_within(testset, shares, _NO_LUNGS)
    return replace(unanswered(f"{reason} {whose_lungs(shown)}" if rows else reason, rows), found=reason)


def _in_words(chosen: Row, rows: tuple[Row, ...], target: str) -> str:
    kind, picture, share = chosen.labels["kind"], chosen.labels["picture"], chosen.estimate
    aurocs = {row.labels["picture"]: row.estimate for row in rows if _is_auroc_of(row, kind)}
    return (
        f"Within {kind} sources the AUROC of {as_words(target)} is {fixed(aurocs[AS_IT_IS].value, 2)}, and "
        f"{fixed(aurocs[picture].value, 2)} with {picture}: {as_percent(share)} of what it is above chance is left."
    )


def _is_auroc_of(row: Row, kind: Label) -> bool:
    return row.labels["kind"] == kind and row.estimate.name == "auroc_within"


def _figures(pictures: tuple[str, ...], given: AuditInput) -> tuple[TestSet, tuple[Row, ...]]:
    """The altered images; of each kind and picture the AUROC within sources, and the share that is left of it."""
    shown, answers = given.perturbed(PERTURBATIONS)
    scores = {name: answers[name][:, given.target] for name in pictures}
    altered = np.isfinite(scores[pictures[0]])
    rows: list[Row] = []
    for kind in KINDS:
        mask = shown.of_kind(kind) & altered
        if mask.any():
            rows += _of_kind(kind, shown.where(mask), {n: s[mask] for n, s in scores.items()}, given.resampling)
    return shown, tuple(rows)


def _probed(given: AuditInput) -> Iterator[Row]:
    """Of each kind, the AUROC within sources of a probe on the network's features of the hidden images."""
    shown, answers = given.perturbed(PERTURBATIONS)
    features = answers[FEATURES_OF + HIDDEN_FILLED]
    seen = np.isfinite(features).all(axis=1) & (features.shape[1] > 0)
    for kind in KINDS:
        mask = shown.of_kind(kind) & seen
        images = shown.where(mask)
        if images.sample.smaller_side < FEWEST_PATIENTS or len(set(images.positive)) < 2:
            continue
        score = out_of_fold(features[mask].astype(np.float32), images.positive.astype(np.int64), images.patient, 0)
        sources = images.table["source"].to_numpy(dtype=str)
        reached = auroc_within(
            PROBE, images.sample, score[:, 1], sources, weighing="pairs", resampling=given.resampling
        )
        yield Row({"kind": kind, "source": WITHIN_EACH, "picture": HIDDEN_FILLED}, reached)


def _hidden(given: AuditInput) -> AuditAnswer:
    """Lungs hidden, and beside it what a probe can reach: without a rule, so that a reader sees what to expect."""
    answer, probed = _left((HIDDEN_BLACK, HIDDEN_FILLED), given), tuple(_probed(given))
    rows = (*answer.rows, *probed)
    kind = next((row.labels["kind"] for row in rows if row.estimate is answer.effect), None)
    reached = next((r.estimate for r in probed if r.labels["kind"] == kind and r.estimate.value is not None), None)
    if reached is None:
        return replace(answer, rows=rows)
    beside = (
        f" A probe fitted on the network's features of these images reaches an AUROC within sources of "
        f"{as_figure(reached)}: so much goes with the label outside the lungs, whatever the model makes of it."
    )
    return replace(answer, rows=rows, meaning=answer.meaning + beside)


def _of_kind(kind: str, images: TestSet, scores: Mapping[str, Floats], resampling: Resampling) -> Iterator[Row]:
    sample, sources = images.sample, images.table["source"].to_numpy(dtype=str)
    labels: dict[str, Label] = {"kind": kind, "source": WITHIN_EACH}
    for name, score in {AS_IT_IS: images.score, **scores}.items():
        within = auroc_within("auroc_within", sample, score, sources, weighing="pairs", resampling=resampling)
        yield Row({**labels, "picture": name}, within)
    for name, score in scores.items():
        left = share_left(SHARE_LEFT, sample, sources, images.score, score, resampling)
        yield Row({**labels, "picture": name}, left)


LUNGS_HIDDEN = AuditSpec(
    "lungs hidden",
    "Does the model still tell {target} from the rest when the lungs and what is between them are hidden?",
    _hidden,
    RULE,
    _ASKS,
    needs=frozenset({Need.MODEL, Need.LUNGS}),
    calls_shortcut=True,
    required="occlusion",
    perturbations=PERTURBATIONS,
    illustrated=(Illustrated(HIDDEN_FILLED, "the lungs filled with the greys around them"),),
)
ONLY_BORDER = AuditSpec(
    "only the border",
    "Does the model still tell {target} from the rest when it sees only the image's border?",
    partial(_left, (BORDER,)),
    RULE,
    _ASKS,
    needs=frozenset({Need.MODEL}),
    calls_shortcut=True,
    required="occlusion",
    perturbations=PERTURBATIONS,
    illustrated=(Illustrated(BORDER, "everything but the border black"),),
)
ONLY_LUNGS = AuditSpec(
    "only the lungs",
    "Does the model still tell {target} from the rest when it sees nothing but the lungs?",
    _lungs_alone,
    needs=frozenset({Need.MODEL, Need.LUNGS}),
    perturbations=PERTURBATIONS,
    illustrated=(Illustrated(LUNGS, "everything but the lungs black"),),
)
