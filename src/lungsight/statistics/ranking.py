"""AUROC and average precision for many sets of weights at once, ties included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ranking:
    """Images in falling order of a score, equal scores in one group.

    Attributes:
        order: int [n], the images, highest score first.
        starts: int [groups], where in ``order`` each group of equal scores starts.
        positive: float [n], 1 where the image in that place is a positive.
    """

    order: NDArray[np.int64]
    starts: NDArray[np.int64]
    positive: Floats

    @classmethod
    def of(cls, score: Floats, positive: NDArray[np.bool_]) -> Ranking:
        order = np.argsort(-score, kind="stable")
        falling = score[order]
        starts = np.flatnonzero(np.r_[True, falling[1:] != falling[:-1]])
        return cls(order, starts, positive[order].astype(np.float64))

    def auroc_and_average_precision(self, weights: Floats) -> tuple[Floats, Floats]:
        """For image weights [r, n]: AUROC [r] and average precision [r]; NaN where a class has no weight.

        AUROC is the share of pairs in which the positive stands above the negative, ties counting half (Hanley &
        McNeil 1982). Average precision is the sum of precision times the step in recall, as in scikit-learn.
        """
        ranked = weights[:, self.order]
        tp = np.add.reduceat(ranked * self.positive, self.starts, axis=1)
        fp = np.add.reduceat(ranked, self.starts, axis=1) - tp
        above_tp, above_fp = np.cumsum(tp, axis=1), np.cumsum(fp, axis=1)
        positives, negatives = above_tp[:, -1], above_fp[:, -1]
        below = negatives[:, None] - above_fp
        called = above_tp + above_fp
        precision = np.divide(above_tp, called, out=np.zeros_like(called), where=called > 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            auroc = np.sum(tp * (below + fp / 2), axis=1) / (positives * negatives)
            average_precision = np.sum(tp * precision, axis=1) / positives
        return auroc, average_precision
