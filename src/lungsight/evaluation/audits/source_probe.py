"""Whose image is it: can the source be read off what the network sees, and would knowing it be enough?

A network that tells hospitals apart isn't wrong for that alone. But where the hospitals also differ in how many of
their patients have the disease, it can score without looking at the disease (Zech et al. 2018). So the audit asks
both: how well the features tell the source, within one class too, where the disease can't help; and how firmly this
test ties the source to the truth.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from lungsight.evaluation.audits.audit import AuditAnswer, AuditInput, AuditResult, AuditSpec, Need, unanswered
from lungsight.evaluation.formatting import as_figure, as_words, fixed, withheld_because
from lungsight.evaluation.rows import Label, Row
from lungsight.evaluation.testset.testset import TestSet
from lungsight.statistics.bootstrap import (
    FEWEST_PATIENTS,
    Policy,
    Resampling,
    Sample,
    divided,
    draw,
    estimate_from,
    withheld,
)
from lungsight.statistics.estimate import ALL_CLASSES, Estimate
from lungsight.statistics.outcomes import TRUTH, Floats, Floats32, Integers, Mask
from lungsight.statistics.ranking import Ranking, auroc

#: The features tell the source, and the source the truth, where an AUROC's whole interval lies above these.
TELLS, TIED = 0.7, 0.6
EVERY_SOURCE = "every source"
_FOLDS = 5
_COMPONENTS = 64

Texts = NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class _Probe:
    """What a classifier of the source says of images whose patients it wasn't fitted on.

    Attributes:
        among: the class of the images, or every class.
        sources: names of the k sources.
        source: int [n], index of each image's own.
        probabilities: float [n, k].
        patient: int [n].
    """

    among: str
    sources: tuple[str, ...]
    source: Integers
    probabilities: Floats
    patient: Integers


def source_probe(given: AuditInput, *, seed: int = 0) -> AuditAnswer:
    """How well a logistic regression on the network's features tells the source, and the source the truth.

    It is tested on patients it wasn't fitted on, over all images and among images of one class at a time.

    Sources of every kind are looked at together: the question is how they differ. The regression reads the features'
    leading components, so a source that shows only in faint ones goes unnoticed: its figures are lower bounds. Not
    done without features or with fewer than two sources of at least :data:`FEWEST_PATIENTS` patients.
    """
    testset, resampling = given.testset, given.resampling
    if testset.features is None:
        return unanswered("The network's features aren't known: only a model package has them.")
    seen = np.asarray(np.isfinite(testset.features).all(axis=1), dtype=bool)
    known = testset.where(seen).scored
    large = _large_enough(known)
    if len(large) < 2:
        return unanswered(_why_not(known, large))
    images = known.where(known.table["source"].isin(large).to_numpy())
    probes = list(_probes(images, seed))
    of_source = [Row(_labels(probe, name, e.name), e) for probe in probes for name, e in _told_by(probe, resampling)]
    tie = _tie(images, resampling, seed)
    labels: dict[str, Label] = {"among": ALL_CLASSES, "source": EVERY_SOURCE, "sources": len(large)}
    of_truth = [Row(labels | {"chance": chance}, e) for e, chance in zip(tie, (0.0, 0.5), strict=True)]
    effect = _most_telling(probes, of_source)
    left_out = sorted(set(known.table["source"]) - set(large))
    meaning = _meaning(effect, of_source, tie, images.target, left_out)
    return AuditAnswer(AuditResult.REPORTED, meaning, effect.estimate, (*of_source, *of_truth), len(images))


def _large_enough(images: TestSet) -> list[str]:
    patients = images.table.assign(patient=images.patient).groupby("source")["patient"].nunique()
    return [str(name) for name in sorted(patients.index[patients >= FEWEST_PATIENTS])]


def _why_not(known: TestSet, large: list[str]) -> str:
    sources = sorted(set(known.table["source"]))
    if len(sources) < 2:
        return (
            f"The test has images of {sources[0] if sources else 'no source'} only: there is nothing to tell apart."
        )
    enough = f"only {large[0]} has" if large else "none has"
    return f"Of the test's {len(sources)} sources {enough} {FEWEST_PATIENTS} patients or more."


def _probes(images: TestSet, seed: int) -> Iterator[_Probe]:
    """Over all images, then within each class that at least two sources have enough patients of."""
    yield _probe(images, ALL_CLASSES, seed)
    for name in images.classes:
        of_class = images.where((images.table[TRUTH] == name).to_numpy())
        sources = _large_enough(of_class)
        if len(sources) > 1:
            yield _probe(of_class.where(of_class.table["source"].isin(sources).to_numpy()), name, seed)


def _probe(images: TestSet, among: str, seed: int) -> _Probe:
    assert images.features is not None
    sources, source = np.unique(images.table["source"].to_numpy(dtype=str), return_inverse=True)
    probabilities = out_of_fold(images.features, source, images.patient, seed)
    return _Probe(among, tuple(str(s) for s in sources), source.astype(np.int64), probabilities, images.patient)


def out_of_fold(features: Floats32, source: Integers, patient: Integers, seed: int) -> Floats:
    """Probability of each of k sources, by a classifier fitted on other patients' features [n, c], float [n, k]."""
    probabilities = np.zeros((len(source), int(source.max()) + 1))
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
    for fitted, tested in folds.split(features, source, patient):
        classifier = _classifier(min(_COMPONENTS, features.shape[1], len(fitted) - 1), seed)
        classifier.fit(features[fitted], source[fitted])
        columns = classifier.classes_
        probabilities[np.ix_(tested, columns)] = classifier.predict_proba(features[tested])
    return probabilities


def _classifier(components: int, seed: int) -> Pipeline:
    regression = LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000)
    return make_pipeline(StandardScaler(), PCA(components, random_state=seed), StandardScaler(), regression)


def _told_by(probe: _Probe, resampling: Resampling) -> Iterator[tuple[str, Estimate]]:
    """(source, figure): one-against-rest AUROC, the mean over all sources first, and the balanced accuracy."""
    k, level = len(probe.sources), resampling.level
    images = Sample(probe.patient, scope=EVERY_SOURCE)
    own = np.arange(k) == probe.source[:, None]
    aurocs = [auroc(probe.probabilities[:, i], own[:, i]) for i in range(k)]
    right = np.argmax(probe.probabilities, axis=1) == probe.source

    def figures(weights: Floats) -> dict[str | int, Floats]:
        each = np.stack([one(weights) for one in aurocs], axis=1)
        recall = divided(weights @ (own & right[:, None]), weights @ own)
        means: dict[str | int, Floats] = {"auroc": each.mean(axis=1), "balanced_accuracy": recall.mean(axis=1)}
        return means | {i: each[:, i] for i in range(k)}

    drawn = draw(images, figures, resampling)
    for name in ("auroc", "balanced_accuracy"):
        yield EVERY_SOURCE, estimate_from(f"source_{name}", images, drawn[name], level=level)
    for i, source in enumerate(probe.sources if k > 2 else ()):
        yield source, estimate_from("source_auroc", Sample(probe.patient, own[:, i], source), drawn[i], level=level)


def _labels(probe: _Probe, source: str, metric: str) -> dict[str, Label]:
    k = len(probe.sources)
    chance = 1 / k if metric == "source_balanced_accuracy" else 0.5
    return {"among": probe.among, "source": source, "sources": k, "chance": chance}


def _tie(images: TestSet, resampling: Resampling, seed: int) -> tuple[Estimate, Estimate]:
    """Cramér's V between source and truth, and the AUROC of a rule that knows nothing but the source."""
    sources, source = np.unique(images.table["source"].to_numpy(dtype=str), return_inverse=True)
    sample, names = images.sample, ("cramers_v", "auroc_of_knowing_the_source")
    if reason := _one_sided(sample):
        return withheld(names[0], sample, reason), withheld(names[1], sample, reason)
    own = source[:, None] == np.arange(len(sources))
    knowing = _knowing_the_source(source.astype(np.int64), sample, seed)

    def figures(weights: Floats) -> dict[str, Floats]:
        v = cramers_v(weights @ (own & sample.positive[:, None]), weights @ own)
        return {names[0]: v, names[1]: knowing(weights)}

    drawn = draw(sample, figures, resampling)
    v = estimate_from(names[0], sample, drawn[names[0]], policy=Policy.BASIC, level=resampling.level)
    return v, estimate_from(names[1], sample, drawn[names[1]], level=resampling.level)


def _one_sided(sample: Sample) -> str:
    for side, mask in (("positive", sample.positive), ("negative", ~sample.positive)):
        patients = sample.patients_among(mask)
        if patients < FEWEST_PATIENTS:
            return f"{patients} {side} patients, and {FEWEST_PATIENTS} are needed"
    return ""


def cramers_v(positives: Floats, totals: Floats) -> Floats:
    """Cramér's V, float [r], of each source's positives and images, float [r, k] (Cramér 1946, a table of k by 2).

    0 if all sources hold the same share of positives, 1 if each is all positive or all negative.
    """
    n, overall = totals.sum(axis=1), divided(positives.sum(axis=1), totals.sum(axis=1))
    share = np.nan_to_num(divided(positives, totals))
    between = (totals * (share - overall[:, None]) ** 2).sum(axis=1)
    return np.sqrt(divided(between, n * overall * (1 - overall)))


def _knowing_the_source(source: Integers, images: Sample, seed: int) -> Callable[[Floats], Floats]:
    """The AUROC of a score that is the target's share among other patients of the image's source, as a statistic.

    Pairs are compared within a fold: between folds, leaving out a positive would lower its own score.
    """
    strata = source * 2 + images.positive
    folds = []
    split = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a source with fewer positives than folds is no fault here
        parts = list(split.split(source, strata, images.patient))
    for fitted, tested in parts:
        score = _shares(source[fitted], images.positive[fitted], int(source.max()) + 1)[source[tested]]
        folds.append((tested, Ranking.of(score, images.positive[tested])))

    def within_folds(weights: Floats) -> Floats:
        sweeps = [ranking.sweep(weights[:, tested]) for tested, ranking in folds]
        pairs = np.stack([sweep.positives * sweep.negatives for sweep in sweeps])
        aurocs = np.stack([sweep.auroc() for sweep in sweeps])
        return divided((np.nan_to_num(aurocs) * pairs).sum(axis=0), pairs.sum(axis=0))

    return within_folds


def _shares(source: Integers, positive: Mask, sources: int) -> Floats:
    """The target's share in each source; of one without images, over all."""
    totals = np.bincount(source, minlength=sources).astype(np.float64)
    share = divided(np.bincount(source, weights=positive, minlength=sources).astype(np.float64), totals)
    return np.where(np.isnan(share), positive.mean(), share)


def _most_telling(probes: list[_Probe], rows: list[Row]) -> Row:
    """The class with the most images and its figure; over all images if no class is shared by two sources."""
    among = max(probes[1:] or probes, key=lambda probe: len(probe.source)).among
    return next(row for row in rows if row.labels["among"] == among)


def _meaning(effect: Row, rows: list[Row], tie: tuple[Estimate, Estimate], target: str, left_out: list[str]) -> str:
    among, auroc, k = str(effect.labels["among"]), effect.estimate, effect.labels["sources"]
    accuracy = next(
        row.estimate for row in rows
        if row.labels["among"] == among and row.estimate.name == "source_balanced_accuracy"
    )  # fmt: skip
    of_class = "" if among == ALL_CLASSES else f"Among images of {as_words(among)} alone, "
    sentence = (
        f"{of_class}{'t' if of_class else 'T'}he network's features tell {k} sources apart with an AUROC of "
        f"{as_figure(auroc)}, and name the right one for {accuracy.value:.0%} (chance {1 / int(str(k)):.0%}). "
    )
    if among == ALL_CLASSES:
        sentence += "No class is shared by two sources, so this may be the disease as well as the source. "
    if left_out:
        sentence += f"Left out for having fewer than {FEWEST_PATIENTS} patients: {', '.join(left_out)}. "
    return sentence + _consequence(auroc, tie, as_words(target))


def _consequence(auroc: Estimate, tie: tuple[Estimate, Estimate], target: str) -> str:
    v, knowing = tie
    if knowing.value is None:
        return f"What knowing the source would be worth for {target} is withheld: {withheld_because(knowing)}."
    worth = (
        f"Knowing nothing but the source would give an AUROC of {as_figure(knowing)} for {target} here (Cramér's V "
        f"{fixed(v.value, 2)}), "
    )
    if knowing.low is None or knowing.low <= TIED:
        return worth + "so telling sources apart is worth little in this test."
    if auroc.low is None or auroc.low <= TELLS:
        return worth + "but the features don't clearly tell the source."
    return worth + "so its figures over all sources together can be reached without looking at the disease."


SPEC = AuditSpec(
    "whose image is it",
    "Can the source of an image be read off what the network sees, and would knowing it predict the label?",
    source_probe,
    needs=frozenset({Need.MODEL, Need.FEATURES, Need.TWO_SOURCES}),
)
