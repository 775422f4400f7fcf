"""Figures of a part of the images and of the rest, compared within strata (sources) only.

A difference between two parts that are spread unevenly over sources is the sources' difference as much as their own.
So both parts are compared source by source, and the differences averaged with the weights of Mantel and Haenszel
(Greenland & Robins 1985, Biometrics 41:55): a source counts as far as it holds images of both parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from lungsight.statistics.bootstrap import (
    Drawn,
    Exact,
    Resampling,
    Statistic,
    combine,
    divided,
    draw,
    over_strata,
    too_few,
    with_interval,
)
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.metrics import BY_NAME, images_of, sample_of
from lungsight.statistics.outcomes import Floats, Mask, Outcomes
from lungsight.statistics.ranking import Ranking

METRICS = ("auroc", "sensitivity", "specificity", "ppv", "npv", "brier_score")
#: Why a gap isn't given though both parts have images.
NOT_WITHIN = "no source holds both sides: a gap would be the difference between sources"


@dataclass(frozen=True)
class Basis:
    """What a figure of one part rests on.

    Attributes:
        n: the images it is a share of.
        positives, negatives: all of the part.
        patients: of those ``n`` images.
        fewest: patients of the smaller side, for an AUROC; otherwise ``patients``.
        deciding: patients whose number decides its spread.
    """

    n: int
    positives: int
    negatives: int
    patients: int
    fewest: int
    deciding: int

    @classmethod
    def all(cls, bases: Iterable[Basis]) -> Basis:
        """The sum over strata."""
        return cls(*np.sum([(0,) * 6, *map(astuple, bases)], axis=0).tolist())


@dataclass(frozen=True, eq=False)
class Part:
    """Some images of one stratum (a source), one class against the rest.

    Attributes:
        scope: the class.
        drawn: each metric: its value and its size, what it is worth when strata are averaged, [..., 2].
        bases: what each rests on.
    """

    scope: str
    drawn: Mapping[str, Drawn]
    bases: Mapping[str, Basis]

    def has(self, metric: str) -> bool:
        """Whether these images can give the metric."""
        return bool(np.isfinite(self.drawn[metric].point[0]))


def parts_of(
    outcomes: Outcomes, scope: str, masks: Sequence[Mask], resampling: Resampling = Resampling(), *, turned: int = 0
) -> list[Part]:
    """The part of a stratum's images under each mask, bool [n], all under the same resampled patients.

    The replicates are those that every other figure of these images has, ``turned`` by as many rows: strata that are
    averaged need replicates of their own, and each by itself the interval that it has elsewhere."""
    measures = {i: _measure(outcomes, scope, mask) for i, mask in enumerate(masks)}
    drawn = draw(
        sample_of(outcomes, scope),
        lambda weights: {i: measure(weights) for i, measure in measures.items()},
        resampling,
    )
    found = []
    for i, mask in enumerate(masks):
        one = drawn[i]._replace(replicates=np.roll(drawn[i].replicates, turned, axis=0))
        bases = {name: _basis(outcomes, scope, mask, name) for name in METRICS}
        found.append(Part(scope, dict(zip(METRICS, one.columns(), strict=True)), bases))
    return found


def crude_values(outcomes: Outcomes, scope: str, mask: Mask) -> dict[str, float]:
    """Every metric of the images under the mask, sources thrown together; NaN where it isn't defined."""
    values = _measure(outcomes, scope, mask)(np.ones((1, len(outcomes))))[0, :, 0]
    return dict(zip(METRICS, values.tolist(), strict=True))


def _measure(outcomes: Outcomes, scope: str, mask: Mask) -> Statistic:
    """Image weights [b, n] to the metrics of the images under the mask, [b, metrics, 2]: values and sizes."""
    c = outcomes.classes.index(scope)
    positive, called = outcomes.truth[mask] == c, outcomes.predicted[mask] == c
    score = outcomes.probabilities[mask, c]
    cells = (positive & called, positive & ~called, ~positive & called, ~positive & ~called)
    columns = np.stack([*cells, (score - positive) ** 2], axis=1).astype(np.float64)
    ranking = Ranking.of(score, positive) if positive.any() and not positive.all() else None

    def values_and_sizes(weights: Floats) -> Floats:
        of_part = weights[:, mask]
        tp, fn, fp, tn, squared = (of_part @ columns).T
        p, n = tp + fn, fp + tn
        below = np.stack([p, n, tp + fp, fn + tn, p + n])
        shares = divided(np.stack([tp, tn, tp, tn, squared]), below)
        auroc = ranking.sweep(of_part).auroc() if ranking else np.full(len(weights), np.nan)
        return np.stack([np.vstack([auroc, shares]).T, np.vstack([_harmonic(p, n), below]).T], axis=2)

    return values_and_sizes


def _basis(outcomes: Outcomes, scope: str, mask: Mask, metric: str) -> Basis:
    part = sample_of(outcomes, scope).where(mask)
    among = images_of(outcomes, scope, metric)
    given = np.ones(len(part), dtype=bool) if among is None else among[mask]
    sides = (part.positive, ~part.positive) if metric == "auroc" else (given,)
    fewest = min(part.patients_among(side) for side in sides)
    patients = part.patients_among(given)
    return Basis(int(given.sum()), part.positives, part.negatives, patients, fewest, part.deciding(given))


def within(parts: Sequence[Part], metric: str, level: float = 0.95) -> Estimate:
    """One part's figure, averaged over the strata that have it by their sizes."""
    having = [part for part in parts if part.has(metric)]
    scope = parts[0].scope
    basis = Basis.all(part.bases[metric] for part in having)
    if reason := _too_few(basis, metric):
        return _estimate(metric, scope, basis, None, reason)
    found = over_strata([part.drawn[metric] for part in having], _mean)
    given = _estimate(metric, scope, basis, float(found.point))
    return with_interval(given, found, basis.deciding, exact=BY_NAME[metric].exact, level=level)


@dataclass(frozen=True)
class SubgroupGap:
    """How much higher a figure is in a part than in the rest, and what the rest's side rests on."""

    estimate: Estimate
    rest: Basis


def gap_within(pairs: Sequence[tuple[Part, Part]], metric: str, level: float = 0.95) -> SubgroupGap:
    """``pairs`` are the part and the rest in each stratum; strata that lack either side say nothing."""
    having = [(part, rest) for part, rest in pairs if part.has(metric) and rest.has(metric)]
    gaps = [combine(_difference, part.drawn[metric], rest.drawn[metric]) for part, rest in having]
    one = Basis.all(part.bases[metric] for part, _ in having)
    other = Basis.all(rest.bases[metric] for _, rest in having)
    apart = not having and any(p.has(metric) for p, _ in pairs) and any(r.has(metric) for _, r in pairs)
    found = over_strata(gaps, _mean) if gaps else None
    return _gap(metric, pairs[0][0].scope, (one, other), found, level, NOT_WITHIN if apart else None)


def gap_between(part: Part, others: Sequence[Part], metric: str, level: float = 0.95) -> SubgroupGap:
    """One stratum against the mean of the others."""
    having = [other for other in others if other.has(metric)]
    one, other = part.bases[metric], Basis.all(o.bases[metric] for o in having)
    found = None
    if having and part.has(metric):
        drawn = [p.drawn[metric] for p in (part, *having)]
        found = over_strata(drawn, lambda strata: np.asarray(strata[0][..., 0] - _mean(strata[1:])))
    return _gap(metric, part.scope, (one, other), found, level, None)


def _gap(
    metric: str, scope: str, bases: tuple[Basis, Basis], found: Drawn | None, level: float, reason: str | None
) -> SubgroupGap:
    one, other = bases
    reason = reason or _too_few(one, metric) or _too_few(other, metric, "on the other side")
    if reason or found is None:
        return SubgroupGap(_estimate(metric, scope, one, None, reason or "not defined for this sample"), other)
    given = _estimate(metric, scope, one, float(found.point))
    exact = Exact.AUROC_DIFFERENCE if metric == "auroc" else None
    return SubgroupGap(
        with_interval(given, found, min(one.deciding, other.deciding), exact=exact, level=level), other
    )


def _too_few(basis: Basis, metric: str, where: str = "") -> str | None:
    sides = "on the smaller side" if metric == "auroc" else ""
    return too_few(basis.fewest, f"{sides} {where}".strip())


def _difference(part: Floats, rest: Floats) -> Floats:
    """Of values and sizes [..., 2]: the difference and what it is worth."""
    return np.stack([part[..., 0] - rest[..., 0], _harmonic(part[..., 1], rest[..., 1])], axis=-1)


def _mean(strata: Sequence[Floats]) -> Floats:
    """Mean over strata of values and sizes, float [b, 2] each, by the sizes; one in which a stratum has no value is
    the mean of the others."""
    v, w = np.moveaxis(np.stack(np.broadcast_arrays(*strata), axis=1), -1, 0)  # [b, strata] each
    known = np.isfinite(v) & (w > 0)
    return divided(np.where(known, v * w, 0).sum(axis=1), np.where(known, w, 0).sum(axis=1))


def _harmonic(a: Floats, b: Floats) -> Floats:
    return np.nan_to_num(divided(a * b, a + b))


def _estimate(metric: str, scope: str, basis: Basis, value: float | None, reason: str | None = None) -> Estimate:
    n, positives, negatives, patients, *_ = astuple(basis)
    return Estimate(metric, scope, value, None, None, n, positives, negatives, patients, withheld=reason)
