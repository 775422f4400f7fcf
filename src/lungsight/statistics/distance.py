"""How far apart a model sets positives and negatives of the same group, and what is left of that on altered images.

The distance is the mean of the logits of the positives less that of the negatives, within each group (a source),
pooled over the groups by their sizes: the coefficient of the label in a linear model of the logit with one intercept
for each group. What recognises the group alone adds nothing to it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lungsight.statistics.bootstrap import Resampling, Sample, Statistic, divided, estimate, too_few, withheld
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import Floats, Mask
from lungsight.statistics.ranking import auroc_within, in_mixed_groups

#: Where the AUROC within the groups isn't above this with its whole interval, there is no distance to share.
TOLD = 0.65
#: A probability nearer to 0 or 1 than this is as good as certain; keeps the logit finite.
_CERTAIN = 1e-6

Texts = NDArray[np.str_]


def logit(probability: Floats) -> Floats:
    """The logarithm of the odds, float [n]; finite, also where a probability is 0 or 1."""
    clipped = np.clip(probability, _CERTAIN, 1 - _CERTAIN)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def share_left(
    name: str, sample: Sample, group: Texts, before: Floats, after: Floats, resampling: Resampling = Resampling()
) -> Estimate:
    """The distance of the logits ``after``, float [n], as a share of that of the logits ``before``.

    It and its sample are of the groups that hold both sides. It is withheld with too few patients, and where the
    model hardly tells the two sides apart ``before``.
    """
    return _share(name, sample, group, before, lambda of: lambda c: c @ after[of], resampling)


def share_moved(
    name: str, sample: Sample, group: Texts, before: Floats, after: Floats, resampling: Resampling = Resampling()
) -> Estimate:
    """How far the negatives move from ``before`` to ``after``, as a share of the distance ``before``.

    As :func:`share_left`; the groups weigh alike in both.
    """
    move = np.where(sample.positive, 0.0, before - after)  # a negative's coefficient is negative, too
    return _share(name, sample, group, before, lambda of: lambda c: c @ move[of], resampling)


def _share(
    name: str,
    sample: Sample,
    group: Texts,
    before: Floats,
    above: Callable[[Mask], Statistic],
    resampling: Resampling,
) -> Estimate:
    inside = in_mixed_groups(group, sample.positive)
    if not inside.any():
        return withheld(name, sample, "every source holds one class")
    within, group = sample.where(inside), group[inside]
    for side, mask in (("positive", within.positive), ("negative", ~within.positive)):
        if reason := too_few(within.patients_among(mask), f"on the {side} side"):
            return withheld(name, within, reason)
    told = auroc_within("auroc_within", within, before[inside], group, resampling=resampling)
    if told.low is None or told.low <= TOLD:
        value = "withheld" if told.value is None else f"{told.value:.2f}"
        return withheld(name, within, f"the model hardly tells the two apart here, AUROC within sources {value}")
    coefficients, top = _coefficients(within, group), above(inside)

    def part(weights: Floats) -> Floats:
        c = coefficients(weights)
        return divided(top(c), c @ before[inside])

    found = estimate(name, within, part, resampling=resampling)
    if found.low is None:
        return withheld(name, within, found.withheld or "no interval")
    return found


def _coefficients(sample: Sample, group: Texts) -> Callable[[Floats], Floats]:
    """From image weights [r, n] to what each image's logit counts in the distance, float [r, n].

    It is the weight times (label - share of positives in the group): over a group of P positives and N negatives the
    sum of logits is P·N / (P + N) times the difference of their means.
    """
    own = (group[:, None] == np.unique(group)).astype(np.float64)

    def coefficients(weights: Floats) -> Floats:
        share = np.nan_to_num(divided((weights * sample.positive) @ own, weights @ own))
        return np.asarray(weights * (sample.positive - share @ own.T))

    return coefficients
