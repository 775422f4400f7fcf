"""What turns a trained network's logits into probabilities and verdicts, fitted on validation images alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import StratifiedGroupKFold

from lungsight.components.calibration import SANE_TEMPERATURES, Calibration, Method, calibrated, failed_fit, log_odds
from lungsight.components.decision import Decision
from lungsight.statistics.binary import Binary
from lungsight.statistics.thresholds import Aim, NoRuleError, choose_rule

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Patients that every class needs before methods are compared; the folds they are compared over.
FEWEST_PATIENTS, FOLDS = 20, 5
#: Images that isotonic steps need: on fewer, so pliable a line learns the images.
ENOUGH_FOR_ISOTONIC = 1000


@dataclass(frozen=True, eq=False)
class ValidationLogits:
    """What the network says of the validation images.

    Attributes:
        classes: names of the k classes.
        logits: float64 [n, k].
        targets: int [n], index of the true class.
        patients: int [n], a number for each patient.
    """

    classes: tuple[str, ...]
    logits: Floats
    targets: Integers
    patients: Integers

    def of(self, rows: Integers) -> ValidationLogits:
        return ValidationLogits(self.classes, self.logits[rows], self.targets[rows], self.patients[rows])

    @property
    def patients_by_class(self) -> dict[str, int]:
        return {c: len(np.unique(self.patients[self.targets == i])) for i, c in enumerate(self.classes)}


@dataclass(frozen=True, eq=False)
class FittedCalibration:
    """A calibration, and ``probabilities`` float64 [n, k] of the validation images from fits that hadn't seen the
    image's patient; thresholds are chosen on those."""

    calibration: Calibration
    probabilities: Floats


def fit_calibration(validation: ValidationLogits) -> FittedCalibration:
    """Temperature, Platt's lines and, from :data:`ENOUGH_FOR_ISOTONIC` images on, isotonic steps, fitted on all
    images. Of these the simplest is used whose log loss over other patients is within one standard error of the
    least. Where a class has fewer than :data:`FEWEST_PATIENTS` patients, or a fit fails in a fold, nothing but the
    temperature is fitted: one number, which so few can't overfit."""
    by_temperature = Calibration(
        temperature=fit_temperature(validation),
        fitted_on=len(validation.targets),
        patients=len(np.unique(validation.patients)),
    )
    out_of_fold = _out_of_fold(validation) if _enough(validation) else {}
    if not out_of_fold:
        return FittedCalibration(by_temperature, calibrated(by_temperature, validation.classes, validation.logits))
    losses = {method: log_loss(p, validation.targets) for method, p in out_of_fold.items()}
    best = _simplest(
        {method: _losses(p, validation.targets) for method, p in out_of_fold.items()}, validation.patients
    )
    fitted = {method: fit(validation) for method, fit in _ONE_AGAINST_REST.items() if method in losses}
    calibration = Calibration.model_validate(
        {**by_temperature.model_dump(), **fitted, "method": best, "log_loss": losses}
    )
    return FittedCalibration(calibration, out_of_fold[best])


def _simplest(losses: Mapping[Method, Floats], patients: Integers) -> Method:
    """Of methods, simplest first, with the loss of each image, float [n]: the first that isn't worse than the best by
    more than one standard error of their difference (Breiman et al. 1984, section 3.4.3), by patients."""
    least = losses[min(losses, key=lambda method: float(losses[method].mean()))]
    return next(method for method, loss in losses.items() if (loss - least).mean() <= _error(loss - least, patients))


def _error(differences: Floats, patients: Integers) -> float:
    """Standard error of the mean of differences, float [n], that resemble each other within a patient."""
    codes = np.unique(patients, return_inverse=True)[1]
    sums = np.bincount(codes, differences - differences.mean())
    return float(np.sqrt((sums**2).sum() * len(sums) / max(len(sums) - 1, 1)) / len(differences))


def choose_thresholds(
    validation: ValidationLogits, probabilities: Floats, target: str, aim: Aim, inconclusive_below: float
) -> Decision:
    """The thresholds for ``aim`` on the validation images; none, with a note why, where they are too few."""
    index = validation.classes.index(target)
    is_target = validation.targets == index
    rule = choose_rule(Binary.from_arrays(target, is_target, probabilities[:, index], validation.patients), aim)
    if isinstance(rule, NoRuleError):
        return Decision(inconclusive_below=inconclusive_below, note=f"No threshold: {rule.reason}.")
    return Decision.of(rule, inconclusive_below)


def fit_temperature(validation: ValidationLogits) -> float:
    """The temperature of least cross-entropy (Guo et al. 2017)."""

    def loss(log_temperature: float) -> float:
        scaled = Calibration(temperature=float(np.exp(log_temperature)))
        return log_loss(calibrated(scaled, validation.classes, validation.logits), validation.targets)

    low, high = np.log(SANE_TEMPERATURES)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-8})
    return float(np.exp(found.x))


def fit_platt(validation: ValidationLogits) -> dict[str, tuple[float, float]]:
    """For each class the slope and intercept of greatest likelihood on its log-odds, with Platt's targets (1999):
    not 0 and 1, but as sure as so many images allow."""
    odds = log_odds(validation.logits)
    return {c: _line(odds[:, i], validation.targets == i) for i, c in enumerate(validation.classes)}


def _line(x: Floats, positive: NDArray[np.bool_]) -> tuple[float, float]:
    positives, negatives = int(positive.sum()), int((~positive).sum())
    target = np.where(positive, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    columns = np.stack([x, np.ones_like(x)], axis=1)

    def loss(line: Floats) -> float:
        eta = columns @ line
        return float(np.mean(np.logaddexp(0, eta) - target * eta))

    def gradient(line: Floats) -> Floats:
        return np.asarray(columns.T @ (expit(columns @ line) - target) / len(x))

    def curvature(line: Floats) -> Floats:
        p = expit(columns @ line)
        return np.asarray((columns.T * (p * (1 - p))) @ columns / len(x))

    start = np.array([1.0, 0.0])
    found = minimize(loss, start, jac=gradient, hess=curvature, method="trust-exact", options={"gtol": 1e-10})
    return float(found.x[0]), float(found.x[1])


def fit_isotonic(validation: ValidationLogits) -> dict[str, tuple[tuple[float, float], ...]]:
    """For each class the corners of the rising line of least squares on its log-odds (Zadrozny & Elkan 2002), never
    surer than n images allow: between 1 / (n + 2) and (n + 1) / (n + 2), as Laplace's rule of succession has it."""
    odds = log_odds(validation.logits)
    least = 1 / (len(odds) + 2)
    lines = {}
    for i, name in enumerate(validation.classes):
        steps = IsotonicRegression(y_min=least, y_max=1 - least).fit(odds[:, i], validation.targets == i)
        rising = np.maximum.accumulate(steps.y_thresholds_)
        lines[name] = tuple(zip(steps.X_thresholds_.tolist(), rising.tolist(), strict=True))
    return lines


_ONE_AGAINST_REST: Mapping[Method, Callable[[ValidationLogits], object]] = {
    "platt": fit_platt,
    "isotonic": fit_isotonic,
}


def _fit(method: Method, validation: ValidationLogits) -> Calibration:
    if method == "temperature":
        return Calibration(temperature=fit_temperature(validation))
    return Calibration.model_validate({"method": method, method: _ONE_AGAINST_REST[method](validation)})


def _out_of_fold(validation: ValidationLogits) -> dict[Method, Floats]:
    """By method float64 [n, k]: each image's probabilities from fits on other patients. A method whose fit fails is
    left out."""
    folds = list(_folds(validation))
    found: dict[Method, Floats] = {}
    for method in _methods(len(validation.targets)):
        if failed_fit(_fit(method, validation)):
            continue
        probabilities = np.empty_like(validation.logits)
        for others, fold in folds:
            fitted = _fit(method, validation.of(others))
            probabilities[fold] = calibrated(fitted, validation.classes, validation.logits[fold])
        found[method] = probabilities
    return found


def _methods(images: int) -> tuple[Method, ...]:
    """Those that so many images are enough for, the simplest first."""
    return ("temperature", "platt", "isotonic") if images >= ENOUGH_FOR_ISOTONIC else ("temperature", "platt")


def _folds(validation: ValidationLogits) -> Iterator[tuple[Integers, Integers]]:
    deal = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    return deal.split(validation.logits, validation.targets, validation.patients)


def _enough(validation: ValidationLogits) -> bool:
    return min(validation.patients_by_class.values()) >= FEWEST_PATIENTS


def log_loss(probabilities: Floats, targets: Integers) -> float:
    """Mean of the negative log of the true class's probability."""
    return float(_losses(probabilities, targets).mean())


def _losses(probabilities: Floats, targets: Integers) -> Floats:
    return np.asarray(-np.log(np.maximum(probabilities[np.arange(len(targets)), targets], 1e-300)))
