"""What is wrong with a test's data, whoever's model it tests, and what is therefore withheld."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from lungsight._text import counted, listed
from lungsight.datasets.manifest import is_child, names_patient
from lungsight.evaluation.formatting import as_words
from lungsight.evaluation.testset.testset import KIND, UNSTATED, TestSet
from lungsight.statistics.bootstrap import FEWEST_PATIENTS
from lungsight.statistics.outcomes import FAULT, SHA256, TRUTH, Mask, probability_column

_ROUNDING = 1e-3
#: Children are named where they are at least this share of one side, and at most that of the other.
_MOSTLY, _HARDLY = 0.5, 0.05


def data_warnings(testset: TestSet) -> tuple[str, ...]:
    """What is wrong with the images of a test set and what is therefore withheld, the gravest first: sentences."""
    scored = testset.scored
    if not len(scored):
        return ("No image has both a label and a prediction: every figure is withheld.",)
    return (
        *_of_probabilities(scored),
        *_of_classes(scored),
        *_of_few(scored),
        *_of_sources(scored),
        *children_on_one_side(scored.table, scored.positive, scored.target),
        *_of_patients(scored),
        *_of_left_out(testset),
    )


def _of_probabilities(scored: TestSet) -> Iterator[str]:
    """Judging and reading make sure of this; a table made otherwise may not."""
    values = scored.table[[probability_column(name) for name in scored.classes]].to_numpy(dtype=np.float64)
    unknown = ~np.isfinite(values).all(axis=1)
    with np.errstate(invalid="ignore"):
        outside = ((values < -_ROUNDING) | (values > 1 + _ROUNDING)).any(axis=1) & ~unknown
        off = (np.abs(values.sum(axis=1) - 1) > _ROUNDING) & ~unknown & ~outside
    rest = "no figure that counts them can be believed"
    for wrong, what in (
        (unknown, "have a probability that isn't a number"),
        (outside, "have a probability outside 0…1"),
        (off, "have probabilities that don't sum to one"),
    ):
        if wrong.any():
            yield f"{counted(int(wrong.sum()), 'image')} of {len(scored):,} {what}: {rest}."


def _of_classes(scored: TestSet) -> Iterator[str]:
    target = as_words(scored.target)
    if not scored.positive.any():
        yield f"No image is of {target}: AUROC, sensitivity and PPV are withheld."
    if scored.positive.all():
        yield f"Every image is of {target}: AUROC, specificity and NPV are withheld."
    present = set(scored.table[TRUTH])
    if denied := int((scored.table[TRUTH] == scored.denial).sum()):
        yield (
            f"Labels of {counted(denied, 'image')} say only that {target} isn't there: they count against it, and "
            "figures over all classes, and of the other classes, are withheld where they stand."
        )
    absent = [as_words(name) for name in scored.classes if name != scored.target and name not in present]
    if absent and not scored.positive.all():
        yield (
            f"The model knows {listed(absent)}, but no image here is of that class: its figures are withheld, and "
            "nothing shows how often the model would mistake it."
        )


def _of_few(scored: TestSet) -> Iterator[str]:
    """Classes with very few images or patients, over all sources."""
    patient, truth = scored.patient, scored.table[TRUTH].to_numpy()
    for name in scored.classes:
        of_class = truth == name
        patients = len(np.unique(patient[of_class]))
        if 0 < patients < FEWEST_PATIENTS:
            sample = f"{counted(int(of_class.sum()), 'image')} of {counted(patients, 'patient')}"
            meaning = (
                "whatever the figure says, it is that patient's, and no interval can be given"
                if patients == 1
                else f"fewer than {FEWEST_PATIENTS} patients carry no conclusion, however narrow an interval looks"
            )
            yield f"{as_words(name)} is shown by {sample} only: {meaning}."


def _of_sources(scored: TestSet) -> Iterator[str]:
    sources = sorted(set(scored.table["source"]))
    if len(sources) == 1:
        yield (f"Every image comes from one source, {sources[0]}: this test shows nothing of any other source.")
    one_sided = {
        s: images for _, s, images in scored.by_source() if images.positive.all() or not images.positive.any()
    }
    if one_sided and scored.positive.any() and not scored.positive.all():
        yield from _of_one_sided(scored, one_sided, sources)
    kinds = set(scored.table[KIND])
    if UNSTATED in kinds:
        yield (
            "Which sources the model was trained on isn't stated: internal and external testing can't be "
            "distinguished, and none of these figures may be taken for external testing."
        )


def _of_one_sided(scored: TestSet, one_sided: dict[str, TestSet], sources: Sequence[str]) -> Iterator[str]:
    target = as_words(scored.target)
    if len(one_sided) == len(sources) and len(sources) > 1:
        yield (
            f"No source holds both {target} and others: a model that tells the sources apart scores as well as one "
            "that sees the disease. The AUROC within sources, which alone would tell the two apart, is withheld."
        )
        return
    for positive, what, figures in (
        (True, f"only {target}", "AUROC and specificity are"),
        (False, f"no {target}", "AUROC and sensitivity are"),
    ):
        names = [name for name, images in one_sided.items() if bool(images.positive.all()) == positive]
        if names:
            yield f"{listed(names)} {'holds' if len(names) == 1 else 'hold'} {what}: {figures} withheld there."


def children_on_one_side(table: pd.DataFrame, positive: Mask, target: str) -> tuple[str, ...]:
    """A sentence where most images of one side are of children and hardly any of the other; else nothing.

    Models for adults were often trained and tested with children as the only negatives (Roberts et al. 2021).

    Args:
        table: a manifest's.
        positive: whether each image is of the target, bool [n].
        target: its class.
    """
    child = is_child(table).to_numpy(dtype=bool)
    sides = (child[~positive], child[positive])
    if child.sum() < FEWEST_PATIENTS or not all(map(len, sides)):
        return ()
    few, many = sorted(float(side.mean()) for side in sides)
    if many < _MOSTLY or few > _HARDLY:
        return ()
    without, having = (f"{int(side.sum()):,} of {counted(len(side), 'image')}" for side in sides)
    return (
        f"{without} without {as_words(target)} are known to be of children, and {having} with it: a model that "
        "recognises age scores as well as one that recognises the disease.",
    )


def _of_patients(scored: TestSet) -> Iterator[str]:
    unknown = (~names_patient(scored.table)).to_numpy(dtype=bool)
    if unknown.any():
        names = [source for _, source, images in scored.by_source() if _any_unknown(images)]
        which = "Every image" if unknown.all() else f"{int(unknown.sum()):,} of {len(scored):,} images"
        yield (
            f"{which} ({listed(names)}) {'comes' if unknown.all() else 'come'} without a patient id, and each counts "
            "as a patient of its own: where patients have several images, intervals are too narrow."
        )


def _any_unknown(images: TestSet) -> bool:
    return not names_patient(images.table).all()


def _of_left_out(testset: TestSet) -> Iterator[str]:
    """What couldn't be judged, and by which class: failures that aren't shared evenly bend every figure."""
    problems: Mask = (testset.table[FAULT] != "").to_numpy(dtype=bool)
    if problems.any():
        positives = int((problems & testset.positive).sum())
        yield (
            f"{counted(int(problems.sum()), 'image')} of {len(testset):,} couldn't be analysed and "
            f"{'counts' if problems.sum() == 1 else 'count'} nowhere ({positives:,} of {as_words(testset.target)})."
        )
    if SHA256 in testset.table:
        known = testset.table[SHA256].fillna("").astype(str)
        again = int((known.duplicated() & (known != "")).sum())
        if again:
            yield f"{counted(again, 'image')} {'stands' if again == 1 else 'stand'} in the test again: the same file."
