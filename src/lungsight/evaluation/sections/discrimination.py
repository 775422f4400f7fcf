"""Discrimination: how well the model separates the classes, and how much of that is telling the sources apart.

Kind by kind and source by source, never both kinds together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from lungsight._text import as_words, fixed
from lungsight.evaluation.formatting import withheld_because
from lungsight.evaluation.rows import Label, Row
from lungsight.evaluation.sections.one_vs_one import NAME as ONE_AGAINST_ONE
from lungsight.evaluation.sections.one_vs_one import one_vs_one
from lungsight.evaluation.sections.section import Section
from lungsight.evaluation.testset.testset import ALL_SOURCES, EXTERNAL, INTERNAL, KIND, KINDS, TestSet
from lungsight.statistics import curves, delong
from lungsight.statistics.bootstrap import Drawn, Resampling
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.metrics import Key, estimate_of, estimates_of, resample, why_withheld, withheld
from lungsight.statistics.operating_points import OPERATING_POINTS, at_prevalence, operating_points, threshold_of
from lungsight.statistics.outcomes import Outcomes
from lungsight.statistics.within import Within, pooled_and_within

NAME = "discrimination"

_TESTING = {INTERNAL: "Internal testing", EXTERNAL: "External testing"}
_SOURCES_TOGETHER = "all sources together"


@dataclass(frozen=True, eq=False)
class _Group:
    """Images scored together: one source, or all sources of a kind."""

    kind: str
    source: str
    outcomes: Outcomes
    drawn: Mapping[Key, Drawn]
    estimates: tuple[Estimate, ...]

    @property
    def labels(self) -> dict[str, Label]:
        return {"kind": self.kind, "source": self.source}

    def get(self, scope: str, name: str) -> Estimate:
        return next(e for e in self.estimates if e.scope == scope and e.name == name)

    def __str__(self) -> str:
        source = _SOURCES_TOGETHER if self.source == ALL_SOURCES else self.source
        return f"{_TESTING.get(self.kind, 'Testing')}, {source}"


def discrimination(
    testset: TestSet, *, prevalence: float | None = None, resampling: Resampling = Resampling()
) -> Section:
    """Every figure of discrimination with its 95% interval, or the reason why it is withheld.

    Tables: ``metrics``, ``roc``, ``precision_recall``, ``operating_points``, ``confusion``, ``within_and_pooled``,
    ``one_against_one``. Where a kind has several sources, its rows with source ``all`` put them together.

    Args:
        testset: the images.
        prevalence: share of patients with the target class where the model would be used; without it PPV and NPV are
            given for the mix of classes in the test only.
        resampling: how many replicates, which level, which seed.

    Raises:
        ValueError: ``prevalence`` isn't between 0 and 1.
    """
    if prevalence is not None and not 0 < prevalence < 1:
        raise ValueError(f"a prevalence of {prevalence} isn't between 0 and 1")
    scored = testset.scored
    groups = [_scored_group(*group, prevalence, resampling) for group in scored.groups()]
    within = [row for kind in KINDS for row in _within_kind(scored, kind, resampling)]
    pairs, of_pairs = one_vs_one(scored, resampling)
    tables: dict[str, pd.DataFrame | Sequence[Row]] = {
        "metrics": [Row(g.labels, e) for g in groups for e in g.estimates],
        curves.ROC: _curve_table(groups, curves.ROC, resampling.level),
        curves.PRECISION_RECALL: _curve_table(groups, curves.PRECISION_RECALL, resampling.level),
        "operating_points": [row for g in groups for row in _operating_points_of(g, resampling.level)],
        "confusion": _confusion_table(groups),
        "within_and_pooled": [row for of_kind in within for row in of_kind.rows],
        ONE_AGAINST_ONE: pairs,
    }
    sentences = (*_sentences(groups, testset.target, prevalence), *_within_sentences(within), *of_pairs)
    withheld_here = (*_not_together(scored), *_withheld(groups, within, testset.target))
    return Section(NAME, tables, sentences, withheld_here)


def _scored_group(
    kind: str, source: str, images: TestSet, prevalence: float | None, resampling: Resampling
) -> _Group:
    outcomes, level = images.outcomes, resampling.level
    drawn = resample(outcomes, resampling, lambda sweep: {**curves.both_curves(sweep), **operating_points(sweep)})
    estimates = estimates_of(outcomes, drawn, level)
    estimates += [delong.auroc_estimate(outcomes, scope, level) for scope in outcomes.classes]
    if prevalence is not None:
        estimates += at_prevalence(outcomes, drawn, images.target, prevalence, level)
    return _Group(kind, source, outcomes, drawn, tuple(estimates))


def _curve_table(groups: Iterable[_Group], name: str, level: float) -> pd.DataFrame:
    """kind, source, scope, x, y, low, high, interval; a class without both positives and negatives has no rows."""
    tables = [pd.DataFrame(columns=["kind", "source", "scope", "x", "y", "low", "high", "interval"])]
    for group in groups:
        for scope in group.outcomes.classes:
            if why_withheld(group.outcomes, scope, "auroc"):
                continue
            found = curves.curve(group.drawn[scope, name], level)
            tables.append(pd.DataFrame({**group.labels, "scope": scope, **vars(found), "interval": "percentile"}))
    return pd.concat(tables[1:] or tables, ignore_index=True)


def _operating_points_of(group: _Group, level: float) -> Iterator[Row]:
    outcomes, drawn = group.outcomes, group.drawn
    for scope, (name, (figure, fixed_at, at)) in product(outcomes.classes, OPERATING_POINTS.items()):
        if reason := why_withheld(outcomes, scope, "auroc"):
            threshold, estimate = None, withheld(outcomes, scope, name, reason)
        else:
            threshold = threshold_of(outcomes, scope, name)
            estimate = estimate_of(outcomes, scope, name, drawn[scope, name], level)
        labels: dict[str, Label] = {"figure": figure, "fixed": fixed_at, "at": at, "threshold": threshold}
        yield Row(group.labels | labels, estimate)


def _confusion_table(groups: Iterable[_Group]) -> pd.DataFrame:
    rows = [
        {**group.labels, "truth": truth, "predicted": predicted, "images": int(group.outcomes.confusion[i, j])}
        for group in groups
        for i, truth in enumerate(group.outcomes.classes)
        for j, predicted in enumerate(group.outcomes.classes)
    ]
    return pd.DataFrame(rows, columns=["kind", "source", "truth", "predicted", "images"])


@dataclass(frozen=True)
class _WithinKind:
    kind: str
    noun: str
    found: Within

    @property
    def rows(self) -> list[Row]:
        """Labelled by what is within (source or site) and ``mixed``, how many of them hold both classes."""
        labels: dict[str, Label] = {"kind": self.kind, "within": self.noun, "mixed": len(self.found.mixed)}
        return [Row(labels, e) for e in (self.found.pooled, self.found.within, self.found.difference)]


def _within_kind(scored: TestSet, kind: str, resampling: Resampling) -> Iterator[_WithinKind]:
    """Within sources and, where the manifest names several sites, within sites."""
    images = scored.where((scored.table[KIND] == kind).to_numpy())
    if not len(images):
        return
    outcomes, source = images.outcomes, images.table["source"].to_numpy(dtype=str)
    within = pooled_and_within(outcomes, images.target, source, "source", "groups", resampling)
    yield _WithinKind(kind, "source", within)
    if "site" not in images.table or not (named := images.table["site"].fillna("") != "").any():
        return
    of_sites = images.where(named.to_numpy())
    site = np.char.add(of_sites.table["source"].to_numpy(dtype=str) + "/", of_sites.table["site"].to_numpy(dtype=str))
    if len(set(site)) > 1:
        within = pooled_and_within(of_sites.outcomes, images.target, site, "site", "pairs", resampling)
        yield _WithinKind(kind, "site", within)


def _sentences(groups: Sequence[_Group], target: str, prevalence: float | None) -> Iterator[str]:
    for group in groups:
        yield _scores_of(group, target)
        if prevalence is not None:
            yield from _at_prevalence_sentence(group, target, prevalence)
    if clustered := [g for g in groups if g.outcomes.patients < len(g.outcomes)]:
        each = [g.outcomes for g in clustered if g.source != ALL_SOURCES]
        images, patients = sum(map(len, each)), sum(outcomes.patients for outcomes in each)
        yield (
            f"Some patients have several images ({images:,} images of {patients:,} patients). DeLong's interval "
            "takes images as independent and may be too narrow then: read the interval from resampling patients."
        )
    if groups:
        yield (
            "At a fixed sensitivity or specificity the threshold is found on the very images it is tested on, so "
            "those figures say what the score can do, not what a threshold chosen beforehand will do."
        )


def _scores_of(group: _Group, target: str) -> str:
    auroc = group.get(target, "auroc")
    outcomes, words = group.outcomes, as_words(target)
    size = f"{len(outcomes):,} images of {outcomes.patients:,} patients, {auroc.positives:,} of {words}"
    shares = [
        f"{name} {_share(estimate)}"
        for name in ("sensitivity", "specificity")
        if (estimate := group.get(target, name)).value is not None
    ]
    figures = [f"AUROC {_figure(auroc)}"] if auroc.value is not None else []
    figures += [f"if the most probable class is taken, {' and '.join(shares)}"] if shares else []
    return f"{group} ({size}): {'; '.join(figures) or 'nothing can be said of ' + words}."


def _within_sentences(rows: Iterable[_WithinKind]) -> Iterator[str]:
    for row in rows:
        pooled, within, difference = row.found.pooled, row.found.within, row.found.difference
        testing = _TESTING.get(row.kind, "Testing")
        if within.value is None or difference.value is None:
            continue
        which = f"the {len(row.found.mixed)} {row.noun}s that hold both classes"
        if len(row.found.mixed) == 1:
            which = f"{row.found.mixed[0]}, the only {row.noun} that holds both classes"
        yield (
            f"{testing}: AUROC {_figure(pooled)} over all {row.noun}s together, and {_figure(within)} within "
            f"{which}; {_meaning(difference, row.noun)}"
        )


def _meaning(difference: Estimate, noun: str) -> str:
    size = _figure(difference)
    if difference.low is None or difference.high is None:
        return f"the difference is {size}."
    if difference.low > 0:
        return f"the difference, {size}, is what telling {noun}s apart adds: the size of the shortcut."
    if difference.high < 0:
        return f"the difference, {size}, says that the {noun}s' scores don't share one scale."
    return f"the difference, {size}, may be nothing: no shortcut by {noun} is shown here."


def _not_together(scored: TestSet) -> Iterator[str]:
    """Why a kind with several sources has no figures over them together."""
    words = as_words(scored.target)
    for kind in KINDS:
        several = scored.table["source"][scored.of_kind(kind)].nunique() > 1
        if several and (one_sided := scored.one_sided(kind)):
            holds = {True: f"only {words}", False: f"no {words}"}
            named = "; ".join(f"{source} holds {holds[side]}" for source, side in one_sided.items())
            yield (
                f"{_TESTING.get(kind, 'Testing')}, all sources together: no figure is given, since it would tell "
                f"sources apart ({named})."
            )


def _withheld(groups: Sequence[_Group], within: Iterable[_WithinKind], target: str) -> Iterator[str]:
    if not groups:
        yield "No image could be analysed."
    for group in groups:
        if why := withheld_because(group.get(target, "auroc")):
            given = group.get(target, "auroc").value is not None
            what = "AUROC has " if given else "AUROC, curves and operating points are withheld: "
            yield f"{group}: {what}{why}."
    for row in within:
        if row.found.pooled.value is not None and (why := withheld_because(row.found.difference)):
            testing = _TESTING.get(row.kind, "Testing")
            yield f"{testing}: AUROC within {row.noun}s beside the pooled one: {why}."


def _at_prevalence_sentence(group: _Group, target: str, prevalence: float) -> Iterator[str]:
    """What decisions would be worth; one that the model never makes is left out."""
    words = as_words(target)
    ppv, npv = group.get(target, "ppv_at_prevalence"), group.get(target, "npv_at_prevalence")
    right = [] if ppv.value is None else [f"a decision for {words} would be right in {_share(ppv)}"]
    if npv.value is not None:
        right.append(f"a decision against it {'' if right else 'would be right '}in {_share(npv)}")
    if right:
        yield f"{group}: where {prevalence:.1%} of patients have {words}, {', '.join(right)}."


def _figure(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{fixed(estimate.value, 3)} (no interval)"
    return f"{fixed(estimate.value, 3)} (95% interval {fixed(estimate.low, 3)} to {fixed(estimate.high, 3)})"


def _share(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.1%} (no interval)"
    return f"{estimate.value:.1%} ({estimate.low:.1%} to {estimate.high:.1%})"
