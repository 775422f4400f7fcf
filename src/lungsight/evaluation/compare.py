"""Several models on the same images: figures side by side, their differences, and whether chance explains them."""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from lungsight._text import listed
from lungsight.evaluation.formatting import p_in_words, signed
from lungsight.evaluation.saved import SavedEvaluation, SavedEvaluationError, read_saved
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, KIND
from lungsight.statistics.bootstrap import Resampling, too_few
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.holm import holm
from lungsight.statistics.metrics import estimate_all, title_in_text
from lungsight.statistics.outcomes import Integers, Outcomes
from lungsight.statistics.paired import McNemar, PairedDifference, mcnemar, paired_auroc, paired_differences

METRICS = ("auroc", "sensitivity", "specificity", "brier_score")
_REST = "the rest"
#: What two-sided p-values are held against.
_ALPHA = 0.05


@dataclass(frozen=True, eq=False)
class Called(Outcomes):
    """One class against the rest, with the decisions that the model itself gave.

    Of several classes, the most probable one may have a probability below one half.

    Attributes:
        verdict: int [n], 0 where the target was predicted.
    """

    verdict: Integers

    @cached_property
    def predicted(self) -> Integers:
        """The decisions themselves, whatever the probabilities are."""
        return self.verdict

    @classmethod
    def of_images(cls, images: pd.DataFrame, target: str) -> Called:
        """Read from a table with ``score``, ``positive``, ``called`` and ``patient``."""
        score = images["score"].to_numpy(dtype=np.float64)
        return cls(
            classes=(target, _REST),
            truth=np.where(images["positive"], 0, 1).astype(np.int64),
            probabilities=np.stack([score, 1 - score], axis=1),
            patient=pd.factorize(images["patient"])[0].astype(np.int64),
            verdict=np.where(images["called"], 0, 1).astype(np.int64),
        )


@dataclass(frozen=True)
class Difference:
    """One figure of two models: the first less the second.

    Attributes:
        test: what the p-value comes from: ``bootstrap`` or ``DeLong``.
        p_holm: adjusted for the same figure's other comparisons, over sources and pairs of models.
    """

    first: str
    second: str
    metric: str
    test: str
    a: float | None
    b: float | None
    estimate: Estimate
    p: float | None
    p_holm: float | None = None

    @property
    def clear(self) -> bool:
        """Whether the adjusted p-value is below 0.05."""
        return self.p_holm is not None and self.p_holm < _ALPHA


@dataclass(frozen=True)
class PairedCorrectness:
    """McNemar's test of two models' verdicts, target or not."""

    first: str
    second: str
    test: McNemar
    n: int
    p_holm: float | None = None


@dataclass(frozen=True, eq=False)
class OnSource:
    """The models on the shared images of one source.

    Attributes:
        kinds: how each model stands to the source, by its letter.
        figures: of each model, by its letter.
    """

    source: str
    kinds: dict[str, str]
    images: int
    patients: int
    positives: int
    figures: dict[str, tuple[Estimate, ...]]
    differences: tuple[Difference, ...]
    verdicts: tuple[PairedCorrectness, ...]

    def get(self, letter: str, metric: str) -> Estimate:
        """One figure of one model."""
        return next(e for e in self.figures[letter] if e.name == metric)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several models on the images they share.

    Attributes:
        models: each test by the letter the page calls it by.
        sources: the largest first.
        images: model, how many images it judged, how many of them all judged, and why others are left out.
        notices: what a reader must know before the figures: sentences.
        sentences: what differs, and what doesn't: sentences.
    """

    models: dict[str, SavedEvaluation]
    target: str
    shared: int
    sources: tuple[OnSource, ...]
    images: pd.DataFrame
    notices: tuple[str, ...]
    sentences: tuple[str, ...]
    resampling: Resampling

    @property
    def differences(self) -> tuple[Difference, ...]:
        """The differences of all sources, the largest source first."""
        return tuple(d for source in self.sources for d in source.differences)


def compare(
    folders: Sequence[Path], *, target: str | None = None, resampling: Resampling = Resampling()
) -> Comparison:
    """Set the tests in ``folders`` side by side on the images that all of them judged, source by source.

    Images are the same where their checksums are. Raises InvalidEvaluation where a folder is no test, the tests don't
    share a target, or share no image.
    """
    models = _models(folders, target)
    first, *others = models.values()
    for other in others:
        if other.target != first.target:
            problem = f"sets {other.target} against the rest, and {first.folder} {first.target}"
            raise SavedEvaluationError(other.folder, problem, "choose one for all with --target")
    shared, disagreeing = _shared(models)
    if not len(shared):
        names = " and ".join(str(t.folder) for t in models.values())
        raise SavedEvaluationError(names, "have no image in common", "test the models on the same images")
    counts = _counts(models, len(shared), disagreeing)
    by_source = first.images.loc[shared].groupby("source", sort=True)
    sources = [
        _on_source(str(source), {k: t.images.loc[rows.index] for k, t in models.items()}, first.target, resampling)
        for source, rows in sorted(by_source, key=lambda item: -len(item[1]))
    ]
    adjusted = tuple(_adjusted(sources))
    return Comparison(
        models=models,
        target=first.target,
        shared=len(shared),
        sources=adjusted,
        images=counts,
        notices=tuple(_notices(models, counts, disagreeing, adjusted, shared)),
        sentences=tuple(_sentences(models, adjusted)),
        resampling=resampling,
    )


def _models(folders: Sequence[Path], target: str | None) -> dict[str, SavedEvaluation]:
    if len(folders) < 2:
        raise SavedEvaluationError("compare", "needs at least two tests", "give two folders of `lungsight evaluate`")
    if len(folders) > len(string.ascii_uppercase):
        raise SavedEvaluationError(
            "compare", f"takes {len(string.ascii_uppercase)} tests at most", "give fewer folders"
        )
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise SavedEvaluationError("compare", "was given the same folder twice", "name each folder once")
    return {k: read_saved(f, target) for k, f in zip(string.ascii_uppercase, folders, strict=False)}


def _shared(models: dict[str, SavedEvaluation]) -> tuple[pd.Index, int]:
    """Checksums of the images that all models judged by the same truth, and how many have another truth."""
    first, *others = models.values()
    shared = first.images.index
    for other in others:
        shared = shared[shared.isin(other.images.index)]
    truth = first.images.loc[shared, "positive"]
    agree = np.ones(len(shared), dtype=bool)
    for other in others:
        agree &= (other.images.loc[shared, "positive"] == truth).to_numpy(dtype=bool)
    return shared[agree], int((~agree).sum())


def _counts(models: dict[str, SavedEvaluation], shared: int, disagreeing: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "model": letter,
            "id": tested.model,
            "folder": str(tested.folder),
            "judged": tested.testset,
            "compared": shared,
            "truth_differs": disagreeing,
            "without_checksum_or_twice": tested.testset - len(tested.images),
            "not_judged_by_all": len(tested.images) - shared - disagreeing,
        }
        for letter, tested in models.items()
    )


def _on_source(source: str, images: dict[str, pd.DataFrame], target: str, resampling: Resampling) -> OnSource:
    """``images`` by model, row by row the same."""
    first = next(iter(images.values()))
    # Whose image it is must be the same for all; the first test says it.
    outcomes = {k: Called.of_images(rows.assign(patient=first["patient"]), target) for k, rows in images.items()}
    one = next(iter(outcomes.values()))
    pairs = list(combinations(outcomes, 2))
    return OnSource(
        source=source,
        kinds={k: " and ".join(sorted(set(rows[KIND]))) for k, rows in images.items()},
        images=len(one),
        patients=one.patients,
        positives=int((one.truth == 0).sum()),
        figures={k: _figures(o, target, resampling) for k, o in outcomes.items()},
        differences=tuple(
            d for a, b in pairs for d in _differences(a, b, outcomes[a], outcomes[b], target, resampling)
        ),
        verdicts=tuple(
            PairedCorrectness(a, b, mcnemar(_right(outcomes[a]), _right(outcomes[b])), len(one)) for a, b in pairs
        ),
    )


def _right(outcomes: Outcomes) -> np.ndarray:
    return np.asarray(outcomes.predicted == outcomes.truth)


def _figures(outcomes: Outcomes, target: str, resampling: Resampling) -> tuple[Estimate, ...]:
    return tuple(e for e in estimate_all(outcomes, resampling) if e.scope == target and e.name in METRICS)


def _differences(
    first: str, second: str, a: Outcomes, b: Outcomes, target: str, resampling: Resampling
) -> Iterator[Difference]:
    found = paired_differences(a, b, [(metric, target) for metric in METRICS], resampling)
    for paired in found:
        reason = _too_few(a, paired.metric)
        estimate = _withheld(paired.difference, reason) if reason else paired.difference
        p = None if reason else paired.p
        yield Difference(first, second, paired.metric, "bootstrap", paired.a, paired.b, estimate, p)
        if paired.metric == "auroc" and not reason:
            yield _delong(first, second, a, b, paired, target, resampling.level)


def _delong(
    first: str, second: str, a: Outcomes, b: Outcomes, paired: PairedDifference, target: str, level: float
) -> Difference:
    found = paired_auroc(a, b, target, level)
    if isinstance(found, str):
        return Difference(first, second, "auroc", "DeLong", None, None, _withheld(paired.difference, found), None)
    why = None if found.low is not None else "no interval: both rank every pair alike"
    estimate = replace(
        paired.difference,
        value=found.difference,
        low=found.low,
        high=found.high,
        interval="delong" if found.low is not None else "",
        withheld=why,
    )
    return Difference(first, second, "auroc", "DeLong", found.first, found.second, estimate, found.p)


def _withheld(estimate: Estimate, reason: str) -> Estimate:
    return replace(estimate, value=None, low=None, high=None, interval="", withheld=reason)


def _too_few(outcomes: Outcomes, metric: str) -> str | None:
    positives = outcomes.patients_among(outcomes.truth == 0)
    negatives = outcomes.patients_among(outcomes.truth == 1)
    fewest = {
        "auroc": (min(positives, negatives), "on the smaller side"),
        "sensitivity": (positives, "with it"),
        "specificity": (negatives, "without it"),
    }
    return too_few(*fewest.get(metric, (outcomes.patients, "in all")))


def _adjusted(sources: Sequence[OnSource]) -> Iterator[OnSource]:
    """With Holm's p-values: each figure's comparisons over all sources and pairs are one family."""
    every = [d for source in sources for d in source.differences]
    families: dict[tuple[str, str], list[Difference]] = {}
    for d in every:
        families.setdefault((d.metric, d.test), []).append(d)
    of = {id(d): p for family in families.values() for d, p in zip(family, holm([x.p for x in family]), strict=True)}
    verdicts = [v for source in sources for v in source.verdicts]
    of |= {id(v): p for v, p in zip(verdicts, holm([v.test.p for v in verdicts]), strict=True)}
    for source in sources:
        yield replace(
            source,
            differences=tuple(replace(d, p_holm=of[id(d)]) for d in source.differences),
            verdicts=tuple(replace(v, p_holm=of[id(v)]) for v in source.verdicts),
        )


def _notices(
    models: dict[str, SavedEvaluation],
    counts: pd.DataFrame,
    disagreeing: int,
    sources: Sequence[OnSource],
    shared: pd.Index,
) -> Iterator[str]:
    unlike: dict[tuple[str, str], list[str]] = {}
    for source in sources:
        sides = [[k for k, kind in source.kinds.items() if kind == side] for side in (INTERNAL, EXTERNAL)]
        if all(sides):
            unlike.setdefault((listed(sides[0]), listed(sides[1])), []).append(source.source)
    for (internal, external), names in unlike.items():
        yield (
            f"{internal} {_was(internal)} trained on other patients of {listed(names)}, {external} "
            f"{_was(external)}n't: a difference there isn't one of skill alone."
        )
    for row in counts.to_dict("records"):
        if left := row["judged"] - row["compared"]:
            yield (
                f"{left:,} of the {row['judged']:,} images that {row['model']} analysed are left out: images.csv "
                "says how many of them another model didn't analyse."
            )
    if disagreeing:
        yield f"{disagreeing:,} images have another label in one test than in another; they are left out."
    first, *others = models.values()
    mixed = sum((t.images.loc[shared, "source"] != first.images.loc[shared, "source"]).any() for t in others)
    if mixed:
        yield f"The tests name sources differently; those of {first.folder} are used."


def _sentences(models: dict[str, SavedEvaluation], sources: Sequence[OnSource]) -> Iterator[str]:
    """Clear differences in words, the largest sources first; and that the others are none."""
    compared = [(s, d) for s in sources for d in s.differences if d.test == "bootstrap" and d.p is not None]
    clear = [(s, d) for s, d in compared if d.clear]
    for source, d in clear[:6]:
        value = d.estimate.value or 0.0
        yield (
            f"{source.source} ({source.images:,} images of {source.patients:,} patients): {d.first}'s "
            f"{title_in_text(d.metric)} is {abs(value):.2f} {'higher' if value > 0 else 'lower'} than {d.second}'s "
            f"({_interval(d.estimate)}, {p_in_words(d.p_holm)} after Holm)."
        )
    if not compared:
        yield "No difference could be tested: no source has enough patients on both sides."
    elif not clear:
        yield f"None of {len(compared)} differences is clear of chance after Holm's adjustment."
    else:
        more = f", {len(clear) - 6} more of them in differences.csv" if len(clear) > 6 else ""
        yield f"{len(clear)} of {len(compared)} differences are clear of chance after Holm's adjustment{more}."
    grades = {tested.words for tested in models.values()}
    if len(grades) > 1:
        said = ", ".join(f"{k} {tested.words}" for k, tested in models.items())
        yield f"The grades differ ({said}): a better score makes up neither for a weaker grade nor for a shortcut."


def _interval(e: Estimate) -> str:
    return "no interval" if e.low is None or e.high is None else f"{signed(e.low)} to {signed(e.high)}"


def _was(letters: str) -> str:
    return "were" if " and " in letters else "was"
