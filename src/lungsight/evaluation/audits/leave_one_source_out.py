"""Leave one source out: what does the model do at a source it never saw?

Scored as it stands, sources that it never saw stand beside those that it was trained on. That compares different
images, which may be harder or easier. Where training is at hand, the same images are judged twice: by the model, and
by one that was trained in the same way without their source.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from lungsight.evaluation.audits.audit import AuditAnswer, AuditInput, AuditResult, AuditSpec, Need, unanswered
from lungsight.evaluation.audits.retraining import HeldOut
from lungsight.evaluation.formatting import as_figure, as_sample, signed
from lungsight.evaluation.rows import Label, Row
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, KIND, UNSTATED, TestSet
from lungsight.statistics.bootstrap import FEWEST_PATIENTS, Exact, Resampling, Sample, estimate
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.metrics import estimate_all
from lungsight.statistics.outcomes import Floats
from lungsight.statistics.paired import paired_differences
from lungsight.statistics.ranking import auroc

_METRICS = ("auroc", "sensitivity", "specificity")
_WITHIN = "auroc_within"
AS_IT_STANDS, RETRAINED, DIFFERENCE = "as it stands", "trained without it", "as it stands less trained without it"


def leave_one_source_out(given: AuditInput) -> AuditAnswer:
    """The target's AUROC, sensitivity and specificity within each source, seen in training or not.

    For each retrained model also its own on the same images, whose source it didn't see, and the difference.
    The effect is the mean difference in AUROC over the retrained sources or, without any, how much lower the mean
    AUROC within a source is where the model never saw it.
    """
    images, resampling = given.testset.scored, given.resampling
    by_kind = {kind: images.where(images.of_kind(kind)) for kind in (INTERNAL, EXTERNAL)}
    compared = [each for each in given.retrained if len(each.full)]
    if not len(by_kind[EXTERNAL]) and not compared:
        return unanswered(" ".join([_nothing_held_out(images), *_not_retrained(given.retrained)]))
    rows = [*_as_it_stands(images, resampling)]
    for each in compared:
        rows += _against_retrained(each, resampling)
    drop = _drop(by_kind[INTERNAL], by_kind[EXTERNAL], resampling)
    mean = _mean_difference(compared, resampling) if compared else None
    rows += [Row({"model": AS_IT_STANDS, "kind": "internal less external", "source": "mean"}, drop)] if drop else []
    rows += [Row({"model": DIFFERENCE, "kind": INTERNAL, "source": "mean"}, mean)] if mean else []
    sentences = [
        *_of_kinds(by_kind, drop, resampling),
        *_of_retrained(compared, rows, mean),
        *_not_retrained(given.retrained),
    ]
    effect = next((e for e in (mean, drop) if e is not None and e.value is not None), None)
    return AuditAnswer(AuditResult.REPORTED, " ".join(sentences), effect, tuple(rows), len(images))


def _nothing_held_out(images: TestSet) -> str:
    if (images.table[KIND] == UNSTATED).any():
        return "Which sources the model was trained on isn't stated, so none is known to be held out."
    return "The model was trained on every source of this test, so none is held out."


def _not_retrained(retrained: Sequence[HeldOut]) -> Iterator[str]:
    for each in retrained:
        if each.withheld:
            yield f"Not retrained without {each.source}: {each.withheld}."
        elif not len(each.full):
            yield f"Retrained without {each.source}, but the test has no image of other patients of it."


def _as_it_stands(images: TestSet, resampling: Resampling) -> Iterator[Row]:
    for kind, source, part in images.by_source():
        for one in _figures(part, resampling):
            yield Row({"model": AS_IT_STANDS, "kind": kind, "source": source}, one)


def _figures(images: TestSet, resampling: Resampling) -> list[Estimate]:
    estimates = estimate_all(images.outcomes, resampling)
    return [e for e in estimates if e.scope == images.target and e.name in _METRICS]


def _against_retrained(each: HeldOut, resampling: Resampling) -> Iterator[Row]:
    """Both models on the same images of the source, and the difference."""
    labels: dict[str, Label] = {"kind": INTERNAL, "source": each.source}
    for one in _figures(each.held_out, resampling):
        yield Row({"model": RETRAINED, **labels}, one)
    wanted = [(metric, each.full.target) for metric in _METRICS]
    for paired in paired_differences(each.full.outcomes, each.held_out.outcomes, wanted, resampling):
        yield Row({"model": DIFFERENCE, **labels}, paired.difference)


def _drop(internal: TestSet, external: TestSet, resampling: Resampling) -> Estimate | None:
    """By how much the mean AUROC within a source is lower at sources never seen.

    None if one side has no source with enough patients of both kinds.
    """
    sides = [_with_both(images) for images in (internal, external)]
    if not all(sides):
        return None
    parts = [(images, {1 / len(sides[0]): images.score}) for images in sides[0]]
    parts += [(images, {-1 / len(sides[1]): images.score}) for images in sides[1]]
    return _sum_of_aurocs("auroc_drop", parts, resampling)


def _mean_difference(compared: Sequence[HeldOut], resampling: Resampling) -> Estimate | None:
    """The mean over the sources of the AUROC of the full model less that of the one trained without the source."""
    both = [each for each in compared if _has_both(each.full)]
    parts = [(each.full, {1 / len(both): each.full.score, -1 / len(both): each.held_out.score}) for each in both]
    return _sum_of_aurocs("auroc_difference", parts, resampling) if both else None


#: Images of one source, and scores of them, float [n], by what their AUROC counts.
Part = tuple[TestSet, dict[float, Floats]]


def _sum_of_aurocs(name: str, parts: Sequence[Part], resampling: Resampling) -> Estimate:
    """A weighted sum of AUROCs, each of a score within one source; patients are resampled over all of them."""
    table = pd.concat([images.table[["source", "patient"]] for images, _ in parts], ignore_index=True)
    keys = table["source"].astype(str) + "/" + table["patient"].astype(str)
    positive = np.concatenate([images.positive for images, _ in parts])
    together = Sample(pd.factorize(keys)[0], positive, parts[0][0].target)
    ends = np.cumsum([len(images) for images, _ in parts])
    terms = [
        (counts, slice(end - len(images), end), auroc(score, images.positive))
        for end, (images, scores) in zip(ends, parts, strict=True)
        for counts, score in scores.items()
    ]
    return estimate(
        name,
        together,
        lambda weights: np.asarray(np.sum([c * of_one(weights[:, place]) for c, place, of_one in terms], axis=0)),
        exact=Exact.AUROC if name == _WITHIN else Exact.AUROC_DIFFERENCE,
        resampling=resampling,
    )


def _with_both(images: TestSet) -> list[TestSet]:
    return [part for _, _, part in images.by_source() if _has_both(part)]


def _has_both(images: TestSet) -> bool:
    """Whether an AUROC says something: enough patients with the target, and without."""
    sample = images.sample
    return min(sample.patients_among(side) for side in (sample.positive, ~sample.positive)) >= FEWEST_PATIENTS


def _of_kinds(by_kind: dict[str, TestSet], drop: Estimate | None, resampling: Resampling) -> Iterator[str]:
    names = {INTERNAL: "it was trained on", EXTERNAL: "it never saw"}
    for kind, images in by_kind.items():
        if not len(images):
            continue
        parts = _with_both(images)
        k = images.table["source"].nunique()
        sources = f"the {k} sources" if k > 1 else "the source"
        if not parts:
            yield (
                f"None of {sources} that {names[kind]} has {FEWEST_PATIENTS} patients with the target and "
                f"{FEWEST_PATIENTS} without, so no AUROC is given within them; sensitivity or specificity is."
            )
            continue
        mean = _sum_of_aurocs(_WITHIN, [(part, {1 / len(parts): part.score}) for part in parts], resampling)
        if len(parts) == 1:
            yield f"At {parts[0].table['source'].iloc[0]}, which {names[kind]}, the AUROC is {as_figure(mean)}."
        else:
            counted = f"{len(parts)} of {sources}" if k > len(parts) else sources
            yield f"At {counted} that {names[kind]}, the AUROC within a source is {as_figure(mean)} on average."
    if drop is not None and drop.low is not None:
        more = (
            "which speaks for the sources it knows" if drop.low > 0 else "so it isn't clearly better where it learned"
        )
        yield f"The difference is {signed(drop.value)} ({signed(drop.low)} to {signed(drop.high)}), {more}."


def _of_retrained(compared: Sequence[HeldOut], rows: Sequence[Row], mean: Estimate | None) -> Iterator[str]:
    if mean is not None and mean.low is not None:
        yield (
            f"Trained again without the source it is tested on, its AUROC there is lower by {signed(mean.value)} "
            f"({signed(mean.low)} to {signed(mean.high)}) on average, on the same images."
        )
    for each in compared:
        of_source = (r for r in rows if r.labels["model"] == DIFFERENCE and r.labels["source"] == each.source)
        given = next((row.estimate for row in of_source if row.estimate.value is not None), None)
        if given is not None:
            metric = given.name.removesuffix("_difference").replace("auroc", "AUROC")
            between = "no interval" if given.low is None else f"{signed(given.low)} to {signed(given.high)}"
            lower = f"{signed(given.value)} ({between}, {as_sample(given)})"
            yield f"Without {each.source}: {metric} lower by {lower} there."


SPEC = AuditSpec(
    "leave one source out",
    "What does the model do at a source that it wasn't trained on?",
    leave_one_source_out,
    needs=frozenset({Need.OTHER_SOURCE}),
)
