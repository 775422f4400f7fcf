"""Corners and borders: among images of the same truth and source, does the score follow what is burnt into the image?

Letters and markers stand in the corners, and scans of prints have borders. Neither is the disease; models have
learned both (Zech et al. 2018; DeGrave et al. 2021). Nothing is altered here.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from lungsight._text import as_words, fixed
from lungsight.evaluation.audits.audit import AuditAnswer, AuditInput, AuditResult, AuditSpec, Need, unanswered
from lungsight.evaluation.formatting import as_sample, withheld_because
from lungsight.evaluation.rows import Row
from lungsight.evaluation.testset.testset import ALL_SOURCES, TestSet
from lungsight.statistics.bootstrap import Resampling, Statistic, divided, estimate, too_few, withheld
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import Floats, Integers

#: What is measured of each image (:class:`.ImageStatistics`), in words.
MEASURED = {"corner_brightest": "the brightest corner", "border_share": "the border's width"}


def corners_and_borders(given: AuditInput) -> AuditAnswer:
    """Correlate the score with each of :data:`MEASURED`, within source and truth.

    For each source, and for each kind's sources together. The effect is the one whose interval is farthest from zero.
    """
    known = given.testset.where(given.testset.headers.notna().all(axis=1).to_numpy()).scored
    rows = tuple(
        Row(
            {"kind": kind, "source": source, "measured": name},
            _correlation(images, name, given.resampling),
        )
        for kind, source, images in known.groups()
        for name in MEASURED
    )
    sure = [row for row in rows if row.estimate.low is not None]
    if not sure:
        reasons = sorted({withheld_because(row.estimate) for row in rows if row.estimate.withheld})
        return unanswered(f"It couldn't be asked: {'; '.join(reasons) or 'no image could be read'}.")
    chosen = max(sure, key=lambda row: _from_zero(row.estimate))
    return AuditAnswer(AuditResult.REPORTED, _meaning(chosen, known.target), chosen.estimate, rows, chosen.estimate.n)


def _correlation(images: TestSet, name: str, resampling: Resampling) -> Estimate:
    sample, measured = images.sample, images.headers[name].to_numpy(dtype=np.float64)
    if reason := too_few(sample.patients):
        return withheld("rank_correlation", sample, reason)
    strata = np.unique(images.table["source"].to_numpy(dtype=str), return_inverse=True)[1] * 2 + images.positive
    return estimate("rank_correlation", sample, correlation(images.score, measured, strata), resampling=resampling)


def correlation(one: Floats, other: Floats, strata: Integers) -> Statistic:
    """Spearman's rank correlation of two values within strata, float [n] and int [n], as a statistic.

    Ranks are taken within each stratum, once; NaN if nothing varies within any.
    """
    own = strata[:, None] == np.unique(strata)
    ranks = [np.zeros(len(strata)), np.zeros(len(strata))]
    for here in own.T:
        for rank, values in zip(ranks, (one, other), strict=True):
            rank[here] = (rankdata(values[here]) - 0.5) / here.sum() - 0.5

    def figures(weights: Floats) -> Floats:
        total = weights @ own
        sums = [weights @ (own * rank[:, None]) for rank in ranks]

        def covariance(i: int, j: int) -> Floats:
            between = np.nan_to_num(divided(sums[i] * sums[j], total)).sum(axis=1)
            return np.asarray(np.maximum(weights @ (ranks[i] * ranks[j]) - between, 0 if i == j else -np.inf))

        return divided(covariance(0, 1), np.sqrt(covariance(0, 0) * covariance(1, 1)))

    return figures


def _from_zero(found: Estimate) -> float:
    """How far the interval lies from zero; below zero if it holds zero."""
    return max(float(found.low or 0), -float(found.high or 0))


def _meaning(chosen: Row, target: str) -> str:
    found, source = chosen.estimate, chosen.labels["source"]
    images = f"{chosen.labels['kind']} images" if source == ALL_SOURCES else f"images of {source}"
    what = MEASURED[str(chosen.labels["measured"])]
    figure = f"{fixed(found.value, 2)} ({fixed(found.low, 2)} to {fixed(found.high, 2)}, {as_sample(found)})"
    sentence = (
        f"Among {images} of the same source and label, the rank correlation of the probability of {as_words(target)} "
        f"with {what} is {figure}"
    )
    if _from_zero(found) <= 0:
        return f"{sentence}: it follows neither corners nor borders clearly."
    return f"{sentence}: it follows {what}, or something that goes with it."


SPEC = AuditSpec(
    "corners and borders",
    "Among images of the same label, does the score follow how bright the corners or how wide the borders are?",
    corners_and_borders,
    needs=frozenset({Need.FILES}),
)
