"""The variance of an AUROC, and the difference of two on the same images, by DeLong's method.

DeLong, DeLong & Clarke-Pearson 1988 (Biometrics 44:837), by the algorithm of Sun & Xu 2014 (IEEE Signal Processing
Letters 21:1389), which needs ranks only; ties count half. DeLong assumes that images are independent. With several
images of a patient they aren't, and these intervals are too narrow. The patient bootstrap is reported beside them
for that reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm, rankdata

from lungsight.statistics.estimate import Estimate
from lungsight.statistics.metrics import why_withheld, withheld
from lungsight.statistics.outcomes import Floats, Mask, Outcomes

NAME = "auroc_delong"


@dataclass(frozen=True, eq=False)
class DeLong:
    """AUROCs of m scores on the same images.

    Attributes:
        auroc: float [m].
        covariance: float [m, m], of the AUROCs; NaN where a class has fewer than two images.
    """

    auroc: Floats
    covariance: Floats

    @classmethod
    def of(cls, scores: Floats, positive: Mask) -> DeLong:
        """The AUROCs of ``scores``, float [m, n], for the labels ``positive``, bool [n].

        Raises:
            ValueError: a class has no image.
        """
        positives, negatives = int(positive.sum()), int((~positive).sum())
        if not positives or not negatives:
            raise ValueError("an AUROC needs positives and negatives")
        above = scores[:, positive]
        below = scores[:, ~positive]
        overall = rankdata(np.concatenate([above, below], axis=1), axis=1)
        # The share of negatives below each positive, and of positives above each negative: Sun & Xu, equation 5.
        of_positive = (overall[:, :positives] - rankdata(above, axis=1)) / negatives
        of_negative = 1 - (overall[:, positives:] - rankdata(below, axis=1)) / positives
        covariance = _covariance(of_positive) / positives + _covariance(of_negative) / negatives
        return cls(of_positive.mean(axis=1), covariance)

    @property
    def standard_error(self) -> Floats:
        """The standard error of each AUROC, float [m]."""
        return np.sqrt(np.diagonal(self.covariance))


@dataclass(frozen=True)
class PairedAuroc:
    """The difference of two AUROCs on the same images.

    Attributes:
        difference: first minus second.
        low, high: the interval; None if the variance is 0 or can't be computed.
        z, p: two-sided test that both are equal; None likewise.
    """

    first: float
    second: float
    difference: float
    low: float | None
    high: float | None
    z: float | None
    p: float | None


def auroc_interval(score: Floats, positive: Mask, level: float = 0.95) -> tuple[float, float] | None:
    """DeLong's interval of the AUROC, computed on the logit scale so that it stays within 0 and 1.

    Pepe 2003, section 5.2. None if the sample has no variance: the classes don't overlap, or one has a single image.
    """
    found = DeLong.of(score[None], positive)
    auroc, error = float(found.auroc[0]), float(found.standard_error[0])
    if not error > 0 or not 0 < auroc < 1:
        return None
    half = norm.ppf((1 + level) / 2) * error / (auroc * (1 - auroc))
    low, high = expit(logit(auroc) + np.array([-half, half]))
    return float(low), float(high)


def compare_aurocs(first: Floats, second: Floats, positive: Mask, level: float = 0.95) -> PairedAuroc:
    """DeLong's test of two scores of the same images, float [n] each.

    Raises:
        ValueError: a class has no image.
    """
    found = DeLong.of(np.stack([first, second]), positive)
    one, two = (float(value) for value in found.auroc)
    contrast = np.array([1.0, -1.0])
    variance = float(contrast @ found.covariance @ contrast)
    if not variance > 1e-15:
        return PairedAuroc(one, two, one - two, None, None, None, None)
    error = float(np.sqrt(variance))
    half = float(norm.ppf((1 + level) / 2)) * error
    z = (one - two) / error
    return PairedAuroc(one, two, one - two, one - two - half, one - two + half, z, float(2 * norm.sf(abs(z))))


def auroc_estimate(outcomes: Outcomes, scope: str, level: float = 0.95) -> Estimate:
    """The AUROC of one class against the rest with DeLong's interval, named :data:`NAME`."""
    if reason := "no images" if not len(outcomes) else why_withheld(outcomes, scope, "auroc"):
        return withheld(outcomes, scope, NAME, reason)
    c = outcomes.classes.index(scope)
    score, positive = outcomes.probabilities[:, c], outcomes.truth == c
    given = withheld(outcomes, scope, NAME, "")
    bounds = auroc_interval(score, positive, level)
    value = float(DeLong.of(score[None], positive).auroc[0])
    if bounds is None:
        return replace(given, value=value, withheld="no interval: the scores of the two classes don't overlap")
    return replace(given, value=value, low=bounds[0], high=bounds[1], interval="delong", withheld=None)


def _covariance(components: NDArray[np.float64]) -> Floats:
    """The covariance, float [m, m], of components [m, n]; NaN for fewer than two."""
    if components.shape[1] < 2:
        return np.full((len(components), len(components)), np.nan)
    return np.atleast_2d(np.cov(components))
