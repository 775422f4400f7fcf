"""From logits to calibrated probabilities: by temperature, by Platt's line, or by isotonic steps."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

Floats = NDArray[np.float64]
Method = Literal["temperature", "platt", "isotonic"]

#: What a fit that worked gives; Platt's slope is one over a temperature.
SANE_TEMPERATURES = (0.05, 20.0)
FURTHEST_INTERCEPT = 10.0


class LargestClasses(BaseModel):
    """The classes of one source's validation images, and the most probable ones: has the calibration moved them?"""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    source: str
    images: int = Field(ge=1)
    truth: dict[str, float]
    """By class, the share of the images that are of it."""
    before: dict[str, float]
    """By class, the share of the images whose most probable class it is, without calibration."""
    after: dict[str, float]
    """The same with the calibration, fitted without the image's patient."""


class Calibration(BaseModel):
    """How logits become probabilities, fitted on validation images; every source counts the same.

    ``temperature`` divides the logits before the softmax (Guo et al. 2017). ``platt`` and ``isotonic`` take each
    class's log-odds against the rest, straight from the softmax, through a logistic curve (Platt 1999) or a rising
    line of straight pieces (Zadrozny & Elkan 2002), and divide by the sum over the classes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    method: Method = "temperature"
    """Which of the three is used; the others are stored beside it where they were fitted."""
    temperature: float = Field(default=1.0, gt=0)
    """The logits are divided by it."""
    platt: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """For each class slope and intercept of its log-odds."""
    isotonic: dict[str, tuple[tuple[float, float], ...]] = Field(default_factory=dict)
    """For each class the corners of its line: log-odds, rising, with the probability there."""
    fitted_on: int = Field(default=0, ge=0, description="number of images")
    patients: int = Field(default=0, ge=0)
    """The number of their patients; 0 if unknown."""
    prevalence: dict[str, float] = Field(default_factory=dict)
    """By class, its share of the images as they were weighted; empty in older packages, in which
    every image counts the same."""
    largest: tuple[LargestClasses, ...] = ()
    """The most probable class by source, before and after; empty likewise."""
    log_loss: dict[str, float] = Field(default_factory=dict)
    """Of each method, cross-validated by patient on those images; the simplest within one standard error of the least
    is used (the least itself, in packages made before 1 December 2026). Empty: they were too few."""

    def problem(self, classes: tuple[str, ...]) -> str | None:
        """What doesn't fit together, or doesn't fit these classes; a sentence's end."""
        for method, stated in (("platt", self.platt), ("isotonic", self.isotonic)):
            if (stated or self.method == method) and set(stated) != set(classes):
                return f"{method} names the classes {', '.join(stated) or 'none'}, not {', '.join(classes)}"
        for name, corners in self.isotonic.items():
            x, p = np.array(corners).reshape(-1, 2).T
            if not len(x) or (np.diff(x) <= 0).any() or (np.diff(p) < 0).any() or p.min() < 0 or not 0 < p.max() <= 1:
                return f"isotonic of {name} is no rising line of probabilities"
        return None


def failed_fit(calibration: Calibration) -> str | None:
    """Which part comes from a fit that failed: all probabilities would be 0 and 1, or all equal, or upside down."""
    low, high = SANE_TEMPERATURES
    if not low <= calibration.temperature <= high:
        return f"temperature {calibration.temperature:g} lies outside {low:g}…{high:g}"
    for name, (slope, intercept) in calibration.platt.items():
        if not 1 / high <= slope <= 1 / low or abs(intercept) > FURTHEST_INTERCEPT:
            return f"line of {name} (slope {slope:g}, intercept {intercept:g}) comes from a failed fit"
    return None


def calibrated(calibration: Calibration, classes: tuple[str, ...], logits: ArrayLike) -> Floats:
    """Probabilities float64 [N, K] that sum to 1, from logits [N, K]; NaN where a logit is."""
    z = np.asarray(logits, dtype=np.float64)
    if calibration.method == "temperature":
        return softmax(z, calibration.temperature)
    odds = log_odds(z)
    if calibration.method == "platt":
        slopes, intercepts = np.array([calibration.platt[name] for name in classes]).T
        return normalised(platt(odds, slopes, intercepts))
    corners = [np.array(calibration.isotonic[name]).T for name in classes]
    return normalised(np.stack([np.interp(odds[:, i], x, p) for i, (x, p) in enumerate(corners)], axis=1))


def softmax(logits: ArrayLike, temperature: float = 1.0) -> Floats:
    """Probabilities from logits [N, K] divided by ``temperature`` (Guo et al. 2017)."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def log_odds(logits: Floats) -> Floats:
    """Log-odds of each class against the rest, [N, K], from logits [N, K]."""
    columns = range(logits.shape[1])
    return np.stack([logits[:, k] - _log_sum(np.delete(logits, k, axis=1)) for k in columns], axis=1)


def platt(odds: Floats, slopes: Floats, intercepts: Floats) -> Floats:
    """Each class by itself: 1 / (1 + exp(-(slope × log-odds + intercept)))."""
    with np.errstate(invalid="ignore"):  # NaN stays NaN
        return np.asarray(np.exp(-np.logaddexp(0, -(odds * slopes + intercepts))))


def normalised(one_against_rest: Floats) -> Floats:
    """Each class's own probability, divided by their sum; equal shares where all are 0."""
    total = one_against_rest.sum(axis=1, keepdims=True)
    shares = np.divide(one_against_rest, total, out=np.full_like(one_against_rest, np.nan), where=total > 0)
    return np.asarray(np.where(total == 0, 1 / one_against_rest.shape[1], shares), dtype=np.float64)


def _log_sum(values: Floats) -> Floats:
    highest = values.max(axis=1, keepdims=True)
    return np.asarray(highest[:, 0] + np.log(np.exp(values - highest).sum(axis=1)))
