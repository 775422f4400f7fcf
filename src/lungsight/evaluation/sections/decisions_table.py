"""What scanning says of the images, by what they truly are: a class, *inconclusive* or *refused*."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from lungsight.components.decision import INCONCLUSIVE, Decision, ReadWords
from lungsight.components.decision import REFUSED as REFUSED_SAID
from lungsight.evaluation.tables import estimate_table
from lungsight.evaluation.testset.testset import REFUSED, UNFAMILIAR, TestSet
from lungsight.statistics.binary import Binary, Share
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.estimate import ALL_CLASSES, Estimate
from lungsight.statistics.outcomes import TRUTH

NAME = "verdicts"


def verdicts(testset: TestSet, rule: Decision, target: str, resampling: Resampling = Resampling()) -> pd.DataFrame:
    """The shares of each verdict among the images of each source and true class: a row per source, ``truth`` and
    verdict, the figure called ``verdict_<class>``. ``target`` is the class that ``rule`` has thresholds for."""
    said = decisions_of(testset, rule, target)
    possible = [*testset.classes, *(name for name in (INCONCLUSIVE, REFUSED_SAID) if (said == name).any())]
    numbered = testset.with_columns(**{NAME: said})
    rows = (row for part in numbered.by_source() for row in _of_source(*part, possible, resampling))
    return estimate_table(rows)


def decisions_of(testset: TestSet, rule: Decision, target: str) -> ReadWords:
    """The verdict on each image, text [n]: what scanning says of it."""
    table, no = testset.table, np.zeros(len(testset), dtype=bool)
    unfamiliar = table[UNFAMILIAR].to_numpy(dtype=bool) if UNFAMILIAR in table else no
    refused = (table[REFUSED] != "").to_numpy(dtype=bool) if REFUSED in table else no
    return rule.decide(
        testset.outcomes.probabilities, testset.classes, target, unfamiliar=unfamiliar, refused=refused
    )  # fmt: skip


def _of_source(
    kind: str, source: str, images: TestSet, possible: list[str], resampling: Resampling
) -> Iterator[tuple[dict[str, object], Estimate]]:
    for truth in (*images.classes, images.denial):
        of_class = images.where((images.table[TRUTH] == truth).to_numpy(dtype=bool))
        if not len(of_class):
            continue
        everything = np.ones(len(of_class), dtype=bool)
        said = of_class.table[NAME].to_numpy(dtype=str)
        sample = Binary.from_arrays(ALL_CLASSES, everything, everything, of_class.patient)
        shares = {f"verdict_{name}": Share(said == name, everything, "no images") for name in possible}
        for estimate in sample.shares(shares, resampling):
            yield {"kind": kind, "source": source, "truth": truth}, estimate
