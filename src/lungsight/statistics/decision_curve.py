"""Net benefit: is acting on the model better than treating all patients, or none?

Net benefit is true positives minus false positives, weighted as the threshold implies. Someone who acts from a
probability of 0.1 takes one missed case to be as bad as nine false alarms (Vickers & Elkin 2006, "Decision curve
analysis: a novel method for evaluating prediction models").
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from lungsight.statistics.binary import Binary
from lungsight.statistics.bootstrap import Resampling, divided, draw, percentile_band
from lungsight.statistics.outcomes import Floats

#: Probabilities from which on one would act.
THRESHOLDS: Floats = np.arange(1, 100) / 100


def net_benefit(sensitivity: Floats, specificity: Floats, prevalence: Floats | float, threshold: Floats) -> Floats:
    """Net benefit per patient, in true positives.

    The prevalence may differ from that of the sample (Pfeiffer & Gail 2020).
    """
    exchange = threshold / (1 - threshold)
    return np.asarray(sensitivity * prevalence - (1 - specificity) * (1 - prevalence) * exchange)


def decision_curve(
    sample: Binary,
    resampling: Resampling = Resampling(),
    *,
    prevalence: float | None = None,
    thresholds: Floats = THRESHOLDS,
) -> pd.DataFrame:
    """One row per threshold; no rows unless there are both positives and negatives.

    ``net_benefit`` is that of acting where the probability reaches the threshold. ``treat_all`` and ``treat_none``
    are those of the alternatives. ``gain`` is what the model adds to the better of these two. ``_low`` and ``_high``
    are the interval of each, NaN where every resample gives the same value. The prevalence varies with the resamples
    unless ``prevalence`` is given.
    """
    if not (sample.positives and sample.negatives):
        return pd.DataFrame()
    called = sample.probability[:, None] >= thresholds
    hits = sample.sums(*(called & sample.positive[:, None]).T)
    false_alarms = sample.sums(*(called & ~sample.positive[:, None]).T)
    kinds = sample.sums(sample.positive, ~sample.positive)

    def figures(weights: Floats) -> dict[str, Floats]:
        of_patients = sample.of_patients(weights)
        positives, negatives = (of_patients @ kinds).T[:, :, None]  # [b, 1] each
        sensitivity = divided(of_patients @ hits, positives)
        specificity = 1 - divided(of_patients @ false_alarms, negatives)
        with np.errstate(invalid="ignore", divide="ignore"):  # a resample without images has no share
            share = positives / (positives + negatives) if prevalence is None else prevalence
        model = net_benefit(sensitivity, specificity, share, thresholds)
        treat_all = net_benefit(np.ones(1), np.zeros(1), share, thresholds) + 0 * model
        return {"net_benefit": model, "treat_all": treat_all, "gain": model - np.maximum(treat_all, 0)}

    columns: dict[str, object] = {"threshold": thresholds}
    for name, drawn in draw(sample, figures, resampling).items():
        low, high = percentile_band(drawn.replicates, resampling.level, flat=False)
        columns |= {name: drawn.point, f"{name}_low": low, f"{name}_high": high}
    return pd.DataFrame(columns).assign(treat_none=0.0, interval="percentile")
