"""Image statistics only ("header only"): do size, greys, edges and sharpness alone tell the truth?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedGroupKFold

from lungsight.evaluation.audits.audit import AuditAnswer, AuditInput, AuditSpec, Need, by_rule, unanswered
from lungsight.evaluation.formatting import as_figure, signed, withheld_because
from lungsight.evaluation.rows import Row
from lungsight.evaluation.testset.testset import ALL_SOURCES, TestSet
from lungsight.statistics.bootstrap import Exact, Resampling
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import Floats, Mask
from lungsight.statistics.ranking import auroc, ranking_estimate

#: The header tells the truth where its AUROC's whole interval stays above this (a disease itself changes the greys of
#: a whole image: on phantoms without a shortcut that alone reached an interval from 0.62) …
TELLS = 0.65
#: … and explains the model where the model isn't surely better than the header by more than this.
BETTER = 0.05
RULE = (
    f"a shortcut at a source, where the AUROC of the header alone stays above {TELLS:g} with its whole 95% interval "
    f"and the model's isn't higher by {BETTER:g} with its whole interval"
)
_FOLDS = 5


def image_statistics_only(given: AuditInput, *, seed: int = 0) -> AuditAnswer:
    """Compare the model with a random forest on each image's :class:`.ImageStatistics`.

    The forest is tested on patients it wasn't fitted on, within each source and over each kind's sources together.
    """
    known = given.testset.where(given.testset.headers.notna().all(axis=1).to_numpy()).scored
    rows: list[Row] = []
    explained: list[tuple[str, Estimate, Estimate]] = []
    for kind, source, images in known.groups():
        header, model, gap = _figures(images, given.resampling, seed)
        rows += [Row({"kind": kind, "source": source}, estimate) for estimate in (header, model, gap)]
        if source != ALL_SOURCES and header.low is not None and gap.low is not None:
            explained.append((source, header, gap))
    if not explained:
        withheld = {withheld_because(row.estimate) for row in rows if row.estimate.withheld}
        return unanswered(
            f"At no source could it be asked: {'; '.join(sorted(withheld) or ['no image could be read'])}."
        )
    calling = [one for one in explained if explains(*one[1:])]
    source, header, gap = max(calling or explained, key=lambda one: float(one[1].low or 0))
    call = by_rule(found=bool(calling), excluded=not calling, images=header.n)
    return AuditAnswer(call, _meaning(source, header, gap, bool(calling)), header, tuple(rows), header.n)


def explains(header: Estimate, gap: Estimate) -> bool:
    """Whether the header's AUROC, and the model's lead over it, leave nothing that only the image could tell."""
    return header.low is not None and gap.low is not None and header.low > TELLS and gap.low <= BETTER


def _figures(images: TestSet, resampling: Resampling, seed: int) -> tuple[Estimate, Estimate, Estimate]:
    """The header's AUROC, the model's, and by how much the model's is higher."""
    sample = images.sample
    score = statistics_score(images.headers, images.positive, images.patient, seed)
    header, model = auroc(score, sample.positive), auroc(images.score, sample.positive)
    return (
        ranking_estimate("auroc_header", sample, header, resampling=resampling),
        ranking_estimate("auroc_model", sample, model, resampling=resampling),
        ranking_estimate(
            "model_above_header", sample, lambda weights: model(weights) - header(weights),
            exact=Exact.AUROC_DIFFERENCE, resampling=resampling,
        ),
    )  # fmt: skip


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


def _meaning(source: str, header: Estimate, gap: Estimate, called: bool) -> str:
    lead = f"{signed(gap.value)} ({signed(gap.low)} to {signed(gap.high)})"
    sentence = (
        f"At {source} the header alone reaches an AUROC of {as_figure(header)}; the model's differs by {lead}. "
    )
    if called:
        return sentence + "What the model scores here could be reached without looking at the lungs."
    if header.low is not None and header.low > TELLS:
        return sentence + "The header tells something here, and the model clearly tells more."
    return sentence + "The header tells little here."


SPEC = AuditSpec(
    "header only",
    "Can the label be predicted from image statistics alone: from size, greys, edges and sharpness?",
    image_statistics_only,
    RULE,
    needs=frozenset({Need.FILES}),
    calls_shortcut=True,
    required="image statistics",
)
