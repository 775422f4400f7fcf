"""Before any model: can a collection answer whether a model recognises the disease, and at which sources?

It can't where a source holds too few patients of either side, and only with care where size, greys, sharpness or the
view tell the label there: a model that has learned these scores as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lungsight._cores import cores
from lungsight._files import file_state
from lungsight._text import as_words, listed
from lungsight.datasets.cache_folder import cache_folder
from lungsight.datasets.duplicates.fingerprints import Progress, silent
from lungsight.datasets.label_mapping import denied_by, labels_of
from lungsight.datasets.manifest import Manifest
from lungsight.errors import UnreadableImageError
from lungsight.evaluation.answer_store import OF_IMAGES, AnswerStore, Key
from lungsight.evaluation.audits.image_statistics_only import TELLS, statistics_score
from lungsight.evaluation.formatting import as_figure
from lungsight.evaluation.performance import ENOUGH_PATIENTS
from lungsight.evaluation.testset.data_warnings import children_on_one_side
from lungsight.evaluation.testset.image_statistics import ImageStatistics, statistics_table
from lungsight.inference.preparation import ImageChecker
from lungsight.package.bundled import package_with_view_classifier
from lungsight.radiograph import View
from lungsight.reading import read_radiograph
from lungsight.statistics.bootstrap import Resampling, Sample
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import Floats
from lungsight.statistics.ranking import auroc, ranking_estimate

_REST = "other"
_BATCH = 32
_MOST_NAMED = 3


@dataclass(frozen=True, eq=False)
class SourceCheck:
    """What one source, or all together, can answer.

    Attributes:
        with_target: patients with the target; ``without_target`` likewise.
        images: that could be read and whose label says whether the target is there.
        statistics: AUROC of size, greys, edges and sharpness alone; withheld where there are too few patients.
        view: AUROC of the view alone, AP or PA, as the manifest states it or else as a view classifier guesses it;
            None where neither does.
    """

    source: str
    with_target: int
    without_target: int
    images: int
    statistics: Estimate
    view: Estimate | None

    @property
    def enough(self) -> bool:
        """Whether it has enough patients of both sides."""
        return min(self.with_target, self.without_target) >= ENOUGH_PATIENTS

    @property
    def told_by(self) -> tuple[str, ...]:
        """What alone tells the label here, with its figure."""
        found = []
        if self.statistics.low is not None and self.statistics.low > TELLS:
            found.append(f"size, greys and sharpness, whose AUROC is {as_figure(self.statistics)}")
        view = self.view
        known = view is not None and view.low is not None and view.high is not None
        if view is not None and known and ((view.low or 0) > TELLS or (view.high or 1) < 1 - TELLS):
            found.append(f"the view, AP or PA, whose AUROC is {as_figure(view)}")
        return tuple(found)


@dataclass(frozen=True, eq=False)
class Answerable:
    """What a collection can answer.

    Attributes:
        target: the label set against the rest.
        sources: each source, the largest first.
        together: all of them; None for a single source.
        children: a sentence where one side is mostly of children and the other hardly.
    """

    target: str
    sources: tuple[SourceCheck, ...]
    together: SourceCheck | None
    children: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """Whether, where and why: the last words of a check."""
        question = f"whether a model recognises {as_words(self.target)}"
        clear = [each.source for each in self.sources if each.enough and not each.told_by]
        told = [each for each in self.sources if each.enough and each.told_by]
        if not clear and not told:
            return " ".join((f"This collection can't answer {question}: {self._too_few()}.", *self.children))
        said = [f"This collection can answer {question} at {listed(clear)}."] if clear else []
        for each in told[:_MOST_NAMED]:
            lead = f"At {each.source} it" if clear else f"Of {each.source} this collection"
            asked = "" if clear else f" {question}"
            said.append(
                f"{lead} can answer{asked} only of a model that is clearly better than what alone tells the label "
                f"there: {' and '.join(each.told_by)}."
            )
        few = [each.source for each in self.sources if not each.enough]
        if few:
            said.append(f"{listed(few)}: too few patients of one side; {ENOUGH_PATIENTS} of each are needed.")
        return " ".join((*said, *self.children))

    def _too_few(self) -> str:
        target = as_words(self.target)
        counts = (f"{each.source} {each.with_target:,} and {each.without_target:,}" for each in self.sources)
        shown = "; ".join(list(counts)[:_MOST_NAMED])
        return (
            f"no source has {ENOUGH_PATIENTS} patients with {target} and {ENOUGH_PATIENTS} without "
            f"({shown or 'no image has a label that says'})"
        )

    def to_json(self) -> dict[str, Any]:
        """All of it for JSON."""
        shown = [*self.sources, *([self.together] if self.together else [])]
        stated = {"target": self.target, "sentence": self.sentence, "children": list(self.children)}
        return {**stated, "sources": [asdict(each) for each in shown]}


def what_can_be_answered(
    manifest: Manifest,
    target: str = "covid19",
    *,
    cache: Path | None = None,
    progress: Progress = silent,
    fitting: Progress = silent,
    resampling: Resampling = Resampling(),
) -> Answerable:
    """Look at every image that says whether the target is there, but at nothing that a radiologist would look at.

    Args:
        manifest: the images.
        target: the label set against every other diagnosis.
        cache: where what is known of images is kept; the user's cache folder if not given.
        progress: called with how many images are read, and of how many.
        fitting: called with how many sources have been looked at, and of how many; the largest take seconds.
        resampling: for intervals.
    """
    manifest = manifest.with_columns(positive=_positive(manifest, target))
    images = manifest.where(manifest.table["positive"].notna() & manifest.is_frontal & manifest.is_projection)
    seen = _seen(list(images.table["path"]), cache or cache_folder(), progress)
    table = images.table.assign(
        patient_number=pd.factorize(images.patient_key)[0],
        ap=_bedside(images, np.array([one.ap for one in seen], dtype=np.float64)),
    )
    statistics = statistics_table([one.statistics for one in seen])
    readable = statistics.notna().all(axis=1).to_numpy()
    table, statistics = table[readable].reset_index(drop=True), statistics[readable].reset_index(drop=True)

    names = table["source"].to_numpy(dtype=str)
    groups = [(str(source), names == source) for source in sorted(set(names))]
    if len(groups) > 1:
        groups.append(("all", np.ones(len(table), dtype=bool)))
    checks: list[SourceCheck] = []
    for name, mask in groups:
        fitting(len(checks), len(groups))
        checks.append(_check(name, table[mask], statistics[mask], target, resampling))
    fitting(len(groups), len(groups))
    together = checks.pop() if len(groups) > 1 else None
    sources = sorted(checks, key=lambda each: -min(each.with_target, each.without_target))
    children = children_on_one_side(table, table["positive"].to_numpy(dtype=bool), target)
    return Answerable(target, tuple(sources), together, children)


def _bedside(images: Manifest, guessed: Floats) -> Floats:
    """The probability of AP of each image, float [n]: certain where the manifest states the view, else as guessed."""
    stated = images.projection.map({View.PA: 0.0, View.AP: 1.0}).to_numpy(dtype=np.float64)
    return np.where(np.isnan(stated), guessed, stated)


def _positive(manifest: Manifest, target: str) -> pd.Series:
    """Whether each image is of the target; missing where its label doesn't say."""
    labels = manifest.table["label"]
    present = sorted(set(labels))
    known = labels_of({target: [target], _REST: ["*"]}, present)
    sides = {label: known.get(label) == target for label in present if label in known or denied_by(label, (target,))}
    return labels.map(sides)


def _check(
    source: str, table: pd.DataFrame, statistics: pd.DataFrame, target: str, resampling: Resampling
) -> SourceCheck:
    sample = Sample(table["patient_number"].to_numpy(dtype=np.int64), table["positive"].to_numpy(dtype=bool), target)
    score = statistics_score(statistics, sample.positive, sample.patient)
    ap = table["ap"].to_numpy(dtype=np.float64)
    known = np.isfinite(ap)
    return SourceCheck(
        source,
        sample.patients_among(sample.positive),
        sample.patients_among(~sample.positive),
        len(table),
        _ranking("auroc_of_statistics", sample, score, resampling),
        _ranking("auroc_of_view", sample.where(known), ap[known], resampling) if known.any() else None,
    )


def _ranking(name: str, sample: Sample, score: Floats, resampling: Resampling) -> Estimate:
    return ranking_estimate(name, sample, auroc(score, sample.positive), resampling=resampling)


@dataclass(frozen=True)
class _Seen:
    """An image's :class:`.ImageStatistics`, empty if it can't be read, and its probability of AP; None if unknown."""

    statistics: tuple[float, ...] = ()
    ap: float | None = None


def _seen(paths: Sequence[str], cache: Path, progress: Progress) -> list[_Seen]:
    """Of each file; what is kept of files that haven't changed isn't read again."""
    checker = ImageChecker().with_views_of(package_with_view_classifier())
    keys: list[Key] = [("seen", checker.views_from, ImageStatistics._fields, *file_state(path)) for path in paths]
    with AnswerStore.open(cache / OF_IMAGES) as store, ThreadPoolExecutor(cores()) as readers:
        kept = store.get(keys)
        known = {key: _Seen(tuple(one["statistics"]), one["ap"]) for key, one in kept.items()}
        waiting = [(key, path) for key, path in zip(keys, paths, strict=True) if key not in known]
        for batch in _batches(waiting):
            read = readers.map(lambda one: _look(one[1], checker), batch)
            new = {key: one for (key, _), one in zip(batch, read, strict=True)}
            store.add({key: asdict(one) for key, one in new.items() if one.statistics})
            known |= new
            progress(len(paths) - len(waiting) + len(new), len(paths))
    return [known[key] for key in keys]


def _batches(waiting: Sequence[tuple[Key, str]]) -> Iterator[Sequence[tuple[Key, str]]]:
    for start in range(0, len(waiting), _BATCH):
        yield waiting[start : start + _BATCH]


def _look(path: str, checker: ImageChecker) -> _Seen:
    try:
        radiograph = read_radiograph(Path(path))
    except UnreadableImageError:
        return _Seen()
    view = checker.check_with_networks(radiograph).view if checker.views_by else None
    return _Seen(tuple(float(value) for value in ImageStatistics.of(radiograph)), None if view is None else view.ap)
