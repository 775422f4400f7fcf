"""The AUROC over all groups of images together, and among images of the same group only: sources, or sites.

Pooled over sources that hold the disease in different shares, a score that only tells the sources apart ranks well.
Within one source it can't. So the difference is the size of that shortcut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lungsight.statistics.bootstrap import Resampling, leave_out_weights, patient_weights
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.metrics import estimate_of, why_withheld, withheld
from lungsight.statistics.outcomes import Floats, Mask, Outcomes
from lungsight.statistics.ranking import Ranking

POOLED = "auroc_pooled"

#: ``groups``: every group counts the same; ``pairs``: every pair of a positive and a negative of the same group.
Weighing = Literal["groups", "pairs"]


@dataclass(frozen=True, eq=False)
class Within:
    """Pooled AUROC, AUROC within groups, and their difference.

    Attributes:
        mixed: the groups that hold both positives and negatives, and so enter ``within``.
    """

    pooled: Estimate
    within: Estimate
    difference: Estimate
    mixed: tuple[str, ...]


def pooled_and_within(
    outcomes: Outcomes,
    scope: str,
    group: NDArray[np.str_],
    noun: str,
    weighing: Weighing,
    resampling: Resampling = Resampling(),
) -> Within:
    """``group`` [n] names the group of each image, ``noun`` what a group is called (``source``, ``site``).

    The figures are named ``auroc_pooled``, ``auroc_within_<noun>`` and ``auroc_pooled_minus_within_<noun>``. Each is
    withheld where there is no group that holds both classes, or one group only.
    """
    names = (POOLED, f"auroc_within_{noun}", f"auroc_pooled_minus_within_{noun}")
    positive = outcomes.truth == outcomes.classes.index(scope)
    every = sorted({str(name) for name in group})
    mixed = [name for name in every if 0 < positive[group == name].sum() < (group == name).sum()]
    if reason := "no images" if not len(outcomes) else why_withheld(outcomes, scope, "auroc"):
        none = [withheld(outcomes, scope, name, reason) for name in names]
        return Within(none[0], none[1], none[2], tuple(mixed))
    whole = _estimates(outcomes, scope, group, mixed, weighing, names, resampling)
    if reason := _why_not_within(mixed, every, noun):
        none = [withheld(outcomes, scope, name, reason) for name in names[1:]]
        return Within(whole[0], none[0], none[1], tuple(mixed))
    # Other groups hold nothing to compare: their patients neither count nor are drawn for the figure within groups.
    inside = np.isin(group, mixed)
    within = _estimates(outcomes.where(inside), scope, group[inside], mixed, weighing, names, resampling)[1]
    return Within(whole[0], within, whole[2], tuple(mixed))


def _estimates(
    outcomes: Outcomes,
    scope: str,
    group: NDArray[np.str_],
    mixed: Sequence[str],
    weighing: Weighing,
    names: Sequence[str],
    resampling: Resampling,
) -> list[Estimate]:
    """Pooled, within and their difference, of all the images."""
    statistic = _Statistic(outcomes, scope, [group == name for name in mixed], weighing)
    point = statistic.values(np.ones((1, outcomes.patients)))[:, 0]
    size = outcomes.patients, len(outcomes)
    replicates, left_out = (
        np.concatenate([statistic.values(weights) for weights in blocks], axis=1)
        for blocks in (patient_weights(*size, resampling), leave_out_weights(*size))
    )
    return [
        estimate_of(outcomes, scope, name, float(value), drawn, resampling.level, without)
        for name, value, drawn, without in zip(names, point, replicates, left_out, strict=True)
    ]


def _why_not_within(mixed: Sequence[str], every: Sequence[str], noun: str) -> str | None:
    if len(every) == 1:
        return f"one {noun} only: nothing to tell apart"
    if not mixed:
        return f"no {noun} holds both classes, so the score may tell {noun}s apart and not the disease"
    return None


class _Statistic:
    def __init__(self, outcomes: Outcomes, scope: str, parts: Sequence[Mask], weighing: Weighing) -> None:
        c = outcomes.classes.index(scope)
        score, positive = outcomes.probabilities[:, c], outcomes.truth == c
        self._patient = outcomes.patient
        self._pooled = Ranking.of(score, positive)
        self._within = [(np.flatnonzero(part), Ranking.of(score[part], positive[part])) for part in parts]
        self._weighing = weighing

    def values(self, weights: Floats) -> Floats:
        """Patient weights [r, patients] to pooled, within and their difference, float [3, r]."""
        image_weights = weights[:, self._patient]
        pooled = self._pooled.sweep(image_weights).auroc()
        within = self._all_within(image_weights)
        return np.stack([pooled, within, pooled - within])

    def _all_within(self, image_weights: Floats) -> Floats:
        if not self._within:
            return np.full(len(image_weights), np.nan)
        sweeps = [ranking.sweep(image_weights[:, images]) for images, ranking in self._within]
        aurocs = np.stack([sweep.auroc() for sweep in sweeps])
        if self._weighing == "groups":
            return np.asarray(aurocs.mean(axis=0))
        pairs = np.stack([sweep.positives * sweep.negatives for sweep in sweeps])
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((np.where(pairs > 0, aurocs, 0) * pairs).sum(axis=0) / pairs.sum(axis=0))
