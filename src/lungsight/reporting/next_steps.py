"""What to do next, from what was found: each step with its reason and a command."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lungsight._text import as_words, counted, fixed, listed
from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.grade import Mark
from lungsight.evaluation.performance import ENOUGH_PATIENTS, HOLDS, SourcePerformance

#: A test of more images than this can hardly be asked for.
_MOST_IMAGES = 20_000
_OTHER = "other-hospital.csv"


@dataclass(frozen=True)
class NextStep:
    """One thing to do, why, and the command for it."""

    action: str
    why: str
    command: str


def next_steps(evidence: Evidence) -> tuple[NextStep, ...]:
    """The steps that follow from the findings, the most urgent first."""
    return tuple(_steps(evidence, _Command.of(evidence)))


@dataclass(frozen=True)
class _Command:
    """The user's own model and tables, as they named them."""

    subject: tuple[str, ...]
    data: tuple[str, ...]
    out: str
    is_package: bool

    @classmethod
    def of(cls, evidence: Evidence) -> _Command:
        try:
            words = shlex.split(evidence.command)
        except ValueError:  # a caller may state any text
            words = []
        given: dict[str, list[str]] = {}
        for option, value in pairwise(words):
            given.setdefault(option, []).append(value)
        is_package = evidence.subject.description is not None
        named = given.get("evaluate", ["-"])[0]
        subject: tuple[str, ...] = ("--predictions", given.get("--predictions", ["predictions.csv"])[0])
        if not named.startswith("-") or is_package:
            subject = ("model.zip" if named.startswith("-") else named,)
        data, out = given.get("--data", ["images.csv"]), given.get("--out", ["tested"])[0]
        return cls(subject, tuple(data), out, is_package)

    def check(self) -> str:
        return shlex.join(["lungsight", "data", "check", self.data[0]])

    def evaluate(self, data: Sequence[str], out: str, *more: str) -> str:
        tables = (word for one in data for word in ("--data", one))
        return shlex.join(["lungsight", "evaluate", *self.subject, *tables, *more, "--out", out])


def _steps(evidence: Evidence, command: _Command) -> Iterator[NextStep]:
    yield from _after_shortcuts(evidence, command)
    yield from _more_images(evidence, command)
    yield from _elsewhere(evidence, command)
    if evidence.prevalence is None:
        yield NextStep(
            "See what becomes of 1,000 of your patients",
            "Predictive values depend on how common the disease is where the model would be used. Replace 0.05 by "
            "the share of your patients who have it.",
            command.evaluate(command.data, command.out, "--prevalence", "0.05"),
        )


def _after_shortcuts(evidence: Evidence, command: _Command) -> Iterator[NextStep]:
    found = [reason.name for reason in evidence.verdict.reasons if reason.is_shortcut and reason.mark is Mark.BAD]
    if not found:
        return
    yield NextStep(
        "Find out what gives the label away",
        f"A shortcut was found ({listed(found)}). The check shows whether source, size, greys or sharpness of these "
        "images alone tell the label.",
        command.check(),
    )
    if command.is_package:
        yield NextStep(
            "Train it again without each of its sources",
            "If the AUROC falls at the source that was left out, the model had learned that source. The tables must "
            "hold the training images, and it takes as long as the trainings.",
            command.evaluate(command.data, command.out, "--retrain"),
        )


def _more_images(evidence: Evidence, command: _Command) -> Iterator[NextStep]:
    """For each source that has too few patients, or an interval around what is asked."""
    target = as_words(evidence.subject.target)
    short = [
        f"{each.source}: {listed(lacking)}"
        for each in evidence.verdict.sources
        if (lacking := [*_lacking(each.with_target, f"with {target}"), *_lacking(each.without_target, "without")])
    ]
    wide = [text for each in evidence.verdict.sources if (text := _wide(each))]
    if short or wide:
        least = f"A source needs at least {ENOUGH_PATIENTS} patients with {target} and {ENOUGH_PATIENTS} without"
        needed = f"{least} ({'; '.join(short)})." if short else ""
        why = " ".join(part for part in (needed, *wide) if part)
        yield NextStep("Test on more images of the same sources", why, command.evaluate(command.data, command.out))


def _lacking(patients: int, which: str) -> Iterator[str]:
    if patients < ENOUGH_PATIENTS:
        yield f"{ENOUGH_PATIENTS - patients} more {which}"


def _wide(each: SourcePerformance) -> str:
    """How many images would part an interval from what is asked if the value stayed."""
    found = each.auroc
    if not each.counts or found.value is None or found.low is None or found.high is None:
        return ""
    gap, size = abs(found.value - HOLDS), found.positives + found.negatives
    reach = found.value - found.low if found.value > HOLDS else found.high - found.value
    if not gap or reach < gap:
        return ""
    needed = math.ceil(size * (reach / gap) ** 2 / 100) * 100
    side = "above" if found.value > HOLDS else "below"
    if not size < needed <= _MOST_IMAGES:
        return ""
    return (
        f"If the AUROC at {each.source} stays {fixed(found.value, 2)}, its whole interval is {side} {HOLDS:.2f} with "
        f"about {counted(needed, 'image')} ({size:,} were tested)."
    )


def _elsewhere(evidence: Evidence, command: _Command) -> Iterator[NextStep]:
    external = [each.source for each in evidence.verdict.sources if each.is_other and each.counts]
    if evidence.subject.trained_sources is None:
        yield NextStep(
            "State what the model was trained on",
            "Without it internal and external testing can't be told apart. Name each source that it was trained on.",
            command.evaluate(command.data, command.out, "--trained-source", "NAME"),
        )
    elif len(external) < 2:
        why = (
            f"Only one source that it never saw has enough patients, {external[0]}: a model can hold at one hospital "
            "and fail at the next."
            if external
            else "Only a hospital that the model never saw shows how it does elsewhere, and none with enough "
            "patients was tested."
        )
        out = f"{command.out.rstrip('/')}-elsewhere"
        yield NextStep("Test it on images of another hospital", why, command.evaluate([_OTHER], out))
