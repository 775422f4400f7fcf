"""How calibrated probabilities become a decision: the one rule that scanning and evaluation both use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

#: The decisions besides the model's classes.
INCONCLUSIVE, REFUSED = "inconclusive", "refused"

ReadWords = NDArray[Any]


class _Aim(Protocol):
    @property
    def sensitivity(self) -> float: ...
    @property
    def specificity(self) -> float: ...


class _Chosen(Protocol):
    """Thresholds as :func:`lungsight.statistics.thresholds.choose_rule` gives them."""

    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def aim(self) -> _Aim: ...
    @property
    def images(self) -> int: ...
    @property
    def patients(self) -> int: ...
    @property
    def positives(self) -> int: ...
    @property
    def note(self) -> str: ...


class Decision(BaseModel):
    """How probabilities become a decision.

    With the thresholds ``low`` and ``high``: below ``low`` the target is ruled out and the decision is the most
    probable other class; from ``high`` on it is the target; between them it is *inconclusive*. Equal thresholds leave
    nothing inconclusive. Without thresholds it is the most probable class, unless its probability is below
    ``inconclusive_below``. The thresholds were chosen on validation images for the aims stated, with probabilities
    from a calibration that hadn't seen the image's patient.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    inconclusive_below: float = Field(default=0.5, ge=0, le=1)
    """Calibrated probability that a decision needs if no thresholds are stated."""
    low: float | None = Field(default=None, ge=0, le=1)
    """Probability of the target below which it is ruled out: the highest that keeps the sensitivity aimed at."""
    high: float | None = Field(default=None, ge=0, le=1)
    """Probability of the target from which on it is called: the lowest that keeps the specificity aimed at."""
    aim_sensitivity: float | None = Field(default=None, gt=0, lt=1)
    """Of the images of the target, the share that may not be ruled out."""
    aim_specificity: float | None = Field(default=None, gt=0, lt=1)
    """Of the other images, the share that may not be called."""
    chosen_on: int = Field(default=0, ge=0)
    """Number of validation images."""
    patients: int = Field(default=0, ge=0)
    """The number of their patients."""
    positives: int = Field(default=0, ge=0)
    """Images of the target among them."""
    note: str = ""
    """What the choice couldn't give, and why."""

    @classmethod
    def of(cls, chosen: _Chosen, inconclusive_below: float = 0.5) -> Decision:
        """With thresholds that were chosen on validation data."""
        return cls(
            inconclusive_below=inconclusive_below,
            low=chosen.low,
            high=chosen.high,
            aim_sensitivity=chosen.aim.sensitivity,
            aim_specificity=chosen.aim.specificity,
            chosen_on=chosen.images,
            patients=chosen.patients,
            positives=chosen.positives,
            note=chosen.note,
        )

    @property
    def threshold(self) -> float | None:
        """The one threshold for the sensitivity aimed at; None where none was chosen."""
        return self.low

    @property
    def thresholds(self) -> tuple[float, float] | None:
        """``low`` and ``high``; None where none are stated."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def can_be_inconclusive(self, classes: int) -> bool:
        """Whether some probabilities of this many classes are inconclusive."""
        if self.thresholds is not None:
            return self.thresholds[1] > self.thresholds[0]
        return self.inconclusive_below > 1 / classes

    def decide(
        self,
        probabilities: ArrayLike,
        classes: Sequence[str],
        target: str,
        *,
        unfamiliar: ArrayLike = False,
        refused: ArrayLike = False,
    ) -> ReadWords:
        """The decision on each image: a class, :data:`INCONCLUSIVE` or :data:`REFUSED`.

        Args:
            probabilities: calibrated, float [n, k]; or [k], of one image.
            classes: the k classes in that order.
            target: one of them.
            unfamiliar: bool [n], or one for all: out-of-distribution, and therefore inconclusive.
            refused: bool [n], or one for all: the image is not analysed; this comes first.

        Returns:
            text as objects, [n]; or [], of one image.
        """
        p = np.asarray(probabilities, dtype=np.float64)
        names, this = np.array(classes, dtype=object), list(classes).index(target)
        if self.thresholds is None:
            open_, verdict = p.max(axis=-1) < self.inconclusive_below, names[p.argmax(axis=-1)]
        else:
            low, high = self.thresholds
            of_target, others = p[..., this], np.where(np.arange(len(names)) == this, -1.0, p)
            called = of_target >= high
            open_ = ~called & (of_target >= low)
            verdict = np.where(called, target, names[others.argmax(axis=-1)])
        verdict = np.where(open_ | np.asarray(unfamiliar, dtype=bool), INCONCLUSIVE, verdict)
        return np.where(np.asarray(refused, dtype=bool), REFUSED, verdict).astype(object)

    @model_validator(mode="after")
    def _thresholds_are_in_order(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError("low and high must be stated together")
        if self.low is not None and self.high is not None and self.high < self.low:
            raise ValueError(f"high {self.high:g} lies below low {self.low:g}")
        return self
