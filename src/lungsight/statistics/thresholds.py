"""The thresholds from which the target is predicted, and below which it is ruled out.

They are chosen on validation images for a stated aim, never on the images that are then reported.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lungsight.statistics.binary import Binary
from lungsight.statistics.bootstrap import FEWEST_PATIENTS, Resampling, Share, shares
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import Floats, Mask

Texts = NDArray[np.str_]

#: The shares of inconclusive images for which :func:`costs` says what they cost.
SHARES_LEFT_OPEN = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
_CLOSE = 1e-9


@dataclass(frozen=True)
class Aim:
    """What the thresholds are chosen for.

    At most the share ``most_inconclusive`` of the images of each source may be left inconclusive. As far as that
    allows, at least the share ``sensitivity`` of the images of the target may not be ruled out, and at least the
    share ``specificity`` of the others may not be predicted as the target.
    """

    sensitivity: float = 0.95
    specificity: float = 0.95
    most_inconclusive: float = 0.15

    def eased(self, times: float) -> Aim:
        """The same with ``times`` as many errors of both kinds."""
        errors = [min(1.0, times * (1 - aim)) for aim in (self.sensitivity, self.specificity)]
        return replace(self, sensitivity=1 - errors[0], specificity=1 - errors[1])


@dataclass(frozen=True)
class DecisionRule:
    """Below ``low`` the target is ruled out, from ``high`` on it is predicted, between them it is *inconclusive*.

    If both are equal there is one threshold and no decision is inconclusive.

    Attributes:
        low: the highest threshold that keeps the sensitivity of ``kept``.
        high: the lowest threshold that keeps the specificity of ``kept``, but never below ``low``.
        aim: what was wanted.
        kept: what the limit on inconclusive images left of the aim.
        images, patients: on which the thresholds were chosen.
        positives: images of the target among them.
        note: which aim couldn't be kept, and why: a sentence, or empty.
    """

    low: float
    high: float
    aim: Aim = Aim()
    images: int = 0
    patients: int = 0
    positives: int = 0
    note: str = ""
    kept: Aim = Aim()

    @property
    def threshold(self) -> float:
        """The one threshold for the aim's sensitivity."""
        return self.low


@dataclass(frozen=True)
class NoRuleError:
    """Why no threshold was chosen, in one sentence."""

    reason: str


def choose_rule(sample: Binary, aim: Aim = Aim(), sources: Iterable[str] | None = None) -> DecisionRule | NoRuleError:
    """The rule that keeps ``aim`` not only on these validation images but, on average, on new patients like them.

    Of n images of the target, ``(1 - aim) (n + 1)``, rounded down and less one, may be below the threshold. This is
    the finite-sample correction of split conformal prediction (Vovk, Gammerman & Shafer 2005). An aim of 0.95
    therefore needs 19 patients of the target, and an inconclusive range needs 19 others. Thresholds are halfway
    between two probabilities that occurred, so that rounding changes no decision.

    Every source counts the same, however many images it has: a large one would decide for all (with the correction
    for weighted images of Tibshirani et al. 2019, "Conformal prediction under covariate shift"). If the aim leaves
    more of a source inconclusive than it allows, both kinds of error are allowed more often, by the same factor, and
    by no more than is needed.

    Args:
        sample: the validation images, with probabilities of the target.
        aim: what the thresholds are chosen for.
        sources: of each image; None: all are of one.
    """
    lacking = _lacking(sample, sample.positive, aim.sensitivity)
    if lacking:
        return NoRuleError(f"{lacking} of {sample.scope} can't show a sensitivity of {aim.sensitivity:g}")
    given = _BySource.of(sample, sources)
    if no_band := _lacking(sample, ~sample.positive, aim.specificity):
        low = given.low(aim)
        note = f"{no_band} without {sample.scope} can't show a specificity of {aim.specificity:g}: no band."
        return DecisionRule(low, low, aim, len(sample), sample.patients, sample.positives, note, aim)
    kept = _kept(given, aim)
    low, high = given.thresholds(kept)
    alarms = _share(given.weight, sample.probability >= high, ~sample.positive)
    lost = "" if 1 - alarms >= kept.specificity - _CLOSE else _no_threshold(kept)
    note = f"{_eased_in_words(aim, kept)} {lost}".strip()
    return DecisionRule(low, max(low, high), aim, len(sample), sample.patients, sample.positives, note, kept)


class Cost(NamedTuple):
    """What it costs to leave at most ``most_inconclusive`` of each source open; shares with every source the same.

    Attributes:
        most_inconclusive: the limit within each source.
        low, high: the thresholds.
        inconclusive: share of the images that are left open.
        sensitivity: of the images of the target that get an answer, the share that is predicted; NaN without any.
        specificity: of the others that get an answer, the share that is ruled out; NaN without any.
    """

    most_inconclusive: float
    low: float
    high: float
    inconclusive: float
    sensitivity: float
    specificity: float


def costs(sample: Binary, aim: Aim = Aim(), sources: Iterable[str] | None = None) -> Iterator[Cost]:
    """What the aim would cost with other shares of inconclusive images (:data:`SHARES_LEFT_OPEN`)."""
    given = _BySource.of(sample, sources)
    for most in SHARES_LEFT_OPEN:
        rule = choose_rule(sample, replace(aim, most_inconclusive=most), given.source)
        if isinstance(rule, DecisionRule):
            yield Cost(most, rule.low, rule.high, *given.answered(rule.low, rule.high))


class AtSource(NamedTuple):
    """What the thresholds do among the images of one source.

    ``inconclusive`` is a share of all images; ``sensitivity`` and ``specificity`` are shares of those that get an
    answer.
    """

    source: str
    inconclusive: Estimate
    sensitivity: Estimate
    specificity: Estimate


def at_sources(
    sample: Binary, low: float, high: float, sources: Iterable[str], resampling: Resampling = Resampling()
) -> Iterator[AtSource]:
    """What two thresholds do within each source."""
    names = _texts(sources, len(sample))
    for source in np.unique(names):
        part = sample.where(names == source)
        part = Binary.from_arrays(sample.scope, part.positive, sample.probability[names == source], part.patient)
        called, ruled_out = part.probability >= high, part.probability < low
        answered, everything = called | ruled_out, np.ones(len(part), dtype=bool)
        wanted = {
            "inconclusive": Share(~answered, everything, "no images"),
            "sensitivity": Share(called, part.positive & answered, f"no image of {sample.scope} got an answer"),
            "specificity": Share(ruled_out, ~part.positive & answered, "every image with an answer is of the target"),
        }
        yield AtSource(str(source), *shares(part, wanted, resampling))


def source_weights(sources: Texts, among: Mask | None = None) -> Floats:
    """A weight for each image, float [n], by which every source counts the same.

    Args:
        sources: of the images, text [n].
        among: bool [n]: images of this side, and those of the other, are weighted apart.

    Returns:
        One over the number of images of the same source and side; a source of fewer than
        :data:`~lungsight.statistics.bootstrap.FEWEST_PATIENTS` images counts for less.
    """
    side = np.zeros(len(sources), dtype=np.int64) if among is None else np.asarray(among, dtype=np.int64)
    _, which = np.unique(sources, return_inverse=True)
    _, group, counts = np.unique(2 * which + side, return_inverse=True, return_counts=True)
    return np.asarray(1 / np.maximum(counts[group], FEWEST_PATIENTS), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class _BySource:
    """Validation images; within either side (of the target, or not) every source counts the same."""

    sample: Binary
    source: Texts

    @classmethod
    def of(cls, sample: Binary, sources: Iterable[str] | None) -> _BySource:
        return cls(sample, _texts(sources, len(sample)))

    @cached_property
    def weight(self) -> Floats:
        return source_weights(self.source, self.sample.positive)

    @cached_property
    def limited(self) -> list[Mask]:
        """The images of each source that has enough patients for a limit on those left open."""
        places = [self.source == source for source in np.unique(self.source)]
        return [place for place in places if self.sample.patients_among(place) >= FEWEST_PATIENTS]

    def low(self, aim: Aim) -> float:
        """The highest threshold that keeps the aim's sensitivity."""
        positive = self.sample.positive
        return _lowest_allowed(self.sample.probability, positive, self.weight, aim.sensitivity)

    def thresholds(self, aim: Aim) -> tuple[float, float]:
        """``low``, and the lowest threshold that keeps the aim's specificity; it may be below ``low``."""
        others = ~self.sample.positive
        high = 1 - _lowest_allowed(1 - self.sample.probability, others, self.weight, aim.specificity)
        return self.low(aim), high

    def few_are_open(self, aim: Aim) -> bool:
        """Whether the aim leaves few enough images of each source open: on average of new patients', too."""
        low, high = self.thresholds(aim)
        open_ = (self.sample.probability >= low) & (self.sample.probability < high)
        allowed = [aim.most_inconclusive * (place.sum() + 1) - 1 + _CLOSE for place in self.limited]
        pairs = zip(self.limited, allowed, strict=True)
        return all(open_[place].sum() <= max(0.0, most) for place, most in pairs)

    def answered(self, low: float, high: float) -> tuple[float, float, float]:
        """Share left open, sensitivity and specificity among the answered, with every source the same."""
        p, positive = self.sample.probability, self.sample.positive
        called, ruled_out = p >= high, p < low
        everywhere = source_weights(self.source)
        return (
            _share(everywhere, ~called & ~ruled_out, np.ones(len(p), dtype=bool)),
            _share(self.weight, called, positive & (called | ruled_out)),
            _share(self.weight, ruled_out, ~positive & (called | ruled_out)),
        )


def _kept(given: _BySource, aim: Aim) -> Aim:
    """The aim, eased by no more than is needed to leave few enough images open."""
    if aim.most_inconclusive >= 1 or given.few_are_open(aim):
        return aim
    least, most = 1.0, max(1 / (1 - aim.sensitivity), 1 / (1 - aim.specificity))
    for _ in range(40):
        between = (least + most) / 2
        if given.few_are_open(aim.eased(between)):
            most = between
        else:
            least = between
    return aim.eased(most)


def _eased_in_words(aim: Aim, kept: Aim) -> str:
    if kept == aim:
        return ""
    return (
        f"A sensitivity of {aim.sensitivity:g} and a specificity of {aim.specificity:g} would leave more than "
        f"{aim.most_inconclusive:.0%} of a source inconclusive; the thresholds are chosen for {kept.sensitivity:.2f} "
        f"and {kept.specificity:.2f}."
    )


def _no_threshold(aim: Aim) -> str:
    return f"No threshold keeps a specificity of {aim.specificity:.3g}."


def _texts(sources: Iterable[str] | None, n: int) -> Texts:
    return np.array([""] * n if sources is None else list(sources), dtype=np.str_)


def _share(weight: Floats, hit: Mask, among: Mask) -> float:
    total = weight[among].sum()
    return float(weight[hit & among].sum() / total) if total else math.nan


def _lacking(sample: Binary, among: Mask, aim: float) -> str:
    patients, needed = sample.patients_among(among), math.ceil(aim / (1 - aim) - _CLOSE)
    return f"{patients} validation patients" if patients < needed else ""


def _lowest_allowed(score: Floats, wanted: Mask, weight: Floats, aim: float) -> float:
    """The highest threshold that at least the share ``aim`` of the images in ``wanted`` reach, by their weights."""
    order = np.argsort(score[wanted], kind="stable")
    rising, weights = score[wanted][order], weight[wanted][order]
    below, heaviest = np.cumsum(weights), weights.max()
    allowed = (1 - aim) * (below[-1] + heaviest) - heaviest
    passed_over = min(int(np.searchsorted(below, allowed * (1 + _CLOSE), side="right")), len(rising) - 1)
    reached = rising[passed_over]
    next_lower = score[score < reached].max(initial=0.0)
    return float((reached + next_lower) / 2)
