"""Predictions for altered images: which images an audit alters, how, and what the model then gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lungsight.alterations.image import Alteration
from lungsight.datasets.manifest import Manifest
from lungsight.evaluation.answer_store import AnswerStore
from lungsight.evaluation.testset.predict import FEATURES_OF, AskedImage, answer_images
from lungsight.evaluation.testset.testset import KINDS, TestSet
from lungsight.inference import Model
from lungsight.statistics.outcomes import FAULT, TRUTH, Floats, Integers, Mask
from lungsight.statistics.ranking import in_mixed_groups


@dataclass(frozen=True, eq=False)
class Perturbations:
    """What one audit does to which images.

    Attributes:
        alterations: by their names in the store; audits that do the same share the name, and so the answer.
        share: of the images that audits may alter.
        of_each_kind: as many of internal as of external images, instead of so many in all.
        mixed_sources: only images of sources that hold the target and something else: others compare nothing.
    """

    alterations: Mapping[str, Alteration]
    share: float = 1.0
    of_each_kind: bool = True
    mixed_sources: bool = False

    def rows(self, testset: TestSet, at_most: int) -> Integers:
        """The rows of the images to alter, at most ``at_most`` times :attr:`share`."""
        most = max(1, int(at_most * self.share))
        among = _of_mixed_sources(testset) if self.mixed_sources else np.ones(len(testset), dtype=bool)
        if not self.of_each_kind:
            return audited_rows(testset, most, among=among)
        kinds = [among & testset.of_kind(kind) for kind in KINDS]
        return np.sort(np.concatenate([audited_rows(testset, most, among=kind) for kind in kinds]))

    def predict(
        self, model: Model, testset: TestSet, at_most: int, store: AnswerStore
    ) -> tuple[TestSet, dict[str, Floats]]:
        """The chosen images, n, and by alteration the probabilities, float64 [n, k]; NaN if it can't be made.

        An alteration whose name begins with :data:`.FEATURES_OF` has features instead, float32 [n, c].

        A network that sees only the box around the lungs sees the altered image in the box found on the unaltered
        one: hiding the lungs must not move what it looks at.
        """
        rows = self.rows(testset, at_most)
        table = testset.table.iloc[rows]
        images = zip(table["path"], table["lung_mask"], strict=True)
        asked = [AskedImage(str(path), str(mask), self.alterations) for path, mask in images]
        answers = answer_images(model, asked, store)
        nothing = [np.nan] * len(testset.classes)
        given: dict[str, Floats] = {}
        for name in self.alterations:
            found = [one.altered.get(name) for one in answers]
            if name.startswith(FEATURES_OF):
                given[name] = _features(found)
            else:
                logits = np.array([one or nothing for one in found], dtype=np.float32)
                given[name] = model.probabilities(logits.reshape(len(rows), len(nothing)))
        return testset.where(np.isin(np.arange(len(testset)), rows)), given


def _features(found: Sequence[NDArray[np.float16] | None]) -> Floats:
    """Float [n, c], NaN where there are none; c is 0 if no image has any."""
    c = next((len(one) for one in found if one is not None), 0)
    return np.array([np.full(c, np.nan) if one is None else one for one in found], dtype=np.float64).reshape(
        len(found), c
    )


def planned(
    perturbations: Iterable[Perturbations], manifest: Manifest, classes: tuple[str, ...], target: str, at_most: int
) -> dict[int, dict[str, Alteration]]:
    """All that audits will do to each row of the manifest if every image can be read.

    So images are opened once for the predictions and for all audits. The manifest has ``truth`` and ``kind``.
    """
    readable = manifest.table.assign(**{FAULT: ""})
    testset = TestSet(readable, classes, target, pd.DataFrame(index=readable.index))
    plan: dict[int, dict[str, Alteration]] = {}
    for one in perturbations:
        for row in one.rows(testset, at_most):
            plan.setdefault(int(row), {}).update(one.alterations)
    return plan


def audited_rows(testset: TestSet, at_most: int, *, seed: int = 0, among: Mask | None = None) -> Integers:
    """Rows of the images to alter: at most ``at_most`` random ones with a prediction and a truth, under ``among``.

    They are as evenly spread over source and truth as their numbers allow.
    """
    table, usable = testset.table, _usable(testset)
    rows = np.flatnonzero(usable if among is None else usable & among)
    rng = np.random.default_rng(seed)
    shuffled = pd.Series(rng.permutation(rows))
    groups = (table["source"] + "|" + table[TRUTH]).to_numpy(dtype=str)[shuffled.to_numpy()]
    turn = shuffled.groupby(groups).cumcount()
    chosen = shuffled.to_numpy()[np.argsort(turn.to_numpy(), kind="stable")][:at_most]
    return np.sort(chosen).astype(np.int64)


def _usable(testset: TestSet) -> Mask:
    """With a prediction and a truth, bool [n]."""
    return np.asarray((testset.table[FAULT] == "") & testset.has_truth, dtype=bool)


def _of_mixed_sources(testset: TestSet) -> Mask:
    usable, source = _usable(testset), testset.table["source"].to_numpy(dtype=str)
    both = np.zeros(len(testset), dtype=bool)
    both[usable] = in_mixed_groups(source[usable], testset.positive[usable])
    return both
