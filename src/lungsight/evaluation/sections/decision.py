"""Decision: what the model's thresholds lead to for patients, at every source by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from lungsight._text import as_words, in_words
from lungsight.components.decision import INCONCLUSIVE, Decision, ReadWords
from lungsight.datasets.splits import VALIDATION
from lungsight.evaluation.formatting import as_figure
from lungsight.evaluation.rows import Label, Row
from lungsight.evaluation.sections import answers as scanned
from lungsight.evaluation.sections.decisions_table import NAME as VERDICTS
from lungsight.evaluation.sections.decisions_table import verdicts
from lungsight.evaluation.sections.section import Section
from lungsight.evaluation.testset.testset import TestSet
from lungsight.statistics.binary import Binary
from lungsight.statistics.bootstrap import Resampling, Share, shares
from lungsight.statistics.calibration_metrics import top_label
from lungsight.statistics.decision_curve import decision_curve
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import Floats, Integers, Mask
from lungsight.statistics.risk_coverage import area_under_risk_coverage, risk_coverage_curve
from lungsight.statistics.thresholds import NoRuleError, choose_rule

#: The figures of the table ``decision``, with the titles that pages show.
TITLES = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "inconclusive": "Inconclusive",
    "coverage": "Coverage (not inconclusive)",
    "error_of_decided": "Error among the decided",
    "sensitivity_of_decided": "Sensitivity among the decided",
    "specificity_of_decided": "Specificity among the decided",
    "aurc": "Area under the risk-coverage curve (less is better)",
    **scanned.TITLES,
}
#: The cells of the table ``per_1000``: (truly of the target, verdict) by name.
CELLS = {
    "true_positives": (True, 1),
    "inconclusive_positives": (True, 0),
    "false_negatives": (True, -1),
    "false_positives": (False, 1),
    "inconclusive_negatives": (False, 0),
    "true_negatives": (False, -1),
}
OF_THE_SAMPLE, NAMED = "of the sample", "named"
THRESHOLD, BAND, MOST_PROBABLE = "threshold", "band", "most probable class"

#: The table of other limits on inconclusive images.
COSTS = "costs"
#: Where nobody stated a rule.
_MOST_PROBABLE = Decision(inconclusive_below=0)


def decision(
    testset: TestSet,
    stated: Decision | None,
    *,
    stated_for: str | None = None,
    prevalence: float | None = None,
    resampling: Resampling = Resampling(),
) -> Section:
    """What the thresholds do at each source.

    Tables: ``decision_rule``, the thresholds and what they were chosen on; ``decision``, figures at the threshold,
    and the share left open and the error among the rest where images can be inconclusive; ``risk_coverage``;
    ``decision_curve``; ``per_1000``, the patients of each kind among 1,000; ``verdicts``, the decisions of scanning
    by true class; ``answers``, whether they are positive, inconclusive or negative, with the target and without, and
    ``answers_within_view``, the same among images of one view; ``costs``, what other limits on inconclusive images
    would cost, where the package has thresholds for them.

    Args:
        testset: the images.
        stated: the package's own rule; if None, thresholds are chosen on the rows whose ``split`` is ``validation``
            (the others are then reported), and without such rows the most probable class decides.
        stated_for: the class that ``stated`` decides on; None: the target of ``testset``. Where another class is the
            target, only ``verdicts`` follow ``stated``.
        prevalence: of the target, between 0 and 1, to add to the sample's own.
        resampling: how many replicates, which level, which seed.
    """
    of = stated_for or testset.target
    settled = _settle(testset.scored, stated if of == testset.target else None)
    parts = [
        _AtSource(kind, source, images, settled.rule, prevalence, resampling)
        for kind, source, images in settled.reported.by_source()
    ]
    scans = (settled.rule, testset.target) if stated is None else (stated, of)
    curves = _joined([part.decision_curve() for part in parts])
    tables: dict[str, pd.DataFrame | Sequence[Row]] = {
        "decision_rule": _rule_table(settled.rule, testset.target),
        "decision": [row for part in parts for row in part.figures],
        "risk_coverage": _joined([part.risk_coverage() for part in parts]),
        "decision_curve": curves,
        "per_1000": [row for part in parts for row in part.per_1000()],
        VERDICTS: verdicts(settled.reported, *scans, resampling),
        scanned.NAME: tuple(scanned.answers(settled.reported, *scans, resampling)),
        scanned.WITHIN_VIEW: tuple(scanned.answers_within_view(settled.reported, *scans, resampling)),
        COSTS: [row for part in parts for row in part.costs()],
    }
    sentences = (*settled.sentences, *(sentence for part in parts for sentence in part.sentences(curves)))
    missing = (sentence for part in parts for sentence in part.missing())
    return Section("decision", tables, sentences, (*settled.withheld, *missing))


@dataclass(frozen=True, eq=False)
class _ChosenRule:
    """The rule that holds, the images it is reported on, and sentences about it."""

    rule: Decision
    reported: TestSet
    sentences: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()

    @classmethod
    def stated(cls, rule: Decision, reported: TestSet) -> _ChosenRule:
        note = (in_words(rule.note, reported.target),) if rule.note else ()
        return cls(rule, reported, (_said(rule, reported.target),), note)

    @classmethod
    def without_thresholds(cls, why: str, reported: TestSet, rule: Decision = _MOST_PROBABLE) -> _ChosenRule:
        left_open = rule.can_be_inconclusive(len(reported.classes))
        open_below = f"unless its probability stays below {rule.inconclusive_below:.2f}: such images are inconclusive"
        said = open_below if left_open else "and nothing is inconclusive"
        return cls(rule, reported, withheld=(f"{why}: the most probable class decides, {said}.",))


def _settle(scored: TestSet, rule: Decision | None) -> _ChosenRule:
    if rule is not None and rule.thresholds is not None:
        return _ChosenRule.stated(rule, scored)
    if rule is not None:
        return _ChosenRule.without_thresholds("The package states no thresholds", scored, rule)
    table = scored.table
    chosen_on = (table["split"] == VALIDATION).to_numpy() if "split" in table else np.zeros(len(table), dtype=bool)
    if not chosen_on.any():
        return _ChosenRule.without_thresholds("No threshold was chosen on validation data", scored)
    validation = scored.where(chosen_on)
    found = choose_rule(Binary.of(validation.outcomes, scored.target), sources=validation.table["source"].astype(str))
    rest = scored.where(~chosen_on)
    if isinstance(found, NoRuleError):
        return _ChosenRule.without_thresholds(f"No threshold, since {in_words(found.reason, scored.target)}", rest)
    return _ChosenRule.stated(Decision.of(found), rest)


def _said(rule: Decision, target: str) -> str:
    name, low, high = as_words(target), rule.low, rule.high
    basis = (
        f"{rule.chosen_on:,} validation images of {rule.patients:,} patients, {rule.positives:,} of them of {name}"
    )
    aims = {"sensitivity": rule.aim_sensitivity, "specificity": rule.aim_specificity}
    kept = [f"a {what} of {aim:g}" for what, aim in aims.items() if aim is not None]
    if low == high:
        aim = f", for {kept[0]}" if kept else ""
        return f"{name} is called from a probability of {low:.3f} on, no sign of it below, chosen on {basis}{aim}."
    aim = f", for {' and '.join(kept)}" if kept else ""
    return (
        f"{name} is called from a probability of {high:.3f} on, no sign of it below {low:.3f}; between them the "
        f"decision is inconclusive. Chosen on {basis}{aim}."
    )


def _rule_table(rule: Decision, target: str) -> pd.DataFrame:
    if rule.thresholds is None:
        return pd.DataFrame()
    aims = {"aim_sensitivity": rule.aim_sensitivity, "aim_specificity": rule.aim_specificity}
    stated = {"scope": target, "threshold": rule.threshold, "low": rule.low, "high": rule.high, **aims}
    basis = {"images": rule.chosen_on, "patients": rule.patients, "positives": rule.positives, "note": rule.note}
    return pd.DataFrame([stated | basis])


def _with(labels: dict[str, Label], table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(labels, index=table.index).join(table)


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()


class _AtSource:
    """The decisions at one source."""

    def __init__(
        self, kind: str, source: str, images: TestSet, rule: Decision, prevalence: float | None,
        resampling: Resampling,
    ) -> None:  # fmt: skip
        self._kind, self._source, self._rule = kind, source, rule
        self._prevalence, self._resampling = prevalence, resampling
        self._outcomes = images.outcomes
        self._target = images.target
        self._sample = Binary.of(self._outcomes, images.target)
        most_probable = self._outcomes.predicted == self._outcomes.classes.index(images.target)
        self._called = most_probable if rule.low is None else self._sample.probability >= rule.low
        self._verdicts = _sides(
            rule.decide(self._outcomes.probabilities, images.classes, images.target), images.target
        )
        self._some_open = rule.can_be_inconclusive(len(images.classes))

    @cached_property
    def figures(self) -> list[Row]:
        """The table ``decision``."""
        without = self._rule.thresholds is None
        found = {MOST_PROBABLE if without else THRESHOLD: self._shares(self._at_threshold())}
        if self._some_open:
            rule = MOST_PROBABLE if without else BAND
            found[rule] = found.get(rule, []) + self._shares(self._with_band(self._verdicts))
        area = area_under_risk_coverage(top_label(self._outcomes), self._resampling)
        rows = [Row(self._labels | {"rule": rule}, e) for rule, estimates in found.items() for e in estimates]
        return [*rows, Row(self._labels | {"rule": MOST_PROBABLE}, area)]

    def _shares(self, wanted: Mapping[str, Share]) -> list[Estimate]:
        return shares(self._sample, wanted, self._resampling)

    def per_1000(self) -> Iterator[Row]:
        """The table ``per_1000``."""
        yield from self._scaled(OF_THE_SAMPLE, self._sample.positives / max(1, len(self._sample)))
        if self._prevalence is not None:
            yield from self._scaled(NAMED, self._prevalence)

    def costs(self) -> Iterator[Row]:
        """The table ``costs``: share left open, and right answers among the rest, by the limit within each source."""
        names = ("inconclusive", "sensitivity_of_decided", "specificity_of_decided")
        for each in self._rule.costs:
            p = self._sample.probability
            verdicts = np.where(p >= each.high, 1, np.where(p < each.low, -1, 0))
            wanted = {name: share for name, share in self._with_band(verdicts).items() if name in names}
            limit: dict[str, Label] = {"most_inconclusive": each.most_inconclusive}
            yield from (Row(self._labels | limit, e) for e in self._shares(wanted))

    def risk_coverage(self) -> pd.DataFrame:
        """The table ``risk_coverage``."""
        answers = top_label(self._outcomes)
        return _with({**self._labels, "patients": answers.patients}, risk_coverage_curve(answers, self._resampling))

    def decision_curve(self) -> pd.DataFrame:
        """The table ``decision_curve``."""
        return _joined([self._curve(OF_THE_SAMPLE, None)] + [self._curve(NAMED, p) for p in self._named])

    def sentences(self, curves: pd.DataFrame) -> Iterator[str]:
        """The figures at the threshold, what is left open, and where acting on the model helps."""
        found = {row.estimate.name: row.estimate for row in self.figures}
        where = f"{self._source} ({self._kind})"
        sensitivity, specificity = found["sensitivity"], found["specificity"]
        held = _held(sensitivity, self._rule.aim_sensitivity)
        yield f"{where}: sensitivity {as_figure(sensitivity)}, specificity {as_figure(specificity)}{held}."
        if self._some_open:
            yield (
                f"{where}: {as_figure(found['inconclusive'])} of the images are inconclusive; of the others "
                f"{as_figure(found['error_of_decided'])} are decided wrongly."
            )
        yield from self._about_the_curve(where, curves)

    def missing(self) -> Iterator[str]:
        """Why there is no decision curve."""
        for count, what in ((self._sample.positives, "no"), (self._sample.negatives, "no other than an")):
            if not count:
                yield f"{self._source}: {what} image of {as_words(self._target)}, so no decision curve."

    @property
    def _labels(self) -> dict[str, Label]:
        return {"kind": self._kind, "source": self._source}

    @property
    def _named(self) -> tuple[float, ...]:
        return () if self._prevalence is None else (self._prevalence,)

    def _at_threshold(self) -> dict[str, Share]:
        positive, called = self._sample.positive, self._called
        name = self._target
        return {
            "sensitivity": Share(called, positive, f"no image of {name} here"),
            "specificity": Share(~called, ~positive, f"every image here is of {name}"),
            "ppv": Share(positive, called, f"no image was called {name}"),
            "npv": Share(~positive, ~called, f"every image was called {name}"),
        }

    def _with_band(self, verdicts: Integers) -> dict[str, Share]:
        positive = self._sample.positive
        decided = verdicts != 0
        right = np.where(positive, verdicts == 1, verdicts == -1)
        everything = np.ones(len(positive), dtype=bool)
        name = self._target
        return {
            "inconclusive": Share(~decided, everything, "no images"),
            "coverage": Share(decided, everything, "no images"),
            "error_of_decided": Share(~right, decided, "every decision is inconclusive"),
            "sensitivity_of_decided": Share(right, positive & decided, f"no image of {name} was decided"),
            "specificity_of_decided": Share(right, ~positive & decided, f"no image without {name} was decided"),
        }

    def _scaled(self, origin: str, prevalence: float) -> Iterator[Row]:
        """The cells per 1,000 patients.

        At the sample's own prevalence they are shares of all images, otherwise shares of the images of the target, or
        of the others, times how many of those there would be.
        """
        positive = self._sample.positive
        everything = np.ones(len(positive), dtype=bool)
        wanted, factors = {}, {}
        for name, (of_target, verdict) in CELLS.items():
            if verdict == 0 and not self._some_open:
                continue
            truly = positive if of_target else ~positive
            among = everything if origin == OF_THE_SAMPLE else truly
            wanted[name] = Share(
                truly & (self._verdicts == verdict), among, f"no image {_of(of_target, self._target)} here"
            )
            factors[name] = (
                1000.0 if origin == OF_THE_SAMPLE else 1000 * (prevalence if of_target else 1 - prevalence)
            )
        labels = self._labels | {"prevalence": prevalence, "prevalence_is": origin}
        yield from (Row(labels, _times(e, factors[e.name])) for e in self._shares(wanted))

    def _curve(self, origin: str, prevalence: float | None) -> pd.DataFrame:
        sample = self._sample
        curve = decision_curve(sample, self._resampling, prevalence=prevalence)
        share = sample.positives / max(1, len(sample)) if prevalence is None else prevalence
        labels = {**self._labels, "prevalence": share, "prevalence_is": origin}
        counts = {"n": len(sample), "positives": sample.positives, "negatives": sample.negatives}
        return _with({**labels, **counts, "patients": sample.patients}, curve)

    def _about_the_curve(self, where: str, curves: pd.DataFrame) -> Iterator[str]:
        if not len(curves):
            return
        here = curves[(curves["source"] == self._source) & (curves["kind"] == self._kind)]
        for origin, curve in here.groupby("prevalence_is", sort=False):
            at = f"{where}, at the prevalence {origin} ({curve['prevalence'].iloc[0]:.2f}),"
            between = _longest_run(curve["threshold"].to_numpy(), (curve["gain_low"] > 0).to_numpy())
            if between:
                yield (
                    f"{at} acting on the model does more good than treating everyone or no one, for those who act "
                    f"from a probability of {between[0]:.2f} to {between[1]:.2f} on."
                )
            else:
                yield f"{at} acting on the model isn't shown to do more good than treating everyone or no one."


def _sides(verdicts: ReadWords, target: str) -> Integers:
    """For each image 1 where the target is predicted, -1 where it is ruled out, 0 where it is inconclusive."""
    return np.where(verdicts == INCONCLUSIVE, 0, np.where(verdicts == target, 1, -1)).astype(np.int64)


def _of(of_target: bool, target: str) -> str:
    return f"of {target}" if of_target else f"other than of {target}"


def _times(estimate: Estimate, factor: float) -> Estimate:
    value, low, high = (None if v is None else v * factor for v in (estimate.value, estimate.low, estimate.high))
    return replace(estimate, value=value, low=low, high=high)


def _longest_run(thresholds: Floats, useful: Mask) -> tuple[float, float] | None:
    """First and last threshold of the longest unbroken run; None where there is none of three or more."""
    starts = np.flatnonzero(np.diff(useful.astype(int), prepend=0) == 1)
    ends = np.flatnonzero(np.diff(useful.astype(int), append=0) == -1)
    if not len(starts) or (ends - starts).max() < 2:
        return None
    longest = int((ends - starts).argmax())
    return float(thresholds[starts[longest]]), float(thresholds[ends[longest]])


def _held(found: Estimate, aim: float | None) -> str:
    """Whether the aim is kept here."""
    if aim is None or found.value is None or found.low is None or found.high is None:
        return ""
    if found.high < aim:
        return f": the aim of {aim:g} for sensitivity isn't kept here"
    return f": the aim of {aim:g} for sensitivity is kept" if found.low >= aim else ""
