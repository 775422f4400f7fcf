"""Anybody's predictions beside a manifest: what every part of the report reads, without a model of ours."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import pandas as pd

from lungsight.datasets.duplicates.fingerprints import Progress, silent
from lungsight.datasets.label_mapping import unmapped_labels
from lungsight.datasets.manifest import Manifest
from lungsight.errors import printable
from lungsight.evaluation.answer_store import AnswerStore
from lungsight.evaluation.testset.classes import truth_of
from lungsight.evaluation.testset.eligibility import (
    Eligible,
    Rule,
    refuse_one_sided,
    refuse_two_truths,
    without_overlap,
)
from lungsight.evaluation.testset.image_statistics import FileStatistics, read_image_statistics, statistics_table
from lungsight.evaluation.testset.overlap import TrainingImages
from lungsight.evaluation.testset.predictions_csv import PredictionsError, PredictionTable, read_predictions_file
from lungsight.evaluation.testset.testset import KIND, TestSet, kind_of
from lungsight.statistics.outcomes import FAULT, PREDICTION, SHA256, TRUTH, probability_column

_SAME = 1e-6
_ROW, _PLACE = "row_of_predictions", "place_of_header"
WITHOUT = "without a prediction in the table"
#: In place of a row: the table doesn't name the image, or names it twice with different values.
_ABSENT, _DIFFER = -1, -2


@dataclass(frozen=True, eq=False)
class ExternalPredictions:
    """Predictions and the manifest's images, brought together.

    Attributes:
        judged: the eligible images that the table names; those without a usable probability have a fault.
        eligible: the manifest's images that could be tested on, and how they were come by.
        notices: what was assumed or left out: sentences.
    """

    testset: TestSet
    eligible: Eligible
    notices: tuple[str, ...]


def match_predictions(
    table: Path,
    manifest: Manifest,
    *,
    classes: Mapping[str, Sequence[str]] | None = None,
    target: str | None = None,
    called: Mapping[str, str] | None = None,
    trained_sources: Sequence[str] | None = None,
    trained: TrainingImages | None = None,
    progress: Progress = silent,
    store: AnswerStore | None = None,
) -> ExternalPredictions:
    """Bring a table of predictions and the images of a manifest together.

    Args:
        table: the predictions.
        manifest: the images.
        classes: the manifest's labels of each class, ``*`` for the rest; None: labels of the same names.
        target: the class set against the rest; None: ``covid19``.
        called: what the table calls its columns, as in :func:`~.predictions_csv.read_predictions_file`.
        trained_sources: the sources the model was trained on; None if that isn't known.
        trained: the images it was trained on, which are left out.
        progress: counts the images as they are read.
        store: keeps what was read of them.

    Raises:
        PredictionsError: the table can't be used.
        ManifestError: labels are unknown or may be mistaken, a file has two of them, or no image is of the target or
            none is without it.
    """
    present = sorted(set(manifest.table["label"]))
    stated = read_predictions_file(table, present, classes=classes, target=target, called=called)
    truth = truth_of(manifest.table["label"], stated.labels, stated.target, manifest.name)
    manifest = manifest.with_columns(**{TRUTH: truth})
    found, notices = _found(stated, manifest, table)
    eligible, rows, headers = _eligible(manifest, stated, found, trained, progress, store)
    if not len(eligible.manifest):
        reasons = "; ".join(f"{step.left_out} {step.reason}" for step in eligible.flow if step.left_out)
        hint = "say which labels each class holds, with --class CLASS=LABEL"
        raise PredictionsError(table, f"no image is left to test on: of {len(manifest)}, {reasons}", hint)
    testset = _judged(eligible.manifest, stated, rows, headers, trained_sources)
    if (testset.table[FAULT] != "").all():
        problem = f"no image has a usable probability ({printable(testset.table[FAULT].iloc[0])})"
        raise PredictionsError(table, problem, "give the probability of every class for every image")
    refuse_one_sided(eligible, stated.labels, stated.target)
    more = (
        *_of_labels(eligible, stated),
        *_of_flow(eligible, table),
        *_of_sources(manifest, trained_sources),
        *_of_files(testset, headers),
    )
    return ExternalPredictions(testset, eligible, (*stated.notices, *notices, *more))


def _found(stated: PredictionTable, manifest: Manifest, table: Path) -> tuple[pd.Series, tuple[str, ...]]:
    """For each image of the manifest the table's row, or why there is none; and what was left out."""
    places = _Places([str(path) for path in manifest.table["path"]], table.resolve().parent)
    rows: dict[int, list[int]] = defaultdict(list)
    unknown: list[str] = []
    ambiguous: list[str] = []
    for row, image in enumerate(stated.images):
        candidates = places.of(image)
        if len(candidates) == 1:
            rows[candidates[0]].append(row)
        else:
            (ambiguous if candidates else unknown).append(image)
    if not rows:
        why = "each may be several of the manifest's" if ambiguous else "none is in the manifest"
        problem = f"of its {len(stated.images)} images {why} (the first is {printable(stated.images[0])})"
        hint = "name the images as the manifest does: by their path, or by a file name that is there once"
        raise PredictionsError(table, problem, hint)
    chosen = {place: _one_of(of_image, stated) for place, of_image in rows.items()}
    again = sum(len(of_image) - 1 for place, of_image in rows.items() if chosen[place] >= 0)
    differing = [place for place, row in chosen.items() if row == _DIFFER]
    paths = manifest.table["path"]
    notices = (
        _notice(table, len(unknown), "not in the manifest: left out", unknown),
        _notice(table, len(ambiguous), "by a name that several of the manifest's have: left out", ambiguous),
        _notice(table, len(differing), "named twice with different values: left out", paths[differing]),
        _notice(table, again, "named again with the same values: counted once", ()),
    )
    series = pd.Series([chosen.get(i, _ABSENT) for i in range(len(manifest))], index=manifest.table.index)
    return series, tuple(notice for notice in notices if notice)


class _Places:
    """Where the manifest's images are, by whole paths and by their ends."""

    def __init__(self, paths: Sequence[str], folder: Path) -> None:
        self._folder = folder
        self._parts = [PurePosixPath(path).parts for path in paths]
        self._by_path: dict[str, list[int]] = {}
        self._by_name: dict[str, list[int]] = defaultdict(list)
        for place, path in enumerate(paths):
            if path not in self._by_path:  # the same path again is the same image
                self._by_path[path] = [place]
                self._by_name[self._parts[place][-1]].append(place)

    def of(self, image: str) -> list[int]:
        """The images that a table may mean: by their full path, from the table's folder, or by the path's end."""
        if image in self._by_path:
            return self._by_path[image]
        windows = PureWindowsPath(image)
        if "\\" in image and windows.anchor:
            return self._longest_end(windows.parts[1:])
        parts = PurePosixPath(image.replace("\\", "/")).parts
        parts = tuple(part for part in parts if part != ".")
        beside = str(self._folder.joinpath(*parts)) if parts else ""
        if beside in self._by_path or not parts or parts[0] == "/":
            return self._by_path.get(beside, [])
        while parts and parts[0] == "..":
            parts = parts[1:]
        candidates = self._by_name.get(parts[-1], []) if parts else []
        return [place for place in candidates if self._parts[place][-len(parts) :] == parts]

    def _longest_end(self, parts: tuple[str, ...]) -> list[int]:
        """Of the images of that name, those whose folders agree with the most of ``parts``, from the name up."""
        candidates = self._by_name.get(parts[-1], []) if parts else []
        agreeing = [_agreeing(self._parts[place], parts) for place in candidates]
        return [place for place, n in zip(candidates, agreeing, strict=True) if n == max(agreeing)]


def _agreeing(one: Sequence[str], other: Sequence[str]) -> int:
    """How many parts two paths share at their end."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _one_of(rows: Sequence[int], stated: PredictionTable) -> int:
    """The row that counts, of those that name the same image: the first with values, if all values agree."""
    with_values = [row for row in rows if not stated.problems[row]]
    values = stated.probabilities[with_values]
    if len(with_values) > 1 and float(np.ptp(values, axis=0).max()) > _SAME:
        return _DIFFER
    return with_values[0] if with_values else rows[0]


def _notice(table: Path, n: int, what: str, examples: Sequence[str] | pd.Series) -> str:
    if not n:
        return ""
    count = f"{n:,} images" if n > 1 else "1 image"
    first = [printable(name) for name in list(examples)[:1]]
    return f"{printable(table.name)}: {count} {what}" + (f" (first: {first[0]})." if first else ".")


def _eligible(
    manifest: Manifest,
    stated: PredictionTable,
    found: pd.Series,
    trained: TrainingImages | None,
    progress: Progress,
    store: AnswerStore | None,
) -> tuple[Eligible, list[int], list[FileStatistics]]:
    """The images to test on, with the table's row and the statistics of each.

    Those that the table names, of a label that a class has, frontal, not trained on, each file once.
    """
    images = manifest.with_columns(**{_ROW: found})
    labels = images.table["label"][(images.table[TRUTH] == "") & (found != _ABSENT)].value_counts()
    eligible = Eligible(images, len(manifest), (), {str(label): int(n) for label, n in labels.items()})
    for reason, keeps in _RULES:
        eligible = eligible.after(reason, keeps(eligible.manifest))
    refuse_one_sided(eligible, stated.labels, stated.target)
    headers = read_image_statistics(list(eligible.manifest.table["path"]), progress=progress, store=store)
    read = {SHA256: [one.sha256 for one in headers], _PLACE: range(len(headers))}
    eligible = replace(eligible, manifest=eligible.manifest.with_columns(**read))
    refuse_two_truths(eligible.manifest)
    if trained is not None:
        eligible = without_overlap(eligible, trained)
    digests = eligible.manifest.table[SHA256]
    eligible = eligible.after("the same file again", ~digests.duplicated() | (digests == ""))
    left = eligible.manifest.table
    images = Manifest(left.drop(columns=[_ROW, _PLACE]), manifest.name)
    rows = [int(row) for row in left[_ROW]]
    return replace(eligible, manifest=images), rows, [headers[place] for place in left[_PLACE]]


_RULES: tuple[tuple[str, Rule], ...] = (
    (WITHOUT, lambda images: images.table[_ROW] != _ABSENT),
    ("named twice by the table, with different values", lambda images: images.table[_ROW] != _DIFFER),
    ("label is of no class of this model", lambda images: images.table[TRUTH] != ""),
    ("no X-ray", lambda images: images.is_projection),
    ("not a frontal view", lambda images: images.is_frontal),
)


def _judged(
    images: Manifest,
    stated: PredictionTable,
    rows: Sequence[int],
    headers: Sequence[FileStatistics],
    trained_sources: Sequence[str] | None,
) -> TestSet:
    values = stated.probabilities[rows]
    problems = [stated.problems[row] for row in rows]
    table = images.table.copy()
    for i, name in enumerate(stated.classes):
        table[probability_column(name)] = values[:, i]
    best = np.nan_to_num(values, nan=-1.0).argmax(axis=1)
    table[PREDICTION] = ["" if problem else stated.classes[i] for problem, i in zip(problems, best, strict=True)]
    table[FAULT] = [
        f"{printable(path)}: {problem}" if problem else ""
        for path, problem in zip(table["path"], problems, strict=True)
    ]
    table[KIND] = [kind_of(source, trained_sources) for source in table["source"]]
    return TestSet(table, stated.classes, stated.target, statistics_table([one.statistics for one in headers]))


def _of_flow(eligible: Eligible, table: Path) -> Iterator[str]:
    left_out = Counter({step.reason: step.left_out for step in eligible.flow})
    if n := left_out[WITHOUT]:
        yield (
            f"{n:,} of the manifest's {eligible.came_in:,} images have no prediction in {printable(table.name)}: a "
            "model looks better where the images it fails on are missing."
        )
    for reason in ("no X-ray", "not a frontal view", "the same file again"):
        if n := left_out[reason]:
            yield f"{n:,} image{'s' if n > 1 else ''} left out: {reason}."


def _of_labels(eligible: Eligible, stated: PredictionTable) -> Iterator[str]:
    left = eligible.labels_left_out
    if sentence := unmapped_labels("The manifest", left, stated.labels, stated.target) if left else "":
        yield sentence


def _of_sources(manifest: Manifest, trained_sources: Sequence[str] | None) -> Iterator[str]:
    sources = sorted(set(manifest.table["source"]))
    for name in trained_sources or ():
        if name not in sources:
            yield (
                f"The model is said to be trained on {printable(name)}, which is none of the manifest's sources "
                f"({', '.join(sources)}); check the spelling, or internal images are taken for external ones."
            )


def _of_files(testset: TestSet, headers: Sequence[FileStatistics]) -> Iterator[str]:
    unread = [one.problem for one in headers if one.problem]
    if unread:
        yield (
            f"{len(unread):,} of {len(headers):,} images couldn't be read (first: {unread[0]}) Their predictions "
            "count; what looks at the images leaves them out."
        )
    problems = int((testset.table[FAULT] != "").sum())
    if problems:
        yield f"{problems:,} of {len(testset):,} images have no usable prediction and count nowhere."
    trained = int(testset.table["split"].isin(("train", "validation")).sum())
    if trained:
        yield (
            f"{trained:,} images stand on the training or validation side of the manifest's split: if the model "
            "learned from them, its figures show what it remembers."
        )
