"""Subgroups: does the model do worse for some than for others, among images of the same source?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lungsight._text import as_words, signed
from lungsight.datasets.check import AGE_GROUPS, UNKNOWN, age_groups
from lungsight.evaluation.rows import Label, Labels, Row
from lungsight.evaluation.sections.section import Section
from lungsight.evaluation.testset.testset import KINDS, TestSet
from lungsight.radiograph import View
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.metrics import title_in_text
from lungsight.statistics.outcomes import Mask
from lungsight.statistics.stratified import (
    METRICS,
    NOT_WITHIN,
    Part,
    SubgroupGap,
    crude_values,
    gap_between,
    gap_within,
    parts_of,
    within,
)

#: The ``source`` of rows that average over the sources of a kind.
WITHIN_SOURCES = "within sources"
_SOURCE = "source"
_THIRDS = ("lowest third", "middle third", "highest third")
_TOLD = ("sensitivity", "specificity", "auroc")
_AT_MOST_TOLD = 4
#: PPV and NPV follow how common the disease is in a subgroup, so a gap in them says little about the model.
GAP_METRICS = tuple(name for name in METRICS if name not in ("ppv", "npv"))
#: A difference of the two ways to take a gap that is worth a sentence.
_DISGUISE = 0.15

Texts = NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class Property:
    """What images are told apart by.

    Attributes:
        name: ``age group``, ``sex`` …
        values: of each image, str [n]; empty where it isn't known.
        subgroups: the values that are looked at, in the order of the tables.
    """

    name: str
    values: Texts
    subgroups: tuple[str, ...]

    @property
    def compared(self) -> tuple[str, ...]:
        """The subgroups set against the rest: of two only the first, for the second says the same."""
        known = set(self.values) - {""}
        return self.subgroups[:1] if len(known) == 2 and len(self.subgroups) == 2 else self.subgroups


def subgroups(testset: TestSet, *, resampling: Resampling = Resampling(), image_size: int | None = None) -> Section:
    """Figures of subgroups, and how much each differs from the rest.

    Subgroups are age groups, sexes, views, sources, sites, reference standards and image qualities; always within a
    kind of source, and within each source. ``source`` is :data:`WITHIN_SOURCES` where the sources of a kind are
    averaged. A figure with fewer than ten patients on a side is withheld.

    Table ``subgroups``: figures by kind, source, property and subgroup. Table ``gaps``: the figure of a subgroup less
    that of the rest (``against``, with ``rest_n`` images of ``rest_patients`` patients); ``crude`` is the same with
    all sources of the kind thrown together.

    Args:
        testset: the images.
        resampling: how many replicates, which level, which seed.
        image_size: side of the model's input in pixels, if known.
    """
    figures: list[Row] = []
    gaps: list[Row] = []
    withheld: list[str] = []
    scored = testset.scored
    for kind in KINDS:
        of_kind = scored.where((scored.table["kind"] == kind).to_numpy(dtype=bool))
        if len(of_kind):
            found = _Kind(kind, of_kind, resampling, image_size)
            figures += found.figures()
            gaps += found.gaps()
            withheld += found.not_told_apart()
    tables = {"subgroups": figures, "gaps": gaps}
    return Section("subgroups", tables, tuple(_sentences(gaps)), tuple(dict.fromkeys(withheld)))


class _Kind:
    """The sources of one kind, each with every part that any property wants of it."""

    def __init__(self, kind: str, testset: TestSet, resampling: Resampling, image_size: int | None) -> None:
        self.kind, self._testset, self._level = kind, testset, resampling.level
        self._sources = sorted(set(testset.table["source"]))
        every = properties_of(testset, image_size)
        self._missing = [p for p in every if len(p.subgroups) < 2]
        self._properties = [p for p in every if len(p.subgroups) >= 2]
        self._parts: dict[tuple[str, str, str, bool], Part] = {}
        for i, source in enumerate(self._sources):
            self._add(source, resampling, i * resampling.replicates // len(self._sources))

    def _add(self, source: str, resampling: Resampling, turned: int) -> None:
        here = (self._testset.table["source"] == source).to_numpy(dtype=bool)
        wanted = self._wanted(here)
        outcomes, masks = self._testset.where(here).outcomes, list(wanted.values())
        parts = parts_of(outcomes, self._testset.target, masks, resampling, turned=turned)
        self._parts |= {(source, *key): part for key, part in zip(wanted, parts, strict=True)}

    def _wanted(self, here: Mask) -> dict[tuple[str, str, bool], Mask]:
        """Every subgroup (True) that the source has, and its rest (False), as masks over the source's images."""
        wanted: dict[tuple[str, str, bool], Mask] = {(_SOURCE, "", True): np.ones(int(here.sum()), dtype=bool)}
        for prop in self._properties:
            values = prop.values[here]
            for subgroup in prop.subgroups:
                mask = np.asarray(values == subgroup, dtype=bool)
                if mask.any():
                    wanted[prop.name, subgroup, True] = mask
                if (rest := ~mask & np.asarray(values != "", dtype=bool)).any():
                    wanted[prop.name, subgroup, False] = rest
        return wanted

    def _of(self, prop: Property, subgroup: str, *, inside: bool = True) -> dict[str, Part]:
        """By source."""
        key = (prop.name, subgroup, inside)
        return {s: self._parts[(s, *key)] for s in self._sources if (s, *key) in self._parts}

    @property
    def _whole(self) -> dict[str, Part]:
        return {source: self._parts[source, _SOURCE, "", True] for source in self._sources}

    def figures(self) -> Iterator[Row]:
        """Over the sources first, then source by source."""
        for source, part in self._whole.items():
            yield from self._figures(source, _SOURCE, source, [part])
        for prop in self._properties:
            for subgroup in prop.subgroups:
                parts = self._of(prop, subgroup)
                if len(parts) > 1:
                    yield from self._figures(WITHIN_SOURCES, prop.name, subgroup, list(parts.values()))
        for prop in self._properties:
            for subgroup in prop.subgroups:
                for source, part in self._of(prop, subgroup).items():
                    yield from self._figures(source, prop.name, subgroup, [part])

    def _figures(self, source: str, name: str, subgroup: str, parts: Sequence[Part]) -> Iterator[Row]:
        labels = {"kind": self.kind, "source": source, "property": name, "subgroup": subgroup}
        yield from (Row(labels, within(parts, metric, self._level)) for metric in METRICS)

    def gaps(self) -> Iterator[Row]:
        yield from self._between_sources()
        for prop in self._properties:
            for subgroup in prop.compared:
                pairs = self._pairs(prop, subgroup)
                if not pairs:
                    continue
                # With one source the average over sources is that source's own.
                everywhere = next(iter(pairs)) if len(self._sources) == 1 else WITHIN_SOURCES
                yield from self._gaps(everywhere, prop, subgroup, list(pairs.values()))
        for prop in self._properties if len(self._sources) > 1 else ():
            for subgroup in prop.compared:
                for source, pair in self._pairs(prop, subgroup).items():
                    yield from self._gaps(source, prop, subgroup, [pair])

    def _pairs(self, prop: Property, subgroup: str) -> dict[str, tuple[Part, Part]]:
        inside, outside = self._of(prop, subgroup), self._of(prop, subgroup, inside=False)
        return {source: (inside[source], outside[source]) for source in inside if source in outside}

    def _gaps(self, source: str, prop: Property, subgroup: str, pairs: Sequence[tuple[Part, Part]]) -> Iterator[Row]:
        # A site is of one source: with the sources together it would be set against other sources.
        crude = self._crude(prop, subgroup) if source == WITHIN_SOURCES and prop.name != "site" else {}
        for metric in GAP_METRICS:
            gap = gap_within(pairs, metric, self._level)
            yield self._row(gap, source, prop.name, subgroup, _against(prop, subgroup), crude.get(metric))

    def _between_sources(self) -> Iterator[Row]:
        whole = self._whole
        sources = self._sources if len(self._sources) > 2 else self._sources[:1] if len(self._sources) == 2 else []
        for source in sources:
            others = [part for name, part in whole.items() if name != source]
            against = "mean of the other sources" if len(others) > 1 else next(n for n in whole if n != source)
            for metric in GAP_METRICS:
                gap = gap_between(whole[source], others, metric, self._level)
                yield self._row(gap, source, _SOURCE, source, against, None)

    def _row(self, gap: SubgroupGap, source: str, name: str, subgroup: str, against: str, crude: float | None) -> Row:
        labels: dict[str, Label] = {"kind": self.kind, "source": source, "property": name, "subgroup": subgroup}
        rest: dict[str, Label] = {
            "against": against,
            "rest_n": gap.rest.n,
            "rest_patients": gap.rest.patients,
            "crude": crude,
        }
        return Row(labels | rest, gap.estimate)

    def _crude(self, prop: Property, subgroup: str) -> Mapping[str, float | None]:
        """The gap with all sources thrown together."""
        mask = np.asarray(prop.values == subgroup, dtype=bool)
        rest = ~mask & np.asarray(prop.values != "", dtype=bool)
        one, other = (crude_values(self._testset.outcomes, self._testset.target, side) for side in (mask, rest))
        gaps = {metric: one[metric] - other[metric] for metric in GAP_METRICS}
        return {metric: gap for metric, gap in gaps.items() if np.isfinite(gap)}

    def not_told_apart(self) -> Iterator[str]:
        """Why a property isn't looked at."""
        for prop in self._missing:
            known = sorted(set(prop.values) - {""})
            if not known:
                yield f"By {prop.name} ({self.kind}): not known of any image."
            elif prop.name == "site":
                yield f"By site ({self.kind}): fewer than two sites hold both classes."
            else:
                yield f"By {prop.name} ({self.kind}): every image of which it is known is {known[0]}."
        if self._testset.headers["width"].isna().all():
            yield f"By image quality ({self.kind}): no image could be read."


def _against(prop: Property, subgroup: str) -> str:
    others = [name for name in prop.subgroups if name != subgroup]
    return others[0] if len(others) == 1 and len(set(prop.values) - {""}) == 2 else "the rest"


def properties_of(testset: TestSet, image_size: int | None = None) -> list[Property]:
    """What images are told apart by, besides their source."""
    table, headers = testset.table, testset.headers
    source = table["source"].to_numpy(dtype=object)
    ages = age_groups(table["age"]).replace(UNKNOWN, "").to_numpy(dtype=object)
    found = [
        _property("age group", ages, AGE_GROUPS),
        _property("sex", table["sex"]),
        _property("view", _views(testset)),
        _property("reference standard", table["reference_standard"]),
        _sites(testset),
        Property("sharpness", _thirds(headers["sharpness_fine"], source), _THIRDS),
        Property("contrast", _thirds(headers["grey_spread"], source), _THIRDS),
    ]
    found = [_with_present(prop) for prop in found]
    if image_size is not None:
        found.append(_short_side(headers, image_size))
    unread = headers["width"].isna().all()
    return [prop for prop in found if not (unread and prop.name in ("sharpness", "contrast", "short side"))]


def _property(name: str, values: pd.Series | Texts, order: Sequence[str] = ()) -> Property:
    texts = pd.Series(values).fillna("").astype(str).to_numpy(dtype=object)
    present = [str(value) for value in pd.Series(texts).value_counts().index if value]
    return Property(name, texts, tuple(order) or tuple(present))


def _with_present(prop: Property) -> Property:
    """Only the subgroups that any image is of."""
    present = set(prop.values)
    return replace(prop, subgroups=tuple(name for name in prop.subgroups if name in present))


def _views(testset: TestSet) -> pd.Series:
    """As the manifest states it; where it doesn't say AP or PA, as the view classifier guessed."""
    stated = testset.table["view"].fillna("").astype(str)
    return stated.where(~stated.isin(("", View.FRONTAL)) | (testset.views == ""), testset.views)


def _sites(testset: TestSet) -> Property:
    """Those that hold both classes; their rest is every other image of the source whose site is known."""
    sites = testset.table["site"].fillna("").astype(str)
    sides = testset.table.assign(positive=testset.positive).groupby(sites)["positive"].nunique()
    both = [str(name) for name in sites.value_counts().index if name and sides[name] == 2]
    return Property("site", sites.to_numpy(dtype=object), tuple(both))


def _thirds(values: pd.Series, source: Texts) -> Texts:
    """Of the images of the same source; empty where the value isn't known or the source has no three values."""
    found = np.full(len(values), "", dtype=object)
    numbers = values.to_numpy(dtype=np.float64)
    for name in set(source):
        here = (source == name) & np.isfinite(numbers)
        if len(np.unique(numbers[here])) >= len(_THIRDS):
            limits = np.quantile(numbers[here], (1 / 3, 2 / 3))
            found[here] = np.array(_THIRDS, dtype=object)[np.searchsorted(limits, numbers[here], side="left")]
    return found


def _short_side(headers: pd.DataFrame, image_size: int) -> Property:
    short = headers[["width", "height"]].min(axis=1)
    below, above = f"below {image_size} px", f"{image_size} px or more"
    values = np.where(short.isna(), "", np.where(short < image_size, below, above)).astype(object)
    return _with_present(Property("short side", values, (below, above)))


def _sentences(gaps: Sequence[Row]) -> Iterator[str]:
    """The largest gaps that leave zero out, how many were compared, and which would be a source's in disguise."""
    seen = [row for row in gaps if row.estimate.low is not None]
    if not seen:
        yield "No gap between subgroups could be taken: too few patients on one side or the other."
        return
    clear = [row for row in seen if _leaves_zero_out(row.estimate)]
    named = [row for row in clear if row.estimate.name in _TOLD and row.labels["property"] != _SOURCE]
    named = [row for row in named if row.labels["source"] == WITHIN_SOURCES or _only_source(row, gaps)]
    for row in sorted(named, key=lambda row: -abs(row.estimate.value or 0))[:_AT_MOST_TOLD]:
        yield _sentence(row.labels, row.estimate)
    chance = round(0.05 * len(seen), 1)
    have = "leaves" if len(clear) == 1 else "leave"
    yield (
        f"Of {len(seen):,} gaps looked at, {len(clear):,} {have} zero out of the 95% interval; about {chance:g} "
        "would by chance alone if there were none."
    )
    yield from _disguised(gaps)


def _only_source(row: Row, gaps: Sequence[Row]) -> bool:
    of_kind = (gap.labels for gap in gaps if gap.labels["kind"] == row.labels["kind"])
    return not any(labels["source"] == WITHIN_SOURCES for labels in of_kind)


def _leaves_zero_out(e: Estimate) -> bool:
    return e.low is not None and e.high is not None and not e.low <= 0 <= e.high


def _sentence(labels: Labels, e: Estimate) -> str:
    value = e.value or 0.0
    sources = ", sources compared within themselves" if labels["source"] == WITHIN_SOURCES else ""
    return (
        f"{str(labels['kind']).capitalize()}, {labels['property']} {labels['subgroup']}: {title_in_text(e.name)} for "
        f"{as_words(e.scope)} is {abs(value):.2f} {'lower' if value < 0 else 'higher'} than for {labels['against']} "
        f"({_signed(e.low)} to {_signed(e.high)}; {e.n:,} images of {e.patients:,} patients against "
        f"{labels['rest_n']:,} of {labels['rest_patients']:,}{sources})."
    )


def _signed(value: float | None) -> str:
    return signed(value, 2 if value is None or abs(value) >= 0.005 else 3)


def _disguised(gaps: Sequence[Row]) -> Iterator[str]:
    """The gap that throwing the sources together would bend most."""
    bent = [
        (abs(crude - row.estimate.value), row, crude)
        for row in gaps
        if isinstance(crude := row.labels["crude"], float)
        and row.estimate.value is not None
        and row.estimate.name in _TOLD
    ]
    size, row, crude = max(bent, key=lambda one: one[0], default=(0.0, None, 0.0))
    if row is not None and size > _DISGUISE:
        yield (
            f"A subgroup can be a source in disguise: with the {row.labels['kind']} sources thrown together, the gap "
            f"in {title_in_text(row.estimate.name)} of {row.labels['property']} {row.labels['subgroup']} would read "
            f"{_signed(crude)}; within sources it is {_signed(row.estimate.value)}."
        )
    apart = {str(row.labels["property"]) for row in gaps if row.estimate.withheld == NOT_WITHIN}
    if apart:
        yield f"No source holds both sides of some {' and '.join(sorted(apart))} subgroups: those gaps are withheld."
