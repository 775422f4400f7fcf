"""ROC and precision-recall curves on a fixed grid, with an interval at each point from resampling patients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lungsight.statistics.bootstrap import Drawn, percentile_band
from lungsight.statistics.outcomes import Floats
from lungsight.statistics.ranking import Sweep

#: False positive rates of an ROC curve, recalls of a precision-recall curve.
GRID = np.linspace(0, 1, 101)
ROC, PRECISION_RECALL = "roc", "precision_recall"


@dataclass(frozen=True, eq=False)
class Curve:
    """A curve and its pointwise band, float [101] each; NaN where a point or its band isn't defined.

    Attributes:
        x: false positive rate, or recall.
        y: sensitivity, or precision.
        low, high: the interval of each point by itself; the whole curve is inside the band less often.
    """

    x: Floats
    y: Floats
    low: Floats
    high: Floats


def both_curves(sweep: Sweep) -> Mapping[str, Floats]:
    """The points of both curves under each set of weights, float [r, 101], for :func:`~.metrics.resample`."""
    return {ROC: _roc(sweep), PRECISION_RECALL: _precision_recall(sweep)}


def curve(drawn: Drawn, level: float) -> Curve:
    """A curve with its band, from the values of :func:`both_curves`."""
    return Curve(GRID, drawn.point, *percentile_band(drawn.replicates, level))


def _roc(sweep: Sweep) -> Floats:
    """Sensitivity at each false positive rate of the grid.

    Straight lines join the points that thresholds reach, as in the AUROC. Where the curve is vertical, its upper end
    counts.
    """
    last = sweep.called_tp.shape[1] - 1
    here = sweep.place_of_specificity(1 - GRID)
    after = np.minimum(here + 1, last)
    fp, tp = (np.take_along_axis(called, here, axis=1) for called in (sweep.called_fp, sweep.called_tp))
    next_fp, next_tp = (np.take_along_axis(called, after, axis=1) for called in (sweep.called_fp, sweep.called_tp))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(next_fp > fp, (GRID * sweep.negatives[:, None] - fp) / (next_fp - fp), 0)
        y = (tp + np.clip(share, 0, 1) * (next_tp - tp)) / sweep.positives[:, None]
    return np.where(sweep.negatives[:, None] > 0, y, np.nan)


def _precision_recall(sweep: Sweep) -> Floats:
    """Precision at the highest threshold whose recall is at least that of the grid.

    Precision isn't interpolated between thresholds (Davis & Goadrich 2006). At recall 0 it is that of the highest
    score.
    """
    at = np.maximum(sweep.place_of_sensitivity(GRID), _first_called(sweep)[:, None])
    tp, fp = (np.take_along_axis(called, at, axis=1) for called in (sweep.called_tp, sweep.called_fp))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(sweep.positives[:, None] > 0, tp / (tp + fp), np.nan)


def _first_called(sweep: Sweep) -> np.ndarray:
    """The first place at which any image is predicted positive: int [r]."""
    return np.asarray(np.argmax(sweep.called_tp + sweep.called_fp > 0, axis=1))
