"""What scanning answers: of the images with the target and of those without, how many get which decision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from lungsight._text import as_words, listed
from lungsight.components.decision import INCONCLUSIVE, NO_SIGN, Decision
from lungsight.components.decision import REFUSED as REFUSED_DECISION
from lungsight.evaluation.rows import Labels, Row
from lungsight.evaluation.sections.decisions_table import decisions_of
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, TestSet
from lungsight.statistics.bootstrap import Resampling, Share, shares
from lungsight.statistics.estimate import Estimate

NAME = "answers"
WITHIN_VIEW = "answers_within_view"
#: The two groups of images: those of the target, and the others.
WITH, WITHOUT = "with", "without"
#: The answers, with their titles. The first three are shares of the images that scanning analyses.
PREDICTED_POSITIVE, LEFT_OPEN, PREDICTED_NEGATIVE, REFUSED = (
    "predicted_positive",
    "inconclusive",
    "predicted_negative",
    "refused",
)
TITLES = {
    PREDICTED_POSITIVE: "Predicted positive",
    LEFT_OPEN: "Inconclusive",
    PREDICTED_NEGATIVE: "Predicted negative",
    REFUSED: "Refused",
}
_SEEN = {INTERNAL: "other patients of it were trained on", EXTERNAL: "never seen in training"}


@dataclass(frozen=True)
class SourceAnswers:
    """The answers at one source, by name (:data:`TITLES`), for images with the target and for those without.

    A group without images has no answers.
    """

    kind: str
    source: str
    with_target: Mapping[str, Estimate]
    without_target: Mapping[str, Estimate]

    @property
    def sentence(self) -> str:
        """Every share with its interval, and the images it is of."""
        target = as_words(next(iter({**self.with_target, **self.without_target}.values())).scope)
        groups = ((f"with {target}", self.with_target), (f"without {target}", self.without_target))
        seen = f", {_SEEN[self.kind]}" if self.kind in _SEEN else ""
        return f"{self.source}{seen}: {'; '.join(_in_words(*group) for group in groups if group[1])}."


def answers(testset: TestSet, rule: Decision, of: str, resampling: Resampling = Resampling()) -> Iterator[Row]:
    """A row per source, group of images and answer; ``of`` is the class that ``rule`` has thresholds for."""
    for kind, source, images in testset.by_source():
        yield from _of_images({"kind": kind, "source": source}, images, rule, of, resampling)


def answers_within_view(
    testset: TestSet, rule: Decision, of: str, resampling: Resampling = Resampling()
) -> Iterator[Row]:
    """:func:`answers` among the images of one view, AP or PA, at each source where both occur."""
    for kind, source, images in testset.by_source():
        views = images.views
        known = sorted(set(views) - {""})
        for view in known if len(known) > 1 else ():
            labels = {"kind": kind, "source": source, "view": view}
            yield from _of_images(labels, images.where(views == view), rule, of, resampling)


def _of_images(labels: Labels, images: TestSet, rule: Decision, of: str, resampling: Resampling) -> Iterator[Row]:
    decided = decisions_of(images, rule, of)
    refused, positive = decided == REFUSED_DECISION, images.positive
    # no sign of another class says nothing of the target
    left_open = (decided == INCONCLUSIVE) | ((decided == NO_SIGN) & (of != images.target))
    hits = {
        PREDICTED_POSITIVE: decided == images.target,
        LEFT_OPEN: left_open,
        PREDICTED_NEGATIVE: ~refused & ~left_open & (decided != images.target),
    }
    for group, side in ((WITH, positive), (WITHOUT, ~positive)):
        if side.any():
            wanted = {name: Share(hit, side & ~refused, "every image is refused") for name, hit in hits.items()}
            wanted[REFUSED] = Share(refused, side, "no images")
            yield from (Row({**labels, "group": group}, e) for e in shares(images.sample, wanted, resampling))


def answers_by_source(rows: Iterable[Row]) -> tuple[SourceAnswers, ...]:
    """The rows of :func:`answers`, source by source."""
    found: dict[tuple[str, str], dict[str, dict[str, Estimate]]] = {}
    for row in rows:
        of_source = found.setdefault((str(row.labels["kind"]), str(row.labels["source"])), {WITH: {}, WITHOUT: {}})
        of_source[str(row.labels["group"])][row.estimate.name] = row.estimate
    return tuple(SourceAnswers(*place, groups[WITH], groups[WITHOUT]) for place, groups in found.items())


def _in_words(group: str, by_name: Mapping[str, Estimate]) -> str:
    shown = {name: e for name, e in by_name.items() if name != REFUSED and e.value is not None}
    if not (by_name[LEFT_OPEN].value or 0):  # most rules can't leave an image open: nothing is said of it then
        shown.pop(LEFT_OPEN, None)
    refused = by_name[REFUSED]
    apart = f" ({round((refused.value or 0) * refused.n):,} refused)" if refused.value else ""
    shares_of = [f"{_percent(e)} {TITLES[name].lower()}" for name, e in shown.items()]
    return f"of {refused.n:,} {group}{apart}, {listed(shares_of) if shares_of else 'none is analysed'}"


def _percent(e: Estimate) -> str:
    value, low, high = (100 * (number or 0) for number in (e.value, e.low, e.high))
    between = "no interval" if e.low is None else f"{np.floor(low):.0f}–{np.ceil(high):.0f}%"
    return f"{value:.0f}% ({between})"
