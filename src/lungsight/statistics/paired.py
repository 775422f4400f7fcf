"""Two models on the same images: McNemar's test, and the difference of any figure with an interval by patients."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binomtest

from lungsight.statistics.bootstrap import Resampling, patient_weights
from lungsight.statistics.delong import PairedAuroc, compare_aurocs
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.metrics import Statistics, estimate_of, why_withheld, withheld
from lungsight.statistics.outcomes import Floats, Mask, Outcomes


@dataclass(frozen=True)
class McNemar:
    """Which of two models is right more often on the same images.

    Attributes:
        only_a, only_b: images that only the first, only the second model gets right.
        p: two-sided and exact; 1 where they never differ. Takes images as independent.
    """

    only_a: int
    only_b: int
    p: float


@dataclass(frozen=True)
class PairedDifference:
    """One figure of two models on the same images.

    Attributes:
        a, b: the figure of each model; None where it is withheld.
        difference: a minus b, named ``<metric>_difference``, with its interval or the reason why it is withheld.
        p: two-sided, that both are equal, from the same replicates as the interval; None without an interval.
    """

    metric: str
    scope: str
    a: float | None
    b: float | None
    difference: Estimate
    p: float | None


def mcnemar(correct_a: Mask, correct_b: Mask) -> McNemar:
    """McNemar's test, exact (Fagerland, Lydersen & Laake 2013): whether each model is right, bool [n] each."""
    only_a, only_b = int((correct_a & ~correct_b).sum()), int((~correct_a & correct_b).sum())
    p = float(binomtest(only_a, only_a + only_b, 0.5).pvalue) if only_a + only_b else 1.0
    return McNemar(only_a, only_b, p)


def paired_difference(
    outcomes_a: Outcomes, outcomes_b: Outcomes, metric: str, scope: str, resampling: Resampling = Resampling()
) -> PairedDifference:
    """The difference of ``metric`` (as in :data:`lungsight.statistics.metrics.TITLES`) in ``scope`` (a class, or
    ``ALL_CLASSES``), the same resampled patients for both models.

    The p-value inverts the percentile interval (Davison & Hinkley 1997, section 4.4): twice the smaller share of
    replicates on either side of no difference, never below one in the number of replicates. Raises ValueError where
    the images, their truth or their patients differ.
    """
    return paired_differences(outcomes_a, outcomes_b, [(metric, scope)], resampling)[0]


def paired_differences(
    outcomes_a: Outcomes,
    outcomes_b: Outcomes,
    wanted: list[tuple[str, str]],
    resampling: Resampling = Resampling(),
) -> list[PairedDifference]:
    """:func:`paired_difference` of several (metric, scope) in one pass over the replicates."""
    _must_match(outcomes_a, outcomes_b)
    if not len(outcomes_a):
        return [_withheld(outcomes_a, metric, scope, None, None, "no images") for metric, scope in wanted]
    both = (Statistics(outcomes_a), Statistics(outcomes_b))
    keys = [(scope, metric) for metric, scope in wanted]
    once = np.ones((1, outcomes_a.patients))
    point = [[float(figures[key][0]) for key in keys] for figures in (s.figures(once) for s in both)]
    drawn: list[list[Floats]] = [[] for _ in keys]
    for weights in patient_weights(outcomes_a.patients, len(outcomes_a), resampling):
        first, second = (statistics.figures(weights) for statistics in both)
        for i, key in enumerate(keys):
            drawn[i].append(first[key] - second[key])
    return [
        _difference(
            outcomes_a, outcomes_b, *wanted[i], point[0][i], point[1][i], np.concatenate(drawn[i]), resampling
        )
        for i in range(len(keys))
    ]


def paired_auroc(outcomes_a: Outcomes, outcomes_b: Outcomes, scope: str, level: float = 0.95) -> PairedAuroc | str:
    """DeLong's paired test of the AUROCs of one class against the rest, or the reason why there is none. It takes
    images as independent. Raises ValueError as :func:`paired_difference` does."""
    _must_match(outcomes_a, outcomes_b)
    if reason := "no images" if not len(outcomes_a) else why_withheld(outcomes_a, scope, "auroc"):
        return reason
    c = outcomes_a.classes.index(scope)
    return compare_aurocs(
        outcomes_a.probabilities[:, c], outcomes_b.probabilities[:, c], outcomes_a.truth == c, level
    )


def _must_match(a: Outcomes, b: Outcomes) -> None:
    same = a.classes == b.classes and np.array_equal(a.truth, b.truth) and np.array_equal(a.patient, b.patient)
    if not same:
        raise ValueError("a paired comparison needs the same images, classes, truth and patients, in the same order")


def _difference(
    outcomes_a: Outcomes,
    outcomes_b: Outcomes,
    metric: str,
    scope: str,
    a: float,
    b: float,
    replicates: Floats,
    resampling: Resampling,
) -> PairedDifference:
    value_a, value_b = (value if np.isfinite(value) else None for value in (a, b))
    for outcomes in (outcomes_a, outcomes_b):
        if reason := why_withheld(outcomes, scope, metric):
            return _withheld(outcomes_a, metric, scope, value_a, value_b, reason)
    found = estimate_of(outcomes_a, scope, metric, a - b, replicates, resampling.level)
    if found.interval == "exact":  # an interval of a share, which a difference isn't
        reason = "no interval: every resample gives the same difference"
        found = replace(found, low=None, high=None, interval="", withheld=reason)
    found = replace(found, name=f"{metric}_difference")
    return PairedDifference(metric, scope, value_a, value_b, found, None if found.low is None else _p(replicates))


def _p(replicates: Floats) -> float:
    defined = replicates[np.isfinite(replicates)]
    below, above = ((defined <= 0).sum() + 1, (defined >= 0).sum() + 1)
    return float(min(1.0, 2 * min(below, above) / (len(defined) + 1)))


def _withheld(
    outcomes: Outcomes, metric: str, scope: str, a: float | None, b: float | None, reason: str
) -> PairedDifference:
    given = replace(withheld(outcomes, scope, metric, reason), name=f"{metric}_difference")
    return PairedDifference(metric, scope, a, b, given, None)
