"""How a model does before and after: figures of the same images with paired differences, and what they mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from lungsight._text import listed, signed
from lungsight.components.decision import INCONCLUSIVE
from lungsight.evaluation.formatting import as_figure
from lungsight.evaluation.testset.testset import DECISION, TestSet
from lungsight.statistics.binary import Binary
from lungsight.statistics.bootstrap import (
    Drawn,
    Exact,
    Policy,
    Resampling,
    Sample,
    Statistic,
    combine,
    draw,
    estimate_from,
    mean,
    ratio,
    too_few,
    withheld,
)
from lungsight.statistics.calibration_metrics import ece, too_few_to_bin
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import Integers, Mask
from lungsight.statistics.ranking import auroc, in_mixed_groups, within_groups

AUROC, WITHIN_VIEW, BRIER, ECE = "auroc", "auroc_within_view", "brier_score", "ece"
SENSITIVITY, SPECIFICITY, LEFT_OPEN = "sensitivity", "specificity", "inconclusive"
TITLES: Mapping[str, str] = {
    AUROC: "AUROC",
    WITHIN_VIEW: "AUROC within a view",
    BRIER: "Brier score",
    ECE: "calibration error (ECE)",
    SENSITIVITY: "sensitivity: of those with {target}, predicted",
    SPECIFICITY: "specificity: of those without {target}, ruled out",
    LEFT_OPEN: "inconclusive",
}
#: By how much a figure may be poorer before the adaptation counts as worse: less is within what chance does.
_MAY_WORSEN: Mapping[str, float] = {AUROC: 0.01, WITHIN_VIEW: 0.02, BRIER: 0.005}
#: The figures of which less is better.
_ERRORS = (BRIER, ECE)


class Verdict(StrEnum):
    """What the figures show of an adaptation."""

    BETTER = "better"
    NO_CLEAR_CHANGE = "no clear change"
    WORSE = "worse"


@dataclass(frozen=True)
class Change:
    """One figure before and after, of the same images.

    Attributes:
        name: a key of :data:`TITLES`.
        difference: after minus before, with its interval.
    """

    name: str
    before: Estimate
    after: Estimate
    difference: Estimate

    @property
    def in_words(self) -> str:
        """``AUROC 0.76 (…) before, 0.82 (…) after, a difference of +0.06 (+0.02 to +0.10)``."""
        d = self.difference
        between = "no interval" if d.low is None else f"{signed(d.low, 3)} to {signed(d.high, 3)}"
        difference = f", a difference of {signed(d.value, 3)} ({between})" if d.value is not None else ""
        return f"{TITLES[self.name]} {as_figure(self.before, 3)} before, {as_figure(self.after, 3)} after{difference}"


@dataclass(frozen=True)
class Comparison:
    """All figures, and what they show.

    Attributes:
        changes: in the order of :data:`TITLES`.
        sentence: why the verdict is what it is.
    """

    changes: tuple[Change, ...]
    verdict: Verdict
    sentence: str

    def get(self, name: str) -> Change:
        """One of the figures."""
        return next(change for change in self.changes if change.name == name)


def compare(before: TestSet, after: TestSet, patients: Integers, resampling: Resampling = Resampling()) -> Comparison:
    """The figures of the target in two test sets of the same images, row by row.

    Args:
        before: with the package's own predictions and decisions.
        after: with those of an adaptation that didn't see the image's patient.
        patients: int [n], a number for each patient.
        resampling: number of replicates, level and seed.
    """
    sample = Sample(patients, before.positive, before.target)
    compared, why_not = _within_view(before, sample)
    sides = {"before": before, "after": after}
    statistics = {
        (side, name): statistic
        for side, images in sides.items()
        for name, statistic in _statistics(images, sample, compared).items()
    }
    drawn = draw(sample, lambda weights: {key: of(weights) for key, of in statistics.items()}, resampling)
    missing = {WITHIN_VIEW: why_not, ECE: too_few_to_bin(sample)}
    changes = []
    for name in TITLES:
        pair = drawn.get(("before", name)), drawn.get(("after", name))
        changes.append(_change(name, sample, compared, pair, missing.get(name), resampling.level))
    return Comparison(tuple(changes), *_verdict({change.name: change for change in changes}))


def _statistics(images: TestSet, sample: Sample, compared: Mask) -> dict[str, Statistic]:
    positive, score = sample.positive, images.score
    decided = images.table[DECISION].to_numpy(dtype=str)
    found: dict[str, Statistic] = {
        AUROC: auroc(score, positive),
        BRIER: mean(sample, (score - positive) ** 2),
        SENSITIVITY: _share(sample, decided == images.target, positive),
        SPECIFICITY: _share(sample, (decided != images.target) & (decided != INCONCLUSIVE), ~positive),
        LEFT_OPEN: _share(sample, decided == INCONCLUSIVE, np.ones(len(sample), dtype=bool)),
    }
    if too_few_to_bin(sample) is None:
        found[ECE] = ece(Binary.from_arrays(sample.scope, positive, score, sample.patient))
    if compared.any():
        within = within_groups(score[compared], positive[compared], _strata(images)[compared], "pairs")
        found[WITHIN_VIEW] = lambda weights: within(weights[:, compared])
    return found


def _share(sample: Sample, hit: Mask, among: Mask) -> Statistic:
    statistic = ratio(sample, [hit & among], [among])
    return lambda weights: statistic(weights)[:, 0]


def _strata(images: TestSet) -> np.ndarray:
    """The source and view of each image; an empty view where it isn't known."""
    sources = images.table["source"].to_numpy(dtype=str)
    return np.asarray(np.char.add(np.char.add(sources, "\n"), images.views))


def _within_view(images: TestSet, sample: Sample) -> tuple[Mask, str | None]:
    """The images that can be compared within their view, and why none is."""
    known = images.views != ""
    inside = in_mixed_groups(np.where(known, _strata(images), ""), sample.positive) & known
    if not inside.any():
        return inside, "no view has images with and without the target"
    return inside, too_few(sample.where(inside).smaller_side, "on the smaller side")


_AMONG: Mapping[str, Callable[[Sample], Mask]] = {
    SENSITIVITY: lambda sample: sample.positive,
    SPECIFICITY: lambda sample: ~sample.positive,
}
_RANKINGS, _SHARES = (AUROC, WITHIN_VIEW), (SENSITIVITY, SPECIFICITY, LEFT_OPEN)


def _change(
    name: str,
    sample: Sample,
    compared: Mask,
    drawn: tuple[Drawn | None, Drawn | None],
    why_not: str | None,
    level: float,
) -> Change:
    given = sample.where(compared) if name == WITHIN_VIEW else sample
    among = _AMONG[name](sample) if name in _AMONG else None
    before, after = drawn
    if why_not or before is None or after is None:
        none = withheld(name, given, why_not or "no images", among)
        return Change(name, none, none, none)
    exact = Exact.AUROC if name in _RANKINGS else Exact.SHARE if name in _SHARES else None
    policy = Policy.BASIC if name == ECE else Policy.BCA
    one, other = (
        estimate_from(name, given, side, among=among, policy=policy, exact=exact, level=level)
        for side in drawn
        if side
    )
    difference = estimate_from(
        f"{name}_difference", given, combine(np.subtract, after, before), among=among,
        exact=Exact.AUROC_DIFFERENCE if name in _RANKINGS else None, level=level,
    )  # fmt: skip
    return Change(name, one, other, difference)


def _verdict(found: Mapping[str, Change]) -> tuple[Verdict, str]:
    worse = [
        found[name] for name, allowed in _MAY_WORSEN.items() if -_gain(found[name].difference.value, name) > allowed
    ]
    if worse:
        said = "; ".join(change.in_words for change in worse)
        return Verdict.WORSE, f"This made it worse on patients that it didn't see: {said}."
    better = [name for name in (AUROC, WITHIN_VIEW, BRIER, ECE) if _surely_better(found[name])]
    if better:
        names = listed(TITLES[name] for name in better)
        return (
            Verdict.BETTER,
            f"It is better on patients that it didn't see: by its {names}, with the whole interval.",
        )
    return (
        Verdict.NO_CLEAR_CHANGE,
        "On patients that it didn't see it isn't shown to be better or worse: the intervals of the differences "
        "include zero.",
    )


def _gain(difference: float | None, name: str) -> float:
    """By how much the figure is better after; 0 where it isn't known."""
    return (-1 if name in _ERRORS else 1) * (difference or 0.0)


def _surely_better(change: Change) -> bool:
    low, high = change.difference.low, change.difference.high
    return low is not None and min(_gain(low, change.name), _gain(high, change.name)) > 0
