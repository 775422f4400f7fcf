"""Ranking by a score: AUROC with its interval, and what each threshold predicts positive.

Everything is computed for many sets of weights at once, with ties.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lungsight.statistics.bootstrap import Exact, Resampling, Sample, Statistic, divided, estimate, too_few, withheld
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import Floats, Integers, Mask

#: ``groups``: every group counts the same; ``pairs``: every pair of a positive and a negative of the same group.
Weighing = Literal["groups", "pairs"]
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Sweep:
    """A threshold that falls from above all scores to below them, under r sets of image weights (whole numbers).

    Attributes:
        tp, fp: float [r, groups], weight of the positives and negatives in each group of equal scores, highest first.
    """

    tp: Floats
    fp: Floats

    @cached_property
    def called_tp(self) -> Floats:
        """True positives with the threshold above all groups, then at each: float [r, groups + 1]."""
        return _from_zero(self.tp)

    @cached_property
    def called_fp(self) -> Floats:
        """False positives, likewise: float [r, groups + 1]."""
        return _from_zero(self.fp)

    @property
    def positives(self) -> Floats:
        """Weight of all positives, float [r]."""
        return self.called_tp[:, -1]

    @property
    def negatives(self) -> Floats:
        """Weight of all negatives, float [r]."""
        return self.called_fp[:, -1]

    def auroc(self) -> Floats:
        """The AUROC, float [r]; NaN where a class has no weight.

        It is the share of pairs in which the positive has the higher score; ties count half (Hanley & McNeil 1982).
        """
        below = self.negatives[:, None] - self.called_fp[:, 1:]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.sum(self.tp * (below + self.fp / 2), axis=1) / (self.positives * self.negatives))

    def average_precision(self) -> Floats:
        """Average precision, float [r]: the sum of precision times the step in recall; NaN without positives."""
        called_tp = self.called_tp[:, 1:]
        called = called_tp + self.called_fp[:, 1:]
        precision = np.divide(called_tp, called, out=np.zeros_like(called), where=called > 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.sum(self.tp * precision, axis=1) / self.positives)

    def place_of_specificity(self, specificity: Floats) -> Integers:
        """The last place of ``called_*`` with at least each ``specificity`` [m]: int [r, m]."""
        allowed = np.floor((1 - specificity) * self.negatives[:, None] + _ROUNDING)
        return _row_wise_search(self.called_fp, allowed, "right") - 1

    def place_of_sensitivity(self, sensitivity: Floats) -> Integers:
        """The first place of ``called_*`` with at least each ``sensitivity`` [m]: int [r, m]."""
        needed = np.ceil(sensitivity * self.positives[:, None] - _ROUNDING)
        return _row_wise_search(self.called_tp, needed, "left")


@dataclass(frozen=True, eq=False)
class Ranking:
    """Images in falling order of a score; equal scores form one group.

    Attributes:
        order: int [n], the images, highest score first.
        starts: int [groups], where in ``order`` each group starts.
        positive: float [n], 1 where the image at that place of ``order`` is positive.
        scores: float [groups], the score of each group, falling.
    """

    order: Integers
    starts: Integers
    positive: Floats
    scores: Floats

    @classmethod
    def of(cls, score: Floats, positive: Mask) -> Ranking:
        """The ranking of images by ``score``, float [n], with labels ``positive``, bool [n]."""
        order = np.argsort(-score, kind="stable")
        falling = score[order]
        starts = np.flatnonzero(np.r_[True, falling[1:] != falling[:-1]])
        return cls(order, starts, positive[order].astype(np.float64), falling[starts])

    def sweep(self, weights: Floats) -> Sweep:
        """The falling threshold under image weights [r, n]."""
        ranked = weights[:, self.order]
        tp = np.add.reduceat(ranked * self.positive, self.starts, axis=1)
        return Sweep(tp, np.add.reduceat(ranked, self.starts, axis=1) - tp)


def auroc(score: Floats, positive: Mask) -> Statistic:
    """The AUROC of ``score``, float [n], as a statistic."""
    ranking = Ranking.of(score, positive)
    return lambda weights: ranking.sweep(weights).auroc()


def ranking_estimate(
    name: str,
    sample: Sample,
    statistic: Statistic,
    *,
    exact: Exact = Exact.AUROC,
    resampling: Resampling = Resampling(),
) -> Estimate:
    """The estimate of an AUROC of any score, or of a difference of two.

    It is withheld if fewer than :data:`~.bootstrap.FEWEST_PATIENTS` patients have positives, or have negatives.
    """
    for side, mask in (("positive", sample.positive), ("negative", ~sample.positive)):
        if reason := too_few(sample.patients_among(mask), f"on the {side} side"):
            return withheld(name, sample, reason)
    return estimate(name, sample, statistic, exact=exact, resampling=resampling)


def within_groups(score: Floats, positive: Mask, group: NDArray[np.str_], weighing: Weighing = "groups") -> Statistic:
    """The AUROC within groups that each hold both classes, as a statistic; ``group`` [n] names each image's."""
    rankings = [(here, Ranking.of(score[here], positive[here])) for here in (group == g for g in np.unique(group))]

    def within(weights: Floats) -> Floats:
        sweeps = [ranking.sweep(weights[:, here]) for here, ranking in rankings]
        aurocs = np.stack([sweep.auroc() for sweep in sweeps])
        if weighing == "groups":
            return np.asarray(aurocs.mean(axis=0))
        pairs = np.stack([sweep.positives * sweep.negatives for sweep in sweeps])
        return divided((np.where(pairs > 0, aurocs, 0) * pairs).sum(axis=0), pairs.sum(axis=0))

    return within


def in_mixed_groups(group: NDArray[np.str_], positive: Mask) -> Mask:
    """The images of the groups that hold positives and negatives, bool [n]."""
    return np.isin(group, np.intersect1d(group[positive], group[~positive]))


def auroc_within(
    name: str,
    sample: Sample,
    score: Floats,
    group: NDArray[np.str_],
    *,
    weighing: Weighing = "groups",
    resampling: Resampling = Resampling(),
) -> Estimate:
    """The AUROC within the groups that hold both positives and negatives.

    Positives are compared with negatives of the same group only; images of other groups don't count. ``group`` [n]
    names the group of each image.
    """
    inside = in_mixed_groups(group, sample.positive)
    if not inside.any():
        return withheld(name, sample, "no source holds both sides")
    within = within_groups(score[inside], sample.positive[inside], group[inside], weighing)
    return ranking_estimate(name, sample.where(inside), within, resampling=resampling)


def _from_zero(groups: Floats) -> Floats:
    called = np.zeros((len(groups), groups.shape[1] + 1))
    np.cumsum(groups, axis=1, out=called[:, 1:])
    return called


def _row_wise_search(rising: Floats, wanted: Floats, side: str) -> Integers:
    """``np.searchsorted`` of each row of ``wanted`` [r, m] in the same row of ``rising`` [r, k].

    The values are whole numbers from 0 on. Rows are shifted so far apart that a single search covers all of them.
    """
    rows, k = rising.shape
    apart = np.arange(rows)[:, None] * (rising[:, -1].max() + 2)
    found = np.searchsorted((rising + apart).ravel(), (wanted + apart).ravel(), side=side)  # type: ignore[call-overload]
    return np.asarray(found.reshape(wanted.shape) - np.arange(rows)[:, None] * k, dtype=np.int64)
