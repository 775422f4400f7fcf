"""Two models on the same images: McNemar's test, and the difference of any metric with an interval by patients."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binomtest

from lungsight.statistics.bootstrap import Drawn, Resampling, combine, draw, estimate_from, p_value
from lungsight.statistics.delong import PairedAuroc, compare_aurocs
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.metrics import figures, images_of, sample_of, why_withheld, withheld
from lungsight.statistics.outcomes import Mask, Outcomes


@dataclass(frozen=True)
class McNemar:
    """Which of two models is right more often on the same images.

    Attributes:
        only_a, only_b: number of images that only the first, or only the second, model classifies correctly.
        p: two-sided and exact; 1 if they never differ. It assumes that images are independent.
    """

    only_a: int
    only_b: int
    p: float


@dataclass(frozen=True)
class PairedDifference:
    """One metric of two models on the same images.

    Attributes:
        a, b: the metric of each model; None where it is withheld.
        difference: a minus b, named ``<metric>_difference``, with its interval or the reason why it is withheld.
        p: two-sided, that both are equal, from the replicates of the interval; None without an interval.
    """

    metric: str
    scope: str
    a: float | None
    b: float | None
    difference: Estimate
    p: float | None


def mcnemar(correct_a: Mask, correct_b: Mask) -> McNemar:
    """McNemar's exact test (Fagerland, Lydersen & Laake 2013) of whether each model is right, bool [n] each."""
    only_a, only_b = int((correct_a & ~correct_b).sum()), int((~correct_a & correct_b).sum())
    p = float(binomtest(only_a, only_a + only_b, 0.5).pvalue) if only_a + only_b else 1.0
    return McNemar(only_a, only_b, p)


def paired_differences(
    outcomes_a: Outcomes,
    outcomes_b: Outcomes,
    wanted: list[tuple[str, str]],
    resampling: Resampling = Resampling(),
) -> list[PairedDifference]:
    """The differences of several metrics, with the same resampled patients for both models.

    Args:
        outcomes_a: of the first model.
        outcomes_b: of the second model, the same images row by row.
        wanted: (metric, scope): one of :data:`~lungsight.statistics.metrics.METRICS`; a class or ``ALL_CLASSES``.
        resampling: number of replicates, level and seed.

    Raises:
        ValueError: the images, their labels or their patients differ.
    """
    _must_match(outcomes_a, outcomes_b)
    if not len(outcomes_a):
        return [_withheld(outcomes_a, metric, scope, None, None, "no images") for metric, scope in wanted]
    both = figures(outcomes_a), figures(outcomes_b)
    drawn = draw(
        sample_of(outcomes_a),
        lambda w: {(model, *key): v for model, of in enumerate(both) for key, v in of(w).items()},
        resampling,
    )
    return [
        _difference(
            outcomes_a, outcomes_b, metric, scope, drawn[0, scope, metric], drawn[1, scope, metric], resampling
        )
        for metric, scope in wanted
    ]


def paired_auroc(outcomes_a: Outcomes, outcomes_b: Outcomes, scope: str, level: float = 0.95) -> PairedAuroc | str:
    """DeLong's paired test of the AUROCs of one class against the rest, or the reason why there is none.

    It assumes that images are independent.

    Raises:
        ValueError: the images, their labels or their patients differ.
    """
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
    outcomes_a: Outcomes, outcomes_b: Outcomes, metric: str, scope: str, a: Drawn, b: Drawn, resampling: Resampling
) -> PairedDifference:
    value_a, value_b = (float(one.point) if np.isfinite(one.point) else None for one in (a, b))
    for outcomes in (outcomes_a, outcomes_b):
        if reason := why_withheld(outcomes, scope, metric):
            return _withheld(outcomes_a, metric, scope, value_a, value_b, reason)
    sample, among = sample_of(outcomes_a, scope), images_of(outcomes_a, scope, metric)
    difference = combine(np.subtract, a, b)
    found = estimate_from(f"{metric}_difference", sample, difference, among=among, level=resampling.level)
    p = None if found.low is None else p_value(difference, sample.deciding(among))
    return PairedDifference(metric, scope, value_a, value_b, found, p)


def _withheld(
    outcomes: Outcomes, metric: str, scope: str, a: float | None, b: float | None, reason: str
) -> PairedDifference:
    given = replace(withheld(outcomes, scope, metric, reason), name=f"{metric}_difference")
    return PairedDifference(metric, scope, a, b, given, None)
