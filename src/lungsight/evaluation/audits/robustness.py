"""Robustness ("stress"): how strong must a corruption be, without touching the disease, until the decision turns?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from lungsight._text import as_words
from lungsight.alterations.corruptions import AS_IT_IS, STRESSES, Stress, alterations
from lungsight.evaluation.audits.audit import AuditAnswer, AuditInput, AuditResult, AuditSpec, Need, unanswered
from lungsight.evaluation.audits.illustration import Illustrated
from lungsight.evaluation.audits.perturbed_predictions import Perturbations
from lungsight.evaluation.formatting import as_figure
from lungsight.evaluation.rows import Label, Row
from lungsight.evaluation.testset.testset import ALL_SOURCES, TestSet
from lungsight.statistics.bootstrap import Resampling, Sample, estimate, means, withheld
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import Floats
from lungsight.statistics.ranking import auroc, ranking_estimate

#: The verdict counts as turned by a stress from the strength on at which this share of the verdicts turns.
TURNS = 0.1


PERTURBATIONS = Perturbations(alterations(), share=1 / 4, of_each_kind=False)


def stress(given: AuditInput) -> AuditAnswer:
    """Alter images, spread over source and truth, in every way of :data:`STRESSES`.

    The decision meant here is the most probable class; it turns if it differs from that of the same image unaltered.
    The rows have, for each source, for each kind of source with several, and for each stress and strength:

    - ``verdicts_turned``: share of the images whose decision turns;
    - ``probability_change``: mean change of the target's probability;
    - ``auroc``: of the target's probability, within one source that has both positives and negatives;
    - ``turned_into_target``: for marks, the share that the model now calls the target among the images that aren't of
      the target class and weren't called so;

    and for each stress ``tenth_turns_at``, the weakest strength at which at least a tenth of the decisions turn, and
    ``half_turned_by``, the median over the images of the weakest strength that turns each.
    """
    shown, answers = given.perturbed(PERTURBATIONS)
    if not len(shown):
        return unanswered("No image has a label and could be read.")
    readable = np.isfinite(answers[AS_IT_IS]).all(axis=1)
    if not readable.any():
        return unanswered("The images can no longer be read, or the network gives no number for them.")
    groups = []
    for kind, source, of_source in shown.group_masks():
        which = of_source & readable
        if which.any():
            after = {key: probabilities[which] for key, probabilities in answers.items()}
            groups.append(_Group(kind, source, shown.where(which), after, given.resampling))
    group = _most_telling(groups)
    effect = group.marked()
    rows = tuple(row for one in groups for row in one.figures())
    return AuditAnswer(AuditResult.REPORTED, _meaning(group, effect), effect, rows, int(readable.sum()))


@dataclass(frozen=True, eq=False)
class _Group:
    """Images of one source, or of one kind of source, unaltered and altered.

    Attributes:
        after: by key of stress and strength the probabilities, float [n, k]; NaN if an image can't be altered so.
    """

    kind: str
    source: str
    shown: TestSet
    after: Mapping[str, Floats]
    resampling: Resampling

    @property
    def before(self) -> Floats:
        """The probabilities of the unaltered images, float [n, k]."""
        return self.after[AS_IT_IS]

    @property
    def sample(self) -> Sample:
        """What means are taken over."""
        return self.shown.sample

    @property
    def target(self) -> int:
        """Place of the target class."""
        return self.shown.classes.index(self.shown.target)

    def turned(self, stress: Stress) -> Floats:
        """1 where the verdict turned, NaN where it isn't known, float [n, strengths]."""
        return np.stack([_turned(self.before, self.after[stress.key(x)]) for x in stress.strengths], axis=1)

    def into_target(self, stress: Stress) -> Floats:
        """1 where the image is now called the target, float [n, strengths].

        NaN for images that are of the target class, or were called so before.
        """
        asked = ~self.shown.positive & (self.before.argmax(axis=1) != self.target)
        turned = [_called(self.after[stress.key(x)], self.target) for x in stress.strengths]
        return np.where(asked[:, None], np.stack(turned, axis=1), np.nan)

    def marked(self) -> Estimate:
        """The share of the images neither of the target class nor called so that some ordinary mark turns into it."""
        marks = np.concatenate([self.into_target(s)[:, : s.ordinary] for s in STRESSES if s.is_mark], axis=1)
        known = np.isfinite(marks).all(axis=1)
        some = np.where(known, (marks > 0).any(axis=1), np.nan)
        names = ("turned_into_target_by_some_ordinary_mark",)
        return means(self.sample, some[:, None], names, shares=True, resampling=self.resampling)[0]

    def ordinary(self) -> Estimate:
        """The share of the verdicts that some stress of ordinary strength turns."""
        some = np.concatenate([self.turned(s)[:, : s.ordinary] for s in STRESSES], axis=1)
        any_turned = np.where(np.isfinite(some).all(axis=1), (some > 0).any(axis=1), np.nan)
        names = ("turned_by_some_ordinary_stress",)
        return means(self.sample, any_turned[:, None], names, shares=True, resampling=self.resampling)[0]

    def tenth_turns_at(self, stress: Stress) -> float | None:
        """The weakest strength at which a tenth of the verdicts turn; None where none does."""
        turned = self.turned(stress)
        shares = [float(one[np.isfinite(one)].mean()) if np.isfinite(one).any() else 0.0 for one in turned.T]
        return next((x for x, share in zip(stress.strengths, shares, strict=True) if share >= TURNS), None)

    def figures(self) -> Iterator[Row]:
        """All rows of the group."""
        for stress in STRESSES:
            yield from self._shares(stress)
            for strength in stress.strengths if self.source != ALL_SOURCES else ():
                yield from self._auroc(stress.key(strength), self._labels(stress, strength))
            yield Row(self._labels(stress), self._tenth(stress))
            yield Row(self._labels(stress), self._half(stress))
        if self.source != ALL_SOURCES:
            yield from self._auroc(AS_IT_IS, self._named("as it is"))
        for one in (self.ordinary(), self.marked()):
            yield Row(self._named("any"), one)

    def _labels(self, stress: Stress, strength: float | None = None) -> dict[str, Label]:
        if strength is None:
            return self._named(stress.name)
        return self._named(stress.name) | {"strength": strength, "level": stress.level(strength)}

    def _named(self, stress: str) -> dict[str, Label]:
        return {"kind": self.kind, "source": self.source, "stress": stress, "strength": np.nan, "level": ""}

    def _shares(self, stress: Stress) -> Iterator[Row]:
        change = np.stack([self._change(stress.key(x)) for x in stress.strengths], axis=1)
        wanted = [("verdicts_turned", self.turned(stress), True), ("probability_change", change, False)]
        if stress.is_mark:
            wanted.append(("turned_into_target", self.into_target(stress), True))
        for name, values, shares in wanted:
            names = [name] * len(stress.strengths)
            found = means(self.sample, values, names, shares=shares, resampling=self.resampling)
            for strength, one in zip(stress.strengths, found, strict=True):
                yield Row(self._labels(stress, strength), one)

    def _change(self, key: str) -> Floats:
        return np.asarray(self.after[key][:, self.target] - self.before[:, self.target])

    def _auroc(self, key: str, labels: dict[str, Label]) -> Iterator[Row]:
        """Nothing where the images are all of the target class, or none is."""
        score = self.after[key][:, self.target]
        known = np.isfinite(score)
        sample = self.sample.where(known)
        if 0 < sample.positives < len(sample):
            statistic = auroc(score[known], sample.positive)
            yield Row(labels, ranking_estimate("auroc", sample, statistic, resampling=self.resampling))

    def _tenth(self, stress: Stress) -> Estimate:
        found = self.tenth_turns_at(stress)
        note = f"fewer than {TURNS:.0%} of the decisions change at any strength" if found is None else _A_CHOICE
        return replace(withheld("tenth_turns_at", self.sample, note), value=found)

    def _half(self, stress: Stress) -> Estimate:
        """The weighted median of an ordered strength: the first at which half of the weight has turned.

        Its interval is that of the strength's place, past the last if more than half never turn.
        """
        turned = np.cumsum(np.nan_to_num(self.turned(stress)), axis=1) > 0
        never = np.ones((len(turned), 1), dtype=bool)
        name, turned = "half_turned_by", np.concatenate([turned, never], axis=1)

        def place(weights: Floats) -> Floats:
            half = np.asarray(weights @ turned >= 0.5 * weights.sum(axis=1, keepdims=True))
            return np.asarray(half.argmax(axis=1), dtype=np.float64)

        found = estimate(name, self.sample, place, resampling=self.resampling)
        last = len(stress.strengths) - 1
        if found.value is None or found.value > last:
            return withheld(name, self.sample, "more than half of the decisions hold at any strength")
        value = stress.strengths[int(found.value)]
        if found.low is None or found.high is None or found.high > last:
            note = "no interval: many resamples are at the same strength, or beyond the strongest"
            return replace(withheld(name, self.sample, note), value=value)
        low, high = sorted(stress.strengths[round(bound)] for bound in (found.low, found.high))
        return replace(found, value=value, low=low, high=high)


_A_CHOICE = "no interval: one of a few strengths; see the shares and their intervals"


def _turned(before: Floats, after: Floats) -> Floats:
    """1 where the most probable class differs, NaN where there is no answer, float [n]."""
    differs = before.argmax(axis=1) != np.where(np.isfinite(after), after, 0).argmax(axis=1)
    return np.where(np.isfinite(after).all(axis=1), differs, np.nan)


def _called(after: Floats, target: int) -> Floats:
    called = np.where(np.isfinite(after), after, 0).argmax(axis=1) == target
    return np.where(np.isfinite(after).all(axis=1), called, np.nan)


def _most_telling(groups: list[_Group]) -> _Group:
    """What sentence and effect speak of: a kind's sources together, external before internal."""
    order = {"external": 0, "internal": 1, "unstated": 2}
    return min(groups, key=lambda group: (order[group.kind], group.source != ALL_SOURCES))


def _meaning(group: _Group, effect: Estimate) -> str:
    words = as_words(group.shown.target)
    ordinary = group.ordinary()
    share = "withheld" if ordinary.value is None else f"{ordinary.value:.0%}"
    first = (
        f"Of {ordinary.n:,} {group.kind} images, {share} change their decision under at least one alteration as weak "
        f"as ordinary practice brings."
    )
    found = ((s, group.tenth_turns_at(s)) for s in STRESSES)
    early = [f"{s.name} ({s.level(x)})" for s, x in found if x is not None and x in s.strengths[: s.ordinary]]
    second = (
        f" A tenth of the decisions or more change already with {', '.join(early)}." if early
        else " No single one of them changes a tenth of the decisions."
    )  # fmt: skip
    third = (
        f" A letter or a border alone turns into {words} a share of {as_figure(effect)} of the images that have none "
        f"and weren't called so."
    )
    return first + second + (third if effect.value is not None else "")


def _illustrated() -> Iterator[Illustrated]:
    """Every mark at the greatest of its ordinary strengths."""
    for one in STRESSES:
        if one.is_mark:
            strength = one.strengths[one.ordinary - 1]
            yield Illustrated(one.key(strength), f"{one.name} ({one.level(strength)})", positive=False)


SPEC = AuditSpec(
    "stress",
    "How much must be done to an image, without touching the disease, until the decision changes?",
    stress,
    needs=frozenset({Need.MODEL}),
    perturbations=PERTURBATIONS,
    illustrated=tuple(_illustrated()),
)
