"""When two spellings are the same label, when one only looks like another, and which say that nothing is known."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from difflib import SequenceMatcher

#: A label that counts against a class and for no other: ``not_covid19``, as a negative RT-PCR says it.
NOT = "not_"
#: What tables write where nothing is known, as :func:`spelling` has it.
_NOTHING = (
    *("nan", "none", "null", "na", "nat", "nil", "missing", "blank", "empty", "undefined", "undetermined", "tbd"),
    *("unknown", "unk", "unbekannt", "inconnu", "desconocido", "desconhecido", "sconosciuto", "pending", "notknown"),
    *("notavailable", "unavailable", "notassigned", "notapplicable", "notstated", "notspecified", "notreported"),
    *("unspecified", "unlabeled", "unlabelled", "nolabel"),
)
#: Names of the disease and of its virus, and how ICD-10 codes it: two labels that hold any of them look alike.
_COVID = ("covid", "sarscov", "ncov", "corona", "u071", "u072", "新冠", "新型冠", "ковид", "корона", "كوفيد", "κορον")
#: Signs that are read as another.
_TWINS = str.maketrans(
    {"0": "o", "1": "l", "i": "l", "|": "l", "5": "s", "а": "a", "с": "c", "е": "e", "о": "o", "р": "p", "х": "x"}
    | {"у": "y", "і": "l", "ѕ": "s", "ԁ": "d", "ν": "v", "ѵ": "v", "ο": "o", "ι": "l", "ı": "l", "ϲ": "c"}
)
#: Labels that agree less are different words.
_ALIKE = 0.8
_WORDS = re.compile(r"[^\W_]+|\+")


def spelling(text: str) -> str:
    """``text`` without what doesn't tell labels apart: case, accents, punctuation and spaces. ``+`` is kept."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(sign for sign in plain if sign.isalnum() or sign == "+")


def words(text: str) -> list[str]:
    """The words of a label, each as :func:`spelling` has it."""
    return [spelling(word) for word in _WORDS.findall(text)]


def says_nothing(text: str) -> bool:
    """Whether a cell says that nothing is known: empty, ``?``, ``nan``, ``None``, ``unknown`` …"""
    spelt = spelling(text)
    return not spelt or spelt in _NOTHING


def same_spelling(label: str, known: Collection[str]) -> str | None:
    """Which of ``known`` is ``label``, whatever its case, punctuation and accents; None where none is."""
    if label in known:
        return label
    spelt = spelling(label)
    return next((one for one in known if spelling(one) == spelt), None) if spelt else None


def looks_like(label: str, other: str) -> bool:
    """Whether somebody may have meant ``other`` by ``label``: it holds it, begins it, is a slip of the pen away from
    it, or both name COVID-19 or its virus. Spellings of ``other`` itself look like it, too."""
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
    return spelt == "c19" or any(name in spelt or _shape(name) in shape for name in _COVID)
