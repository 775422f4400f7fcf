"""One class against the rest: who has the disease, with what probability it was called, and whose image it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from lungsight.statistics.bootstrap import (
    Resampling,
    bca_interval,
    exact_interval,
    leave_out_weights,
    patient_weights,
    percentile_interval,
)
from lungsight.statistics.estimate import ALL_CLASSES, Estimate
from lungsight.statistics.outcomes import Floats, Integers, Mask, Outcomes

#: From patient weights [r, patients] to figures, float [r] or [r, m] each; NaN where one isn't defined.
Figures = Callable[[Floats], Mapping[str, Floats]]


@dataclass(frozen=True, eq=False)
class Binary:
    """Images with a yes or no and a probability of yes.

    Attributes:
        scope: what the yes stands for: a class, or :data:`~lungsight.statistics.estimate.ALL_CLASSES`.
        positive: bool [n].
        probability: float [n], 0…1.
        patient: int [n], 0…patients-1, every number used.
    """

    scope: str
    positive: Mask
    probability: Floats
    patient: Integers

    @classmethod
    def of(cls, outcomes: Outcomes, scope: str) -> Binary:
        """The class ``scope`` against the rest."""
        c = outcomes.classes.index(scope)
        return cls.from_arrays(scope, outcomes.truth == c, outcomes.probabilities[:, c], outcomes.patient)

    @classmethod
    def from_arrays(cls, scope: str, positive: Mask, probability: Floats, patient: Integers) -> Binary:
        """``patient`` may be any numbers that tell patients apart."""
        _, numbered = np.unique(patient, return_inverse=True)
        return cls(
            scope, np.asarray(positive, dtype=bool), np.asarray(probability, dtype=np.float64), numbered.reshape(-1)
        )

    def __len__(self) -> int:
        return len(self.positive)

    @cached_property
    def patients(self) -> int:
        return int(self.patient.max()) + 1 if len(self) else 0

    @property
    def positives(self) -> int:
        return int(self.positive.sum())

    @property
    def negatives(self) -> int:
        return len(self) - self.positives

    def patients_among(self, mask: Mask) -> int:
        return len(np.unique(self.patient[mask]))

    def sums(self, *columns: Floats | Mask) -> Floats:
        """float [patients, columns]: each column, float [n], summed over every patient's images."""
        summed = [np.bincount(self.patient, weights=column, minlength=self.patients) for column in columns]
        return np.stack(summed, axis=1).astype(np.float64)

    def resampled(self, figures: Figures, resampling: Resampling) -> Resampled:
        """The figures of the sample itself, of every replicate, and of the sample without some patients."""
        point = {name: values[0] for name, values in figures(np.ones((1, self.patients))).items()}
        replicates = patient_weights(self.patients, len(self), resampling)
        left_out = leave_out_weights(self.patients, len(self))
        return Resampled(point, *(_joined(figures, weights) for weights in (replicates, left_out)))

    def estimate(
        self, name: str, resampled: Resampled, level: float, *, among: Mask | None = None, biased: bool = False
    ) -> Estimate:
        """One figure with its interval.

        Args:
            among: bool [n], the images the figure is a share of; None for all.
            biased: chance alone pushes the figure away from its true value, and again in each replicate; the
                interval is then :func:`basic_interval`.
        """
        value, replicates = float(resampled.point[name]), resampled.replicates[name]
        if not np.isfinite(value):
            return self.withheld(name, "not defined for this sample", among)
        patients = self.patients if among is None else self.patients_among(among)
        bounds, method = None, "basic" if biased else "bca" if name in resampled.left_out else "percentile"
        if patients > 1 and method == "basic":
            bounds = basic_interval(value, replicates, level)
        elif patients > 1 and method == "bca":
            bounds = bca_interval(value, replicates, resampled.left_out[name], self._deciding(among), level)
        elif patients > 1:
            bounds = percentile_interval(replicates, level)
        note = None if bounds else _why_no_interval(patients, replicates)
        low, high = bounds or (None, None)
        return self._with_counts(name, value, low, high, among, method if bounds else "", note)

    def _deciding(self, among: Mask | None) -> int:
        """The patients whose number decides a figure's spread: those of the smaller class where both count."""
        if among is not None and not among.all():
            return max(2, self.patients_among(among))
        sides = [side for side in (self.positive, ~self.positive) if side.any()]
        counts = [self.patients] if self.scope == ALL_CLASSES else [self.patients_among(side) for side in sides]
        return max(2, min(counts))

    def withheld(self, name: str, reason: str, among: Mask | None = None) -> Estimate:
        return self._with_counts(name, None, None, None, among, "", reason)

    def shares(self, wanted: Mapping[str, Share], resampling: Resampling) -> list[Estimate]:
        """Each share of images, by its name; one of 0 or 1 gets the exact interval of its patients."""
        possible = {name: share for name, share in wanted.items() if share.among.any()}
        if not possible:
            return [self.withheld(name, share.why_not, share.among) for name, share in wanted.items()]
        above = self.sums(*(share.hit & share.among for share in possible.values()))
        below = self.sums(*(share.among for share in possible.values()))

        def figures(weights: Floats) -> dict[str, Floats]:
            ratios = ratio(weights @ above, weights @ below)
            return {name: ratios[:, i] for i, name in enumerate(possible)}

        resampled = self.resampled(figures, resampling)
        return [
            self._share(name, share, resampled, resampling.level)
            if name in possible
            else self.withheld(name, share.why_not, share.among)
            for name, share in wanted.items()
        ]

    def _share(self, name: str, share: Share, resampled: Resampled, level: float) -> Estimate:
        value = float(resampled.point[name])
        if value not in (0.0, 1.0):
            return self.estimate(name, resampled, level, among=share.among)
        low, high = exact_interval(value, self.patients_among(share.among), level)
        return self._with_counts(name, value, low, high, share.among, "exact", None)

    def _with_counts(
        self, name: str, value: float | None, low: float | None, high: float | None, among: Mask | None,
        interval: str, withheld: str | None,
    ) -> Estimate:  # fmt: skip
        given = np.ones(len(self), dtype=bool) if among is None else among
        return Estimate(
            name=name,
            scope=self.scope,
            value=value,
            low=low,
            high=high,
            n=int(given.sum()),
            positives=self.positives,
            negatives=self.negatives,
            patients=self.patients_among(given),
            interval=interval,  # type: ignore[arg-type]
            withheld=withheld,
        )


class Resampled(NamedTuple):
    """Figures by name: of the sample itself, [] or [m]; of every replicate, [r] or [r, m]; and under
    :func:`~.bootstrap.leave_out_weights`, [groups] or [groups, m], without which intervals are of percentiles."""

    point: Mapping[str, Floats]
    replicates: Mapping[str, Floats]
    left_out: Mapping[str, Floats]


class Share(NamedTuple):
    """A share of images: those under ``hit``, bool [n], of those under ``among``; and why there is none where
    ``among`` is empty."""

    hit: Mask
    among: Mask
    why_not: str


def ratio(above: Floats, below: Floats) -> Floats:
    """``above / below``, NaN where ``below`` isn't positive."""
    return np.divide(above, below, out=np.full(np.broadcast(above, below).shape, np.nan), where=below > 0)


def basic_interval(value: float, replicates: Floats, level: float) -> tuple[float, float] | None:
    """The basic bootstrap interval (Davison & Hinkley 1997, section 5.2) of a figure that can't be negative and that
    chance raises: as far as the replicates lie above the figure, so far it lies above the truth. It is made to hold
    the figure itself. None where too few replicates are defined, or all are equal."""
    bounds = percentile_interval(replicates, level)
    if bounds is None:
        return None
    low, high = bounds
    return max(0.0, min(value, 2 * value - high)), max(value, 2 * value - low)


def _joined(figures: Figures, blocks: Iterable[Floats]) -> dict[str, Floats]:
    found = [figures(weights) for weights in blocks]
    return {name: np.concatenate([block[name] for block in found]) for name in found[0]}


def _why_no_interval(patients: int, replicates: Floats) -> str:
    if patients < 2:
        return "no interval: one patient only"
    if np.isfinite(replicates).mean() >= 1:
        return "no interval: every resample gives the same figure"
    return "no interval: too few images, many resamples can't give the figure"
