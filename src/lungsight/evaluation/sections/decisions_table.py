"""The decisions that scanning makes on the test images, by their true class."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lungsight.components.decision import REFUSED as REFUSED_DECISION
from lungsight.components.decision import Decision, ReadWords
from lungsight.evaluation.rows import Row
from lungsight.evaluation.testset.testset import REFUSED, TestSet
from lungsight.statistics.bootstrap import Resampling, Sample, Share, shares
from lungsight.statistics.outcomes import TRUTH

NAME = "verdicts"


def verdicts(testset: TestSet, rule: Decision, target: str, resampling: Resampling = Resampling()) -> tuple[Row, ...]:
    """The shares of each decision among the images of each source and true class.

    A row per source, ``truth`` and decision, the figure called ``verdict_<decision>``. ``target`` is the class that
    ``rule`` has thresholds for.
    """
    decisions = decisions_of(testset, rule, target)
    possible = rule.possible(testset.classes, target)
    possible += (REFUSED_DECISION,) if (decisions == REFUSED_DECISION).any() else ()
    decided = testset.with_columns(**{NAME: decisions})
    return tuple(row for group in decided.by_source() for row in _of_source(*group, possible, resampling))


def decisions_of(testset: TestSet, rule: Decision, target: str) -> ReadWords:
    """The decision that scanning makes on each image, text [n]."""
    table, no = testset.table, np.zeros(len(testset), dtype=bool)
    refused = (table[REFUSED] != "").to_numpy(dtype=bool) if REFUSED in table else no
    return rule.decide(testset.outcomes.probabilities, testset.classes, target, refused=refused)


def _of_source(
    kind: str, source: str, images: TestSet, possible: tuple[str, ...], resampling: Resampling
) -> Iterator[Row]:
    for truth in (*images.classes, images.denial):
        of_class = images.where((images.table[TRUTH] == truth).to_numpy(dtype=bool))
        if not len(of_class):
            continue
        sample, decisions = Sample(of_class.patient), of_class.table[NAME].to_numpy(dtype=str)
        wanted = {f"verdict_{name}": Share(decisions == name, sample.positive, "no images") for name in possible}
        labels = {"kind": kind, "source": source, "truth": truth}
        yield from (Row(labels, e) for e in shares(sample, wanted, resampling))
