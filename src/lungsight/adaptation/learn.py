"""What a package learns from a hospital's images: a change of its last layer, a calibration and thresholds.

The last layer's new weights minimise the cross-entropy on the hospital's images plus a penalty on the squared
distance from the package's own (ridge regression towards a known model: Yang, Yan & Hauptmann 2007, "Cross-domain
video concept detection using adaptive SVMs", here with the logistic loss). The strength of the penalty is chosen by
cross-validation: at infinity only the bias changes. The loss is convex, so the same images give the same layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.optimize import minimize
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from lungsight.adaptation.local_images import LocalImages
from lungsight.components.calibration import Calibration, calibrated, softmax
from lungsight.components.decision import Decision
from lungsight.package import PackageDescription
from lungsight.statistics.outcomes import Floats, Integers
from lungsight.statistics.thresholds import Aim
from lungsight.training.fit_calibration import (
    ValidationLogits,
    choose_thresholds,
    fit_calibration,
    fit_temperature,
    log_loss,
)

#: Images of the target, and as many others, from which on calibration and thresholds are fitted, and the last layer.
FEWEST, ENOUGH_FOR_LAST_LAYER = 20, 40
#: Images in all, of both sides, that are enough for the last layer, too: few hospitals have as many of either side.
ENOUGH_IN_ALL = 100
FOLDS = 5
#: With this penalty only the bias changes.
BIAS_ALONE = math.inf
#: The penalties that are tried, for features of typical length 1.
STRENGTHS = (BIAS_ALONE, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
_MOST_STEPS = 500


class Step(StrEnum):
    """What is fitted."""

    CALIBRATION = "calibration and thresholds"
    LAST_LAYER = "the last layer, calibration and thresholds"


@dataclass(frozen=True)
class Plan:
    """How much is learnt.

    Attributes:
        step: what is fitted.
        all_classes: every class's row of the last layer changes; else that of the target alone, and the other classes
            stand to each other as before.
        temperature: of the package, by which its logits are divided before anything is fitted to them.
        aim: of the thresholds.
        inconclusive_below: of a rule without thresholds.
    """

    step: Step
    all_classes: bool
    temperature: float
    aim: Aim
    inconclusive_below: float

    @classmethod
    def of(cls, images: LocalImages, description: PackageDescription) -> Plan:
        """As much as the images allow."""
        counts = np.bincount(images.labels, minlength=len(images.classes))
        each = bool(images.certain.all()) and len(images.classes) > 2 and counts.min() >= ENOUGH_FOR_LAST_LAYER
        smaller = min(int(images.positive.sum()), int((~images.positive).sum()))
        enough = smaller >= ENOUGH_FOR_LAST_LAYER or len(images) >= ENOUGH_IN_ALL
        stated, usual = description.decision, Aim()
        aim = Aim(
            stated.aim_sensitivity or usual.sensitivity,
            stated.aim_specificity or usual.specificity,
            usual.most_inconclusive if stated.most_inconclusive is None else stated.most_inconclusive,
        )
        return cls(
            Step.LAST_LAYER if enough else Step.CALIBRATION,
            each,
            description.calibration.temperature,
            aim,
            stated.inconclusive_below,
        )

    @property
    def strengths(self) -> tuple[float, ...]:
        """The penalties to choose from."""
        return STRENGTHS if self.step is Step.LAST_LAYER else (BIAS_ALONE,)


@dataclass(frozen=True, eq=False)
class LayerChange:
    """What is added to the last layer.

    Attributes:
        weights: float64 [k, r], on the coordinates of :class:`LocalImages`.
        bias: float64 [k].
    """

    weights: Floats
    bias: Floats

    def logits(self, images: LocalImages) -> Floats:
        """The logits [n, k] with the change."""
        return np.asarray(images.logits + images.features @ self.weights.T + self.bias)


@dataclass(frozen=True, eq=False)
class Learned:
    """What was learnt from some images.

    Attributes:
        change: of the last layer.
        strength: the penalty that was chosen.
        losses: the cross-validated log loss with each penalty.
        calibration: of the changed network.
        decision: its thresholds.
    """

    change: LayerChange
    strength: float
    losses: Mapping[float, float]
    calibration: Calibration
    decision: Decision

    def probabilities(self, images: LocalImages) -> Floats:
        """Calibrated, float64 [n, k]."""
        return calibrated(self.calibration, images.classes, self.change.logits(images))


def learn(images: LocalImages, plan: Plan) -> Learned:
    """Fit the last layer, its calibration and its thresholds.

    The penalty is the one of least log loss on patients that a fit didn't see. Calibration and thresholds are fitted
    on logits of such fits, too.
    """
    with threadpool_limits(limits=1):  # on matrices so small, threads mostly wait for each other
        return _learnt(images, plan)


def _learnt(images: LocalImages, plan: Plan) -> Learned:
    folds = list(folds_of(images))
    held_out = {strength: _held_out_logits(images, plan, strength, folds) for strength in plan.strengths}
    losses = {strength: _loss(images, plan, logits) for strength, logits in held_out.items()}
    strength = min(losses, key=losses.__getitem__)
    validation = images.validation(held_out[strength])
    fitted = fit_calibration(validation)
    target = images.classes[images.target]
    decision = choose_thresholds(validation, fitted.probabilities, target, plan.aim, plan.inconclusive_below)
    return Learned(refit(images, plan, strength), strength, losses, fitted.calibration, decision)


@dataclass(frozen=True, eq=False)
class CrossValidated:
    """What would be said of each image by an adaptation that didn't see its patient.

    Attributes:
        logits, probabilities: float64 [n, k].
        rules: the thresholds of each fold, and its images, int [m].
    """

    logits: Floats
    probabilities: Floats
    rules: tuple[tuple[Decision, Integers], ...]


def cross_validate(
    images: LocalImages, plan: Plan, advance: Callable[[int, int | None], None] = lambda done, total: None
) -> CrossValidated:
    """:func:`learn` on the other patients, for each fold of patients: all that it chooses is chosen without them.

    ``advance`` is called with how many folds are done, and of how many.
    """
    logits, probabilities = np.empty_like(images.logits), np.empty_like(images.logits)
    rules = []
    for done, (others, fold) in enumerate(folds_of(images)):
        learned = learn(images.of(others), plan)
        logits[fold] = learned.change.logits(images.of(fold))
        probabilities[fold] = learned.probabilities(images.of(fold))
        rules.append((learned.decision, fold))
        advance(done + 1, FOLDS)
    return CrossValidated(logits, probabilities, tuple(rules))


def folds_of(images: LocalImages) -> Iterator[tuple[Integers, Integers]]:
    """(the other images, the fold's) for each of :data:`FOLDS` folds of whole patients."""
    deal = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    yield from deal.split(images.logits, images.positive, images.patients)


def refit(images: LocalImages, plan: Plan, strength: float) -> LayerChange:
    """The change of the last layer that fits the images, under one penalty."""
    offset, labels = _compared(images, plan, images.logits / plan.temperature)
    features = images.features if math.isfinite(strength) else images.features[:, :0]
    rows = len(images.classes) if plan.all_classes else 1
    found = plan.temperature * _least_loss(offset, features, labels, rows, strength if features.size else 0.0)
    weights = np.zeros((len(images.classes), images.features.shape[1]))
    bias = np.zeros(len(images.classes))
    changed = slice(None) if plan.all_classes else slice(images.target, images.target + 1)
    weights[changed, : features.shape[1]], bias[changed] = found[:, :-1], found[:, -1]
    return LayerChange(weights, bias)


def _compared(images: LocalImages, plan: Plan, logits: Floats) -> tuple[Floats, Integers]:
    """The logits of what is learnt to be told apart, with labels: every class, or the target (0) and the rest (1)."""
    if plan.all_classes:
        return logits, images.labels
    rest = np.logaddexp.reduce(np.delete(logits, images.target, axis=1), axis=1)
    return np.stack([logits[:, images.target], rest], axis=1), np.where(images.positive, 0, 1)


def _held_out_logits(
    images: LocalImages, plan: Plan, strength: float, folds: list[tuple[Integers, Integers]]
) -> Floats:
    logits = np.empty_like(images.logits)
    for others, fold in folds:
        logits[fold] = refit(images.of(others), plan, strength).logits(images.of(fold))
    return logits


def _loss(images: LocalImages, plan: Plan, logits: Floats) -> float:
    """The log loss of logits of held-out patients, after one temperature: calibration is fitted later."""
    compared, labels = _compared(images, plan, logits)
    names = tuple(map(str, range(compared.shape[1])))
    temperature = fit_temperature(ValidationLogits(names, compared, labels, images.patients))
    return log_loss(softmax(compared, temperature), labels)


def _least_loss(offset: Floats, features: Floats, labels: Integers, rows: int, strength: float) -> Floats:
    """The change [rows, r + 1] of the first ``rows`` logits, weights and bias, of least penalised cross-entropy.

    Args:
        offset: float64 [n, m], the logits before.
        features: float64 [n, r].
        labels: int [n], 0…m-1.
        rows: how many logits change.
        strength: of the penalty on the weights; the bias has none.
    """
    n, r = features.shape
    true = np.arange(offset.shape[1]) == labels[:, None]

    def loss(flat: Floats) -> tuple[float, Floats]:
        change = flat.reshape(rows, r + 1)
        logits = offset.copy()
        logits[:, :rows] += features @ change[:, :-1].T + change[:, -1]
        log_p = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        away = (np.exp(log_p) - true)[:, :rows] / n
        gradient = np.column_stack([away.T @ features + strength * change[:, :-1], away.sum(axis=0)])
        value = -log_p[true].mean() + strength / 2 * (change[:, :-1] ** 2).sum()
        return float(value), gradient.ravel()

    found = minimize(
        loss, np.zeros(rows * (r + 1)), jac=True, method="L-BFGS-B", options={"maxiter": _MOST_STEPS}
    )  # fmt: skip
    return np.asarray(found.x, dtype=np.float64).reshape(rows, r + 1)
