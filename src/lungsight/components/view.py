"""The view classifier: is a frontal chest radiograph AP or PA? Its logit is an output of the input gate's network.

AP images are mostly taken at the bedside, of patients who can't stand. So the view is often known to be where the
sickest are, and a model may learn the view in place of the disease. A test of a model needs the view of each image,
and few files state it.
"""

from __future__ import annotations

from typing import NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lungsight.radiograph import View

#: The output of the gate's network: the logit of AP against PA, [N].
VIEW_OUTPUT = "view"


class ViewGuess(NamedTuple):
    """What the view classifier predicts for an image.

    Attributes:
        ap: probability of AP, 0…1.
        view: AP or PA; None if the probability is between the thresholds.
    """

    ap: float
    view: View | None


class ViewDescription(BaseModel):
    """What ``package.json`` says of the view classifier.

    It was trained on images whose view the source states. The thresholds were chosen on images of sources that the
    head in question hadn't seen.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    low: float = Field(ge=0, le=1)
    """Probability of AP below which the guess is PA."""
    high: float = Field(ge=0, le=1)
    """Probability of AP from which on the guess is AP; between both the view is unknown."""
    aim: float = Field(gt=0, lt=1)
    """Share of the AP images that may not be called PA, and of the PA images that may not be called AP."""
    chosen_on: int = Field(ge=1)
    """Number of images on which the thresholds were chosen."""
    trained_on: dict[str, dict[str, int]]
    """Images of each source, by view."""

    @model_validator(mode="after")
    def _low_is_not_above_high(self) -> Self:
        if self.low > self.high:
            raise ValueError("low may not be above high")
        return self

    def guess(self, ap: float) -> ViewGuess:
        """The view by the probability ``ap`` of AP."""
        if ap >= self.high:
            return ViewGuess(ap, View.AP)
        return ViewGuess(ap, View.PA if ap < self.low else None)
