"""Within view: does the view alone predict the label, and does the model still tell the two apart among one view?

Patients who are too ill to stand are X-rayed in bed, from the front (AP); the others stand, and are X-rayed from
behind (PA). So the view goes with how ill somebody is, and a model may have learned the bed. The view is the
manifest's where it states one, else the guess of a view classifier.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lungsight._text import as_words
from lungsight.evaluation.audits.audit import AuditAnswer, AuditInput, AuditResult, AuditSpec, unanswered
from lungsight.evaluation.audits.within_sources import WITHIN_EACH, why_not_within
from lungsight.evaluation.formatting import as_figure
from lungsight.evaluation.rows import Label, Row
from lungsight.evaluation.testset.testset import KINDS, STATED_VIEWS, TestSet
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.outcomes import Mask
from lungsight.statistics.ranking import auroc, auroc_within, ranking_estimate

#: The figures, and the ``view`` of rows over all views.
OF_VIEW, WITHIN_VIEW, ALL_VIEWS = "auroc_of_view", "auroc_within_view", "all"
#: The figure of rows over one view.
OF_ONE_VIEW = "auroc_among_view"

Texts = NDArray[np.str_]


def within_view(given: AuditInput) -> AuditAnswer:
    """The AUROC of the view alone, and that of the model among images of one source and one view.

    A row with :data:`OF_VIEW` and one with :data:`WITHIN_VIEW` is of each source, and of each kind within its sources
    (:data:`.WITHIN_EACH`); in the latter every pair of a positive and a negative of the same source and view counts
    the same. Rows with :data:`OF_ONE_VIEW` give the model's AUROC at each source among either view.
    """
    testset = given.testset.scored
    views = testset.views
    known = testset.where(views != "")
    if not len(known):
        return unanswered("No image's view, AP or PA, is stated in the manifest or could be guessed.")
    views = views[views != ""]
    rows = list(_rows(known, views, given.resampling))
    told = [row for row in rows if row.estimate.low is not None and row.labels["view"] == ALL_VIEWS]
    within = [row for row in told if row.estimate.name == WITHIN_VIEW]
    if not within:
        return unanswered(why_not_within(known, rows, "no image could be compared"), tuple(rows), len(known))
    chosen = min((row for row in within if row.labels["source"] == WITHIN_EACH), key=_low, default=within[0])
    meaning = f"{_in_words(chosen, told, testset.target)} {_counted(testset, views)}"
    return AuditAnswer(AuditResult.REPORTED, meaning, chosen.estimate, tuple(rows), len(known))


def _rows(images: TestSet, views: Texts, resampling: Resampling) -> Iterator[Row]:
    for kind in (kind for kind in KINDS if images.of_kind(kind).any()):
        yield from _figures(kind, WITHIN_EACH, images, views, images.of_kind(kind), resampling)
    for kind, source, mask in images.group_masks(together=False):
        yield from _figures(kind, source, images, views, mask, resampling)
        for view in sorted(set(views[mask])):
            here = images.where(mask & (views == view))
            model = ranking_estimate(
                OF_ONE_VIEW, here.sample, auroc(here.score, here.positive), resampling=resampling
            )
            yield Row({"kind": kind, "source": source, "view": view}, model)


def _figures(
    kind: str, source: str, images: TestSet, views: Texts, mask: Mask, resampling: Resampling
) -> Iterator[Row]:
    part, view = images.where(mask), views[mask]
    sources = part.table["source"].to_numpy(dtype=str)
    strata = np.char.add(np.char.add(sources, "\n"), view)
    labels: dict[str, Label] = {"kind": kind, "source": source, "view": ALL_VIEWS}
    bedside = (view == "AP").astype(np.float64)
    of_view = auroc_within(OF_VIEW, part.sample, bedside, sources, weighing="pairs", resampling=resampling)
    model = auroc_within(WITHIN_VIEW, part.sample, part.score, strata, weighing="pairs", resampling=resampling)
    yield Row(labels, of_view)
    yield Row(labels, model)


def _low(row: Row) -> float:
    return float(row.estimate.low or 0)


def _in_words(chosen: Row, told: list[Row], target: str) -> str:
    kind, source = chosen.labels["kind"], chosen.labels["source"]
    where = f"Within {kind} sources" if source == WITHIN_EACH else f"At {source}"
    alone = next((r.estimate for r in told if r.estimate.name == OF_VIEW and r.labels == chosen.labels), None)
    view = (
        f"the view alone (AP or PA) predicts {as_words(target)} with an AUROC of {as_figure(alone)}; "
        if alone
        else ""
    )
    return f"{where} {view}among images of the same view the model's is {as_figure(chosen.estimate)}."


def _counted(testset: TestSet, views: Texts) -> str:
    stated = int(testset.table["view"].isin(STATED_VIEWS).sum())
    parts = [f"stated for {stated:,}"] if stated else []
    parts += [f"guessed for {len(views) - stated:,}"] if len(views) > stated else []
    parts += [f"unknown of {len(testset) - len(views):,}"] if len(views) < len(testset) else []
    return f"The view is {', '.join(parts)} of {len(testset):,} images."


SPEC = AuditSpec(
    "within view",
    "Does the view (AP or PA) alone predict {target}, and does the model still tell it from the rest among one view?",
    within_view,
)
