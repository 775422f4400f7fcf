"""Patient keys that name no patient: ``nan``, ``unknown``, or one value in nearly every row."""

from __future__ import annotations

import pandas as pd

from lungsight._text import shortened
from lungsight.datasets.spellings import WORDS, is_missing, spelling
from lungsight.datasets.text_tables import rows_in_words
from lungsight.errors import printable

#: A key with at least this number of images and this share of a table names no patient.
_FEWEST, _NEARLY_ALL = 10, 0.9


def known_patients(keys: pd.Series) -> tuple[pd.Series, str]:
    """Return the keys, empty where they tell no patients apart, and a sentence about those that were emptied.

    Emptied are ``nan``, ``unknown`` and the like; ``anonymous``, ``0`` and the like where several images have them;
    and a value that nearly every row has. The index is that of :class:`~.text_tables.TextTable`.
    """
    counts = keys[keys != ""].value_counts()
    unknown = {str(key) for key, n in counts.items() if _is_unknown(str(key), int(n), counts, len(keys))}
    taken = keys.isin(unknown)
    if not taken.any():
        return keys, ""
    shown = shortened([f"'{printable(key)}'" for key in sorted(unknown)], 3)
    where = f"{int(taken.sum()):,} of {len(keys):,} rows ({rows_in_words(keys.index[taken])})"
    return keys.where(~taken, ""), f"patient is {shown} in {where}, which tells no patients apart: taken as unknown."


def _is_unknown(key: str, n: int, counts: pd.Series, rows: int) -> bool:
    if is_missing(key):
        return True
    if n >= _FEWEST and n >= _NEARLY_ALL * rows:
        return True
    spelt = spelling(key)
    if n > 1 and (spelt.startswith("anon") or spelt in WORDS["anonymous"]):
        return True
    if spelt.strip("0"):
        return False
    others = counts.drop(key)  # a patient whose number is 0 has about as many images as another
    return n > 1 and n > 2 * (int(others.max()) if len(others) else 1)
