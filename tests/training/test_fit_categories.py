"""Readers' words: chosen on some patients, measured on others."""

from __future__ import annotations

import numpy as np
import pytest

from lungsight.statistics.bootstrap import Resampling
from lungsight.training.fit_categories import Readings, fit_categories, words_for


def readings(*counted: tuple[str, str, int], first: int = 0) -> Readings:
    decisions = [decision for decision, _, n in counted for _ in range(n)]
    categories = [category for _, category, n in counted for _ in range(n)]
    return Readings(np.array(decisions), np.array(categories), np.arange(len(decisions)) + first)


def test_the_fewest_neighbouring_words_that_are_two_thirds_of_the_images() -> None:
    found = readings(
        *(("yes", "typical", 50), ("yes", "indeterminate", 30), ("yes", "negative", 20)),
        *(("no", "negative", 80), ("no", "typical", 20)),
        *(("open", "typical", 40), ("open", "negative", 30), ("open", "indeterminate", 25), ("open", "atypical", 5)),
        *(("apart", "typical", 45), ("apart", "negative", 55)),
    )
    assert words_for(found, "yes") == ("typical", "indeterminate")
    assert words_for(found, "no") == ("negative",)
    assert words_for(found, "open") == ()
    assert words_for(found, "apart") == ()  # typical and negative are no neighbours
    assert words_for(found, "never") == ()


def test_words_come_from_the_first_patients_and_shares_from_the_others() -> None:
    chosen = readings(("yes", "typical", 40))
    measured = readings(("yes", "typical", 30), ("yes", "negative", 10), first=40)
    few = Resampling(replicates=100)
    found = fit_categories(chosen, measured, ("yes", "no"), source="north", readers="two readers", resampling=few)
    yes, no = found.decisions
    assert (yes.words, yes.images, yes.patients) == (("typical",), 40, 40)
    assert yes.readers["typical"].value == pytest.approx(0.75)
    assert yes.readers["typical"].low is not None
    assert (no.words, no.images) == ((), 0)
