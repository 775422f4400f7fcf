"""One class against one other, within each source and within its sites.

Against all the rest a model looks good where the rest is easy: against other pneumonia it must tell diseases apart,
against no pneumonia it must see that there is one. And images of one site were made and chosen alike, so that within
sites that hold both classes neither the machine nor the choice of images shows which is which.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np

from lungsight._text import as_words
from lungsight.evaluation.formatting import as_figure
from lungsight.evaluation.rows import Labels, Row
from lungsight.evaluation.testset.testset import TestSet
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.outcomes import TRUTH
from lungsight.statistics.within import pooled_and_within

NAME = "one_against_one"
AUROC, WITHIN_SITES = "auroc", "auroc_within_site"


def one_vs_one(testset: TestSet, resampling: Resampling = Resampling()) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """The rows, and sentences about the target.

    A row per source, pair of classes and figure: the AUROC of the probability of ``scope`` among images of it and of
    ``against``; and, where the manifest names sites that hold both (``sites`` counts them), the same over the pairs
    of images of one site.
    """
    pairs = (pair for group in testset.scored.by_source() for pair in _pairs(*group))
    rows = tuple(row for pair in pairs for row in _figures(*pair, resampling))
    return rows, tuple(_sentences(rows, testset.target))


def _pairs(kind: str, source: str, images: TestSet) -> Iterator[tuple[Labels, TestSet, str]]:
    """The pairs of classes of which the source holds both, the target's first."""
    truth = images.table[TRUTH]
    classes = (images.target, *(name for name in images.classes if name != images.target))
    for first, second in combinations(classes, 2):
        pair = truth.isin((first, second)).to_numpy()
        if len(set(truth[pair])) == 2:
            yield {"kind": kind, "source": source, "against": second}, images.where(pair), first


def _figures(labels: Labels, images: TestSet, first: str, resampling: Resampling) -> Iterator[Row]:
    nowhere = np.full(len(images), "")
    everywhere = pooled_and_within(images.outcomes, first, nowhere, "site", "pairs", resampling)
    site = images.table["site"].fillna("").to_numpy(dtype=str) if "site" in images.table else nowhere
    of_sites = images.where(site != "")
    within = pooled_and_within(of_sites.outcomes, first, site[site != ""], "site", "pairs", resampling)
    labels = {**labels, "sites": len(within.mixed)}
    yield Row(labels, replace(everywhere.pooled, name=AUROC))
    if within.mixed:
        yield Row(labels, replace(within.within, name=WITHIN_SITES))


def _sentences(rows: Iterable[Row], target: str) -> Iterator[str]:
    for labels, estimate in ((row.labels, row.estimate) for row in rows):
        if estimate.scope != target or estimate.value is None:
            continue
        pair = f"{as_words(target)} against {as_words(str(labels['against']))}"
        where = f"{labels['source']} ({labels['kind']})"
        if estimate.name == AUROC:
            yield f"{where}, {pair} alone: AUROC {as_figure(estimate)}."
        else:
            sites = f"the {labels['sites']} sites that hold" if labels["sites"] != 1 else "the one site that holds"
            yield f"{where}, {pair}, within {sites} both: AUROC {as_figure(estimate)}."
