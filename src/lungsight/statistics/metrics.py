"""Accuracy, sensitivity, AUROC and their kin, each with its sample size and a 95% interval.

Accuracy, balanced accuracy and MCC look at every class at once; the others set one class against the rest, with an
image counted as positive where that class is the most probable. A figure that the sample can't give is withheld,
with the reason; none is ever NaN.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from lungsight._text import counted
from lungsight.statistics.bootstrap import (
    MOST_DEFINED,
    Resampling,
    bca_interval,
    exact_auroc_interval,
    exact_interval,
    leave_out_weights,
    patient_weights,
    percentile_interval,
)
from lungsight.statistics.estimate import ALL_CLASSES, Estimate, IntervalMethod
from lungsight.statistics.outcomes import Floats, Mask, Outcomes
from lungsight.statistics.ranking import Ranking, Sweep

#: Metrics over all classes, then those of one class against the rest, with the titles that pages show.
TITLES: Mapping[str, str] = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "mcc": "MCC",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "f1": "F1",
    "auroc": "AUROC",
    "average_precision": "Average precision",
    "brier_score": "Brier score",
}
OVER_ALL_CLASSES = ("accuracy", "balanced_accuracy", "mcc")
ONE_AGAINST_REST = tuple(name for name in TITLES if name not in OVER_ALL_CLASSES)
_SHARES = ("accuracy", "sensitivity", "specificity", "ppv", "npv")

#: Scope and name to a figure for each set of weights: float [r], or [r, m] for a curve of m points.
Figures = dict[tuple[str, str], Floats]
#: What else is wanted of each class against the rest, by name.
FromSweep = Callable[[Sweep], Mapping[str, Floats]]


@dataclass(frozen=True, eq=False)
class Resampled:
    """Every figure of a sample (one row), of each set of resampled patients, and without some patients in turn."""

    point: Figures
    replicates: Figures
    left_out: Figures


def estimate_all(outcomes: Outcomes, resampling: Resampling = Resampling()) -> list[Estimate]:
    """Every metric for every scope: all classes, and each class against the rest, in the order of ``TITLES``."""
    return estimates_of(outcomes, resample(outcomes, resampling), resampling.level)


def resample(
    outcomes: Outcomes, resampling: Resampling = Resampling(), from_sweep: FromSweep | None = None
) -> Resampled:
    """Every metric, and what ``from_sweep`` adds to each class against the rest, in one pass over the replicates;
    nothing at all without images."""
    if not len(outcomes):
        return Resampled({}, {}, {})
    statistics = Statistics(outcomes, from_sweep)
    point = statistics.figures(np.ones((1, outcomes.patients)))
    replicates = _joined(statistics.figures(w) for w in patient_weights(outcomes.patients, len(outcomes), resampling))
    left_out = _joined(statistics.figures(w) for w in leave_out_weights(outcomes.patients, len(outcomes)))
    return Resampled(point, replicates, left_out)


def _joined(blocks: Iterable[Figures]) -> Figures:
    every = list(blocks)
    return {key: np.concatenate([block[key] for block in every]) for key in every[0]}


def estimates_of(outcomes: Outcomes, resampled: Resampled, level: float) -> list[Estimate]:
    """The metrics of :data:`TITLES` for every scope; withheld where there are no images."""
    if not len(outcomes):
        return [withheld(outcomes, scope, name, "no images") for scope, name in _wanted(outcomes)]
    return [resampled_estimate(outcomes, resampled, scope, name, level) for scope, name in _wanted(outcomes)]


def resampled_estimate(outcomes: Outcomes, resampled: Resampled, scope: str, name: str, level: float) -> Estimate:
    """One of the resampled figures as an estimate."""
    key = scope, name
    value = float(resampled.point[key][0])
    return estimate_of(outcomes, scope, name, value, resampled.replicates[key], level, resampled.left_out[key])


def _wanted(outcomes: Outcomes) -> list[tuple[str, str]]:
    every = [(ALL_CLASSES, name) for name in OVER_ALL_CLASSES]
    return every + [(scope, name) for scope in outcomes.classes for name in ONE_AGAINST_REST]


class Statistics:
    """All figures of one sample under any patient weights; what doesn't depend on the weights is done once."""

    def __init__(self, outcomes: Outcomes, from_sweep: FromSweep | None = None) -> None:
        self._outcomes = outcomes
        self._from_sweep = from_sweep
        n, k, patients = len(outcomes), len(outcomes.classes), outcomes.patients
        rows = k + 1  # the last is of images that have no class
        cell = (outcomes.patient * rows + outcomes.truth) * k + outcomes.predicted
        counts = np.bincount(cell, minlength=patients * rows * k).reshape(patients, rows * k)
        self._confusion = counts.astype(np.float64)
        is_class = np.arange(k) == outcomes.truth[:, None]
        squared = (outcomes.probabilities - is_class) ** 2
        self._squared = np.stack(
            [np.bincount(outcomes.patient, weights=squared[:, c], minlength=patients) for c in range(k)], axis=1
        )
        self._images = np.bincount(outcomes.patient, minlength=patients).astype(np.float64)
        self._rankings = [Ranking.of(outcomes.probabilities[:, c], is_class[:, c]) for c in range(k)] if n else []

    def figures(self, weights: Floats) -> Figures:
        """``weights`` float [r, patients] to every figure, float [r]; NaN where it isn't defined."""
        k = len(self._outcomes.classes)
        confusion = (weights @ self._confusion).reshape(-1, k + 1, k)
        squared = _ratio(weights @ self._squared, (weights @ self._images)[:, None])
        image_weights = weights[:, self._outcomes.patient]
        figures: Figures = {(ALL_CLASSES, name): v for name, v in _over_all_classes(confusion[:, :k]).items()}
        for c, scope in enumerate(self._outcomes.classes):
            sweep = self._rankings[c].sweep(image_weights)
            one = _one_against_rest(confusion, c)
            one |= {"auroc": sweep.auroc(), "average_precision": sweep.average_precision()}
            one |= {"brier_score": squared[:, c]} | dict(self._from_sweep(sweep) if self._from_sweep else {})
            figures |= {(scope, name): values for name, values in one.items()}
        return figures


def _over_all_classes(confusion: Floats) -> dict[str, Floats]:
    """From confusion matrices [r, k, k]. MCC for k classes: Gorodkin 2004."""
    total = confusion.sum(axis=(1, 2))
    right = np.trace(confusion, axis1=1, axis2=2)
    true, called = confusion.sum(axis=2), confusion.sum(axis=1)
    recall = _ratio(np.diagonal(confusion, axis1=1, axis2=2), true)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a replicate without images has no mean; it stays NaN
        balanced = np.nanmean(recall, axis=1)
    spread = (total**2 - (called**2).sum(axis=1)) * (total**2 - (true**2).sum(axis=1))
    mcc = _ratio(right * total - (true * called).sum(axis=1), np.sqrt(spread))
    return {"accuracy": _ratio(right, total), "balanced_accuracy": balanced, "mcc": mcc}


def _one_against_rest(confusion: Floats, c: int) -> dict[str, Floats]:
    tp = confusion[:, c, c]
    fn = confusion[:, c, :].sum(axis=1) - tp
    fp = confusion[:, :, c].sum(axis=1) - tp
    tn = confusion.sum(axis=(1, 2)) - tp - fn - fp
    return {
        "sensitivity": _ratio(tp, tp + fn),
        "specificity": _ratio(tn, tn + fp),
        "ppv": _ratio(tp, tp + fp),
        "npv": _ratio(tn, tn + fn),
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
    }


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.full(np.broadcast(above, below).shape, np.nan), where=below > 0)


def estimate_of(
    outcomes: Outcomes,
    scope: str,
    name: str,
    value: float,
    replicates: Floats,
    level: float,
    left_out: Floats | None = None,
) -> Estimate:
    """One figure, or withheld where the sample can't give it. With ``left_out``, the figure under
    :func:`~.bootstrap.leave_out_weights`, its interval is the BCa interval, else that of percentiles."""
    reason = why_withheld(outcomes, scope, name)
    if reason or not np.isfinite(value):
        return withheld(outcomes, scope, name, reason or "not defined for this sample")
    given = _sample(outcomes, scope, name)
    patients = outcomes.patients_among(given)
    bounds = _bounds(outcomes, scope, given, value, replicates, level, left_out) if patients > 1 else None
    method: IntervalMethod = "percentile" if left_out is None else "bca"
    note = None
    if bounds is None and value in (0.0, 1.0) and name in _SHARES:
        bounds, method = exact_interval(value, patients, level), "exact"
    if bounds is None and name.startswith("auroc") and np.isfinite(replicates).mean() >= MOST_DEFINED:
        # a perfect AUROC says no more than as many successes as the rarer side has patients
        least = -1.0 if "_minus_" in name else 0.0
        bounds, method = exact_auroc_interval(value, _rarer_side(outcomes, scope), level, least), "exact"
    if bounds is None:
        method, note = "", _why_no_interval(patients, replicates)
    low, high = bounds or (None, None)
    return Estimate(
        name, scope, value, low, high, int(given.sum()), *_counts(outcomes, scope), patients, method, note
    )


def _rarer_side(outcomes: Outcomes, scope: str) -> int:
    """Patients of the class in scope or of the others, whichever are fewer but some."""
    positive = outcomes.truth == outcomes.classes.index(scope)
    return min(outcomes.patients_among(side) for side in (positive, ~positive) if side.any())


def _bounds(
    outcomes: Outcomes,
    scope: str,
    given: Mask,
    value: float,
    replicates: Floats,
    level: float,
    left_out: Floats | None,
) -> tuple[float, float] | None:
    if left_out is None:
        return percentile_interval(replicates, level)
    deciding = outcomes.patients_among(given)
    if scope != ALL_CLASSES and given.all():
        deciding = _rarer_side(outcomes, scope)
    return bca_interval(value, replicates, left_out, max(deciding, 2), level)


def _why_no_interval(patients: int, replicates: Floats) -> str:
    if patients < 2:
        return "no interval: one patient only"
    if np.isfinite(replicates).all():
        return "no interval: every resample gives the same figure"
    return "no interval: too few images, many resamples can't give the figure"


def withheld(outcomes: Outcomes, scope: str, name: str, reason: str) -> Estimate:
    """One figure that isn't given, and why."""
    given = _sample(outcomes, scope, name)
    counts = _counts(outcomes, scope)
    patients = outcomes.patients_among(given)
    return Estimate(name, scope, None, None, None, int(given.sum()), *counts, patients, withheld=reason)


def _counts(outcomes: Outcomes, scope: str) -> tuple[int, int]:
    if scope == ALL_CLASSES:
        return len(outcomes), 0
    positives = int((outcomes.truth == outcomes.classes.index(scope)).sum())
    return positives, len(outcomes) - positives


def _sample(outcomes: Outcomes, scope: str, name: str) -> Mask:
    """The images that the figure is a share of."""
    if scope == ALL_CLASSES:
        return np.ones(len(outcomes), dtype=bool)
    c = outcomes.classes.index(scope)
    samples = {
        "sensitivity": outcomes.truth == c,
        "specificity": outcomes.truth != c,
        "ppv": outcomes.predicted == c,
        "npv": outcomes.predicted != c,
    }
    of_name = name.partition("_at_s")[0]  # sensitivity_at_specificity_0.90 is a share of the positives, too
    return samples.get(of_name, np.ones(len(outcomes), dtype=bool))


def why_withheld(outcomes: Outcomes, scope: str, name: str) -> str | None:
    """Why this sample can't give the figure; None where it can."""
    if outcomes.target is not None and scope != outcomes.target:
        n = int((~outcomes.has_class).sum())
        return f"of {counted(n, 'image')} no more is known than that they aren't of {outcomes.target}"
    if scope == ALL_CLASSES:
        return _why_withheld_over_all(outcomes, name)
    positives, negatives = _counts(outcomes, scope)
    if not positives and name not in ("specificity", "brier_score"):
        return f"no image of {scope} here"
    if not negatives and name not in ("sensitivity", "brier_score"):
        return f"every image here is of {scope}"
    if name in ("ppv", "npv") and not _sample(outcomes, scope, name).any():
        return f"no image was called {scope}" if name == "ppv" else f"every image was called {scope}"
    if min(positives, negatives) == 1 and name not in (*_SHARES, "brier_score"):
        return f"only one image of {scope} here" if positives == 1 else f"all images here but one are of {scope}"
    return None


def _why_withheld_over_all(outcomes: Outcomes, name: str) -> str | None:
    present = outcomes.present
    if len(present) == 1:
        return f"every image here is of {present[0]}: see its sensitivity alone"
    if name == "mcc" and len(np.unique(outcomes.predicted)) == 1:
        return "every image got the same verdict"
    return None
