"""Risk and coverage: how often is the model wrong if it abstains on the images of which it is least certain?

Coverage is the share of images on which it doesn't abstain, risk the share of these that it gets wrong (Geifman &
El-Yaniv 2017, "Selective classification for deep neural networks"). If the confidence of a model is meaningful, risk
falls as coverage falls.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import digamma

from lungsight.statistics.binary import Binary
from lungsight.statistics.bootstrap import Resampling, divided, draw, estimate, percentile_band, withheld
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import Floats, Integers

TITLES = {"aurc": "Area under the risk-coverage curve (less is better)"}
COVERAGES: Floats = np.arange(5, 101) / 100


@dataclass(frozen=True, eq=False)
class _Order:
    """Images in falling order of confidence; images of equal confidence form one group.

    Their order within a group is arbitrary, so the risk within a group is its expected value.
    """

    order: Integers
    starts: Integers
    wrong: Floats

    @classmethod
    def of(cls, answers: Binary) -> _Order:
        order = np.argsort(-answers.probability, kind="stable")
        falling = answers.probability[order]
        starts = np.flatnonzero(np.r_[True, falling[1:] != falling[:-1]])
        return cls(order, starts, (~answers.positive[order]).astype(np.float64))

    def groups(self, weights: Floats) -> tuple[Floats, Floats]:
        """The number of images and of errors in each group, [r, groups] each, under image weights [r, n]."""
        ranked = weights[:, self.order]
        images = np.add.reduceat(ranked, self.starts, axis=1)
        return images, np.add.reduceat(ranked * self.wrong, self.starts, axis=1)


def area(images: Floats, errors: Floats) -> Floats:
    """The mean risk over coverages of 1, 2 … all images, for groups [r, groups] of equal confidence: float [r].

    Within a group of m images with error rate e, after s images with E errors, the risk of k images is expected to be
    (E + (k - s) e) / k. Its sum over the group is e m + (E - e s) (H(s + m) - H(s)), where H are the harmonic
    numbers.
    """
    after, errors_after = np.cumsum(images, axis=1), np.cumsum(errors, axis=1)
    before, errors_before = after - images, errors_after - errors
    rate = np.divide(errors, images, out=np.zeros_like(errors), where=images > 0)
    harmonic = digamma(after + 1) - digamma(before + 1)
    return np.asarray(divided((errors + (errors_before - rate * before) * harmonic).sum(axis=1), after[:, -1]))


def area_under_risk_coverage(answers: Binary, resampling: Resampling = Resampling()) -> Estimate:
    """AURC of :func:`~lungsight.statistics.calibration_metrics.top_label`; positive means right."""
    if not len(answers):
        return withheld("aurc", answers, "no images")
    ranked = _Order.of(answers)
    return estimate("aurc", answers, lambda weights: area(*ranked.groups(weights)), resampling=resampling)


def risk_coverage_curve(
    answers: Binary, resampling: Resampling = Resampling(), coverages: Floats = COVERAGES
) -> pd.DataFrame:
    """One row per coverage.

    ``confidence`` is the lowest at that coverage, ``risk`` the share of errors, with ``low`` and ``high``. ``n`` is
    the number of images on which the model doesn't abstain.
    """
    if not len(answers):
        return pd.DataFrame()
    ranked = _Order.of(answers)

    def risk(weights: Floats) -> Floats:
        images, errors = (np.cumsum(g, axis=1) for g in ranked.groups(weights))
        kept = coverages * images[:, -1:]
        pairs = zip(kept, images, errors, strict=True)
        wrong = [np.interp(k, np.r_[0.0, i], np.r_[0.0, e]) for k, i, e in pairs]
        return divided(np.array(wrong), kept)

    drawn = draw(answers, lambda weights: {"risk": risk(weights)}, resampling)["risk"]
    low, high = percentile_band(drawn.replicates, resampling.level, flat=False)
    answered = np.maximum(1, np.round(coverages * len(answers))).astype(int)
    return pd.DataFrame(
        {
            "coverage": coverages,
            "confidence": answers.probability[ranked.order][answered - 1],
            "risk": drawn.point,
            "low": low,
            "high": high,
            "interval": "percentile",
            "n": answered,
        }
    )
