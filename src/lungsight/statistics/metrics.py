"""The metrics: their names, how they are computed, and of which images they are a share.

:data:`METRICS` is the one list of them, which tables, pages, model cards and the documentation read. To add a metric,
add an entry. Metrics over all classes look at every class at once. The others compare one class with the rest: an
image counts as predicted positive if that class is the most probable. A figure that the sample doesn't determine is
withheld, with the reason; an estimate never holds NaN.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lungsight._text import counted
from lungsight.statistics import bootstrap
from lungsight.statistics.bootstrap import Drawn, Exact, Resampling, Sample, divided, draw, estimate_from
from lungsight.statistics.estimate import ALL_CLASSES, Estimate
from lungsight.statistics.outcomes import Floats, Mask, Outcomes
from lungsight.statistics.ranking import Ranking, Sweep

#: Scope and name of a figure.
Key = tuple[str, str]
#: What else is wanted of each class against the rest, by name: float [b] or, of a curve, [b, m].
FromSweep = Callable[[Sweep], Mapping[str, Floats]]
#: The images that a figure is a share of.
Among = Literal["all", "positives", "negatives", "called", "not called"]
#: Which images it can't be given without.
Needs = Literal["both", "positives", "negatives", "any"]


@dataclass(frozen=True, eq=False)
class Counts:
    """What metrics are computed from, under b sets of weights.

    Attributes:
        confusion: float [b, k, k], weight of the images by true and predicted class; for one class against the rest
            [b, 2, 2], the class first.
        squared_error: float [b], mean of (probability - truth)²; over all classes, summed over the classes.
        sweep: the ranking as a threshold falls over the probability; only for one class against the rest.
    """

    confusion: Floats
    squared_error: Floats
    sweep: Sweep | None = None

    @property
    def tp(self) -> Floats:
        """True positives, float [b]."""
        return self.confusion[:, 0, 0]

    @property
    def fn(self) -> Floats:
        """False negatives, float [b]."""
        return self.confusion[:, 0, 1]

    @property
    def fp(self) -> Floats:
        """False positives, float [b]."""
        return self.confusion[:, 1, 0]

    @property
    def tn(self) -> Floats:
        """True negatives, float [b]."""
        return self.confusion[:, 1, 1]


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: in tables: the ``metric`` column.
        title: on pages.
        meaning: what it is, for the documentation.
        statistic: from counts under b sets of weights to values, float [b]; NaN where it isn't defined.
        group: where pages list it: over all classes, by ranking, by predicted class, by probability.
        among: the images of which it is a share.
        needs: the images that it requires.
        exact: the kind of figure, if it gets an exact interval where every resample gives the same value.
    """

    name: str
    title: str
    meaning: str
    statistic: Callable[[Counts], Floats]
    group: Literal["overall", "ranking", "calling", "probability"]
    among: Among = "all"
    needs: Needs = "both"
    exact: Exact | None = None


def _balanced_accuracy(counts: Counts) -> Floats:
    recall = divided(np.diagonal(counts.confusion, axis1=1, axis2=2), counts.confusion.sum(axis=2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a replicate without images has no mean; it stays NaN
        return np.asarray(np.nanmean(recall, axis=1))


def _mcc(counts: Counts) -> Floats:
    total, right = counts.confusion.sum(axis=(1, 2)), np.trace(counts.confusion, axis1=1, axis2=2)
    true, called = counts.confusion.sum(axis=2), counts.confusion.sum(axis=1)
    spread = (total**2 - (called**2).sum(axis=1)) * (total**2 - (true**2).sum(axis=1))
    return divided(right * total - (true * called).sum(axis=1), np.sqrt(spread))


def _accuracy(counts: Counts) -> Floats:
    return divided(np.trace(counts.confusion, axis1=1, axis2=2), counts.confusion.sum(axis=(1, 2)))


def _of_sweep(figure: Callable[[Sweep], Floats]) -> Callable[[Counts], Floats]:
    return lambda counts: np.full(len(counts.confusion), np.nan) if counts.sweep is None else figure(counts.sweep)


_SHARE = Exact.SHARE
METRICS: tuple[Metric, ...] = (
    Metric("accuracy", "Accuracy", "share of the images called by their true class",
           _accuracy, "overall", exact=_SHARE),
    Metric("balanced_accuracy", "Balanced accuracy", "mean over the classes of the share called by their true class",
           _balanced_accuracy, "overall"),
    Metric("mcc", "MCC", "Matthews' correlation of the called with the true classes (Gorodkin 2004); 0 is chance",
           _mcc, "overall"),
    Metric("sensitivity", "Sensitivity", "share of the images of the class that are called so",
           lambda c: divided(c.tp, c.tp + c.fn), "calling", "positives", needs="positives", exact=_SHARE),
    Metric("specificity", "Specificity", "share of the other images that aren't called so",
           lambda c: divided(c.tn, c.tn + c.fp), "calling", "negatives", needs="negatives", exact=_SHARE),
    Metric("ppv", "PPV", "share of the images called so that are of the class",
           lambda c: divided(c.tp, c.tp + c.fp), "calling", "called", exact=_SHARE),
    Metric("npv", "NPV", "share of the images not called so that aren't of the class",
           lambda c: divided(c.tn, c.tn + c.fn), "calling", "not called", exact=_SHARE),
    Metric("f1", "F1", "harmonic mean of sensitivity and PPV",
           lambda c: divided(2 * c.tp, 2 * c.tp + c.fp + c.fn), "calling"),
    Metric("lr_positive", "LR+", "likelihood ratio of a call: sensitivity over (1 - specificity)",
           lambda c: divided(c.tp * (c.fp + c.tn), c.fp * (c.tp + c.fn)), "calling"),
    Metric("lr_negative", "LR−", "likelihood ratio of no call: (1 - sensitivity) over specificity",
           lambda c: divided(c.fn * (c.fp + c.tn), c.tn * (c.tp + c.fn)), "calling"),
    Metric("auroc", "AUROC", "share of pairs in which the image of the class has the higher probability; ties half",
           _of_sweep(Sweep.auroc), "ranking", exact=Exact.AUROC),
    Metric("average_precision", "Average precision", "mean precision over the steps in recall, as in scikit-learn",
           _of_sweep(Sweep.average_precision), "ranking"),
    Metric("brier_score", "Brier score", "mean squared difference of probability and truth; 0 is best",
           lambda c: c.squared_error, "probability", needs="any"),
)  # fmt: skip
BY_NAME: Mapping[str, Metric] = {metric.name: metric for metric in METRICS}
#: The titles that pages show.
TITLES: Mapping[str, str] = {metric.name: metric.title for metric in METRICS}
OVER_ALL_CLASSES = tuple(metric.name for metric in METRICS if metric.group == "overall")
ONE_AGAINST_REST = tuple(metric.name for metric in METRICS if metric.group != "overall")


def names(group: str) -> tuple[str, ...]:
    """The metrics of a group, as pages list them."""
    return tuple(metric.name for metric in METRICS if metric.group == group)


def title_in_text(name: str) -> str:
    """A metric's title within a sentence: ``sensitivity``, ``AUROC``, ``Brier score``."""
    title = TITLES[name]
    return title if title.isupper() or title.startswith("Brier") else title.lower()


def estimate_all(outcomes: Outcomes, resampling: Resampling = Resampling()) -> list[Estimate]:
    """Every metric for every scope: all classes, and each class against the rest, in the order of :data:`METRICS`."""
    return estimates_of(outcomes, resample(outcomes, resampling), resampling.level)


def resample(
    outcomes: Outcomes, resampling: Resampling = Resampling(), from_sweep: FromSweep | None = None
) -> dict[Key, Drawn]:
    """Every metric, and what ``from_sweep`` adds to each class against the rest, in one pass over the replicates.

    Without images the result is empty.
    """
    return draw(sample_of(outcomes), figures(outcomes, from_sweep), resampling) if len(outcomes) else {}


def estimates_of(outcomes: Outcomes, drawn: Mapping[Key, Drawn], level: float) -> list[Estimate]:
    """The metrics for every scope; withheld where there are no images."""
    every = [(ALL_CLASSES, name) for name in OVER_ALL_CLASSES]
    every += [(scope, name) for scope in outcomes.classes for name in ONE_AGAINST_REST]
    if not len(outcomes):
        return [withheld(outcomes, scope, name, "no images") for scope, name in every]
    return [estimate_of(outcomes, scope, name, drawn[scope, name], level) for scope, name in every]


def figures(outcomes: Outcomes, from_sweep: FromSweep | None = None) -> Callable[[Floats], dict[Key, Floats]]:
    """All figures of one sample, float [b] each, as a function of image weights [b, n].

    What doesn't depend on the weights is computed once.
    """
    n, k, sample = len(outcomes), len(outcomes.classes), sample_of(outcomes)
    rows = k + 1  # the last is of images that have no class
    cell = (outcomes.patient * rows + outcomes.truth) * k + outcomes.predicted
    cells = np.bincount(cell, minlength=sample.patients * rows * k).reshape(sample.patients, rows * k)
    is_class = np.arange(k) == outcomes.truth[:, None]
    squared = sample.sums(*((outcomes.probabilities - is_class) ** 2).T)
    images = sample.sums(np.ones(n))
    rankings = [Ranking.of(outcomes.probabilities[:, c], is_class[:, c]) for c in range(k)]

    def all_figures(weights: Floats) -> dict[Key, Floats]:
        of_patients = sample.of_patients(weights)
        confusion = (of_patients @ cells.astype(np.float64)).reshape(-1, rows, k)
        errors = divided(of_patients @ squared, of_patients @ images)
        whole = Counts(confusion[:, :k], errors.sum(axis=1))
        found = {(ALL_CLASSES, name): BY_NAME[name].statistic(whole) for name in OVER_ALL_CLASSES}
        for c, scope in enumerate(outcomes.classes):
            sweep = rankings[c].sweep(weights)
            counts = Counts(_against_rest(confusion, c), errors[:, c], sweep)
            found |= {(scope, name): BY_NAME[name].statistic(counts) for name in ONE_AGAINST_REST}
            found |= {(scope, name): values for name, values in (from_sweep(sweep) if from_sweep else {}).items()}
        return found

    return all_figures


def _against_rest(confusion: Floats, c: int) -> Floats:
    """From confusion matrices [b, k + 1, k] to those of class ``c`` against the rest, [b, 2, 2]."""
    tp = confusion[:, c, c]
    fn = confusion[:, c, :].sum(axis=1) - tp
    fp = confusion[:, :, c].sum(axis=1) - tp
    tn = confusion.sum(axis=(1, 2)) - tp - fn - fp
    return np.stack([tp, fn, fp, tn], axis=1).reshape(-1, 2, 2)


def estimate_of(outcomes: Outcomes, scope: str, name: str, drawn: Drawn, level: float) -> Estimate:
    """One figure, a metric or made from metrics, from its values under every set of weights.

    It is withheld if the sample doesn't determine it.
    """
    if reason := why_withheld(outcomes, scope, name):
        return withheld(outcomes, scope, name, reason)
    exact = BY_NAME[name].exact if name in BY_NAME else None
    among = images_of(outcomes, scope, name)
    return estimate_from(name, sample_of(outcomes, scope), drawn, among=among, exact=exact, level=level)


def sample_of(outcomes: Outcomes, scope: str = ALL_CLASSES) -> Sample:
    """The images as a sample: of one class against the rest, or of all classes."""
    if scope == ALL_CLASSES:
        return Sample(outcomes.patient)
    return Sample(outcomes.patient, outcomes.truth == outcomes.classes.index(scope), scope)


def withheld(outcomes: Outcomes, scope: str, name: str, reason: str) -> Estimate:
    """An estimate without a value, with the reason."""
    return bootstrap.withheld(name, sample_of(outcomes, scope), reason, images_of(outcomes, scope, name))


def images_of(outcomes: Outcomes, scope: str, name: str) -> Mask | None:
    """The images of which the figure is a share, bool [n]; None for all."""
    of_name = name.partition("_at_s")[0]  # sensitivity_at_specificity_0.90 is a share of the positives, too
    if scope == ALL_CLASSES or of_name not in BY_NAME or BY_NAME[of_name].among == "all":
        return None
    c, among = outcomes.classes.index(scope), BY_NAME[of_name].among
    mask = outcomes.truth == c if among in ("positives", "negatives") else outcomes.predicted == c
    return np.asarray(mask if among in ("positives", "called") else ~mask)


def why_withheld(outcomes: Outcomes, scope: str, name: str) -> str | None:
    """Why this sample doesn't determine the figure; None if it does."""
    if outcomes.target is not None and scope != outcomes.target:
        n = int((~outcomes.has_class).sum())
        return f"of {counted(n, 'image')} no more is known than that they aren't of {outcomes.target}"
    if scope == ALL_CLASSES:
        return _why_withheld_over_all(outcomes, name)
    metric = BY_NAME.get(name, BY_NAME["average_precision"])  # the others need both sides, and several images of each
    sample = sample_of(outcomes, scope)
    if not sample.positives and metric.needs in ("both", "positives"):
        return f"no image of {scope} here"
    if not sample.negatives and metric.needs in ("both", "negatives"):
        return f"every image here is of {scope}"
    among = images_of(outcomes, scope, name)
    if among is not None and not among.any():
        return f"no image was called {scope}" if metric.among == "called" else f"every image was called {scope}"
    if min(sample.positives, sample.negatives) == 1 and metric.exact is not Exact.SHARE and metric.needs == "both":
        return (
            f"only one image of {scope} here" if sample.positives == 1 else f"all images here but one are of {scope}"
        )
    return None


def _why_withheld_over_all(outcomes: Outcomes, name: str) -> str | None:
    present = outcomes.present
    if len(present) == 1:
        return f"every image here is of {present[0]}: see its sensitivity alone"
    if name == "mcc" and len(np.unique(outcomes.predicted)) == 1:
        return "every image got the same verdict"
    return None
