"""Measures what radiologists call the images that get each decision, and which of their words it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungsight.components.categories import WORDS, Categories, MeasuredDecision
from lungsight.statistics.bootstrap import Resampling, Sample, Share, shares
from lungsight.statistics.outcomes import Mask
from lungsight.training.fit_calibration import measured_share

Texts = NDArray[np.str_]

#: Words are used for a decision if together they are this share of its images, and if they are no more than two.
ENOUGH, MOST_WORDS = 2 / 3, 2


@dataclass(frozen=True, eq=False)
class Readings:
    """Images that readers categorised and the package decided on.

    Attributes:
        decisions: of the package, text [n].
        categories: of the readers, text [n]: some of :data:`~lungsight.components.categories.WORDS`.
        patients: text or numbers [n] that tell patients apart.
    """

    decisions: Texts
    categories: Texts
    patients: NDArray[np.generic]

    def of(self, decision: str) -> Mask:
        """The images that got a decision, bool [n]."""
        return np.asarray(self.decisions == decision, dtype=bool)


def fit_categories(
    chosen: Readings,
    measured: Readings,
    decisions: Sequence[str],
    *,
    source: str,
    readers: str,
    resampling: Resampling = Resampling(),
) -> Categories:
    """What each decision means in readers' words.

    Args:
        chosen: validation images, on which the words are chosen.
        measured: images of other patients, on which their meaning is measured.
        decisions: those that the package can make.
        source: whose images they are.
        readers: who read them, and by which words.
        resampling: how the intervals are computed.
    """
    found = tuple(_measured(one, words_for(chosen, one), measured, resampling) for one in decisions)
    return Categories(source=source, readers=readers, chosen_on=len(chosen.decisions), decisions=found)


def words_for(readings: Readings, decision: str) -> tuple[str, ...]:
    """The fewest neighbouring categories that are :data:`ENOUGH` of the images, the commonest such; else none."""
    here = readings.categories[readings.of(decision)]
    counts = [int((here == word).sum()) for word in WORDS]
    for n in range(1, MOST_WORDS + 1):
        found, start = max((sum(counts[i : i + n]), -i) for i in range(len(WORDS) - n + 1))
        if len(here) and found >= ENOUGH * len(here):
            return WORDS[-start : n - start]
    return ()


def _measured(decision: str, words: tuple[str, ...], readings: Readings, resampling: Resampling) -> MeasuredDecision:
    here = readings.of(decision)
    sample, called = Sample(np.unique(readings.patients[here], return_inverse=True)[1]), readings.categories[here]
    everything = np.ones(len(called), dtype=bool)
    wanted = {word: Share(called == word, everything, "no images") for word in WORDS}
    found = {e.name: measured_share(e) for e in shares(sample, wanted, resampling)}
    return MeasuredDecision(
        decision=decision, words=words, images=len(called), patients=sample.patients, readers=found
    )
