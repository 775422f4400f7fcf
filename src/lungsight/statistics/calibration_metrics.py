"""Do the probabilities match the observed frequencies? Reliability bins, Brier score, ECE, intercept and slope.

A model is calibrated if 30 in 100 images with a probability of 0.3 have the disease.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from lungsight.statistics.binary import Binary
from lungsight.statistics.bootstrap import (
    Drawn,
    Policy,
    Resampling,
    Sample,
    Share,
    Statistic,
    divided,
    draw,
    estimate_from,
    percentile_band,
    shares,
    withheld,
)
from lungsight.statistics.estimate import ALL_CLASSES, Estimate
from lungsight.statistics.outcomes import Floats, Integers, Outcomes

#: The figures of :func:`calibration_estimates`, with the titles that pages show.
TITLES: Mapping[str, str] = {
    "brier_score": "Brier score",
    "brier_reliability": "Brier score: reliability (0 is calibrated)",
    "brier_resolution": "Brier score: resolution (more is better)",
    "brier_uncertainty": "Brier score: uncertainty (of the sample, not the model)",
    "brier_within_bins": "Brier score: within bins",
    "ece": "Expected calibration error",
    "ece_if_calibrated": "Expected calibration error a calibrated model would show by chance",
    "calibration_intercept": "Calibration intercept (0 is calibrated)",
    "calibration_slope": "Calibration slope (1 is calibrated)",
}
#: Those of the most probable class, whichever it is.
TOP_LABEL = ("ece", "ece_if_calibrated")

Binning = Literal["equal mass", "equal width"]
BINNINGS: tuple[Binning, ...] = ("equal mass", "equal width")
BINS = 10

#: Fewer images can't fill the bins; fewer of either kind can't hold a regression.
FEWEST_IMAGES, FEWEST_OF_EITHER = 50, 10

#: A probability of 0 or 1 has no logit; it is taken for this much more or less.
_SMALLEST = 1e-6
_BIASED = ("brier_reliability", "brier_resolution", "ece")


def top_label(outcomes: Outcomes) -> Binary:
    """Whether the most probable class is right, and its probability (Guo et al. 2017).

    Images without a class are left out.
    """
    known = outcomes.has_class
    right = (outcomes.predicted == outcomes.truth)[known]
    sure = outcomes.probabilities.max(axis=1)[known]
    return Binary.from_arrays(ALL_CLASSES, right, sure, outcomes.patient[known])


def bins_of(probability: Floats, bins: int = BINS, binning: Binning = "equal mass") -> Integers:
    """The bin of each probability: int [n], from 0.

    Bins include their upper edge, as in scikit-learn's ``calibration_curve``. Equal probabilities share a bin, so
    there may be fewer bins than asked for.
    """
    inner = np.arange(1, bins) / bins
    edges = inner if binning == "equal width" else np.quantile(probability, inner)
    _, found = np.unique(np.searchsorted(edges, probability), return_inverse=True)
    return found.reshape(-1).astype(np.int64)


def calibration_estimates(sample: Binary, resampling: Resampling = Resampling(), bins: int = BINS) -> list[Estimate]:
    """Every figure of :data:`TITLES`, or of :data:`TOP_LABEL` if the sample is of all classes.

    ECE and the components of the Brier score come from bins of equal mass. The Brier score is exactly its reliability
    minus its resolution plus its uncertainty plus what is left within the bins (Murphy 1973; Stephenson, Coelho &
    Jolliffe 2008, "Two extra components in the Brier score decomposition").

    Chance alone raises ECE, reliability and resolution above their true values, so their intervals are corrected for
    it. ``ece_if_calibrated`` says which ECE a calibrated model would show. If the ECE isn't higher than that, its
    interval starts at 0. In simulations of 400 patients the interval of ECE covered the true value in 91 of 100.
    """
    if not len(sample):
        return [withheld(name, sample, "no images") for name in wanted(sample)]
    binned = _binned_estimates(sample, resampling, bins)
    by_chance = ece_if_calibrated(sample, resampling, bins)
    ece = _reaching_zero(binned["ece"], by_chance)
    found = (
        binned
        | {"ece": ece, by_chance.name: by_chance}
        | ({} if sample.scope == ALL_CLASSES else _regressions(sample, resampling))
    )
    return [found[name] for name in wanted(sample)]


def wanted(sample: Binary) -> tuple[str, ...]:
    """The names of the calibration figures of this sample."""
    return TOP_LABEL if sample.scope == ALL_CLASSES else tuple(TITLES)


def _binned_estimates(sample: Binary, resampling: Resampling, bins: int) -> dict[str, Estimate]:
    drawn = draw(sample, _Bins(sample, bins_of(sample.probability, bins)), resampling)
    few = too_few_to_bin(sample)
    found = {
        name: withheld(name, sample, few)
        if few and name not in ("brier_score", "brier_uncertainty", "prevalence")
        else estimate_from(
            name, sample, one, policy=Policy.BASIC if name in _BIASED else Policy.BCA, level=resampling.level
        )
        for name, one in drawn.items()
    }
    return found | {"brier_uncertainty": _of_prevalence(found["brier_uncertainty"], found["prevalence"])}


def _reaching_zero(ece: Estimate, by_chance: Estimate) -> Estimate:
    """The ECE with an interval from 0, if a calibrated model shows as much by chance.

    Resampling can't tell an ECE near 0 from 0.
    """
    if ece.value is None or ece.low is None or by_chance.high is None or ece.value > by_chance.high:
        return ece
    return replace(ece, low=0.0)


def _of_prevalence(uncertainty: Estimate, prevalence: Estimate) -> Estimate:
    """The uncertainty with an interval that follows from that of the prevalence.

    The uncertainty is highest, 0.25, at a prevalence of one half. Every resample is then below it, so an interval of
    the resampled uncertainties would miss it.
    """
    low, high = prevalence.low, prevalence.high
    if low is None or high is None:
        return uncertainty
    ends = sorted((low * (1 - low), high * (1 - high)))
    highest = 0.25 if low <= 0.5 <= high else ends[1]
    return replace(uncertainty, low=ends[0], high=highest, interval=prevalence.interval, withheld=None)


def too_few_to_bin(sample: Sample) -> str | None:
    """Why so few images can't be put into bins; None if they can."""
    if len(sample) < FEWEST_IMAGES:
        return f"{len(sample)} images are too few to put into bins; it takes {FEWEST_IMAGES}"
    return None


class _Bins:
    """The Brier score, its components and ECE for any image weights [b, n], in fixed bins."""

    def __init__(self, sample: Binary, bin_of: Integers) -> None:
        self._sample = sample
        p, o = sample.probability, sample.positive.astype(np.float64)
        inside = np.arange(bin_of.max() + 1)[:, None] == bin_of
        self._sums = np.stack(
            [sample.sums(*(column * inside)) for column in (np.ones_like(p), p, o, p * p, p * o)]
        )  # [5, patients, bins]

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        n, p, o, pp, po = self._sample.of_patients(weights) @ self._sums  # [b, bins] each
        total = n.sum(axis=1)
        mean_p, mean_o = np.nan_to_num(divided(p, n)), np.nan_to_num(divided(o, n))
        base = divided(o.sum(axis=1), total)
        variance = (pp - p * mean_p).sum(axis=1)
        covariance = (po - o * mean_p).sum(axis=1)
        return {
            "prevalence": base,
            "brier_score": divided((pp - 2 * po + o).sum(axis=1), total),
            "brier_reliability": divided((n * (mean_p - mean_o) ** 2).sum(axis=1), total),
            "brier_resolution": divided((n * (mean_o - base[:, None]) ** 2).sum(axis=1), total),
            "brier_uncertainty": base * (1 - base),
            "brier_within_bins": divided(variance - 2 * covariance, total),
            "ece": divided(np.abs(p - o).sum(axis=1), total),
        }


def ece(sample: Binary, bins: int = BINS) -> Statistic:
    """The ECE in bins of equal mass, as a statistic."""
    binned = _Bins(sample, bins_of(sample.probability, bins))
    return lambda weights: binned(weights)["ece"]


def ece_if_calibrated(sample: Binary, resampling: Resampling = Resampling(), bins: int = BINS) -> Estimate:
    """The ECE that a perfectly calibrated model with the same probabilities would show by chance.

    The value is the mean over such samples, the interval the range of 95 in 100 (consistency resampling, Bröcker &
    Smith 2007). Labels are drawn once per patient, since the images of a patient show the same disease.
    """
    if few := too_few_to_bin(sample):
        return withheld("ece_if_calibrated", sample, few)
    n, expected, drawn = _if_calibrated(sample, bins_of(sample.probability, bins), resampling)
    by_chance = np.abs(drawn - expected).sum(axis=1) / n.sum()
    simulated = Drawn(by_chance.mean(), by_chance, by_chance[:0])
    return estimate_from("ece_if_calibrated", sample, simulated, policy=Policy.PERCENTILE, level=resampling.level)


def _if_calibrated(sample: Binary, bin_of: Integers, resampling: Resampling) -> tuple[Floats, Floats, Floats]:
    """For each bin: images [bins], expected positives [bins] and simulated positives [replicates, bins]."""
    order = np.argsort(bin_of, kind="stable")
    starts = np.flatnonzero(np.diff(bin_of[order], prepend=-1))
    generator = np.random.default_rng(resampling.seed)
    drawn = [
        np.add.reduceat(
            generator.random(sample.patients)[sample.patient[order]] < sample.probability[order],
            starts,
            dtype=np.float64,
        )
        for _ in range(resampling.replicates)
    ]
    images, expected = (
        np.bincount(bin_of).astype(np.float64),
        np.bincount(bin_of, sample.probability).astype(np.float64),
    )
    return images, expected, np.stack(drawn)


def reliability_bins(
    sample: Binary, resampling: Resampling = Resampling(), bins: int = BINS, binning: Binning = "equal mass"
) -> pd.DataFrame:
    """One row per bin; no rows if there are too few images.

    ``mean_probability`` and ``observed``, the share of positives, with ``low`` and ``high``, are the reliability
    diagram. ``calibrated_low`` to ``calibrated_high`` is the range of that share for a calibrated model, in 95 of 100
    samples. ``n``, ``positives`` and ``patients`` are counts in the bin; ``withheld`` says why a figure isn't given.
    """
    if too_few_to_bin(sample):
        return pd.DataFrame()
    bin_of = bins_of(sample.probability, bins, binning)
    of_bins = {str(b): Share(sample.positive, bin_of == b, "no images") for b in range(int(bin_of.max()) + 1)}
    n, expected, drawn = _if_calibrated(sample, bin_of, resampling)
    calibrated_low, calibrated_high = percentile_band(drawn / n, resampling.level)
    observed = shares(sample, of_bins, resampling)
    return pd.DataFrame(
        {
            "binning": binning,
            "bin": np.arange(1, len(n) + 1),
            "lowest": [float(sample.probability[share.among].min()) for share in of_bins.values()],
            "highest": [float(sample.probability[share.among].max()) for share in of_bins.values()],
            "mean_probability": expected / n,
            "observed": [e.value for e in observed],
            "low": [e.low for e in observed],
            "high": [e.high for e in observed],
            "calibrated_low": calibrated_low,
            "calibrated_high": calibrated_high,
            "n": [e.n for e in observed],
            "positives": [int(sample.positive[share.among].sum()) for share in of_bins.values()],
            "patients": [e.patients for e in observed],
            "interval": [e.interval for e in observed],
            "withheld": [e.withheld or "" for e in observed],
        }
    )


def _regressions(sample: Binary, resampling: Resampling) -> dict[str, Estimate]:
    names = ("calibration_intercept", "calibration_slope")
    if min(sample.positives, sample.negatives) < FEWEST_OF_EITHER:
        counts = f"{sample.positives} images of {sample.scope} and {sample.negatives} others"
        reason = f"{counts} are too few for a regression; it takes {FEWEST_OF_EITHER} of each"
        return {name: withheld(name, sample, reason) for name in names}
    x = logit(np.clip(sample.probability, _SMALLEST, 1 - _SMALLEST))
    y = sample.positive.astype(np.float64)
    intercept, slope = _maximum_likelihood(x, y, np.ones((1, len(y))), np.zeros((1, 2)))[0]
    start = np.nan_to_num(np.array([intercept, slope]))

    def figures(weights: Floats) -> dict[str, Floats]:
        in_the_large = _maximum_likelihood(x, y, weights, np.tile([0.0, 1.0], (len(weights), 1)), fixed_slope=True)
        free = _maximum_likelihood(x, y, weights, np.tile(start, (len(weights), 1)))
        return dict(zip(names, (in_the_large[:, 0], free[:, 1]), strict=True))

    drawn = draw(sample, figures, resampling)
    found = {name: estimate_from(name, sample, one, level=resampling.level) for name, one in drawn.items()}
    if not np.isfinite(slope):
        reason = f"no slope: a probability separates {sample.scope} from the others, or all are equal"
        found["calibration_slope"] = withheld("calibration_slope", sample, reason)
    return found


def _maximum_likelihood(x: Floats, y: Floats, weights: Floats, start: Floats, *, fixed_slope: bool = False) -> Floats:
    """Logistic regressions of y [n] on x [n], one per row of ``weights`` [r, n]: float [r, 2], intercept and slope.

    NaN where the likelihood has no maximum. It uses Newton's method from ``start`` [r, 2], with steps of limited
    length.
    """
    found = start.copy()
    running = np.arange(len(weights))
    columns = np.stack([np.ones_like(x), x, x * x], axis=1)
    longest = np.array([2.0, 2.0 / max(float(x.std()), 1e-3)])
    for _ in range(_MOST_STEPS):
        p = expit(found[running, :1] + found[running, 1:] * x)
        w = weights[running]
        gradient = (w * (y - p)) @ columns[:, :2]
        curvature = (w * p * (1 - p)) @ columns
        step = np.clip(_newton_step(gradient, curvature, fixed_slope), -longest, longest)
        found[running] += step
        # NaN and a maximum at infinity never come to rest
        running = running[~(np.abs(step).max(axis=1) < _AT_REST)]
        running = running[np.isfinite(found[running]).all(axis=1)]
        if not len(running):
            break
    found[running] = np.nan
    return found


_MOST_STEPS, _AT_REST = 40, 1e-9


def _newton_step(gradient: Floats, curvature: Floats, fixed_slope: bool) -> Floats:
    g0, g1 = gradient.T
    h00, h01, h11 = curvature.T
    if fixed_slope:
        step = divided(g0, h00)
        return np.stack([step, np.where(np.isfinite(step), 0.0, np.nan)], axis=1)
    determinant = h00 * h11 - h01 * h01
    determinant = np.where(determinant > 1e-12 * h00 * h11, determinant, np.nan)
    return np.stack([(h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant], axis=1)
