"""The thresholds from which the target is predicted, and below which it is ruled out.

They are chosen on validation images for a stated aim, never on the images that are then reported.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lungsight.statistics.binary import Binary
from lungsight.statistics.outcomes import Floats


@dataclass(frozen=True)
class Aim:
    """The sensitivity and specificity for which the thresholds are chosen.

    At least the share ``sensitivity`` of the images of the target may not be ruled out, and at least the share
    ``specificity`` of the others may not be predicted as the target. Sensitivity comes first, since a missed case
    costs most.
    """

    sensitivity: float = 0.95
    specificity: float = 0.95


@dataclass(frozen=True)
class DecisionRule:
    """Below ``low`` the target is ruled out, from ``high`` on it is predicted, between them it is *inconclusive*.

    If both are equal there is one threshold and no decision is inconclusive.

    Attributes:
        low: the highest threshold that keeps the aim's sensitivity.
        high: the lowest threshold that keeps the aim's specificity, but never below ``low``.
        images, patients: on which the thresholds were chosen.
        positives: images of the target among them.
        note: which aim couldn't be kept, and why: a sentence, or empty.
    """

    low: float
    high: float
    aim: Aim = Aim()
    images: int = 0
    patients: int = 0
    positives: int = 0
    note: str = ""

    @property
    def threshold(self) -> float:
        """The one threshold for the aim's sensitivity."""
        return self.low


@dataclass(frozen=True)
class NoRuleError:
    """Why no threshold was chosen, in one sentence."""

    reason: str


def choose_rule(sample: Binary, aim: Aim = Aim()) -> DecisionRule | NoRuleError:
    """The rule that keeps ``aim`` not only on these validation images but, on average, on new patients like them.

    Of n images of the target, ``(1 - aim) (n + 1)``, rounded down and less one, may be below the threshold. This is
    the finite-sample correction of split conformal prediction (Vovk, Gammerman & Shafer 2005). An aim of 0.95
    therefore needs 19 patients of the target, and an inconclusive range needs 19 others. Thresholds are halfway
    between two probabilities that occurred, so that rounding changes no decision.
    """
    lacking = _lacking(sample, sample.positive, aim.sensitivity)
    if lacking:
        return NoRuleError(f"{lacking} of {sample.scope} can't show a sensitivity of {aim.sensitivity:g}")
    low = _lowest_allowed(sample.probability, sample.positive, aim.sensitivity)
    high, note = _upper(sample, low, aim)
    return DecisionRule(low, high, aim, len(sample), sample.patients, sample.positives, note)


def _upper(sample: Binary, low: float, aim: Aim) -> tuple[float, str]:
    lacking = _lacking(sample, ~sample.positive, aim.specificity)
    if lacking:
        return low, f"{lacking} without {sample.scope} can't show a specificity of {aim.specificity:g}: no band."
    high = 1 - _lowest_allowed(1 - sample.probability, ~sample.positive, aim.specificity)
    called_anyway = (sample.probability[~sample.positive] >= high).mean()
    note = "" if 1 - called_anyway >= aim.specificity else f"No threshold keeps a specificity of {aim.specificity:g}."
    return max(low, high), note


def _lacking(sample: Binary, among: np.ndarray, aim: float) -> str:
    patients, needed = sample.patients_among(among), math.ceil(aim / (1 - aim) - 1e-9)
    return f"{patients} validation patients" if patients < needed else ""


def _lowest_allowed(score: Floats, wanted: np.ndarray, aim: float) -> float:
    """The highest threshold that at least the share ``aim`` of the images in ``wanted`` reach."""
    rising = np.sort(score[wanted])
    passed_over = max(0, math.floor((1 - aim) * (len(rising) + 1) + 1e-9) - 1)
    reached = rising[passed_over]
    next_lower = score[score < reached].max(initial=0.0)
    return float((reached + next_lower) / 2)
