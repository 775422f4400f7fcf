"""Sensitivity at a fixed specificity, specificity at a fixed sensitivity, and PPV and NPV at a prevalence.

The threshold of an operating point is chosen on the same images on which it is tested, anew in each replicate. So
these figures say what a score can achieve, not what a threshold chosen beforehand will achieve.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lungsight.statistics.bootstrap import Drawn, combine, exact_interval
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.metrics import Key, estimate_of, why_withheld, withheld
from lungsight.statistics.outcomes import Floats, Outcomes
from lungsight.statistics.ranking import Ranking, Sweep

FIXED_SPECIFICITIES = (0.80, 0.90, 0.95)
FIXED_SENSITIVITIES = (0.90, 0.95)
PPV_AT_PREVALENCE, NPV_AT_PREVALENCE = "ppv_at_prevalence", "npv_at_prevalence"

#: The figure, what is fixed and at how much, by the name of the estimate.
OPERATING_POINTS: Mapping[str, tuple[str, str, float]] = {
    f"{figure}_at_{fixed}_{at:.2f}": (figure, fixed, at)
    for figure, fixed, values in (
        ("sensitivity", "specificity", FIXED_SPECIFICITIES),
        ("specificity", "sensitivity", FIXED_SENSITIVITIES),
    )
    for at in values
}


def operating_points(sweep: Sweep) -> Mapping[str, Floats]:
    """Every operating point under each set of weights, float [r], for :func:`~.metrics.resample`.

    The highest sensitivity that any threshold reaches with at least the fixed specificity, and the reverse.
    """
    at_specificity = sweep.place_of_specificity(np.array(FIXED_SPECIFICITIES))
    at_sensitivity = sweep.place_of_sensitivity(np.array(FIXED_SENSITIVITIES))
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity = np.take_along_axis(sweep.called_tp, at_specificity, axis=1) / sweep.positives[:, None]
        specificity = 1 - np.take_along_axis(sweep.called_fp, at_sensitivity, axis=1) / sweep.negatives[:, None]
    both_classes = (sweep.positives > 0) & (sweep.negatives > 0)
    values = np.where(both_classes[:, None], np.concatenate([sensitivity, specificity], axis=1), np.nan)
    return dict(zip(OPERATING_POINTS, values.T, strict=True))


def threshold_of(outcomes: Outcomes, scope: str, name: str) -> float | None:
    """The probability from which an image is predicted positive at the operating point; None if none is."""
    c = outcomes.classes.index(scope)
    ranking = Ranking.of(outcomes.probabilities[:, c], outcomes.truth == c)
    sweep = ranking.sweep(np.ones((1, len(outcomes))))
    _, fixed, at = OPERATING_POINTS[name]
    place_of = sweep.place_of_specificity if fixed == "specificity" else sweep.place_of_sensitivity
    place = int(place_of(np.array([at]))[0, 0])
    return float(ranking.scores[place - 1]) if place else None


def predictive_values(sensitivity: Floats, specificity: Floats, prevalence: float) -> tuple[Floats, Floats]:
    """PPV and NPV by Bayes' theorem; NaN where no image, or every image, would be predicted positive.

    ``prevalence`` is the share of patients with the disease, between 0 and 1.
    """
    true_positive, false_positive = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    true_negative, false_negative = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    with np.errstate(invalid="ignore", divide="ignore"):
        return true_positive / (true_positive + false_positive), true_negative / (true_negative + false_negative)


def at_prevalence(
    outcomes: Outcomes, drawn: Mapping[Key, Drawn], scope: str, prevalence: float, level: float
) -> tuple[Estimate, Estimate]:
    """PPV and NPV of the model among patients of whom the share ``prevalence`` has the disease.

    Sensitivity and specificity are assumed to be the same there. If every replicate gives the same value (one kind of
    error doesn't occur in this sample), the interval comes from the exact intervals of sensitivity and specificity,
    each at half the error (Bonferroni). It then covers the true value at least as often as its level says.
    """
    names = (PPV_AT_PREVALENCE, NPV_AT_PREVALENCE)
    if reason := why_withheld(outcomes, scope, "auroc") if len(outcomes) else "no images":
        one, two = (withheld(outcomes, scope, name, reason) for name in names)
        return one, two
    both = drawn[scope, "sensitivity"], drawn[scope, "specificity"]

    def value(which: int) -> Drawn:
        return combine(lambda *both: predictive_values(both[0], both[1], prevalence)[which], *both)

    one, two = (estimate_of(outcomes, scope, name, value(i), level) for i, name in enumerate(names))
    cautious = _cautious_bounds(outcomes, scope, prevalence, level)
    return _with_bounds(one, cautious[0]), _with_bounds(two, cautious[1])


def _with_bounds(estimate: Estimate, bounds: tuple[float, float]) -> Estimate:
    if estimate.value is None or estimate.low is not None:
        return estimate
    return replace(estimate, low=bounds[0], high=bounds[1], interval="exact", withheld=None)


def _cautious_bounds(
    outcomes: Outcomes, scope: str, prevalence: float, level: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The bounds of PPV and of NPV, which both rise with sensitivity and with specificity."""
    c = outcomes.classes.index(scope)
    positive, right = outcomes.truth == c, (outcomes.predicted == c) == (outcomes.truth == c)
    sensitivity, specificity = (
        exact_interval(float(right[sample].mean()), outcomes.patients_among(sample), (1 + level) / 2)
        for sample in (positive, ~positive)
    )
    ppv, npv = predictive_values(np.array(sensitivity), np.array(specificity), prevalence)
    return (float(ppv[0]), float(ppv[1])), (float(npv[0]), float(npv[1]))
