"""How calibrated probabilities become a decision: the one rule that scanning and evaluation both use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from lungsight._text import as_words

#: The decisions besides the model's classes. Below the lower threshold nothing is said but that there is no sign of
#: the target, whichever other class is the most probable.
NO_SIGN, INCONCLUSIVE, REFUSED = "no_sign", "inconclusive", "refused"

ReadWords = NDArray[Any]


def decision_words(decision: str, target: str) -> str:
    """A decision for people: ``no sign of COVID-19``, ``inconclusive``, ``no pneumonia``."""
    return f"no sign of {as_words(target)}" if decision == NO_SIGN else as_words(decision)


class _Aim(Protocol):
    @property
    def sensitivity(self) -> float: ...
    @property
    def specificity(self) -> float: ...
    @property
    def most_inconclusive(self) -> float: ...


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


class _Stated(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class MeasuredShare(_Stated):
    """A share of images with its 95% interval; null where there are too few for one."""

    value: float | None = Field(default=None, ge=0, le=1)
    low: float | None = None
    high: float | None = None
    n: int = Field(ge=0)
    """Images of which it is a share."""


class AnswersAtSource(_Stated):
    """What the thresholds do among the validation images of one source, on which they were chosen."""

    source: str
    inconclusive: MeasuredShare
    """Of all images."""
    sensitivity: MeasuredShare
    """Of the images of the target that get an answer, those that are predicted."""
    specificity: MeasuredShare
    """Of the others that get an answer, those that are ruled out."""


class CostOfAnswers(_Stated):
    """What another limit on inconclusive images would cost, on the validation images, with every source the same."""

    most_inconclusive: float = Field(ge=0, le=1)
    """The limit within each source."""
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)
    inconclusive: float = Field(ge=0, le=1)
    """Share of the images."""
    sensitivity: float | None = Field(default=None, ge=0, le=1)
    """Among the images that get an answer."""
    specificity: float | None = Field(default=None, ge=0, le=1)
    """Among the images that get an answer."""


class Decision(_Stated):
    """How probabilities become a decision.

    With the thresholds ``low`` and ``high``: below ``low`` there is *no sign* of the target; from ``high`` on the
    decision is the target; between them it is *inconclusive*. Equal thresholds leave nothing inconclusive. Without
    thresholds it is the most probable class, unless its probability is below ``inconclusive_below``. The thresholds
    were chosen on validation images for the aims stated, with probabilities from a calibration that hadn't seen the
    image's patient.
    """

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
    most_inconclusive: float | None = Field(default=None, ge=0, le=1)
    """Of the images of each source, the share that may be inconclusive; it comes before the aims. Null: no limit."""
    chosen_on: int = Field(default=0, ge=0)
    """Number of validation images."""
    patients: int = Field(default=0, ge=0)
    """The number of their patients."""
    positives: int = Field(default=0, ge=0)
    """Images of the target among them."""
    note: str = ""
    """What the choice couldn't give, and why."""
    by_source: tuple[AnswersAtSource, ...] = ()
    """What the thresholds do within each source; empty in older packages."""
    costs: tuple[CostOfAnswers, ...] = ()
    """What other limits on inconclusive images would cost; empty likewise."""

    @classmethod
    def of(
        cls,
        chosen: _Chosen,
        inconclusive_below: float = 0.5,
        by_source: Iterable[AnswersAtSource] = (),
        costs: Iterable[CostOfAnswers] = (),
    ) -> Decision:
        """With thresholds that were chosen on validation data."""
        return cls(
            inconclusive_below=inconclusive_below,
            low=chosen.low,
            high=chosen.high,
            aim_sensitivity=chosen.aim.sensitivity,
            aim_specificity=chosen.aim.specificity,
            most_inconclusive=chosen.aim.most_inconclusive,
            chosen_on=chosen.images,
            patients=chosen.patients,
            positives=chosen.positives,
            note=chosen.note,
            by_source=tuple(by_source),
            costs=tuple(costs),
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

    def possible(self, classes: Sequence[str], target: str) -> tuple[str, ...]:
        """The decisions that an image which is analysed can get, *inconclusive* last if it can."""
        named = tuple(classes) if self.thresholds is None else (target, NO_SIGN)
        return (*named, INCONCLUSIVE) if self.can_be_inconclusive(len(classes)) else named

    def decide(
        self, probabilities: ArrayLike, classes: Sequence[str], target: str, *, refused: ArrayLike = False
    ) -> ReadWords:
        """The decision on each image: one of :meth:`possible`, or :data:`REFUSED`.

        Args:
            probabilities: calibrated, float [n, k]; or [k], of one image.
            classes: the k classes in that order.
            target: one of them.
            refused: bool [n], or one for all: the image is not analysed; this comes first.

        Returns:
            text as objects, [n]; or [], of one image.
        """
        p = np.asarray(probabilities, dtype=np.float64)
        if self.thresholds is None:
            most_probable = np.array(classes, dtype=object)[p.argmax(axis=-1)]
            decided = np.where(p.max(axis=-1) < self.inconclusive_below, INCONCLUSIVE, most_probable)
        else:
            low, high = self.thresholds
            of_target = p[..., list(classes).index(target)]
            decided = np.where(of_target >= high, target, np.where(of_target < low, NO_SIGN, INCONCLUSIVE))
        return np.where(np.asarray(refused, dtype=bool), REFUSED, decided).astype(object)

    @model_validator(mode="after")
    def _thresholds_are_in_order(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError("low and high must be stated together")
        if self.low is not None and self.high is not None and self.high < self.low:
            raise ValueError(f"high {self.high:g} lies below low {self.low:g}")
        return self
