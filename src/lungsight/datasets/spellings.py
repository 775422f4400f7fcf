"""When two spellings are the same label, when one only looks like another, and which mean that nothing is known."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Collection, Mapping
from difflib import SequenceMatcher
from importlib import resources
from typing import Any

#: Words of other people's tables, by what they mean; the file explains each list.
WORDS: Mapping[str, Any] = tomllib.loads(resources.files(__package__).joinpath("words.toml").read_text("utf-8"))
#: A label that counts against a class and for no other: ``not_covid19``, as a negative RT-PCR says it.
NOT = "not_"
_MISSING = frozenset(WORDS["missing"])
_TWINS = str.maketrans(WORDS["twins"])
#: Labels that agree less are different words.
_ALIKE = 0.8
_WORDS = re.compile(r"[^\W_]+|\+")


def spelling(text: str) -> str:
    """Return ``text`` without case, accents, punctuation and spaces, which don't tell labels apart. ``+`` is kept."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(sign for sign in plain if sign.isalnum() or sign == "+")


def words(text: str) -> list[str]:
    """Return the words of a label, each as :func:`spelling` has it."""
    return [spelling(word) for word in _WORDS.findall(text)]


def is_missing(text: str) -> bool:
    """Return whether a cell says that nothing is known, such as an empty one, ``?``, ``nan`` or ``unknown``."""
    spelt = spelling(text)
    return not spelt or spelt in _MISSING


def same_spelling(label: str, known: Collection[str]) -> str | None:
    """Return the one of ``known`` that is ``label`` but for case, punctuation and accents; None where none is."""
    if label in known:
        return label
    spelt = spelling(label)
    return next((one for one in known if spelling(one) == spelt), None) if spelt else None


def looks_like(label: str, other: str) -> bool:
    """Return whether ``label`` may be meant for ``other``.

    It holds it, begins it, is a slip of the pen away from it, or both name COVID-19 or its virus. Spellings of
    ``other`` itself look like it, too.
    """
    one, two = _shape(label), _shape(other)
    if not one or not two:
        return False
    if _is_covid(label) and _is_covid(other):
        return True
    if (len(two) > 3 and two in one) or (len(one) > 2 and two.startswith(one)):
        return True
    numbers = [re.sub(r"\D", "", spelling(text)) for text in (label, other)]
    if numbers[0] != numbers[1] and len(numbers[0]) == len(numbers[1]):  # grade1 is no slip for grade2
        return False
    return SequenceMatcher(None, one, two).ratio() >= _ALIKE


def _shape(text: str) -> str:
    return spelling(text).translate(_TWINS)


def _is_covid(text: str) -> bool:
    spelt, shape = spelling(text), _shape(text)
    return spelt == "c19" or any(name in spelt or _shape(name) in shape for name in WORDS["covid"])
