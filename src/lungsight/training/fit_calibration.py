"""Fits the calibration and chooses the thresholds, on validation images alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from lungsight.components.calibration import (
    SANE_TEMPERATURES,
    Calibration,
    LargestClasses,
    Method,
    calibrated,
    failed_fit,
    log_odds,
    softmax,
)
from lungsight.components.decision import AnswersAtSource, CostOfAnswers, Decision, MeasuredShare
from lungsight.statistics.binary import Binary
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.thresholds import (
    Aim,
    NoRuleError,
    at_sources,
    choose_rule,
    costs,
    source_weights,
)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Texts = NDArray[np.str_]

#: Patients that every class needs before methods are compared; the folds of that comparison.
FEWEST_PATIENTS, FOLDS = 20, 5
#: Images that isotonic steps need: on fewer, they overfit.
ENOUGH_FOR_ISOTONIC = 1000


@dataclass(frozen=True, eq=False)
class ValidationLogits:
    """The network's outputs for the validation images.

    Attributes:
        classes: names of the k classes.
        logits: float64 [n, k].
        targets: int [n], index of the true class.
        patients: int [n], a number for each patient.
        sources: text [n], of each image; None is taken as one source.
    """

    classes: tuple[str, ...]
    logits: Floats
    targets: Integers
    patients: Integers
    sources: Texts = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        sources = np.full(len(self.targets), "") if self.sources is None else self.sources
        object.__setattr__(self, "sources", np.asarray(sources, dtype=np.str_))

    def of(self, rows: Integers) -> ValidationLogits:
        """Some of the images."""
        of_images = self.logits[rows], self.targets[rows], self.patients[rows]
        return ValidationLogits(self.classes, *of_images, self.sources[rows])

    @cached_property
    def weights(self) -> Floats:
        """Of each image, float [n], with a mean of 1: every source counts the same, however many images it has."""
        weights = source_weights(self.sources)
        return np.asarray(weights / weights.mean())

    @property
    def patients_by_class(self) -> dict[str, int]:
        """Number of patients of each class."""
        return {c: len(np.unique(self.patients[self.targets == i])) for i, c in enumerate(self.classes)}


@dataclass(frozen=True, eq=False)
class FittedCalibration:
    """A calibration, and out-of-fold probabilities, float64 [n, k], on which thresholds are chosen.

    Those of an image come from fits on other patients.
    """

    calibration: Calibration
    probabilities: Floats


def fit_calibration(validation: ValidationLogits) -> FittedCalibration:
    """Fit all methods on all images, and choose the simplest that is about as good as the best.

    The methods are temperature, Platt's lines and, from :data:`ENOUGH_FOR_ISOTONIC` images on, isotonic steps. The
    choice is the simplest whose out-of-fold log loss is within one standard error of the least. If a class has fewer
    than :data:`FEWEST_PATIENTS` patients, only the temperature is fitted: one number doesn't overfit.
    """
    by_temperature = Calibration(
        temperature=fit_temperature(validation),
        fitted_on=len(validation.targets),
        patients=len(np.unique(validation.patients)),
        prevalence=_prevalence(validation),
    )
    out_of_fold = _out_of_fold(validation) if _enough(validation) else {}
    if not out_of_fold:
        probabilities = calibrated(by_temperature, validation.classes, validation.logits)
        return FittedCalibration(_checked(by_temperature, validation, probabilities), probabilities)
    losses = {method: _losses(p, validation.targets) for method, p in out_of_fold.items()}
    best = _simplest(losses, validation.patients, validation.weights)
    fitted = {method: fit(validation) for method, fit in _ONE_AGAINST_REST.items() if method in losses}
    scored = {method: float((loss * validation.weights).mean()) for method, loss in losses.items()}
    calibration = Calibration.model_validate(
        {**by_temperature.model_dump(), **fitted, "method": best, "log_loss": scored}
    )
    return FittedCalibration(_checked(calibration, validation, out_of_fold[best]), out_of_fold[best])


def _prevalence(validation: ValidationLogits) -> dict[str, float]:
    sums = np.bincount(validation.targets, validation.weights, minlength=len(validation.classes))
    return dict(zip(validation.classes, (sums / sums.sum()).tolist(), strict=True))


def _checked(calibration: Calibration, validation: ValidationLogits, probabilities: Floats) -> Calibration:
    """With the most probable class by source, before and after."""
    found = tuple(largest_classes(validation, softmax(validation.logits), probabilities))
    return calibration.model_copy(update={"largest": found})


def largest_classes(validation: ValidationLogits, before: Floats, after: Floats) -> Iterator[LargestClasses]:
    """How often each class is the most probable one, source by source, by two probabilities, float [n, k] each."""
    for source in np.unique(validation.sources):
        here = validation.sources == source
        kinds = (validation.targets[here], before[here].argmax(axis=1), after[here].argmax(axis=1))
        truth, first, then = (_shares_of(kind, validation.classes) for kind in kinds)
        yield LargestClasses(source=str(source), images=int(here.sum()), truth=truth, before=first, after=then)


def _shares_of(kinds: Integers, classes: tuple[str, ...]) -> dict[str, float]:
    counts = np.bincount(kinds, minlength=len(classes))
    return {name: round(float(share), 4) for name, share in zip(classes, counts / len(kinds), strict=True)}


def _simplest(losses: Mapping[Method, Floats], patients: Integers, weights: Floats | None = None) -> Method:
    """The first method that is within one standard error of the best (Breiman et al. 1984, section 3.4.3).

    ``losses``: by method, simplest first, the loss of each image, float [n]; the error is that of the difference.
    ``weights``: of the images, with a mean of 1.
    """
    w = np.ones(len(patients)) if weights is None else weights
    least = losses[min(losses, key=lambda method: float((w * losses[method]).mean()))]
    pairs = ((method, loss - least) for method, loss in losses.items())
    return next(method for method, more in pairs if (w * more).mean() <= _error(more, patients, w))


def _error(differences: Floats, patients: Integers, weights: Floats) -> float:
    """Standard error of the mean of weighted differences, float [n], that are correlated within a patient."""
    codes = np.unique(patients, return_inverse=True)[1]
    sums = np.bincount(codes, weights * (differences - (weights * differences).mean()))
    return float(np.sqrt((sums**2).sum() * len(sums) / max(len(sums) - 1, 1)) / len(differences))


def choose_thresholds(
    validation: ValidationLogits, probabilities: Floats, target: str, aim: Aim, inconclusive_below: float
) -> Decision:
    """The thresholds for ``aim`` on the validation images; none, with a note why, if there are too few.

    Args:
        validation: the images.
        probabilities: float [n, k], from a calibration that hadn't seen the image's patient.
        target: the class that the thresholds are of.
        aim: what they are chosen for.
        inconclusive_below: the probability that a decision needs if there are no thresholds.
    """
    index = validation.classes.index(target)
    is_target = validation.targets == index
    sample = Binary.from_arrays(target, is_target, probabilities[:, index], validation.patients)
    rule = choose_rule(sample, aim, validation.sources)
    if isinstance(rule, NoRuleError):
        return Decision(inconclusive_below=inconclusive_below, note=f"No threshold: {rule.reason}.")
    by_source = (
        AnswersAtSource(source=one.source, **{e.name: measured_share(e) for e in one[1:]})
        for one in at_sources(sample, rule.low, rule.high, validation.sources)
    )
    cost = (
        CostOfAnswers.model_validate({key: None if np.isnan(v) else v for key, v in each._asdict().items()})
        for each in costs(sample, aim, validation.sources)
    )
    return Decision.of(rule, inconclusive_below, by_source, cost)


def measured_share(estimate: Estimate) -> MeasuredShare:
    """A share as packages hold it."""
    numbers = {key: None if v is None else round(v, 4) for key, v in _numbers(estimate).items()}
    return MeasuredShare(**numbers, n=estimate.n)


def _numbers(estimate: Estimate) -> dict[str, float | None]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def fit_temperature(validation: ValidationLogits) -> float:
    """The temperature of least cross-entropy (Guo et al. 2017)."""

    def loss(log_temperature: float) -> float:
        scaled = Calibration(temperature=float(np.exp(log_temperature)))
        losses = _losses(calibrated(scaled, validation.classes, validation.logits), validation.targets)
        return float((losses * validation.weights).mean())

    low, high = np.log(SANE_TEMPERATURES)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-8})
    return float(np.exp(found.x))


def fit_platt(validation: ValidationLogits) -> dict[str, tuple[float, float]]:
    """For each class the slope and intercept of greatest likelihood on its log-odds, with Platt's targets (1999).

    The targets are not 0 and 1, but as certain as the number of images allows.
    """
    odds = log_odds(validation.logits)
    kinds = enumerate(validation.classes)
    return {c: _line(odds[:, i], validation.targets == i, validation.weights) for i, c in kinds}


def _line(x: Floats, positive: NDArray[np.bool_], image_weights: Floats) -> tuple[float, float]:
    positives, negatives = image_weights[positive].sum(), image_weights[~positive].sum()
    target = np.where(positive, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    # scikit-learn takes hard labels: each image stands for both, weighted by its target
    labels = np.repeat([1, 0], len(x))
    weights = np.concatenate([target, 1 - target]) * np.tile(image_weights, 2)
    unpenalised = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    fitted = unpenalised.fit(np.tile(x, 2)[:, None], labels, weights)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


def fit_isotonic(validation: ValidationLogits) -> dict[str, tuple[tuple[float, float], ...]]:
    """For each class the corners of the rising line of least squares on its log-odds (Zadrozny & Elkan 2002).

    Probabilities stay between 1 / (n + 2) and (n + 1) / (n + 2), for n images (Laplace's rule of succession).
    """
    odds = log_odds(validation.logits)
    least = 1 / (len(odds) + 2)
    lines = {}
    for i, name in enumerate(validation.classes):
        steps = IsotonicRegression(y_min=least, y_max=1 - least).fit(
            odds[:, i], validation.targets == i, validation.weights
        )
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
    """By method each image's probabilities from fits on other patients, float64 [n, k]; without methods that fail."""
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
    """Those for which the images are enough, the simplest first."""
    return ("temperature", "platt", "isotonic") if images >= ENOUGH_FOR_ISOTONIC else ("temperature", "platt")


def _folds(validation: ValidationLogits) -> Iterator[tuple[Integers, Integers]]:
    deal = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    yield from deal.split(validation.logits, validation.targets, validation.patients)


def _enough(validation: ValidationLogits) -> bool:
    return min(validation.patients_by_class.values()) >= FEWEST_PATIENTS


def log_loss(probabilities: Floats, targets: Integers) -> float:
    """Mean of the negative log of the true class's probability."""
    return float(_losses(probabilities, targets).mean())


def _losses(probabilities: Floats, targets: Integers) -> Floats:
    return np.asarray(-np.log(np.maximum(probabilities[np.arange(len(targets)), targets], 1e-300)))
