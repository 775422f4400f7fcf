"""The AUROC over all groups of images together, and only among images of the same group: source, or site.

If sources differ in how common the disease is, a score that only recognises the source has a high pooled AUROC.
Within one source it has none of that advantage. So the difference is the size of this shortcut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungsight.statistics.bootstrap import Exact, Resampling, combine, draw, estimate_from
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.metrics import sample_of, why_withheld, withheld
from lungsight.statistics.outcomes import Floats, Outcomes
from lungsight.statistics.ranking import Weighing, auroc, within_groups

POOLED = "auroc_pooled"


@dataclass(frozen=True, eq=False)
class Within:
    """Pooled AUROC, AUROC within groups, and their difference.

    Attributes:
        mixed: the groups that hold both positives and negatives, on which ``within`` is computed.
    """

    pooled: Estimate
    within: Estimate
    difference: Estimate
    mixed: tuple[str, ...]


def pooled_and_within(
    outcomes: Outcomes,
    scope: str,
    group: NDArray[np.str_],
    noun: str,
    weighing: Weighing,
    resampling: Resampling = Resampling(),
) -> Within:
    """The AUROC pooled over groups and within them; ``group`` [n] names the group of each image.

    ``noun`` is what a group is called (``source``, ``site``). The figures are named ``auroc_pooled``,
    ``auroc_within_<noun>`` and ``auroc_pooled_minus_within_<noun>``. All are withheld if no group holds both classes,
    the last two also if there is only one group.
    """
    names = (POOLED, f"auroc_within_{noun}", f"auroc_pooled_minus_within_{noun}")
    positive = outcomes.truth == outcomes.classes.index(scope)
    every = sorted({str(name) for name in group})
    mixed = [name for name in every if 0 < positive[group == name].sum() < (group == name).sum()]
    if reason := "no images" if not len(outcomes) else why_withheld(outcomes, scope, "auroc"):
        none = [withheld(outcomes, scope, name, reason) for name in names]
        return Within(none[0], none[1], none[2], tuple(mixed))
    reason = _why_not_within(mixed, every, noun)
    none = [withheld(outcomes, scope, name, reason or "") for name in names]
    if not mixed:
        return Within(none[0], none[1], none[2], ())
    whole = _estimates(outcomes, scope, group, mixed, weighing, names, resampling)
    if reason:
        return Within(whole[0], none[1], none[2], tuple(mixed))
    # Other groups hold nothing to compare: their patients neither count nor are drawn for the figure within groups.
    inside = np.isin(group, mixed)
    within = _estimates(outcomes.where(inside), scope, group[inside], mixed, weighing, names, resampling)[1]
    return Within(whole[0], within, whole[2], tuple(mixed))


def _estimates(
    outcomes: Outcomes,
    scope: str,
    group: NDArray[np.str_],
    mixed: Sequence[str],
    weighing: Weighing,
    names: Sequence[str],
    resampling: Resampling,
) -> list[Estimate]:
    """Pooled, within and their difference, of all the images."""
    sample = sample_of(outcomes, scope)
    figures = _figures(outcomes, scope, group, mixed, weighing)
    drawn = draw(sample, figures, resampling)
    compared = sample.where(np.isin(group, mixed)).smaller_side
    pooled, within = drawn["pooled"], drawn["within"]
    if reason := why_withheld(outcomes, scope, "auroc"):
        return [withheld(outcomes, scope, name, reason) for name in names]
    return [
        estimate_from(name, sample, one, exact=exact, deciding=deciding, level=resampling.level)
        for name, one, exact, deciding in (
            (names[0], pooled, Exact.AUROC, sample.smaller_side),
            (names[1], within, Exact.AUROC, compared),
            (names[2], combine(np.subtract, pooled, within), Exact.AUROC_DIFFERENCE, compared),
        )
    ]


def _why_not_within(mixed: Sequence[str], every: Sequence[str], noun: str) -> str | None:
    if len(every) == 1:
        return f"one {noun} only: nothing to tell apart"
    if not mixed:
        return f"no {noun} holds both classes, so the score may tell {noun}s apart and not the disease"
    return None


def _figures(
    outcomes: Outcomes, scope: str, group: NDArray[np.str_], mixed: Sequence[str], weighing: Weighing
) -> Callable[[Floats], dict[str, Floats]]:
    """The AUROC over all images and that within the groups ``mixed``."""
    c = outcomes.classes.index(scope)
    score, positive, inside = outcomes.probabilities[:, c], outcomes.truth == c, np.isin(group, mixed)
    pooled, within = auroc(score, positive), within_groups(score[inside], positive[inside], group[inside], weighing)
    return lambda weights: {
        "pooled": pooled(weights),
        "within": within(weights[:, inside]) if mixed else np.full(len(weights), np.nan),
    }
