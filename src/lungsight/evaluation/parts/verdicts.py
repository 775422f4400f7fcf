"""What scanning says of the images, by what they truly are: a class, *inconclusive* or *refused*."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from lungsight.evaluation.judging.judged import REFUSED, UNFAMILIAR, Judged
from lungsight.evaluation.parts.section import estimate_table
from lungsight.statistics.binary import Binary, Share
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.estimate import ALL_CLASSES, Estimate
from lungsight.statistics.outcomes import TRUTH
from lungsight.statistics.thresholds import DecisionRule

NAME = "verdicts"
INCONCLUSIVE_SAID, REFUSED_SAID = "inconclusive", "refused"

Words = np.ndarray


def verdicts(judged: Judged, rule: DecisionRule | None, resampling: Resampling = Resampling()) -> pd.DataFrame:
    """The shares of each verdict among the images of each source and true class: a row per source, ``truth`` and
    verdict, the figure called ``verdict_<class>``. The gate refuses first; what is unlike anything in training is
    inconclusive; then the thresholds of ``rule`` decide or, without them, the most probable class."""
    said = as_scanned(judged, rule)
    possible = [*judged.classes, *(name for name in (INCONCLUSIVE_SAID, REFUSED_SAID) if (said == name).any())]
    numbered = judged.with_columns(**{NAME: said})
    rows = (row for part in numbered.by_source() for row in _of_source(*part, possible, resampling))
    return estimate_table(rows)


def as_scanned(judged: Judged, rule: DecisionRule | None) -> Words:
    """The verdict on each image, text [n]."""
    classes = np.array(judged.classes, dtype=object)
    said = classes[judged.outcomes.predicted]
    if rule is not None:
        others = judged.outcomes.probabilities.copy()
        others[:, judged.classes.index(judged.target)] = -1.0
        by_rule = rule.verdicts(judged.score)
        said = np.where(by_rule == 1, judged.target, classes[others.argmax(axis=1)])
        said = np.where(by_rule == 0, INCONCLUSIVE_SAID, said)
    if UNFAMILIAR in judged.table:
        said = np.where(judged.table[UNFAMILIAR].to_numpy(dtype=bool), INCONCLUSIVE_SAID, said)
    if REFUSED in judged.table:
        said = np.where((judged.table[REFUSED] != "").to_numpy(dtype=bool), REFUSED_SAID, said)
    return said


def _of_source(
    kind: str, source: str, images: Judged, possible: list[str], resampling: Resampling
) -> Iterator[tuple[dict[str, object], Estimate]]:
    for truth in images.classes:
        of_class = images.where((images.table[TRUTH] == truth).to_numpy(dtype=bool))
        if not len(of_class):
            continue
        everything = np.ones(len(of_class), dtype=bool)
        said = of_class.table[NAME].to_numpy(dtype=str)
        sample = Binary.from_arrays(ALL_CLASSES, everything, everything, of_class.patient)
        shares = {f"verdict_{name}": Share(said == name, everything, "no images") for name in possible}
        for estimate in sample.shares(shares, resampling):
            yield {"kind": kind, "source": source, "truth": truth}, estimate
