"""What a score calls positive as its threshold falls, for many sets of weights at once, ties included."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

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
        """float [r, groups + 1]: true positives with the threshold above all groups, then at each."""
        return _from_zero(self.tp)

    @cached_property
    def called_fp(self) -> Floats:
        """float [r, groups + 1]: false positives, likewise."""
        return _from_zero(self.fp)

    @property
    def positives(self) -> Floats:
        """float [r]"""
        return self.called_tp[:, -1]

    @property
    def negatives(self) -> Floats:
        """float [r]"""
        return self.called_fp[:, -1]

    def auroc(self) -> Floats:
        """float [r]: the share of pairs in which the positive stands above the negative, ties counting half (Hanley &
        McNeil 1982); NaN where a class has no weight."""
        below = self.negatives[:, None] - self.called_fp[:, 1:]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.sum(self.tp * (below + self.fp / 2), axis=1) / (self.positives * self.negatives)

    def average_precision(self) -> Floats:
        """float [r]: the sum of precision times the step in recall, as in scikit-learn; NaN without positives."""
        called_tp = self.called_tp[:, 1:]
        called = called_tp + self.called_fp[:, 1:]
        precision = np.divide(called_tp, called, out=np.zeros_like(called), where=called > 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.sum(self.tp * precision, axis=1) / self.positives

    def place_of_specificity(self, specificity: Floats) -> Integers:
        """int [r, m]: the last place of ``called_*`` whose specificity is at least each of ``specificity`` [m]."""
        allowed = np.floor((1 - specificity) * self.negatives[:, None] + _ROUNDING)
        return _row_wise_search(self.called_fp, allowed, "right") - 1

    def place_of_sensitivity(self, sensitivity: Floats) -> Integers:
        """int [r, m]: the first place of ``called_*`` whose sensitivity is at least each of ``sensitivity`` [m]."""
        needed = np.ceil(sensitivity * self.positives[:, None] - _ROUNDING)
        return _row_wise_search(self.called_tp, needed, "left")


@dataclass(frozen=True, eq=False)
class Ranking:
    """Images in falling order of a score, equal scores in one group.

    Attributes:
        order: int [n], the images, highest score first.
        starts: int [groups], where in ``order`` each group of equal scores starts.
        positive: float [n], 1 where the image in that place is a positive.
        scores: float [groups], falling.
    """

    order: Integers
    starts: Integers
    positive: Floats
    scores: Floats

    @classmethod
    def of(cls, score: Floats, positive: NDArray[np.bool_]) -> Ranking:
        order = np.argsort(-score, kind="stable")
        falling = score[order]
        starts = np.flatnonzero(np.r_[True, falling[1:] != falling[:-1]])
        return cls(order, starts, positive[order].astype(np.float64), falling[starts])

    def sweep(self, weights: Floats) -> Sweep:
        """Under image weights [r, n]."""
        ranked = weights[:, self.order]
        tp = np.add.reduceat(ranked * self.positive, self.starts, axis=1)
        return Sweep(tp, np.add.reduceat(ranked, self.starts, axis=1) - tp)

    def auroc_and_average_precision(self, weights: Floats) -> tuple[Floats, Floats]:
        """For image weights [r, n]: AUROC [r] and average precision [r]; NaN where a class has no weight."""
        sweep = self.sweep(weights)
        return sweep.auroc(), sweep.average_precision()


def _from_zero(groups: Floats) -> Floats:
    called = np.zeros((len(groups), groups.shape[1] + 1))
    np.cumsum(groups, axis=1, out=called[:, 1:])
    return called


def _row_wise_search(rising: Floats, wanted: Floats, side: str) -> Integers:
    """``np.searchsorted`` of each row of ``wanted`` [r, m] in the same row of ``rising`` [r, k], whole numbers from 0
    on: rows are set so far apart that one search does them all."""
    rows, k = rising.shape
    apart = np.arange(rows)[:, None] * (rising[:, -1].max() + 2)
    found = np.searchsorted((rising + apart).ravel(), (wanted + apart).ravel(), side=side)  # type: ignore[call-overload]
    return np.asarray(found, dtype=np.int64).reshape(wanted.shape) - np.arange(rows)[:, None] * k
