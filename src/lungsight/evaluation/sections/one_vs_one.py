"""One class against one other, within each source and within its sites.

Against all the rest a model looks good where the rest is easy: against other pneumonia it must tell diseases apart,
against no pneumonia it must see that there is one. And images of one site were made and chosen alike, so that within
sites that hold both classes neither the machine nor the chooser tells which is which.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd

from lungsight.evaluation.formatting import as_figure, as_words
from lungsight.evaluation.tables import estimate_table
from lungsight.evaluation.testset.testset import TestSet
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import TRUTH
from lungsight.statistics.within import pooled_and_within

NAME = "one_against_one"
AUROC, WITHIN_SITES = "auroc", "auroc_within_site"

_Row = tuple[dict[str, object], Estimate]


def one_vs_one(testset: TestSet, resampling: Resampling = Resampling()) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The table, and sentences about the target. A row per source, pair of classes and figure: the AUROC of the
    probability of ``scope`` among images of it and of ``against``; and, where the manifest names sites that hold both
    (``sites`` says how many), the same over the pairs of images of one site."""
    pairs = (pair for part in testset.scored.by_source() for pair in _pairs(*part))
    rows = [row for pair in pairs for row in _figures(*pair, resampling)]
    return estimate_table(rows), tuple(_sentences(rows, testset.target))


def _pairs(kind: str, source: str, images: TestSet) -> Iterator[tuple[dict[str, object], TestSet, str]]:
    """The pairs of classes of which the source holds both, the target's first."""
    truth = images.table[TRUTH]
    classes = (images.target, *(name for name in images.classes if name != images.target))
    for first, second in combinations(classes, 2):
        pair = truth.isin((first, second)).to_numpy()
        if len(set(truth[pair])) == 2:
            yield {"kind": kind, "source": source, "against": second}, images.where(pair), first


def _figures(labels: dict[str, object], images: TestSet, first: str, resampling: Resampling) -> Iterator[_Row]:
    everywhere = pooled_and_within(images.outcomes, first, np.full(len(images), ""), "site", "pairs", resampling)
    site = images.table["site"].fillna("").to_numpy(dtype=str) if "site" in images.table else np.full(len(images), "")
    of_sites = images.where(site != "")
    within = pooled_and_within(of_sites.outcomes, first, site[site != ""], "site", "pairs", resampling)
    labels = labels | {"sites": len(within.mixed)}
    yield labels, replace(everywhere.pooled, name=AUROC)
    if within.mixed:
        yield labels, replace(within.within, name=WITHIN_SITES)


def _sentences(rows: list[_Row], target: str) -> Iterator[str]:
    for labels, estimate in rows:
        if estimate.scope != target or estimate.value is None:
            continue
        pair = f"{as_words(target)} against {as_words(str(labels['against']))}"
        where = f"{labels['source']} ({labels['kind']})"
        if estimate.name == AUROC:
            yield f"{where}, {pair} alone: AUROC {as_figure(estimate)}."
        else:
            sites = f"the {labels['sites']} sites that hold" if labels["sites"] != 1 else "the one site that holds"
            yield f"{where}, {pair}, within {sites} both: AUROC {as_figure(estimate)}."
