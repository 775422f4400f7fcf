"""Figures of a part of the images and of the rest, compared within strata (sources) only.

A difference between two parts that are spread unevenly over sources is the sources' difference as much as their own.
So both parts are compared source by source, and the differences averaged with the weights of Mantel and Haenszel
(Greenland & Robins 1985, Biometrics 41:55): a source counts as far as it holds images of both parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lungsight.statistics.auroc import FEWEST_PATIENTS
from lungsight.statistics.bootstrap import Resampling, exact_interval, patient_weights, percentile_interval
from lungsight.statistics.estimate import Estimate
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

    def parts(self, masks: Sequence[Mask], resampling: Resampling) -> list[Part]:
        """The part under each mask, bool [n], all under the same resampled patients."""
        measures = [_Measure(self, mask) for mask in masks]
        patients = int(self.patient.max()) + 1 if len(self.patient) else 0
        found: list[list[Floats]] = [[measure.table(np.ones((1, len(self.patient))))] for measure in measures]
        for weights in patient_weights(patients, len(self.patient), resampling) if patients else ():
            image_weights = weights[:, self.patient]
            for tables, measure in zip(found, measures, strict=True):
                tables.append(measure.table(image_weights))
        return [measure.part(np.concatenate(tables)) for tables, measure in zip(found, measures, strict=True)]


@dataclass(frozen=True)
class Sample:
    """What a figure of one part rests on: the images it is a share of, all positives and negatives, the patients of
    those images, and those of the smaller side."""

    n: int
    positives: int
    negatives: int
    patients: int
    fewest: int

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
    """

    scope: str
    values: Mapping[str, Floats]
    sizes: Mapping[str, Floats]
    samples: Mapping[str, Sample]

    def has(self, metric: str) -> bool:
        return bool(np.isfinite(self.values[metric][0]))


class _Measure:
    """The metrics of the images under one mask, for any image weights."""

    def __init__(self, stratum: Stratum, mask: Mask) -> None:
        self._stratum, self._mask = stratum, mask
        self._images = np.flatnonzero(mask)
        positive, called, score = stratum.positive[mask], stratum.called[mask], stratum.score[mask]
        cells = (positive & called, positive & ~called, ~positive & called, ~positive & ~called)
        self._columns = np.stack([*cells, (score - positive) ** 2], axis=1).astype(np.float64)
        self._ranking = Ranking.of(score, positive) if positive.any() and not positive.all() else None

    def table(self, image_weights: Floats) -> Floats:
        """Image weights of the stratum [r, n] to [r, 2 × metrics]: the values, then the sizes."""
        weights = image_weights[:, self._images]
        tp, fn, fp, tn, squared = (weights @ self._columns).T
        p, n = tp + fn, fp + tn
        below = np.stack([p, n, tp + fp, fn + tn, p + n])
        above = np.stack([tp, tn, tp, tn, squared])
        undefined = np.full(below.shape, np.nan)
        shares = np.divide(above, below, out=undefined, where=below > 0)
        auroc = self._ranking.sweep(weights).auroc() if self._ranking else np.full(len(weights), np.nan)
        return np.vstack([auroc, shares, _harmonic(p, n), below]).T

    def part(self, table: Floats) -> Part:
        k = len(METRICS)
        values = {name: table[:, i] for i, name in enumerate(METRICS)}
        sizes = {name: table[:, k + i] for i, name in enumerate(METRICS)}
        return Part(self._stratum.scope, values, sizes, {name: self._sample(name) for name in METRICS})

    def _sample(self, metric: str) -> Sample:
        positive, called = self._stratum.positive, self._stratum.called
        among = {"sensitivity": positive, "specificity": ~positive, "ppv": called, "npv": ~called}
        given = self._mask & among[metric] if metric in among else self._mask
        sides = (self._mask & positive, self._mask & ~positive) if metric == "auroc" else (given,)
        counts = int((self._mask & positive).sum()), int((self._mask & ~positive).sum())
        return Sample(int(given.sum()), *counts, self._patients(given), min(self._patients(side) for side in sides))

    def _patients(self, mask: Mask) -> int:
        return len(np.unique(self._stratum.patient[mask]))


def within(parts: Sequence[Part], metric: str, level: float = 0.95) -> Estimate:
    """One part's figure, averaged over the strata that have it by their sizes."""
    having = [part for part in parts if part.has(metric)]
    scope = parts[0].scope
    sample = Sample.all(part.samples[metric] for part in having)
    if reason := _too_few(sample, metric):
        return _estimate(metric, scope, sample, None, reason)
    values = _mean([part.values[metric] for part in having], [part.sizes[metric] for part in having])
    return _with_interval(metric, scope, sample, values, level)


@dataclass(frozen=True)
class Gap:
    """How much higher a figure is in a part than in the rest, and what the rest's side rests on."""

    estimate: Estimate
    rest: Sample


def gap_within(pairs: Sequence[tuple[Part, Part]], metric: str, level: float = 0.95) -> Gap:
    """``pairs`` are the part and the rest in each stratum; strata that lack either side say nothing."""
    having = [(part, rest) for part, rest in pairs if part.has(metric) and rest.has(metric)]
    differences = [part.values[metric] - rest.values[metric] for part, rest in having]
    weights = [_harmonic(part.sizes[metric], rest.sizes[metric]) for part, rest in having]
    one = Sample.all(part.samples[metric] for part, _ in having)
    other = Sample.all(rest.samples[metric] for _, rest in having)
    apart = not having and any(p.has(metric) for p, _ in pairs) and any(r.has(metric) for _, r in pairs)
    return _gap(metric, pairs[0][0].scope, (one, other), differences, weights, level, NOT_WITHIN if apart else None)


def gap_between(part: Part, others: Sequence[Part], metric: str, level: float = 0.95) -> Gap:
    """One stratum against the mean of the others."""
    having = [other for other in others if other.has(metric)]
    one, other = part.samples[metric], Sample.all(o.samples[metric] for o in having)
    mean = _mean([o.values[metric] for o in having], [o.sizes[metric] for o in having]) if having else None
    differences = [] if mean is None or not part.has(metric) else [part.values[metric] - mean]
    weights = [np.ones_like(d) for d in differences]
    return _gap(metric, part.scope, (one, other), differences, weights, level, None)


def _gap(
    metric: str,
    scope: str,
    samples: tuple[Sample, Sample],
    differences: Sequence[Floats],
    weights: Sequence[Floats],
    level: float,
    reason: str | None,
) -> Gap:
    one, other = samples
    reason = reason or _too_few(one, metric) or _too_few(other, metric, "on the other side")
    if reason or not differences:
        return Gap(_estimate(metric, scope, one, None, reason or "not defined for this sample"), other)
    return Gap(_with_interval(metric, scope, one, _mean(differences, weights), level, share=False), other)


def _too_few(sample: Sample, metric: str, where: str = "") -> str | None:
    if sample.fewest >= FEWEST_PATIENTS:
        return None
    sides = " on the smaller side" if metric == "auroc" else ""
    place = f" {where}" if where else ""
    patients = "1 patient" if sample.fewest == 1 else f"{sample.fewest} patients"
    return f"{patients}{sides}{place}, and {FEWEST_PATIENTS} are needed"


def _mean(values: Sequence[Floats], weights: Sequence[Floats]) -> Floats:
    """Weighted mean over strata, float [r]; a replicate in which a stratum has no value is the mean of the others."""
    v, w = np.stack(values), np.stack(weights)
    known = np.isfinite(v) & (w > 0)
    total = np.where(known, w, 0).sum(axis=0)
    above = np.where(known, v * w, 0).sum(axis=0)
    return np.divide(above, total, out=np.full(total.shape, np.nan), where=total > 0)


def _harmonic(a: Floats, b: Floats) -> Floats:
    return np.divide(a * b, a + b, out=np.zeros(np.broadcast(a, b).shape), where=a + b > 0)


def _with_interval(
    metric: str, scope: str, sample: Sample, values: Floats, level: float, *, share: bool = True
) -> Estimate:
    value, replicates = float(values[0]), values[1:]
    bounds = percentile_interval(replicates, level)
    if bounds is not None:
        return _estimate(metric, scope, sample, value, None, bounds)
    if share and metric in _SHARES and value in (0.0, 1.0):
        exact = exact_interval(value, sample.patients, level)
        return _estimate(metric, scope, sample, value, None, exact, "exact")
    return _estimate(metric, scope, sample, value, "no interval: resamples give the same figure, or none")


def _estimate(
    metric: str,
    scope: str,
    sample: Sample,
    value: float | None,
    reason: str | None,
    bounds: tuple[float, float] | None = None,
    method: str = "bootstrap",
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
        interval=method if bounds else "",  # type: ignore[arg-type]
        withheld=reason,
    )
