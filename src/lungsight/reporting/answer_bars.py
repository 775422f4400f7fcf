"""What scanning would say at each source, as bars: predicted positive, inconclusive, predicted negative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lungsight.evaluation.sections.answers import (
    LEFT_OPEN,
    PREDICTED_NEGATIVE,
    PREDICTED_POSITIVE,
    REFUSED,
    SourceAnswers,
)
from lungsight.statistics.estimate import Estimate

#: The parts of a bar in their order, with their colours.
COLOURS = {PREDICTED_POSITIVE: "#0072B2", LEFT_OPEN: "#aeb6c0", PREDICTED_NEGATIVE: "#A6CEE3"}
#: Sources that the first screen has room for.
_AT_MOST = 5


@dataclass(frozen=True)
class AnswerBar:
    """The images of one source with the target, or those without."""

    group: str
    answers: Mapping[str, Estimate]

    @property
    def images(self) -> int:
        """How many there are, with those that are refused."""
        return self.answers[REFUSED].n

    @property
    def refused(self) -> int:
        """How many of them scanning refuses."""
        return round((self.answers[REFUSED].value or 0) * self.images)

    @property
    def parts(self) -> list[tuple[str, float, float]]:
        """Colour, start and width of each part, in per cent."""
        found, start = [], 0.0
        for name, colour in COLOURS.items():
            share = 100 * (self.answers[name].value or 0)
            found.append((colour, round(start, 2), round(share, 2)))
            start += share
        return found


@dataclass(frozen=True)
class AnswerBars:
    """The bars of one source: of images with the target and without, if it has such."""

    kind: str
    source: str
    bars: tuple[AnswerBar, ...]

    @property
    def images(self) -> int:
        """How many images the source has."""
        return sum(bar.images for bar in self.bars)

    @classmethod
    def of(cls, each: SourceAnswers) -> AnswerBars:
        """The bars of a source's answers."""
        groups = (("with", each.with_target), ("without", each.without_target))
        return cls(each.kind, each.source, tuple(AnswerBar(group, found) for group, found in groups if found))


def colours_of(all_bars: Sequence[AnswerBars]) -> dict[str, str]:
    """The colour of each answer by its name; an answer that no image gets isn't shown, unless it is a prediction."""
    shares = [bar.answers[LEFT_OPEN].value for each in all_bars for bar in each.bars]
    return {name: colour for name, colour in COLOURS.items() if name != LEFT_OPEN or any(shares)}


def largest_sources(answers: Sequence[SourceAnswers]) -> tuple[list[AnswerBars], int]:
    """The largest sources, as many as the first screen has room for, and how many more there are."""
    bars = [AnswerBars.of(each) for each in answers]
    kept = sorted(bars, key=lambda each: -each.images)[:_AT_MOST]
    return [each for each in bars if each in kept], len(bars) - len(kept)
