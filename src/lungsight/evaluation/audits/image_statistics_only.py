"""Image statistics only ("header only"): do size, greys, edges and sharpness alone tell the truth?"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedGroupKFold

from lungsight.evaluation.audits.audit import (
    FEWEST_IMAGES,
    AuditAnswer,
    AuditInput,
    AuditResult,
    AuditSpec,
    Need,
    by_rule,
    unanswered,
)
from lungsight.evaluation.audits.within_sources import WITHIN_EACH, why_not_within
from lungsight.evaluation.formatting import as_figure, signed
from lungsight.evaluation.rows import Row
from lungsight.evaluation.testset.testset import KINDS, TestSet
from lungsight.statistics.bootstrap import Exact, Resampling, too_few, withheld
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import Floats, Mask
from lungsight.statistics.ranking import in_mixed_groups, ranking_estimate, within_groups

#: The header tells the truth where its AUROC's whole interval stays above this (a disease itself changes the greys of
#: a whole image: on phantoms without a shortcut that alone reached an interval from 0.62) …
TELLS = 0.65
#: … and explains the model where the model isn't surely better than the header by more than this.
BETTER = 0.05
RULE = (
    f"found, where at a source image statistics alone have an AUROC above {TELLS:g} with its whole 95% interval and "
    f"the model's isn't higher by {BETTER:g} with its whole interval; not found, where within sources it is "
    f"below {TELLS:g}, or the model's higher by {BETTER:g}, with the whole interval, on at least {FEWEST_IMAGES} "
    "images of a kind"
)
#: With fewer patients on a side the forest has too little to be fitted on.
FEWEST_ON_A_SIDE = 30
_FOLDS = 5
_NAMES = ("auroc_header", "auroc_model", "model_above_header")


class Compared(NamedTuple):
    """The header's AUROC, the model's, and by how much the model's is higher."""

    header: Estimate
    model: Estimate
    gap: Estimate

    @property
    def is_known(self) -> bool:
        """Whether there are intervals to go by."""
        return self.header.low is not None and self.gap.low is not None

    @property
    def explains(self) -> bool:
        """Whether the statistics predict the label, and the model isn't surely better."""
        return self.is_known and self.header.low > TELLS and self.gap.low <= BETTER  # type: ignore[operator]

    @property
    def excludes(self) -> bool:
        """Whether the header surely tells little, or the model surely more."""
        return self.is_known and (self.header.high < TELLS or self.gap.low > BETTER)  # type: ignore[operator]


def image_statistics_only(given: AuditInput, *, seed: int = 0) -> AuditAnswer:
    """Compare the model with a random forest on each image's :class:`.ImageStatistics`.

    The forest is fitted within a source, and tested on patients of it that it wasn't fitted on. The rows compare the
    two at each source and, of each kind, within its sources that hold both classes.
    """
    known = given.testset.where(given.testset.headers.notna().all(axis=1).to_numpy()).scored
    score = np.zeros(len(known))
    rows: list[Row] = []
    sources: list[tuple[str, Compared]] = []
    for kind, source, mask in known.group_masks(together=False):
        images = known.where(mask)
        score[mask] = statistics_score(images.headers, images.positive, images.patient, seed)
        sources.append((source, _compared(images, score[mask], given.resampling)))
        rows += [Row({"kind": kind, "source": source}, one) for one in sources[-1][1]]
    within = []
    for kind in (kind for kind in KINDS if known.of_kind(kind).any()):
        of_kind = known.of_kind(kind)
        within.append(_compared(known.where(of_kind), score[of_kind], given.resampling))
        rows += [Row({"kind": kind, "source": WITHIN_EACH}, one) for one in within[-1]]
    asked = [one for one in sources if one[1].is_known]
    if not asked:
        return unanswered(why_not_within(known, rows, "no image could be read"), tuple(rows))
    finding = [one for one in asked if one[1].explains]
    source, chosen = max(finding or asked, key=lambda one: float(one[1].header.low or 0))
    large = [one for one in within if one.is_known and one.header.n >= FEWEST_IMAGES]
    excluded = all(one.excludes for one in large)
    call = by_rule(found=bool(finding), excluded=excluded, images=FEWEST_IMAGES if large else 0)
    found = f"at {source} AUROC {as_figure(chosen.header)}; the model's differs by {_by(chosen.gap)}"
    return AuditAnswer(call, _meaning(source, chosen, call), chosen.header, tuple(rows), chosen.header.n, found)


def _compared(images: TestSet, score: Floats, resampling: Resampling) -> Compared:
    """Within the sources of the images that hold both classes; ``score`` is the header's."""
    source = images.table["source"].to_numpy(dtype=str)
    inside = in_mixed_groups(source, images.positive)
    if not inside.any():
        return Compared(*(withheld(name, images.sample, "every source holds one class") for name in _NAMES))
    images, source = images.where(inside), source[inside]
    if reason := too_few(images.sample.smaller_side, "on the smaller side", FEWEST_ON_A_SIDE):
        return Compared(*(withheld(name, images.sample, reason) for name in _NAMES))
    header, model = (within_groups(s, images.positive, source) for s in (score[inside], images.score))
    of_images = partial(ranking_estimate, sample=images.sample, resampling=resampling)
    gap = of_images(
        _NAMES[2], statistic=lambda weights: model(weights) - header(weights), exact=Exact.AUROC_DIFFERENCE
    )
    return Compared(of_images(_NAMES[0], statistic=header), of_images(_NAMES[1], statistic=model), gap)


def statistics_score(headers: pd.DataFrame, positive: Mask, patient: np.ndarray, seed: int = 0) -> Floats:
    """The probability that a random forest, fitted on other patients, gives the target, float [n].

    The same for all images if there are too few patients to fit one.
    """
    fewest = min(len(np.unique(patient[positive])), len(np.unique(patient[~positive])))
    score = np.full(len(headers), float(positive.mean()) if len(headers) else 0.0)
    if fewest < _FOLDS:
        return score
    values = headers.to_numpy()
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
    for fitted, tested in folds.split(values, positive, patient):
        forest = RandomForestClassifier(100, min_samples_leaf=3, class_weight="balanced", random_state=seed, n_jobs=1)
        score[tested] = forest.fit(values[fitted], positive[fitted]).predict_proba(values[tested])[:, 1]
    return score


def _by(gap: Estimate) -> str:
    return f"{signed(gap.value)} ({signed(gap.low)} to {signed(gap.high)})"


def _meaning(source: str, chosen: Compared, call: AuditResult) -> str:
    header, gap = chosen.header, chosen.gap
    sentence = (
        f"At {source} size, greys, edges and sharpness alone reach an AUROC of {as_figure(header)}; "
        f"the model's differs by {_by(gap)}. "
    )
    if call is AuditResult.FOUND:
        return sentence + "What the model scores here could be reached without looking at the lungs."
    if call is AuditResult.NOT_SHOWN:
        return sentence + "That neither shows a shortcut nor excludes it."
    if header.low is not None and header.low > TELLS:
        return sentence + "They predict something here, and the model clearly more."
    little = header.high is not None and header.high < TELLS
    return sentence + ("They predict little." if little else "The model clearly predicts more.")


SPEC = AuditSpec(
    "header only",
    "Can the label be predicted from image statistics alone: from size, greys, edges and sharpness?",
    image_statistics_only,
    RULE,
    f"below {TELLS:g}, or the model's AUROC higher by {BETTER:g}",
    "image statistics only",
    needs=frozenset({Need.FILES}),
    calls_shortcut=True,
    required="image statistics",
)
