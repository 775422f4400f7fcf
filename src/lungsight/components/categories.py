"""A decision in the words of a radiologist who reads for COVID-19, with what the word was measured to mean.

Radiologists report how typical a radiograph looks: typical, indeterminate, atypical, or negative for pneumonia
(Litmanovich et al. 2020, "Review of chest radiograph findings of COVID-19 pneumonia and suggested reporting
language", J Thorac Imaging 35:354). A model that separates other classes doesn't say these words by itself. Which of
them a decision stands for is what readers called the images that got it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from lungsight._text import listed
from lungsight.components.decision import MeasuredShare

#: From the surest sign of COVID-19 to none: neighbours are next to each other.
WORDS = ("typical", "indeterminate", "atypical", "negative")


class Category(NamedTuple):
    """What a finding says: ``word`` (empty where the data support none) and the sentence of what it means."""

    word: str
    meaning: str


class _Stated(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class MeasuredDecision(_Stated):
    """What readers called the images that got one decision."""

    decision: str
    """A decision of the package's rule: the target, `inconclusive` or `no_sign`."""
    words: tuple[str, ...] = ()
    """The readers' categories that the decision stands for, chosen on validation images; none: too many."""
    images: int = Field(ge=0)
    """On which the shares were measured."""
    patients: int = Field(ge=0)
    readers: Mapping[str, MeasuredShare]
    """By category, its share of these images."""


class Categories(_Stated):
    """Readers' categories for the decisions of a package, as measured on images of patients it didn't learn from."""

    source: str
    """Whose images were read."""
    readers: str
    """Who read them, and by which words."""
    chosen_on: int = Field(ge=0)
    """Validation images on which the words were chosen; the shares were measured on other patients."""
    decisions: tuple[MeasuredDecision, ...]

    def of(self, decision: str) -> Category | None:
        """What a decision means in readers' words; None if that wasn't measured."""
        found = next((each for each in self.decisions if each.decision == decision), None)
        return None if found is None or not found.images else Category(" or ".join(found.words), self._meaning(found))

    def _meaning(self, measured: MeasuredDecision) -> str:
        called = [_called(name, measured.readers[name]) for name in WORDS if name in measured.readers]
        return (
            f"Of 100 images of {self.source} so answered, its readers called {listed(called)} "
            f"(n = {measured.images:,} images of {measured.patients:,} patients that the model didn't learn from)."
        )


def _called(name: str, share: MeasuredShare) -> str:
    value = 100 * (share.value or 0)
    between = "" if share.low is None or share.high is None else f" ({100 * share.low:.0f}–{100 * share.high:.0f})"
    return f"{value:.0f}{between} {name}"
