"""Header only: could the truth be told from the image's size, greys, edges and sharpness alone?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedGroupKFold

from lungsight.evaluation.audits.audit import Audit, AuditResult, not_done
from lungsight.evaluation.formatting import as_figure, signed, withheld_because
from lungsight.evaluation.tables import estimate_table
from lungsight.evaluation.testset.testset import KIND, KINDS, TestSet
from lungsight.statistics.auroc import Ranked
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import Floats, Mask

NAME = "header only"
QUESTION = "Could the truth be told without looking into the image: from its size, greys, edges and sharpness alone?"
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


def image_statistics_only(testset: TestSet, *, resampling: Resampling = Resampling(), seed: int = 0) -> Audit:
    """A random forest on each image's :class:`.ImageStatistics`, tested on patients it
    wasn't fitted on, within each source and over the sources of each kind together; beside it the model on the same
    images."""
    known = testset.where(testset.headers.notna().all(axis=1).to_numpy()).scored
    rows: list[tuple[dict[str, object], Estimate]] = []
    explained: list[tuple[str, Estimate, Estimate]] = []
    for kind, source, images in _groups(known):
        figures = _figures(images, resampling, seed)
        rows += [({"kind": kind, "source": source}, estimate) for estimate in figures]
        header, _, gap = figures
        if source != "all" and header.low is not None and gap.low is not None:
            explained.append((source, header, gap))
    if not explained:
        reasons = sorted({withheld_because(e) for _, e in rows if e.withheld}) or ["no image could be read"]
        return not_done(NAME, QUESTION, f"At no source could it be asked: {'; '.join(reasons)}.", RULE)
    calling = [one for one in explained if explains(*one[1:])]
    source, header, gap = max(calling or explained, key=lambda one: float(one[1].low or 0))
    return Audit(
        NAME,
        QUESTION,
        AuditResult.SHORTCUT if calling else AuditResult.CLEAR,
        _meaning(source, header, gap, bool(calling)),
        header,
        estimate_table(rows),
        header.n,
        RULE,
    )


def explains(header: Estimate, gap: Estimate) -> bool:
    """Whether the header's AUROC, and the model's lead over it, leave nothing that only the image could tell."""
    return header.low is not None and gap.low is not None and header.low > TELLS and gap.low <= BETTER


def _groups(testset: TestSet) -> list[tuple[str, str, TestSet]]:
    alone = list(testset.by_source())
    together = []
    for kind in KINDS:
        mask = (testset.table[KIND] == kind).to_numpy()
        if testset.table["source"][mask].nunique() > 1:
            together.append((kind, "all", testset.where(mask)))
    return together + alone


def _figures(images: TestSet, resampling: Resampling, seed: int) -> tuple[Estimate, Estimate, Estimate]:
    """The header's AUROC, the model's, and by how much the model's is higher."""
    ranked = Ranked(images.positive, images.patient, images.target)
    score = statistics_score(images.headers, images.positive, images.patient, seed)
    return (
        ranked.auroc(score, resampling, "auroc_header"),
        ranked.auroc(images.score, resampling, "auroc_model"),
        ranked.auroc_gap(images.score, score, resampling, "model_above_header"),
    )


def statistics_score(headers: pd.DataFrame, positive: Mask, patient: np.ndarray, seed: int = 0) -> Floats:
    """float [n]: how sure a random forest is of the target, fitted on other patients; the same for all where there
    are too few patients to fit one."""
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
        return sentence + "What the model scores here could be had without looking at the lungs."
    if header.low is not None and header.low > TELLS:
        return sentence + "The header tells something here, and the model clearly tells more."
    return sentence + "The header tells little here."
