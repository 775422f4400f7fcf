"""Discrimination: how well the model tells the classes apart, kind by kind and source by source, never both kinds
together; and how much of it is telling the sources apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lungsight.evaluation.formatting import as_words, fixed, withheld_because
from lungsight.evaluation.sections.one_vs_one import NAME as ONE_AGAINST_ONE
from lungsight.evaluation.sections.one_vs_one import one_vs_one
from lungsight.evaluation.sections.section import Section
from lungsight.evaluation.tables import ALL_SOURCES, estimate_table
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, KIND, KINDS, TestSet
from lungsight.statistics import curves, delong
from lungsight.statistics.bootstrap import Drawn, Resampling
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.metrics import Key, estimate_of, estimates_of, resample, why_withheld, withheld
from lungsight.statistics.operating_points import OPERATING_POINTS, at_prevalence, operating_points, threshold_of
from lungsight.statistics.outcomes import Floats, Outcomes
from lungsight.statistics.ranking import Sweep
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
    resampled: Mapping[Key, Drawn]
    estimates: tuple[Estimate, ...]

    @property
    def labels(self) -> dict[str, object]:
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

    ``prevalence`` is the share of patients with the target class where the model would be used; without it PPV and
    NPV are given for the mix of classes in the test only. Tables: ``metrics``, ``roc``, ``precision_recall``,
    ``operating_points``, ``confusion``, ``within_and_pooled``, ``one_vs_one``. Where a kind has several sources,
    its rows with source ``all`` put them together. Raises ValueError where ``prevalence`` isn't between 0 and 1.
    """
    if prevalence is not None and not 0 < prevalence < 1:
        raise ValueError(f"a prevalence of {prevalence} isn't between 0 and 1")
    scored = testset.scored
    groups = [_scored_group(*part, prevalence, resampling) for part in _parts(scored)]
    within = [row for kind in KINDS for row in _within_kind(scored, kind, resampling)]
    pairs, of_pairs = one_vs_one(scored, resampling)
    tables = {
        "metrics": estimate_table((g.labels, e) for g in groups for e in g.estimates),
        curves.ROC: _curve_table(groups, curves.ROC, resampling.level),
        curves.PRECISION_RECALL: _curve_table(groups, curves.PRECISION_RECALL, resampling.level),
        "operating_points": _operating_point_table(groups, resampling.level),
        "confusion": _confusion_table(groups),
        "within_and_pooled": _within_table(within),
        ONE_AGAINST_ONE: pairs,
    }
    sentences = (*_sentences(groups, testset.target, prevalence), *_within_sentences(within), *of_pairs)
    return Section(NAME, tables, sentences, tuple(_withheld(groups, within, testset.target)))


def _parts(scored: TestSet) -> Iterator[tuple[str, str, TestSet]]:
    """Within a kind all sources together first where there are several, then each alone."""
    by_source = list(scored.by_source())
    for kind in KINDS:
        of_kind = [part for part in by_source if part[0] == kind]
        if len(of_kind) > 1:
            yield kind, ALL_SOURCES, scored.where((scored.table[KIND] == kind).to_numpy())
        yield from of_kind


def _added(sweep: Sweep) -> Mapping[str, Floats]:
    return {**curves.both_curves(sweep), **operating_points(sweep)}


def _scored_group(
    kind: str, source: str, images: TestSet, prevalence: float | None, resampling: Resampling
) -> _Group:
    outcomes, level = images.outcomes, resampling.level
    resampled = resample(outcomes, resampling, _added)
    estimates = estimates_of(outcomes, resampled, level)
    estimates += [delong.auroc_estimate(outcomes, scope, level) for scope in outcomes.classes]
    if prevalence is not None:
        estimates += at_prevalence(outcomes, resampled, images.target, prevalence, level)
    return _Group(kind, source, outcomes, resampled, tuple(estimates))


def _curve_table(groups: Iterable[_Group], name: str, level: float) -> pd.DataFrame:
    """kind, source, scope, x, y, low, high, interval; a class without both positives and negatives has no rows."""
    tables = [pd.DataFrame(columns=["kind", "source", "scope", "x", "y", "low", "high", "interval"])]
    for group in groups:
        for scope in group.outcomes.classes:
            if why_withheld(group.outcomes, scope, "auroc"):
                continue
            found = curves.curve(group.resampled[scope, name], level)
            tables.append(pd.DataFrame({**group.labels, "scope": scope, **vars(found), "interval": "percentile"}))
    return pd.concat(tables[1:] or tables, ignore_index=True)


def _operating_point_table(groups: Iterable[_Group], level: float) -> pd.DataFrame:
    """The columns of an estimate table after ``figure``, ``fixed``, ``at`` and ``threshold``."""
    return estimate_table(
        (group.labels | labels, estimate)
        for group in groups
        for scope in group.outcomes.classes
        for labels, estimate in _operating_points_of(group, scope, level)
    )


def _operating_points_of(group: _Group, scope: str, level: float) -> Iterator[tuple[dict[str, object], Estimate]]:
    outcomes, resampled = group.outcomes, group.resampled
    for name, (figure, held, at) in OPERATING_POINTS.items():
        labels: dict[str, object] = {"figure": figure, "fixed": held, "at": at}
        if reason := why_withheld(outcomes, scope, "auroc"):
            yield labels | {"threshold": None}, withheld(outcomes, scope, name, reason)
            continue
        estimate = estimate_of(outcomes, scope, name, resampled[scope, name], level)
        yield labels | {"threshold": threshold_of(outcomes, scope, name)}, estimate


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


def _within_table(rows: Iterable[_WithinKind]) -> pd.DataFrame:
    """The columns of an estimate table after ``kind``, ``within`` (source or site) and ``mixed`` (how many of them
    hold both classes)."""
    return estimate_table(
        ({"kind": row.kind, "within": row.noun, "mixed": len(row.found.mixed)}, estimate)
        for row in rows
        for estimate in (row.found.pooled, row.found.within, row.found.difference)
    )


def _sentences(groups: Sequence[_Group], target: str, prevalence: float | None) -> Iterator[str]:
    words = as_words(target)
    for group in groups:
        yield _scores_of(group, target)
        if prevalence is not None and (ppv := group.get(target, "ppv_at_prevalence")).value is not None:
            npv = group.get(target, "npv_at_prevalence")
            yield (
                f"{group}: where {prevalence:.1%} of patients have {words}, a verdict of {words} would be right in "
                f"{_share(ppv)}, a verdict against it in {_share(npv)}."
            )
    if clustered := [g for g in groups if g.outcomes.patients < len(g.outcomes)]:
        images, patients = (sum(f(g) for g in clustered if g.source != ALL_SOURCES) for f in (_images, _patients))
        yield (
            f"Some patients have several images ({images:,} images of {patients:,} patients). DeLong's interval "
            "takes images as independent and may be too narrow then: read the interval from resampling patients."
        )
    if groups:
        yield (
            "At a fixed sensitivity or specificity the threshold is found on the very images it is judged on, so "
            "those figures say what the score can do, not what a threshold chosen beforehand will do."
        )


def _images(group: _Group) -> int:
    return len(group.outcomes)


def _patients(group: _Group) -> int:
    return group.outcomes.patients


def _scores_of(group: _Group, target: str) -> str:
    auroc = group.get(target, "auroc")
    outcomes, words = group.outcomes, as_words(target)
    size = f"{len(outcomes):,} images of {outcomes.patients:,} patients, {auroc.positives:,} of {words}"
    shares = [
        f"{name} {_share(estimate)}"
        for name in ("sensitivity", "specificity")
        if (estimate := group.get(target, name)).value is not None
    ]
    figures = ([f"AUROC {_figure(auroc)}"] if auroc.value is not None else []) + shares
    return f"{group} ({size}): {', '.join(figures) or 'nothing can be said of ' + words}."


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


def _withheld(groups: Sequence[_Group], within: Iterable[_WithinKind], target: str) -> Iterator[str]:
    if not groups:
        yield "No image could be judged."
    for group in groups:
        if why := withheld_because(group.get(target, "auroc")):
            given = group.get(target, "auroc").value is not None
            what = "AUROC has " if given else "AUROC, curves and operating points are withheld: "
            yield f"{group}: {what}{why}."
    for row in within:
        if row.found.pooled.value is not None and (why := withheld_because(row.found.difference)):
            testing = _TESTING.get(row.kind, "Testing")
            yield f"{testing}: AUROC within {row.noun}s beside the pooled one: {why}."


def _figure(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{fixed(estimate.value, 3)} (no interval)"
    return f"{fixed(estimate.value, 3)} (95% interval {fixed(estimate.low, 3)} to {fixed(estimate.high, 3)})"


def _share(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.1%} (no interval)"
    return f"{estimate.value:.1%} ({estimate.low:.1%} to {estimate.high:.1%})"
