"""Names what the losses of a training show: divergence, overfitting or underfitting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean


class TrainingProblem(StrEnum):
    """What can be wrong with a training."""

    DIVERGENCE = "divergence"
    OVERFITTING = "overfitting"
    UNDERFITTING = "underfitting"


@dataclass(frozen=True)
class Diagnosis:
    """What the losses show, and the figures that show it."""

    problem: TrainingProblem
    evidence: str

    def __str__(self) -> str:
        return f"{self.problem}: {self.evidence}"


@dataclass(frozen=True)
class EpochLosses:
    """Mean cross-entropy over an epoch, in nats."""

    train: float
    validation: float


#: A loss this many times its starting value, and far worse than guessing, doesn't fall again.
EXPLOSION = 4.0
#: Overfitting: the validation loss is this far above its lowest for this many epochs, while the training loss fell.
RISE, PATIENCE = 1.15, 3
#: Underfitting: after this many epochs the training loss is still this close to guessing.
HARDLY, PATIENCE_UNDER = 0.95, 5
#: … or the training loss stays this far above the validation loss (as in the article before it unfroze).
APART = 1.25


def is_diverging(batch_losses: Sequence[float], classes: int) -> bool:
    """Whether the losses of an epoch's batches have exploded.

    They have if the last isn't a number, or if the last few are many times the loss at the start and the loss of
    guessing (ln classes).
    """
    if not batch_losses:
        return False
    if not math.isfinite(batch_losses[-1]):
        return True
    if len(batch_losses) <= _FEW:
        return False
    start, latest = fmean(batch_losses[:_FEW]), fmean(batch_losses[-_FEW:])
    guessing = math.log(classes)
    return latest > EXPLOSION * max(min(start, guessing), 0.5 * guessing)


#: Batches whose mean loss stands for the loss just then: single ones scatter.
_FEW = 5


def diagnose(epochs: Sequence[EpochLosses], classes: int) -> Diagnosis | None:
    """The gravest problem that the losses so far show; None if they show none."""
    if not epochs:
        return None
    for check in (_divergence, _overfitting, _underfitting):
        found = check(epochs, classes)
        if found is not None:
            return found
    return None


def _divergence(epochs: Sequence[EpochLosses], classes: int) -> Diagnosis | None:
    last, guessing = epochs[-1], math.log(classes)
    if not (math.isfinite(last.train) and math.isfinite(last.validation)):
        return Diagnosis(TrainingProblem.DIVERGENCE, "a loss is no longer a number; lower the learning rate")
    lowest = min(epoch.validation for epoch in epochs)
    if last.validation > EXPLOSION * max(lowest, guessing / 2):
        seen = f"validation loss {last.validation:.2f} after {lowest:.2f}, guessing gives {guessing:.2f}"
        return Diagnosis(TrainingProblem.DIVERGENCE, f"{seen}; lower the learning rate")
    return None


def _overfitting(epochs: Sequence[EpochLosses], classes: int) -> Diagnosis | None:
    lowest = min(range(len(epochs)), key=lambda i: epochs[i].validation)
    since = epochs[lowest + 1 :]
    best = epochs[lowest]
    if len(since) < PATIENCE or since[-1].train >= best.train:
        return None
    if all(epoch.validation > RISE * best.validation for epoch in since[-PATIENCE:]):
        last = since[-1]
        seen = f"since epoch {lowest} validation loss rose from {best.validation:.3f} to {last.validation:.3f}"
        return Diagnosis(
            TrainingProblem.OVERFITTING, f"{seen} while training loss fell from {best.train:.3f} to {last.train:.3f}"
        )
    return None


def _underfitting(epochs: Sequence[EpochLosses], classes: int) -> Diagnosis | None:
    if len(epochs) < PATIENCE_UNDER:
        return None
    last, guessing = epochs[-1], math.log(classes)
    if last.train > HARDLY * guessing:
        seen = f"after {len(epochs)} epochs training loss {last.train:.3f} is hardly below guessing ({guessing:.3f})"
        return Diagnosis(TrainingProblem.UNDERFITTING, seen)
    if all(epoch.train > APART * epoch.validation for epoch in epochs[-PATIENCE_UNDER:]):
        seen = f"training loss {last.train:.3f} stays above validation loss {last.validation:.3f}"
        return Diagnosis(TrainingProblem.UNDERFITTING, f"{seen}: train longer, or with a higher rate")
    return None
