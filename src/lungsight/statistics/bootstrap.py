"""The one estimator: figures with intervals from resampling patients.

Images of one patient resemble each other, so they are drawn together (cluster bootstrap, Field & Welsh 2007). To
estimate a figure, describe the images as a :class:`Sample`, write the figure as a *statistic*, and ask for the
estimate::

    sample = Sample(patient, positive, scope="covid19")
    found = estimate("error", sample, mean(sample, error))
    ranked = estimate("auroc", sample, auroc(score, sample.positive), exact=Exact.AUROC)

A statistic is a function from image weights to values. The weights are float [b, n]: each row says how often each
image is drawn. The values are float [b], NaN where a row doesn't determine the figure. :func:`ratio`, :func:`mean`
and :func:`~.ranking.auroc` make statistics; any function that works row by row is one.

Several figures of the same images can share one pass. :func:`draw` computes every figure of a mapping under every
set of weights. :func:`combine` and :func:`over_strata` make further figures from these: a difference, or a mean over
sources that are each resampled separately. :func:`estimate_from` then makes the estimate. :func:`shares` and
:func:`means` do all of it for shares of images and means over images, :func:`~.ranking.ranking_estimate` for an AUROC
of any score.

``interval`` of an estimate names the kind of its interval: BCa unless the policy says otherwise, and ``exact`` for a
share or an AUROC that is the same in every resample. It is empty without an interval, and ``withheld`` then gives
the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple, Self, TypeVar

import numpy as np
from scipy.stats import beta, norm
from scipy.stats import t as student_t

from lungsight._text import counted
from lungsight.statistics.estimate import ALL_CLASSES, Estimate, IntervalMethod
from lungsight.statistics.outcomes import Floats, Integers, Mask

#: The key of a figure among several.
K = TypeVar("K", bound=Hashable)

#: Image weights, float [b, n], to values, float [b]; of several figures at once, float [b, m].
Statistic = Callable[[Floats], Floats]

#: With fewer patients than this on a side, a figure says more about these patients than about the model.
FEWEST_PATIENTS = 10
#: An interval is withheld if less than this share of the replicates is defined.
MOST_DEFINED = 0.9
_CELLS_AT_ONCE = 2_000_000
_LEFT_OUT_AT_MOST = 200
_ALIKE = 1e-12


class Policy(StrEnum):
    """How an interval is computed from the replicates.

    ``BCA``: bias-corrected and accelerated, the default. ``BASIC``: for a figure that can't be negative and that
    chance raises. ``PERCENTILE``: for bands of curves and for ranges of simulated samples.
    """

    BCA = "bca"
    BASIC = "basic"
    PERCENTILE = "percentile"


class Exact(StrEnum):
    """The kinds of figure that get an exact interval if every resample gives the same value."""

    SHARE = "share"
    AUROC = "auroc"
    AUROC_DIFFERENCE = "difference of two AUROCs"


@dataclass(frozen=True)
class Resampling:
    """The number of replicates, the level of the interval, and the seed that makes it repeatable."""

    replicates: int = 2000
    level: float = 0.95
    seed: int = 20200321


@dataclass(frozen=True, eq=False)
class Sample:
    """The images from which a figure is computed.

    Attributes:
        patient: int [n], 0…patients-1; any numbers that tell patients apart may be passed.
        positive: bool [n], true for images of the class in scope; None is taken as all true.
        scope: that class, or :data:`~lungsight.statistics.estimate.ALL_CLASSES`.
    """

    patient: Integers
    positive: Mask = None  # type: ignore[assignment]
    scope: str = ALL_CLASSES

    def __post_init__(self) -> None:
        """Number the patients from 0."""
        numbered = np.unique(np.asarray(self.patient), return_inverse=True)[1].reshape(-1)
        positive = np.ones(len(numbered), dtype=bool) if self.positive is None else self.positive
        object.__setattr__(self, "patient", numbered.astype(np.int64))
        object.__setattr__(self, "positive", np.asarray(positive, dtype=bool))

    def __len__(self) -> int:
        return len(self.patient)

    @cached_property
    def patients(self) -> int:
        """How many patients the images come from."""
        return int(self.patient.max(initial=-1)) + 1

    @property
    def positives(self) -> int:
        """How many images are positive."""
        return int(self.positive.sum())

    @property
    def negatives(self) -> int:
        """How many images aren't positive."""
        return len(self) - self.positives

    @property
    def smaller_side(self) -> int:
        """Patients with positives or with negatives, whichever are fewer; a side without images doesn't count."""
        sides = [side for side in (self.positive, ~self.positive) if side.any()]
        return min((self.patients_among(side) for side in sides), default=0)

    def deciding(self, among: Mask | None = None) -> int:
        """The number of patients on which the spread of a figure depends.

        If the figure is a share of some images only, ``among``, bool [n], these are the patients of those images. For
        one class against the rest, they are the patients of the smaller side.
        """
        if among is not None and not among.all():
            return self.patients_among(among)
        return self.patients if self.scope == ALL_CLASSES else self.smaller_side

    def patients_among(self, mask: Mask) -> int:
        """How many patients the images under ``mask``, bool [n], come from."""
        return len(np.unique(self.patient[mask]))

    def where(self, mask: Mask) -> Self:
        """The images under ``mask``, bool [n]."""
        return replace(self, patient=self.patient[mask], positive=self.positive[mask])

    def sums(self, *columns: Floats | Mask) -> Floats:
        """The sum of each column, float [n], over the images of each patient: float [patients, columns]."""
        summed = [np.bincount(self.patient, weights=column, minlength=self.patients) for column in columns]
        return np.stack(summed, axis=1).astype(np.float64)

    def of_patients(self, weights: Floats) -> Floats:
        """The weights of the patients, [b, patients], from the weights of their images, [b, n]."""
        return np.take(weights, self._first, axis=1)

    @cached_property
    def _first(self) -> Integers:
        return np.unique(self.patient, return_index=True)[1]


class Drawn(NamedTuple):
    """A figure under every set of weights; each value may itself be an array (a curve, several figures).

    Attributes:
        point: of the sample itself.
        replicates: [r, …], of each set of resampled patients.
        left_out: [g, …], each without one patient, or without one of 200 groups of patients.
    """

    point: Floats
    replicates: Floats
    left_out: Floats

    def columns(self) -> list[Drawn]:
        """Each figure of an array of figures [m]."""
        return [Drawn(self.point[i], self.replicates[:, i], self.left_out[:, i]) for i in range(len(self.point))]


class Share(NamedTuple):
    """A share of images.

    Attributes:
        hit: bool [n], the images that count.
        among: bool [n], the images of which it is a share.
        why_not: why there is none if ``among`` is empty.
    """

    hit: Mask
    among: Mask
    why_not: str


def estimate(
    name: str,
    sample: Sample,
    statistic: Statistic,
    *,
    among: Mask | None = None,
    policy: Policy = Policy.BCA,
    exact: Exact | None = None,
    resampling: Resampling = Resampling(),
) -> Estimate:
    """One figure with its interval.

    Args:
        name: of the figure, as in tables.
        sample: the images.
        statistic: from image weights [b, n] to values [b].
        among: bool [n], the images of which the figure is a share; None for all.
        policy: how the interval is computed from the replicates.
        exact: the kind of figure, if it gets an exact interval where every resample gives the same value.
        resampling: number of replicates, level and seed.
    """
    drawn = draw(sample, lambda weights: {name: statistic(weights)}, resampling)
    if not drawn:
        return withheld(name, sample, "no images", among)
    return estimate_from(name, sample, drawn[name], among=among, policy=policy, exact=exact, level=resampling.level)


def draw(
    sample: Sample, figures: Callable[[Floats], Mapping[K, Floats]], resampling: Resampling = Resampling()
) -> dict[K, Drawn]:
    """Every figure for the sample itself, for each set of resampled patients, and with some patients left out.

    Without images the result is empty.

    Args:
        sample: the images.
        figures: from image weights [b, n] to the values of each figure, float [b, …], by key.
        resampling: number of replicates, level and seed.
    """
    if not len(sample):
        return {}
    point = figures(np.ones((1, len(sample))))
    blocks = (
        patient_weights(sample.patients, len(sample), resampling),
        leave_out_weights(sample.patients, len(sample)),
    )
    drawn, left_out = ([figures(w[:, sample.patient]) for w in weights] for weights in blocks)
    return {
        key: Drawn(
            values[0],
            np.concatenate([values[:0], *(block[key] for block in drawn)]),
            np.concatenate([values[:0], *(block[key] for block in left_out)]),
        )
        for key, values in point.items()
    }


def combine(function: Callable[..., Floats], *drawn: Drawn) -> Drawn:
    """A figure made from others of the same images, row by row: ``combine(np.subtract, one, other)``."""
    return Drawn(*(np.asarray(function(*values)) for values in zip(*drawn, strict=True)))


def over_strata(drawn: Sequence[Drawn], function: Callable[[Sequence[Floats]], Floats]) -> Drawn:
    """A figure over strata; the patients of each stratum are resampled, or left out, separately.

    Args:
        drawn: one figure per stratum.
        function: from the values of every stratum, [b, …] each, to the figure; works row by row.
    """
    point = [stratum.point[None] for stratum in drawn]
    without = [function([*point[:i], stratum.left_out, *point[i + 1 :]]) for i, stratum in enumerate(drawn)]
    replicates = function([stratum.replicates for stratum in drawn])
    return Drawn(function(point)[0], replicates, np.concatenate(without))


def estimate_from(
    name: str,
    sample: Sample,
    drawn: Drawn,
    *,
    among: Mask | None = None,
    policy: Policy = Policy.BCA,
    exact: Exact | None = None,
    deciding: int | None = None,
    level: float = 0.95,
) -> Estimate:
    """The estimate of a figure, from its values under every set of weights.

    Args:
        name: of the figure.
        sample: the images for which it was drawn.
        drawn: the figure, one number under each set of weights.
        among: bool [n], the images of which it is a share; None for all.
        policy: how the interval is computed from the replicates.
        exact: the kind of figure, if it gets an exact interval where every resample gives the same value.
        deciding: the number of patients on which its spread depends; None: :meth:`Sample.deciding`.
        level: of the interval.
    """
    value = float(drawn.point)
    if not np.isfinite(value):
        return withheld(name, sample, "not defined for this sample", among)
    deciding = sample.deciding(among) if deciding is None else deciding
    given = _counts(name, sample, value, among)
    return with_interval(given, drawn, deciding, policy=policy, exact=exact, level=level)


def with_interval(
    given: Estimate,
    drawn: Drawn,
    deciding: int,
    *,
    policy: Policy = Policy.BCA,
    exact: Exact | None = None,
    level: float = 0.95,
) -> Estimate:
    """A figure with its counts, completed with its interval or with the reason why there is none."""
    bounds, method = _interval(float(drawn.point), drawn, given.patients, max(deciding, 1), policy, exact, level)
    if bounds is None:
        return replace(given, withheld=_why_no_interval(given.patients, drawn.replicates))
    return replace(given, low=bounds[0], high=bounds[1], interval=method)


def _interval(
    value: float, drawn: Drawn, patients: int, deciding: int, policy: Policy, exact: Exact | None, level: float
) -> tuple[tuple[float, float] | None, IntervalMethod]:
    bounds = None
    if patients > 1 and policy is Policy.BCA:
        bounds = bca_interval(value, drawn.replicates, drawn.left_out, max(deciding, 2), level)
    elif patients > 1:
        bounds = percentile_interval(drawn.replicates, level)
        if bounds and policy is Policy.BASIC:
            bounds = _turned_over(value, bounds)
    if bounds is not None:
        return bounds, policy.value
    if exact is Exact.SHARE and value in (0.0, 1.0):
        return exact_interval(value, patients, level), "exact"
    is_ranking = exact in (Exact.AUROC, Exact.AUROC_DIFFERENCE)
    if is_ranking and np.isfinite(drawn.replicates).mean() >= MOST_DEFINED:
        # a perfect AUROC says no more than as many successes as the smaller side has patients
        spread = 1 - exact_interval(1.0, deciding, level)[0]
        least = 0.0 if exact is Exact.AUROC else -1.0
        return (max(value - spread, least), min(value + spread, 1.0)), "exact"
    return None, ""


def withheld(name: str, sample: Sample, reason: str, among: Mask | None = None) -> Estimate:
    """An estimate without a value, with the reason."""
    return replace(_counts(name, sample, None, among), withheld=reason)


def too_few(patients: int, where: str = "", needed: int = FEWEST_PATIENTS) -> str | None:
    """Why a figure of this number of patients is withheld; None if they are enough.

    ``where`` says which patients are meant, as in ``on the smaller side``.
    """
    if patients >= needed:
        return None
    return f"{counted(patients, 'patient')}{' ' * bool(where)}{where}, and {needed} are needed"


def shares(sample: Sample, wanted: Mapping[str, Share], resampling: Resampling = Resampling()) -> list[Estimate]:
    """Each share of images, by its name; a share of 0 or 1 gets the exact interval for its number of patients."""
    possible = {name: share for name, share in wanted.items() if share.among.any()}
    drawn: dict[str, Drawn] = {}
    if possible:
        hits = [share.hit & share.among for share in possible.values()]
        statistic = ratio(sample, hits, [share.among for share in possible.values()])
        found = draw(sample, lambda weights: {"": statistic(weights)}, resampling)[""]
        drawn = dict(zip(possible, found.columns(), strict=True))
    return [
        estimate_from(name, sample, drawn[name], among=share.among, exact=Exact.SHARE, level=resampling.level)
        if name in drawn
        else withheld(name, sample, share.why_not, share.among)
        for name, share in wanted.items()
    ]


def means(
    sample: Sample,
    values: Floats,
    names: Sequence[str],
    *,
    shares: bool = False,
    resampling: Resampling = Resampling(),
) -> list[Estimate]:
    """The mean of each column of ``values``, float [n, m], with its name.

    An image whose value is NaN is left out of that mean. ``shares`` says that the values are 0 or 1; a share of 0 or
    1 then gets the exact interval.
    """
    if not len(sample):
        return [withheld(name, sample, "no image to take it from") for name in names]
    known = np.isfinite(values)
    statistic = ratio(sample, list(np.where(known, values, 0.0).T), list(known.T))
    drawn = draw(sample, lambda weights: {"": statistic(weights)}, resampling)[""].columns()
    found = []
    for name, column, here, one in zip(names, values.T, known.T, drawn, strict=True):
        given = sample.where(here)
        if not len(given):
            found.append(withheld(name, given, "no image to take it from"))
            continue
        one = one._replace(point=column[here].mean())
        exact = Exact.SHARE if shares else None
        found.append(estimate_from(name, given, one, exact=exact, deciding=given.patients, level=resampling.level))
    return found


def mean(sample: Sample, values: Floats) -> Statistic:
    """The mean of ``values``, float [n], over images."""
    statistic = ratio(sample, [values], [np.ones(len(sample))])
    return lambda weights: statistic(weights)[:, 0]


def ratio(sample: Sample, above: Sequence[Floats | Mask], below: Sequence[Floats | Mask]) -> Statistic:
    """Sums of the columns ``above``, float [n] each, over the sums of those ``below``: values float [b, columns]."""
    tops, bottoms = sample.sums(*above), sample.sums(*below)

    def ratios(weights: Floats) -> Floats:
        of_patients = sample.of_patients(weights)
        return divided(of_patients @ tops, of_patients @ bottoms)

    return ratios


def divided(above: Floats, below: Floats) -> Floats:
    """``above / below``, NaN where ``below`` isn't positive."""
    undefined = np.full(np.broadcast(above, below).shape, np.nan)
    return np.asarray(np.divide(above, below, out=undefined, where=below > 0))


def patient_weights(patients: int, images: int, resampling: Resampling) -> Iterator[Floats]:
    """How often each patient is drawn: blocks of float [b, patients], ``resampling.replicates`` rows in all.

    Each row draws as many patients as there are, with replacement. The blocks are small enough that a matrix [b,
    images] fits in memory.
    """
    generator = np.random.default_rng(resampling.seed)
    rows = max(1, _CELLS_AT_ONCE // max(images, 1))
    for start in range(0, resampling.replicates, rows):
        r = min(rows, resampling.replicates - start)
        drawn = generator.integers(patients, size=(r, patients)) + np.arange(r)[:, None] * patients
        yield np.bincount(drawn.ravel(), minlength=r * patients).reshape(r, patients).astype(np.float64)


def leave_out_weights(patients: int, images: int) -> Iterator[Floats]:
    """The patients without one of them at a time: blocks of float [b, patients], as of :func:`patient_weights`.

    With more than 200 patients, one of 200 groups is left out at a time.
    """
    groups = min(patients, _LEFT_OUT_AT_MOST)
    of_group = np.arange(patients) % groups
    rows = max(1, _CELLS_AT_ONCE // max(images, 1))
    for start in range(0, groups, rows):
        left_out = np.arange(start, min(start + rows, groups))
        yield (of_group != left_out[:, None]).astype(np.float64)


def bca_interval(
    value: float, replicates: Floats, left_out: Floats, patients: int, level: float
) -> tuple[float, float] | None:
    """The bias-corrected and accelerated interval (Efron 1987; DiCiccio & Efron 1996).

    It suits figures whose spread depends on their value and that are limited to a range, such as 0 to 1. The
    percentiles are moved outward as the interval of a mean is widened by Student's t (Hesterberg 2015, section 4.3).

    Args:
        value: the figure.
        replicates: float [r], its replicates.
        left_out: float [g], the figure under :func:`leave_out_weights`.
        patients: the number of patients on which the spread depends; of the smaller class where both count.
        level: of the interval.

    Returns:
        Low and high; None as in :func:`percentile_interval`.
    """
    if percentile_interval(replicates, level) is None:
        return None
    defined = replicates[np.isfinite(replicates)]
    bias, acceleration = _rank(defined, value), _acceleration(left_out)
    widened = np.sqrt(patients / (patients - 1)) * student_t.ppf((1 + level) / 2, patients - 1)
    moved = bias + np.array([-widened, widened])
    quantiles = norm.cdf(bias + moved / np.maximum(1 - acceleration * moved, 0.1))
    low, high = np.quantile(defined, quantiles)
    return (float(low), float(high)) if high - low > _ALIKE else None


def p_value(drawn: Drawn, patients: int) -> float:
    """Two-sided p-value of the hypothesis that the figure is 0.

    It is one minus the level of the BCa interval that just reaches 0 (Efron & Tibshirani 1993, section 15.4), and at
    least 2 / (replicates + 1).
    """
    defined = drawn.replicates[np.isfinite(drawn.replicates)]
    bias, acceleration = _rank(defined, float(drawn.point)), _acceleration(drawn.left_out)
    edge = 2 / (len(defined) + 1)
    beyond = _rank(defined, 0.0) - bias
    slope = 1 + acceleration * beyond
    if slope <= 0:
        return edge
    patients = max(patients, 2)
    distance = abs(beyond / slope - bias) / np.sqrt(patients / (patients - 1))
    return float(np.clip(2 * student_t.sf(distance, patients - 1), edge, 1.0))


def _rank(replicates: Floats, value: float) -> float:
    """The normal quantile of the share of replicates below ``value``; ties count half."""
    equal = np.abs(replicates - value) < _ALIKE  # a sum in another order has another last digit
    below = np.mean((replicates < value) & ~equal) + np.mean(equal) / 2
    edge = 1 / (len(replicates) + 1)
    return float(norm.ppf(np.clip(below, edge, 1 - edge)))


def _acceleration(left_out: Floats) -> float:
    influence = left_out[np.isfinite(left_out)]
    influence = influence.mean() - influence if len(influence) else np.zeros(1)
    scale = np.sum(influence**2) ** 1.5
    return float(np.sum(influence**3) / (6 * scale)) if scale > 0 else 0.0


def percentile_interval(replicates: Floats, level: float) -> tuple[float, float] | None:
    """The percentile interval of the replicates that are defined; None if too few are, or if all are equal.

    An interval of zero width would claim a certainty that the sample doesn't give.
    """
    low, high = percentile_band(replicates[:, None], level, flat=False)[:, 0]
    return (float(low), float(high)) if np.isfinite(low) else None


def percentile_band(replicates: Floats, level: float, *, flat: bool = True) -> Floats:
    """The percentile interval at each point of a curve, from its replicates [r, m]: float [2, m].

    NaN where too few replicates are defined and, unless ``flat``, where all are equal.
    """
    band = np.full((2, replicates.shape[1]), np.nan)
    if len(replicates):
        enough = np.isfinite(replicates).mean(axis=0) >= MOST_DEFINED
        if enough.any():
            band[:, enough] = np.nanquantile(replicates[:, enough], [(1 - level) / 2, (1 + level) / 2], axis=0)
    if not flat:
        band[:, ~(band[1] - band[0] > _ALIKE)] = np.nan
    return band


def exact_interval(share: float, patients: int, level: float) -> tuple[float, float]:
    """Clopper and Pearson's interval (1934) of ``share`` among ``patients`` independent patients.

    Where several images of a patient were counted, it is computed as if each patient had one image.
    """
    alpha, found = 1 - level, share * patients
    low = float(beta.ppf(alpha / 2, found, patients - found + 1)) if share > 0 else 0.0
    high = float(beta.ppf(1 - alpha / 2, found + 1, patients - found)) if share < 1 else 1.0
    return low, high


def _turned_over(value: float, bounds: tuple[float, float]) -> tuple[float, float]:
    """The basic bootstrap interval (Davison & Hinkley 1997, section 5.2), for a figure ≥ 0 that chance raises.

    The replicates exceed the figure by as much as the figure exceeds the true value. The interval always includes the
    figure itself.
    """
    low, high = bounds
    return max(0.0, min(value, 2 * value - high)), max(value, 2 * value - low)


def _counts(name: str, sample: Sample, value: float | None, among: Mask | None) -> Estimate:
    given = np.ones(len(sample), dtype=bool) if among is None else among
    return Estimate(
        name,
        sample.scope,
        value,
        None,
        None,
        int(given.sum()),
        sample.positives,
        sample.negatives,
        sample.patients_among(given),
    )


def _why_no_interval(patients: int, replicates: Floats) -> str:
    if patients < 2:
        return "no interval: one patient only"
    if np.isfinite(replicates).all():
        return "no interval: every resample gives the same figure"
    return "no interval: too few images, many resamples can't give the figure"
