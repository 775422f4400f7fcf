"""Words for people: names of classes, probabilities, numbers and lists, the same wherever one is read."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable


def as_words(class_name: str) -> str:
    """The name of a class, or a decision, for people: ``no_pneumonia`` is ``no pneumonia``, ``covid19`` COVID-19."""
    return re.sub(r"\bcovid19\b", "COVID-19", class_name.replace("_", " "))


def in_words(text: str, class_name: str) -> str:
    """A sentence with the class's name as :func:`as_words` writes it; names that merely contain it stay."""
    return re.sub(rf"(?<![\w/-]){re.escape(class_name)}(?![\w/-])", lambda _: as_words(class_name), text)


def percent(share: float) -> str:
    """A share 0…1 in whole per cent: ``57 %``. Near an end it isn't shown as certain: ``<1 %``, ``>99 %``."""
    if share < 0.01:
        return "<1 %"
    return ">99 %" if share > 0.99 else f"{100 * share:.0f} %"


def percent_beside(share: float, *thresholds: float) -> tuple[str, ...]:
    """A share and its thresholds in per cent, with as few decimals as tell the share from each threshold.

    ``58 %`` beside ``59 %``, but ``58.8 %`` beside ``58.9 %``.
    """
    for decimals in range(5):
        texts = tuple(f"{100 * value:.{decimals}f} %" for value in (share, *thresholds))
        if all(texts[0] != other or value == share for other, value in zip(texts[1:], thresholds, strict=True)):
            break
    return texts


def fixed(value: float | None, places: int) -> str:
    """A number with ``places`` decimals and a true minus sign, none before zero; a dash for None."""
    if value is None:
        return "–"
    text = f"{value:,.{places}f}"
    return text.lstrip("-") if not float(text.replace(",", "")) else text.replace("-", "−")


def signed(value: float | None, places: int = 2) -> str:
    """A difference: as :func:`fixed`, with a plus before what is above zero."""
    text = fixed(value, places)
    return f"+{text}" if value and value > 0 and text.strip("0.,") else text


def listed(names: Iterable[object]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *first, last = map(str, names)
    return f"{', '.join(first)} and {last}" if first else last


def shortened(names: Collection[object], most: int) -> str:
    """The first ``most`` of the names and how many follow: ``a, b, c and 4 more``."""
    shown = ", ".join(str(name) for _, name in zip(range(most), names, strict=False))
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown


def counted(n: int, noun: str) -> str:
    """``1 image``, ``2,500 images``, ``2 tables of contents``."""
    return f"{n:,} {noun if n == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """The plural of a regular noun, also of one with words after it: ``files without a known ending``."""
    return re.sub(r"( of | without |$)", r"s\1", noun, count=1)
