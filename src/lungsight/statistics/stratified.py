"""Figures of a part of the images and of the rest, compared within strata (sources) only.

A difference between two parts that are spread unevenly over sources is the sources' difference as much as their own.
So both parts are compared source by source, and the differences averaged with the weights of Mantel and Haenszel
(Greenland & Robins 1985, Biometrics 41:55): a source counts as far as it holds images of both parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from lungsight._text import counted
from lungsight.statistics.auroc import FEWEST_PATIENTS
from lungsight.statistics.bootstrap import (
    MOST_DEFINED,
    Resampling,
    bca_interval,
    exact_auroc_interval,
    exact_interval,
    leave_out_weights,
    patient_weights,
)
from lungsight.statistics.estimate import Estimate, IntervalMethod
from lungsight.statistics.outcomes import Floats, Integers, Mask, Outcomes
from lungsight.statistics.ranking import Ranking

METRICS = ("auroc", "sensitivity", "specificity", "ppv", "npv", "brier_score")
_SHARES = ("sensitivity", "specificity", "ppv", "npv")
#: Why a gap isn't given though both parts have images.
NOT_WITHIN = "no source holds both sides: a gap would be the difference between sources"


@dataclass(frozen=True, eq=False)
class Stratum:
    """The images of one source, one class against the rest.

    Attributes:
        positive: bool [n], truly of the class.
        called: bool [n], called so.
        score: float [n], its probability.
        patient: int [n], 0…patients-1.
    """

    scope: str
    positive: Mask
    called: Mask
    score: Floats
    patient: Integers

    @classmethod
    def of(cls, outcomes: Outcomes, scope: str) -> Stratum:
        c = outcomes.classes.index(scope)
        return cls(
            scope, outcomes.truth == c, outcomes.predicted == c, outcomes.probabilities[:, c], outcomes.patient
        )

    def parts(self, masks: Sequence[Mask], resampling: Resampling, *, turned: int = 0) -> list[Part]:
        """The part under each mask, bool [n], all under the same resampled patients.

        The replicates are those that every other figure of these images has, ``turned`` by so many places: strata
        that are averaged need replicates of their own, and each by itself the interval that it has elsewhere."""
        patients = int(self.patient.max()) + 1 if len(self.patient) else 0
        size = patients, len(self.patient)
        drawn = [np.ones((1, patients)), *(patient_weights(*size, resampling) if patients else ())]
        left_out = list(leave_out_weights(*size)) if patients else []
        return [self._part(mask, drawn, left_out, turned) for mask in masks]

    def _part(self, mask: Mask, drawn: Sequence[Floats], left_out: Sequence[Floats], turned: int) -> Part:
        measure = _Measure(self, mask)
        first, *replicates = (measure.table(weights) for weights in drawn)
        again = np.roll(np.concatenate([first[:0], *replicates]), turned, axis=0)
        without = [measure.table(weights) for weights in left_out]
        return measure.part(np.concatenate([first, again]), np.concatenate([first[:0], *without]))


@dataclass(frozen=True)
class Sample:
    """What a figure of one part rests on: the images it is a share of, all positives and negatives, the patients of
    those images, those of the smaller side, and those whose number decides the figure's spread."""

    n: int
    positives: int
    negatives: int
    patients: int
    fewest: int
    deciding: int

    @classmethod
    def all(cls, samples: Iterable[Sample]) -> Sample:
        listed = list(samples)
        return cls(*(sum(getattr(s, name) for s in listed) for name in cls.__dataclass_fields__))


@dataclass(frozen=True, eq=False)
class Part:
    """Some images of one stratum.

    Attributes:
        values: each metric, float [1 + r]: of the sample itself, then of each replicate; NaN where it isn't defined.
        sizes: what each is worth when strata are averaged, float [1 + r].
        samples: what each rests on.
        left_out: each metric and its size, float [2, groups], without some of the stratum's patients
            (:func:`~.bootstrap.leave_out_weights`).
    """

    scope: str
    values: Mapping[str, Floats]
    sizes: Mapping[str, Floats]
    samples: Mapping[str, Sample]
    left_out: Mapping[str, Floats]

    def drawn(self, metric: str) -> Floats:
        """The metric and its size, float [2, 1 + r]."""
        return np.stack([self.values[metric], self.sizes[metric]])

    def has(self, metric: str) -> bool:
        return bool(np.isfinite(self.values[metric][0]))


class _Measure:
    """The metrics of the images under one mask, for any image weights."""

    def __init__(self, stratum: Stratum, mask: Mask) -> None:
        self._stratum, self._mask = stratum, mask
        self._patient = stratum.patient[mask]
        positive, called, score = stratum.positive[mask], stratum.called[mask], stratum.score[mask]
        cells = (positive & called, positive & ~called, ~positive & called, ~positive & ~called)
        self._columns = np.stack([*cells, (score - positive) ** 2], axis=1).astype(np.float64)
        self._ranking = Ranking.of(score, positive) if positive.any() and not positive.all() else None

    def table(self, patient_weights: Floats) -> Floats:
        """Weights of the stratum's patients [r, patients] to [r, 2 × metrics]: the values, then the sizes."""
        weights = patient_weights[:, self._patient]
        tp, fn, fp, tn, squared = (weights @ self._columns).T
        p, n = tp + fn, fp + tn
        below = np.stack([p, n, tp + fp, fn + tn, p + n])
        above = np.stack([tp, tn, tp, tn, squared])
        undefined = np.full(below.shape, np.nan)
        shares = np.divide(above, below, out=undefined, where=below > 0)
        auroc = self._ranking.sweep(weights).auroc() if self._ranking else np.full(len(weights), np.nan)
        return np.vstack([auroc, shares, _harmonic(p, n), below]).T

    def part(self, table: Floats, left_out: Floats) -> Part:
        k = len(METRICS)
        values = {name: table[:, i] for i, name in enumerate(METRICS)}
        sizes = {name: table[:, k + i] for i, name in enumerate(METRICS)}
        samples = {name: self._sample(name) for name in METRICS}
        without = {name: left_out[:, [i, k + i]].T for i, name in enumerate(METRICS)}
        return Part(self._stratum.scope, values, sizes, samples, without)

    def _sample(self, metric: str) -> Sample:
        positive, called = self._stratum.positive, self._stratum.called
        among = {"sensitivity": positive, "specificity": ~positive, "ppv": called, "npv": ~called}
        given = self._mask & among[metric] if metric in among else self._mask
        sides = (self._mask & positive, self._mask & ~positive) if metric == "auroc" else (given,)
        counts = int((self._mask & positive).sum()), int((self._mask & ~positive).sum())
        fewest = min(self._patients(side) for side in sides)
        both = [self._patients(side) for side in (self._mask & positive, self._mask & ~positive) if side.any()]
        deciding = min(both, default=0) if (given == self._mask).all() else self._patients(given)
        return Sample(int(given.sum()), *counts, self._patients(given), fewest, deciding)

    def _patients(self, mask: Mask) -> int:
        return len(np.unique(self._stratum.patient[mask]))


def within(parts: Sequence[Part], metric: str, level: float = 0.95) -> Estimate:
    """One part's figure, averaged over the strata that have it by their sizes."""
    having = [part for part in parts if part.has(metric)]
    scope = parts[0].scope
    sample = Sample.all(part.samples[metric] for part in having)
    if reason := _too_few(sample, metric):
        return _estimate(metric, scope, sample, None, reason)
    found = _over_strata([[part] for part in having], metric, lambda strata: _mean([part for (part,) in strata]))
    return _with_interval(metric, scope, sample, found, level)


@dataclass(frozen=True)
class SubgroupGap:
    """How much higher a figure is in a part than in the rest, and what the rest's side rests on."""

    estimate: Estimate
    rest: Sample


def gap_within(pairs: Sequence[tuple[Part, Part]], metric: str, level: float = 0.95) -> SubgroupGap:
    """``pairs`` are the part and the rest in each stratum; strata that lack either side say nothing."""
    having = [(part, rest) for part, rest in pairs if part.has(metric) and rest.has(metric)]
    found = _over_strata(having, metric, _mean_difference) if having else None
    one = Sample.all(part.samples[metric] for part, _ in having)
    other = Sample.all(rest.samples[metric] for _, rest in having)
    apart = not having and any(p.has(metric) for p, _ in pairs) and any(r.has(metric) for _, r in pairs)
    return _gap(metric, pairs[0][0].scope, (one, other), found, level, NOT_WITHIN if apart else None)


def gap_between(part: Part, others: Sequence[Part], metric: str, level: float = 0.95) -> SubgroupGap:
    """One stratum against the mean of the others."""
    having = [other for other in others if other.has(metric)]
    one, other = part.samples[metric], Sample.all(o.samples[metric] for o in having)
    found = None
    if having and part.has(metric):
        found = _over_strata([[part], *([o] for o in having)], metric, _less_the_mean)
    return _gap(metric, part.scope, (one, other), found, level, None)


def _gap(
    metric: str,
    scope: str,
    samples: tuple[Sample, Sample],
    found: _Figure | None,
    level: float,
    reason: str | None,
) -> SubgroupGap:
    one, other = samples
    reason = reason or _too_few(one, metric) or _too_few(other, metric, "on the other side")
    if reason or found is None:
        return SubgroupGap(_estimate(metric, scope, one, None, reason or "not defined for this sample"), other)
    deciding = min(one.deciding, other.deciding)
    return SubgroupGap(
        _with_interval(metric, scope, replace(one, deciding=deciding), found, level, share=False), other
    )


def _too_few(sample: Sample, metric: str, where: str = "") -> str | None:
    if sample.fewest >= FEWEST_PATIENTS:
        return None
    sides = " on the smaller side" if metric == "auroc" else ""
    place = f" {where}" if where else ""
    patients = counted(sample.fewest, "patient")
    return f"{patients}{sides}{place}, and {FEWEST_PATIENTS} are needed"


class _Figure(NamedTuple):
    """A figure over strata: of the sample itself and of each replicate, float [1 + r]; without some patients, [g]."""

    drawn: Floats
    left_out: Floats


#: For each stratum the value and the size, float [2, m], of one part or of two.
_Strata = Sequence[Sequence[Floats]]


def _over_strata(parts: Sequence[Sequence[Part]], metric: str, statistic: Callable[[_Strata], Floats]) -> _Figure:
    """``statistic`` of the parts of each stratum, whose patients are drawn, or left out, together."""
    drawn = statistic([[part.drawn(metric) for part in stratum] for stratum in parts])
    whole = [[part.drawn(metric)[:, :1] for part in stratum] for stratum in parts]
    without = [
        statistic([*whole[:i], [part.left_out[metric] for part in stratum], *whole[i + 1 :]])
        for i, stratum in enumerate(parts)
    ]
    return _Figure(drawn, np.concatenate(without))


def _mean_difference(strata: _Strata) -> Floats:
    """Between the two parts of each stratum."""
    return _mean([np.stack([one[0] - rest[0], _harmonic(one[1], rest[1])]) for one, rest in strata])


def _less_the_mean(strata: _Strata) -> Floats:
    """The first stratum's part less the mean of the others'."""
    (first,), *others = strata
    return np.asarray(first[0] - _mean([other for (other,) in others]))


def _mean(figures: Sequence[Floats]) -> Floats:
    """Mean over strata of values and sizes, float [2, m] each, by the sizes; one in which a stratum has no value is
    the mean of the others."""
    v, w = np.stack(np.broadcast_arrays(*figures), axis=1)
    known = np.isfinite(v) & (w > 0)
    total = np.where(known, w, 0).sum(axis=0)
    above = np.where(known, v * w, 0).sum(axis=0)
    return np.divide(above, total, out=np.full(total.shape, np.nan), where=total > 0)


def _harmonic(a: Floats, b: Floats) -> Floats:
    return np.divide(a * b, a + b, out=np.zeros(np.broadcast(a, b).shape), where=a + b > 0)


def _with_interval(
    metric: str, scope: str, sample: Sample, found: _Figure, level: float, *, share: bool = True
) -> Estimate:
    value, replicates = float(found.drawn[0]), found.drawn[1:]
    bounds = bca_interval(value, replicates, found.left_out, max(sample.deciding, 2), level)
    if bounds is not None:
        return _estimate(metric, scope, sample, value, None, bounds)
    if share and metric in _SHARES and value in (0.0, 1.0):
        exact = exact_interval(value, sample.patients, level)
        return _estimate(metric, scope, sample, value, None, exact, "exact")
    if metric == "auroc" and np.isfinite(replicates).mean() >= MOST_DEFINED:
        exact = exact_auroc_interval(value, max(sample.fewest, 1), level, 0.0 if share else -1.0)
        return _estimate(metric, scope, sample, value, None, exact, "exact")
    return _estimate(metric, scope, sample, value, "no interval: resamples give the same figure, or none")


def _estimate(
    metric: str,
    scope: str,
    sample: Sample,
    value: float | None,
    reason: str | None,
    bounds: tuple[float, float] | None = None,
    method: IntervalMethod = "bca",
) -> Estimate:
    low, high = bounds or (None, None)
    return Estimate(
        metric,
        scope,
        value,
        low,
        high,
        sample.n,
        sample.positives,
        sample.negatives,
        sample.patients,
        interval=method if bounds else "",
        withheld=reason,
    )
