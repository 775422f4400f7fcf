"""How well a model tells positives from negatives of the same group, and what is left of that on altered images.

Two measures, both of images of the same group (a source) only, so that recognising the group adds nothing. The
AUROC above chance, the AUROC less 0.5, doesn't depend on the scale of the logits, which a strange image changes. The
*distance* is the mean logit of the positives less that of the negatives, pooled over the groups by their sizes: the
coefficient of the label in a linear model of the logit with one intercept for each group. It measures how far a small
change moves an image.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lungsight.statistics.bootstrap import Exact, Resampling, Sample, divided, estimate, withheld
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import Floats, Mask
from lungsight.statistics.ranking import auroc_within, in_mixed_groups, within_groups

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
    """What is left of the AUROC above chance within groups: (AUROC of ``after`` - 0.5) / (AUROC of ``before`` - 0.5).

    ``before`` and ``after``, float [n], are scores or logits. Every pair of a positive and a negative of the same
    group counts the same. The figure and its sample are of the groups that hold both sides. It is withheld with too
    few patients, and where the model hardly tells the two sides apart ``before``.
    """
    within = _compared(name, sample, group, before, resampling)
    if isinstance(within, Estimate):
        return within
    inside, sample = within
    was, left = (within_groups(s[inside], sample.positive, group[inside], "pairs") for s in (before, after))

    def share(weights: Floats) -> Floats:
        return divided(left(weights) - 0.5, was(weights) - 0.5)

    return estimate(name, sample, share, exact=Exact.AUROC, resampling=resampling)


def share_moved(
    name: str, sample: Sample, group: Texts, before: Floats, after: Floats, resampling: Resampling = Resampling()
) -> Estimate:
    """How far the negatives' logits move from ``before`` to ``after``, as a share of the distance ``before``.

    Images and reasons for withholding are those of :func:`share_left`; the groups weigh alike in move and distance.
    """
    within = _compared(name, sample, group, before, resampling)
    if isinstance(within, Estimate):
        return within
    inside, sample = within
    before, after = before[inside], after[inside]
    coefficients = _coefficients(sample, group[inside])
    move = np.where(sample.positive, 0.0, before - after)  # a negative's coefficient is negative, too

    def part(weights: Floats) -> Floats:
        c = coefficients(weights)
        return divided(c @ move, c @ before)

    return estimate(name, sample, part, resampling=resampling)


def _compared(
    name: str, sample: Sample, group: Texts, before: Floats, resampling: Resampling
) -> tuple[Mask, Sample] | Estimate:
    """The images of groups with both sides, bool [n], and their sample; or the figure, withheld with its reason."""
    inside = in_mixed_groups(group, sample.positive)
    if not inside.any():
        return withheld(name, sample, "every source holds one class")
    within = sample.where(inside)
    told = auroc_within("", within, before[inside], group[inside], weighing="pairs", resampling=resampling)
    if told.value is None:
        return withheld(name, within, told.withheld or "")
    if told.low is None or told.low <= TOLD:
        reason = f"the model hardly tells the two apart here, AUROC within sources {told.value:.2f}"
        return withheld(name, within, reason)
    return inside, within


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
