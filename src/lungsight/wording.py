"""How classes and probabilities are named to people: on pages, in the terminal, in sentences."""

from __future__ import annotations

import re


def as_words(class_name: str) -> str:
    """A class's name, or a decision, as people read it: ``no_pneumonia`` becomes ``no pneumonia``, ``covid19``
    COVID-19."""
    return re.sub(r"\bcovid19\b", "COVID-19", class_name.replace("_", " "))


def in_words(text: str, class_name: str) -> str:
    """A sentence with the class's name as :func:`as_words` says it; names that merely contain it stay."""
    return re.sub(rf"(?<![\w/-]){re.escape(class_name)}(?![\w/-])", lambda _: as_words(class_name), text)


def percent(share: float) -> str:
    """A share 0…1 in whole per cent: ``57 %``. Near an end nothing is said to be certain: ``<1 %``, ``>99 %``."""
    if share < 0.01:
        return "<1 %"
    return ">99 %" if share > 0.99 else f"{100 * share:.0f} %"


def percent_beside(share: float, *thresholds: float) -> tuple[str, ...]:
    """A share and the thresholds that it is compared with, in per cent, with as few decimals as tell it from each:
    ``58 %`` beside ``59 %``, but ``58.8 %`` beside ``58.9 %``."""
    for decimals in range(5):
        said = tuple(f"{100 * value:.{decimals}f} %" for value in (share, *thresholds))
        if all(said[0] != other or value == share for other, value in zip(said[1:], thresholds, strict=True)):
            break
    return said
