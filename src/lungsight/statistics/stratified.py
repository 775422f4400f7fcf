"""Figures of one part of the images and of the rest, compared only within strata (sources).

If two parts are spread unevenly over sources, their difference mixes with the difference between sources. So both
parts are compared in each source, and the differences averaged with the weights of Mantel and Haenszel (Greenland &
Robins 1985, Biometrics 41:55). A source without images of both parts has no weight.
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
    """The number of images and patients behind a figure of one part.

    Attributes:
        n: images of which it is a share.
        positives, negatives: all images of the part.
        patients: of those ``n`` images.
        fewest: for an AUROC, patients of the smaller side; otherwise ``patients``.
        deciding: patients on whose number its spread depends.
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
        drawn: by metric, its value and its size, [..., 2]; the size is its weight in a mean over strata.
        bases: by metric, the numbers behind it.
    """

    scope: str
    drawn: Mapping[str, Drawn]
    bases: Mapping[str, Basis]

    def has(self, metric: str) -> bool:
        """Whether these images determine the metric."""
        return bool(np.isfinite(self.drawn[metric].point[0]))


def parts_of(
    outcomes: Outcomes, scope: str, masks: Sequence[Mask], resampling: Resampling = Resampling(), *, turned: int = 0
) -> list[Part]:
    """The part of a stratum's images under each mask, bool [n], all with the same resampled patients.

    The replicates are those of every other figure of these images, rotated by ``turned`` rows. Strata that are
    averaged need different replicates, and each stratum by itself needs the interval that it has elsewhere.
    """
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
    """Every metric of the images under the mask, pooled over sources; NaN where it isn't defined."""
    values = _measure(outcomes, scope, mask)(np.ones((1, len(outcomes))))[0, :, 0]
    return dict(zip(METRICS, values.tolist(), strict=True))


def _measure(outcomes: Outcomes, scope: str, mask: Mask) -> Statistic:
    """From image weights [b, n] to values and sizes of the metrics under the mask, [b, metrics, 2]."""
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
    """The figure of one part, averaged by size over the strata that have it."""
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
    """The difference of a figure between a part and the rest, and the numbers behind the rest."""

    estimate: Estimate
    rest: Basis


def gap_within(pairs: Sequence[tuple[Part, Part]], metric: str, level: float = 0.95) -> SubgroupGap:
    """The difference between a part and the rest, averaged over strata.

    ``pairs`` are the part and the rest in each stratum. Strata that lack either side have no weight.
    """
    having = [(part, rest) for part, rest in pairs if part.has(metric) and rest.has(metric)]
    gaps = [combine(_difference, part.drawn[metric], rest.drawn[metric]) for part, rest in having]
    one = Basis.all(part.bases[metric] for part, _ in having)
    other = Basis.all(rest.bases[metric] for _, rest in having)
    apart = not having and any(p.has(metric) for p, _ in pairs) and any(r.has(metric) for _, r in pairs)
    found = over_strata(gaps, _mean) if gaps else None
    return _gap(metric, pairs[0][0].scope, (one, other), found, level, NOT_WITHIN if apart else None)


def gap_between(part: Part, others: Sequence[Part], metric: str, level: float = 0.95) -> SubgroupGap:
    """The difference between one stratum and the mean of the others."""
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
    """From values and sizes [..., 2] of part and rest to the difference and its size."""
    return np.stack([part[..., 0] - rest[..., 0], _harmonic(part[..., 1], rest[..., 1])], axis=-1)


def _mean(strata: Sequence[Floats]) -> Floats:
    """The mean over strata of values, weighted by sizes, float [b, 2] each: float [b].

    A stratum without a value is left out of the mean.
    """
    v, w = np.moveaxis(np.stack(np.broadcast_arrays(*strata), axis=1), -1, 0)  # [b, strata] each
    known = np.isfinite(v) & (w > 0)
    return divided(np.where(known, v * w, 0).sum(axis=1), np.where(known, w, 0).sum(axis=1))


def _harmonic(a: Floats, b: Floats) -> Floats:
    return np.nan_to_num(divided(a * b, a + b))


def _estimate(metric: str, scope: str, basis: Basis, value: float | None, reason: str | None = None) -> Estimate:
    n, positives, negatives, patients, *_ = astuple(basis)
    return Estimate(metric, scope, value, None, None, n, positives, negatives, patients, withheld=reason)
