"""Calibration: whether probabilities agree with observed frequencies, source by source."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from lungsight._text import as_words
from lungsight.evaluation.formatting import as_figure, withheld_because
from lungsight.evaluation.rows import Labels, Row
from lungsight.evaluation.sections.section import Section
from lungsight.evaluation.testset.testset import ALL_SOURCES, TestSet
from lungsight.statistics.binary import Binary
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.calibration_metrics import BINNINGS, calibration_estimates, reliability_bins, top_label
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import Outcomes


def calibration(testset: TestSet, *, resampling: Resampling = Resampling()) -> Section:
    """Brier score with its parts, ECE, intercept and slope, and the bins of the reliability diagram.

    Tables: ``calibration``, estimates by kind and source, of each class against the rest and (ECE alone) of the most
    probable class, with rows of source ``all`` where a kind has several; ``reliability``, the bins of each class, of
    equal mass and of equal width, source by source.
    """
    rows: list[Row] = []
    bins: list[pd.DataFrame] = []
    sentences: list[str] = []
    withheld: list[str] = []
    for kind, source, images in testset.scored.groups():
        labels: Labels = {"kind": kind, "source": source}
        found = [e for sample in _samples(images.outcomes) for e in calibration_estimates(sample, resampling)]
        rows += [Row(labels, e) for e in found]
        if source != ALL_SOURCES:
            of_target = {e.name: e for e in found if e.scope == testset.target}
            bins += _reliability(images.outcomes, labels, resampling)
            sentences += _sentences(of_target, source, kind)
            withheld += _withheld(of_target, source)
    reliability = pd.concat(bins, ignore_index=True) if bins else pd.DataFrame()
    tables: dict[str, pd.DataFrame | list[Row]] = {"calibration": rows, "reliability": reliability}
    return Section("calibration", tables, tuple(sentences), tuple(withheld))


def _samples(outcomes: Outcomes) -> Iterator[Binary]:
    if (answers := top_label(outcomes)).patients:
        yield answers
    yield from (Binary.of(outcomes, scope) for scope in outcomes.scopes)


def _reliability(outcomes: Outcomes, labels: Labels, resampling: Resampling) -> Iterator[pd.DataFrame]:
    for scope in outcomes.scopes:
        for binning in BINNINGS:
            bins = reliability_bins(Binary.of(outcomes, scope), resampling, binning=binning)
            if len(bins):
                yield pd.DataFrame({**labels, "scope": scope}, index=bins.index).join(bins)


def _sentences(found: dict[str, Estimate], source: str, kind: str) -> Iterator[str]:
    """What the target's intercept, slope and ECE mean at one source."""
    intercept, slope, ece = (found[name] for name in ("calibration_intercept", "calibration_slope", "ece"))
    name, by_chance = as_words(slope.scope), found["ece_if_calibrated"]
    if intercept.value is not None and slope.value is not None:
        yield f"{source} ({kind}): {_level(intercept, name)}; {_spread(slope)}."
    if ece.value is not None and by_chance.value is not None:
        yield (
            f"{source} ({kind}): the probability of {name} is off by {as_figure(ece)} on average; by chance a "
            f"calibrated model would show {by_chance.value:.2f} in a sample like this."
        )


def _level(intercept: Estimate, name: str) -> str:
    figure = f"intercept {as_figure(intercept)}"
    if intercept.low is None or intercept.high is None:
        return figure
    if intercept.low <= 0 <= intercept.high:
        return f"{name} is about as frequent as its probabilities say, {figure}"
    return f"{name} is {'more' if intercept.low > 0 else 'less'} frequent than its probabilities say, {figure}"


def _spread(slope: Estimate) -> str:
    figure = f"slope {as_figure(slope)}"
    if slope.low is None or slope.high is None:
        return figure
    if slope.high < 0:
        return f"the higher the probability, the rarer it is, {figure}"
    if slope.high < 1:
        return f"the probabilities are too extreme, {figure}"
    return f"the probabilities are {'too timid' if slope.low > 1 else 'neither too extreme nor too timid'}, {figure}"


def _withheld(found: dict[str, Estimate], source: str) -> Iterator[str]:
    """Each reason once, with the figures it keeps back."""
    reasons: dict[str, list[str]] = {}
    for name, estimate in found.items():
        if estimate.value is None and estimate.withheld:
            reasons.setdefault(withheld_because(estimate), []).append(name.replace("_", " "))
    for why, names in reasons.items():
        yield f"{source}: {', '.join(names)} withheld: {why}."
